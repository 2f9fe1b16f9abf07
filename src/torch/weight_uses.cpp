#include "torch/weight_uses.h"

#include <algorithm>
#include <array>

#include "base/format.h"

namespace mnq::libtorch {
namespace {

using jit::Node;
using jit::Use;
using jit::Value;

struct TypeKind {
  std::string_view type;  // as plain_type_name gives it
  std::string_view kind;
  std::int64_t channel_axis;
};
constexpr std::array kTypeKinds{
    TypeKind{"torch.nn.modules.linear.Linear", "Linear", 0},
    TypeKind{"torch.nn.modules.linear.NonDynamicallyQuantizableLinear", "Linear", 0},
    TypeKind{"torch.nn.modules.conv.Conv1d", "Conv1d", 0},
    TypeKind{"torch.nn.modules.conv.Conv2d", "Conv2d", 0},
    TypeKind{"torch.nn.modules.conv.Conv3d", "Conv3d", 0},
    TypeKind{"torch.nn.modules.conv.ConvTranspose1d", "ConvTranspose1d", 1},
    TypeKind{"torch.nn.modules.conv.ConvTranspose2d", "ConvTranspose2d", 1},
    TypeKind{"torch.nn.modules.conv.ConvTranspose3d", "ConvTranspose3d", 1},
    TypeKind{"torch.nn.modules.sparse.Embedding", "Embedding", 0},
    TypeKind{"torch.nn.modules.rnn.LSTM", "LSTM", 0},
    TypeKind{"torch.nn.modules.rnn.GRU", "GRU", 0},
    TypeKind{"torch.nn.modules.rnn.RNN", "RNN", 0},
    TypeKind{"torch.nn.modules.rnn.LSTMCell", "LSTMCell", 0},
    TypeKind{"torch.nn.modules.rnn.GRUCell", "GRUCell", 0},
    TypeKind{"torch.nn.modules.rnn.RNNCell", "RNNCell", 0},
};

// An operator that takes a weight. axis: of the output channels; -1 for one that follows from the operands.
struct OperatorKind {
  std::string_view name;
  std::size_t operand;
  std::string_view kind;
  std::int64_t channel_axis;
};
constexpr std::array kOperatorKinds{
    OperatorKind{"aten::linear", 1, "Linear", 0},
    OperatorKind{"aten::conv1d", 1, "Conv1d", 0},
    OperatorKind{"aten::conv2d", 1, "Conv2d", 0},
    OperatorKind{"aten::conv3d", 1, "Conv3d", 0},
    OperatorKind{"aten::conv_transpose1d", 1, "ConvTranspose1d", 1},
    OperatorKind{"aten::conv_transpose2d", 1, "ConvTranspose2d", 1},
    OperatorKind{"aten::conv_transpose3d", 1, "ConvTranspose3d", 1},
    OperatorKind{"aten::embedding", 0, "Embedding", 0},
    OperatorKind{"aten::addmm", 2, "Linear", 1},
    OperatorKind{"aten::addmm", 1, "Linear", 0},
    OperatorKind{"aten::matmul", 1, "Linear", 1},
    OperatorKind{"aten::matmul", 0, "Linear", 0},
    OperatorKind{"aten::mm", 1, "Linear", 1},
    OperatorKind{"aten::mm", 0, "Linear", 0},
    OperatorKind{"aten::lstm_cell", 2, "LSTMCell", 0},
    OperatorKind{"aten::lstm_cell", 3, "LSTMCell", 0},
    OperatorKind{"aten::gru_cell", 2, "GRUCell", 0},
    OperatorKind{"aten::gru_cell", 3, "GRUCell", 0},
    OperatorKind{"aten::rnn_tanh_cell", 2, "RNNCell", 0},
    OperatorKind{"aten::rnn_tanh_cell", 3, "RNNCell", 0},
    OperatorKind{"aten::rnn_relu_cell", 2, "RNNCell", 0},
    OperatorKind{"aten::rnn_relu_cell", 3, "RNNCell", 0},
};
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kListOperators{{
    {"aten::lstm", "LSTM"},
    {"aten::gru", "GRU"},
    {"aten::rnn_tanh", "RNN"},
    {"aten::rnn_relu", "RNN"},
}};
// The same values in the same order of axes.
constexpr std::array<std::string_view, 8> kSameValues{
    "aten::to",    "aten::type_as", "aten::contiguous",     "aten::detach",
    "aten::alias", "aten::clone",   "prim::unchecked_cast", "prim::unchecked_unwrap_optional",
};

std::string_view name_of(const Node& node) { return node.kind().toQualString(); }

// Whether the node swaps the two axes of a matrix.
bool swaps_axes(const Node& node) {
  const std::string_view name = name_of(node);
  if (name == "aten::t" || name == "aten::numpy_T" || name == "aten::mT") return true;
  if (name == "aten::transpose" && node.inputs().size() == 3) {
    const auto a = jit::toIValue(node.input(1)), b = jit::toIValue(node.input(2));
    if (!a || !b || !a->isInt() || !b->isInt()) return false;
    return ((a->toInt() % 2) + 2) % 2 != ((b->toInt() % 2) + 2) % 2;
  }
  if (name == "aten::permute") {
    const auto order = jit::toIValue(node.input(1));
    return order && order->isIntList() && order->toIntVector() == std::vector<std::int64_t>{1, 0};
  }
  return false;
}

// _convolution carries the transposed flag where conv2d has it in its name.
WeightUse convolution_use(const Node& node, std::size_t rank) {
  const auto transposed = jit::toIValue(node.input(6));
  const std::string_view base = transposed && transposed->isBool() && transposed->toBool() ? "ConvTranspose" : "Conv";
  if (rank < 3 || rank > 5 || !transposed) return {"", 0, "used by a convolution of unknown kind"};
  return {formatted("{}{}d", base, rank - 2), base == "Conv" ? 0 : 1, ""};
}

// What one use makes of a tensor; transposed: two axes were swapped on the way.
WeightUse use_of(const Use& use, std::size_t rank, bool transposed);

WeightUse follow(const Value* value, std::size_t rank, bool transposed) {
  WeightUse result{"", 0, "no layer uses it"};
  for (const Use& use : value->uses()) {
    WeightUse one = use_of(use, rank, transposed);
    // An embedding that is tied to the output is one first of all: its rows are looked up.
    if (!one.kind.empty() && (result.kind.empty() || one.kind == "Embedding"))
      result = std::move(one);
    else if (result.kind.empty())
      result = std::move(one);
  }
  return result;
}

WeightUse use_of(const Use& use, std::size_t rank, bool transposed) {
  const Node& node = *use.user;
  const std::string_view name = name_of(node);
  if (name == "prim::ListConstruct") {
    for (const Use& list_use : node.output()->uses()) {
      for (const auto& [list_operator, kind] : kListOperators) {
        if (name_of(*list_use.user) == list_operator) return {std::string(kind), 0, ""};
      }
    }
  }
  if (rank == 2 && swaps_axes(node) && use.offset == 0) return follow(node.output(), rank, !transposed);
  if (use.offset == 0 && std::ranges::find(kSameValues, name) != kSameValues.end()) {
    return follow(node.output(), rank, transposed);
  }
  if (name == "aten::_convolution" && use.offset == 1) return convolution_use(node, rank);
  for (const OperatorKind& row : kOperatorKinds) {
    if (row.name != name || row.operand != use.offset) continue;
    if (row.kind == "Linear" && rank != 2) break;
    return {std::string(row.kind), transposed ? 1 - row.channel_axis : row.channel_axis, ""};
  }
  return {"", 0, formatted("used by {}", name)};
}

// The value an operator writes to, through views; null where it writes to none.
const Value* written_value(const Node& node) {
  const auto* schema = node.maybeSchema();
  if (schema == nullptr) return nullptr;
  for (std::size_t i = 0; i < schema->arguments().size() && i < node.inputs().size(); ++i) {
    const auto* alias = schema->arguments()[i].alias_info();
    if (alias != nullptr && alias->isWrite()) return node.input(i);
  }
  return nullptr;
}

const Value* behind_views(const Value* value) {
  for (;;) {
    const Node& node = *value->node();
    const auto* schema = node.maybeSchema();
    if (node.inputs().empty() || schema == nullptr || schema->returns().size() != 1) return value;
    const auto* alias = schema->returns()[0].alias_info();
    if (alias == nullptr || schema->arguments().empty() || schema->arguments()[0].alias_info() == nullptr) return value;
    value = node.input(0);
  }
}

class Search {
 public:
  Search(const ObjectPtr& root, const ModuleTree& tree, WeightUses& result)
      : root_(root), tree_(tree), result_(result) {
    for (std::size_t i = 0; i < tree.tensors.size(); ++i) {
      for (const Place& place : tree.tensors[i].places) index_[{place.object, place.attribute}] = i;
    }
    result.uses.resize(tree.tensors.size(), {"", 0, "no layer uses it"});
    written_by_.resize(tree.tensors.size());
  }

  void run() {
    for (jit::Function* method : root_->type()->methods()) visit_method(*method);
    by_type();
    for (std::size_t i = 0; i < written_by_.size(); ++i) {
      if (!written_by_[i].empty()) result_.uses[i] = {"", 0, formatted("the code writes to it ({})", written_by_[i])};
    }
    result_.is_stateful = result_.is_stateful || (has_norms_ && trains());
  }

 private:
  void visit_method(jit::Function& method) {
    const auto* function = dynamic_cast<jit::GraphFunction*>(&method);
    if (function == nullptr) return;
    const auto graph = function->graph()->copy();
    jit::Inline(*graph);
    objects_.clear();
    if (!graph->inputs().empty()) objects_[graph->inputs()[0]] = root_.get();
    visit_block(*graph->block(), method.name());
  }

  void visit_block(jit::Block& block, const std::string& method) {
    for (Node* node : block.nodes()) {
      visit_node(*node, method);
      for (jit::Block* inner : node->blocks()) visit_block(*inner, method);
    }
  }

  void visit_node(Node& node, const std::string& method) {
    if (node.kind() == c10::prim::GetAttr) return visit_attribute(node);
    if (node.kind() == c10::prim::SetAttr) {
      result_.is_stateful = true;
      note_write(node.input(0), node.s(c10::attr::name), "an assignment");
    } else if (node.kind() == c10::prim::Constant) {
      visit_constant(node, method);
    } else if (const Value* written = written_value(node)) {
      const Node& source = *behind_views(written)->node();
      if (source.kind() == c10::prim::GetAttr) {
        result_.is_stateful = true;
        note_write(source.input(0), source.s(c10::attr::name), name_of(node));
      } else if (source.kind() == c10::prim::Param) {
        result_.writes_inputs = true;
      }
    } else if (name_of(node) == "aten::batch_norm" && node.inputs().size() > 5) {
      const auto training = jit::toIValue(node.input(5));
      if (!training || !training->isBool() || training->toBool()) has_norms_ = true;
    }
  }

  void visit_attribute(Node& node) {
    const auto owner = objects_.find(node.input(0));
    if (owner == objects_.end()) return;
    const std::string& attribute = node.s(c10::attr::name);
    const auto slot = owner->second->type()->findAttributeSlot(attribute);
    if (!slot) return;
    const c10::IValue& value = owner->second->getSlot(*slot);
    if (is_module_object(value)) {
      objects_[node.output()] = &value.toObjectRef();
    }
    const auto found = index_.find({owner->second, attribute});
    if (found != index_.end()) note_use(found->second, node.output());
    for (const TensorList& list : lists_of(owner->second)) {
      if (list.attribute == attribute) note_list_use(*owner->second, list, node.output());
    }
  }

  const std::vector<TensorList>& lists_of(c10::ivalue::Object* object) const {
    static const std::vector<TensorList> none;
    const auto found = tree_.lists.find(object);
    return found == tree_.lists.end() ? none : found->second;
  }

  void note_use(std::size_t tensor, const Value* value) {
    const auto rank = static_cast<std::size_t>(tree_.tensors[tensor].tensor.dim());
    merge(result_.uses[tensor], follow(value, rank, false));
  }

  void note_list_use(c10::ivalue::Object& object, const TensorList& list, const Value* value) {
    for (const Use& use : value->uses()) {
      for (const auto& [list_operator, kind] : kListOperators) {
        if (name_of(*use.user) != list_operator) continue;
        for (const std::string& member : list.members) {
          const auto found = index_.find({&object, member});
          if (found == index_.end() || tree_.tensors[found->second].tensor.dim() != 2) continue;
          merge(result_.uses[found->second], {std::string(kind), 0, ""});
        }
      }
    }
  }

  void note_write(const Value* owner, const std::string& attribute, std::string_view by) {
    const auto object = objects_.find(owner);
    if (object == objects_.end()) return;
    const auto found = index_.find({object->second, attribute});
    if (found != index_.end()) written_by_[found->second] = by;
    for (const TensorList& list : lists_of(object->second)) {
      if (list.attribute != attribute) continue;
      for (const std::string& member : list.members) written_by_[index_.at({object->second, member})] = by;
    }
  }

  void visit_constant(Node& node, const std::string& method) {
    const auto value = jit::toIValue(node.output());
    if (!value || !value->isTensor() || !value->toTensor().defined() || value->toTensor().dim() < 2) return;
    const at::Tensor tensor = value->toTensor();
    WeightUse use = follow(node.output(), static_cast<std::size_t>(tensor.dim()), false);
    if (use.kind.empty()) return;
    for (const ConstantWeight& known : result_.constants) {
      if (is_same_tensor(known.tensor, tensor)) return;
    }
    use.reason = formatted("a constant of {}, used as the weight of {}: the module was frozen; quantize it before",
                           method, use.kind);
    use.kind.clear();
    result_.constants.push_back({formatted("constants.{}", result_.constants.size()), tensor, std::move(use)});
  }

  static void merge(WeightUse& into, WeightUse use) {
    if (use.kind.empty() && (!into.kind.empty() || use.reason == "no layer uses it")) return;
    if (into.kind.empty() || use.kind == "Embedding") into = std::move(use);
  }

  // Whether a module is in training mode: norms then write to their averages.
  bool trains() const {
    return std::ranges::any_of(tree_.names, [](const auto& entry) {
      const auto slot = entry.first->type()->findAttributeSlot("training");
      return slot && entry.first->getSlot(*slot).isBool() && entry.first->getSlot(*slot).toBool();
    });
  }

  // The type of the module says what its weight is, whether or not a method of the root comes by it, and knows better
  // than the operators: a traced LSTMCell is made of linear ones.
  void by_type() {
    for (std::size_t i = 0; i < tree_.tensors.size(); ++i) {
      WeightUse of_type;
      for (const Place& place : tree_.tensors[i].places) {
        const std::string type = plain_type_name(*place.object->type());
        const auto found = std::ranges::find(kTypeKinds, type, &TypeKind::type);
        if (found == kTypeKinds.end() || !place.attribute.starts_with("weight") || tree_.tensors[i].tensor.dim() < 2 ||
            place.attribute.find("_scale") != std::string::npos ||
            place.attribute.find("_zero_point") != std::string::npos) {
          continue;
        }
        merge(of_type, {std::string(found->kind), found->channel_axis, ""});
      }
      const bool is_embedding = result_.uses[i].kind == "Embedding";
      if (!of_type.kind.empty() && !is_embedding) result_.uses[i] = std::move(of_type);
    }
  }

  struct PlaceHash {
    std::size_t operator()(const std::pair<c10::ivalue::Object*, std::string>& place) const {
      return std::hash<void*>()(place.first) ^ std::hash<std::string>()(place.second);
    }
  };

  const ObjectPtr& root_;
  const ModuleTree& tree_;
  WeightUses& result_;
  std::unordered_map<std::pair<c10::ivalue::Object*, std::string>, std::size_t, PlaceHash> index_;
  std::unordered_map<const Value*, c10::ivalue::Object*> objects_;  // of the method's graph
  std::vector<std::string> written_by_;                             // of each tensor; empty: nobody
  bool has_norms_ = false;                                          // that may update their averages
};

}  // namespace

WeightUses find_weight_uses(const ObjectPtr& root, const ModuleTree& tree) {
  WeightUses result;
  Search(root, tree, result).run();
  return result;
}

}  // namespace mnq::libtorch
