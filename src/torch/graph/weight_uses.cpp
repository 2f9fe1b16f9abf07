#include "torch/graph/weight_uses.h"

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_set>

#include "base/error.h"
#include "base/text/format.h"
#include "torch/graph/inlined_size.h"
#include "torch/graph/method_writes.h"

namespace mnq::libtorch {
namespace {

using jit::Node;
using jit::Use;
using jit::Value;

std::string_view name_of(const Node& node) { return node.kind().toQualString(); }

// A constant list of integers, or one that is made of constants; else empty.
std::vector<std::int64_t> constant_integers(const Value& value) {
  if (const auto list = jit::toIValue(&value); list && list->isIntList()) return list->toIntVector();
  std::vector<std::int64_t> integers;
  if (value.node()->kind() != c10::prim::ListConstruct) return integers;
  for (const Value* element : value.node()->inputs()) {
    const auto integer = jit::toIValue(element);
    if (!integer || !integer->isInt()) return {};
    integers.push_back(integer->toInt());
  }
  return integers;
}

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
    return constant_integers(*node.input(1)) == std::vector<std::int64_t>{1, 0};
  }
  return false;
}

// None where it is no constant.
std::optional<bool> constant_flag(const Value& value) {
  const auto constant = jit::toIValue(&value);
  return constant && constant->isBool() ? std::optional(constant->toBool()) : std::nullopt;
}

// A value that is the weight under another name; transposed: two axes were swapped on the way.
struct Alias {
  const Value* value;
  bool transposed;
};

// What goes on under another name where a block of code starts or ends.
std::vector<const Value*> passed_on(const Use& use) {
  const Node& node = *use.user;
  if (node.kind() == c10::prim::Return) {
    const Node* owner = node.owningBlock()->owningNode();
    if (owner == nullptr) return {};
    if (owner->kind() == c10::prim::If) return {owner->outputs()[use.offset]};
    if (owner->kind() != c10::prim::Loop || use.offset == 0) return {};
    return {owner->outputs()[use.offset - 1], node.owningBlock()->inputs()[use.offset]};
  }
  if (node.kind() != c10::prim::Loop || use.offset < 2) return {};
  return {node.outputs()[use.offset - 2], node.blocks()[0]->inputs()[use.offset - 1]};
}

// Goes from a tensor to the operators that use it, with a list of work: code may pass it on a hundred thousand times.
class UseFinder {
 public:
  UseFinder(const Value* value, std::size_t rank) : rank_(rank) { add({value, false}); }

  WeightUse run() {
    WeightUse result{"", 0, std::string(kUnusedWeight)};
    for (std::size_t i = 0; i < work_.size(); ++i) {
      const Alias alias = work_[i];
      for (const Use& use : alias.value->uses()) {
        std::optional<WeightUse> one = use_of(use, alias.transposed);
        if (!one) continue;
        // An embedding that is tied to the output is one first of all: its rows are looked up.
        if (result.kind.empty() || one->kind == "Embedding") result = std::move(*one);
      }
    }
    return result;
  }

 private:
  void add(Alias alias) {
    if (seen_.insert(alias.value).second) work_.push_back(alias);
  }

  // None where it is the use of another name.
  std::optional<WeightUse> use_of(const Use& use, bool transposed) {
    const Node& node = *use.user;
    const std::string_view name = name_of(node);
    const auto blocks = passed_on(use);
    for (const Value* value : blocks) add({value, transposed});
    const bool swaps = rank_ == 2 && use.offset == 0 && swaps_axes(node);
    const bool is_same = use.offset == 0 && keeps_values(name);
    if (swaps || is_same) add({node.output(), transposed != swaps});
    if (swaps || is_same || !blocks.empty()) return std::nullopt;
    if (name == "prim::ListConstruct") {
      const std::string_view kind = list_kind(*node.output());
      if (!kind.empty()) return WeightUse{std::string(kind), 0, ""};
    }
    if (name == "aten::_convolution" && use.offset == 1) {
      return use_by_convolution(constant_flag(*node.input(6)), rank_);
    }
    return use_by_operator(name, use.offset, rank_, transposed);
  }

  static std::string_view list_kind(const Value& list) {
    for (const Use& use : list.uses()) {
      const std::string_view kind = kind_by_list(name_of(*use.user));
      if (!kind.empty()) return kind;
    }
    return {};
  }

  std::size_t rank_;
  std::vector<Alias> work_;
  std::unordered_set<const Value*> seen_;
};

WeightUse follow(const Value* value, std::size_t rank) { return UseFinder(value, rank).run(); }

// Errors of LibTorch, were they taken: attributes, constants and methods of a type share their names.
std::string taken_name(const TreeTensor& tensor) {
  for (const Place& place : tensor.places) {
    const auto type = place.object->type();
    for (const std::string_view suffix : kPartSuffixes) {
      const std::string name = place.attribute + std::string(suffix);
      if (type->hasAttribute(name) || type->hasConstant(name) || type->findMethod(name) != nullptr) return name;
    }
  }
  return {};
}

// What is found of the tensors of a tree.
class FoundUses {
 public:
  explicit FoundUses(const ModuleTree& tree) : tree_(tree) {
    for (std::size_t i = 0; i < tree.tensors.size(); ++i) {
      for (const Place& place : tree.tensors[i].places) index_[{place.object, place.attribute}] = i;
    }
    result_.uses.resize(tree.tensors.size(), {"", 0, std::string(kUnusedWeight)});
  }

  WeightUses& result() { return result_; }

  // What becomes of an attribute's value where it is read.
  void note_read(c10::ivalue::Object& object, const std::string& attribute, const Value* value) {
    const auto found = index_.find({&object, attribute});
    if (found != index_.end()) note_use(found->second, value);
    const auto lists = tree_.lists.find(&object);
    if (lists == tree_.lists.end()) return;
    for (const TensorList& list : lists->second) {
      if (list.attribute == attribute) note_list_use(object, list, value);
    }
  }

  void note_constant(Node& node, const std::string& method) {
    const auto value = jit::toIValue(node.output());
    if (!value || !value->isTensor() || !value->toTensor().defined() || value->toTensor().dim() < 2) return;
    const at::Tensor tensor = value->toTensor();
    WeightUse use = follow(node.output(), static_cast<std::size_t>(tensor.dim()));
    if (use.kind.empty()) return;
    for (const ConstantWeight& known : result_.constants) {
      if (is_same_tensor(known.tensor, tensor)) return;
    }
    use.reason = frozen_reason(method, use.kind);
    use.kind.clear();
    result_.constants.push_back({formatted("constants.{}", result_.constants.size()), tensor, std::move(use)});
  }

  // All that shares memory with the value is written to.
  void note_written(const c10::IValue& value, const std::string& by) {
    for (const at::Tensor& tensor : tensors_in(value)) {
      if (tensor.has_storage()) written_by_.emplace(tensor.storage().unsafeGetStorageImpl(), by);
    }
  }

  void conclude() {
    let_types_say();
    for (std::size_t i = 0; i < tree_.tensors.size(); ++i) exclude(tree_.tensors[i], result_.uses[i]);
  }

 private:
  void note_use(std::size_t tensor, const Value* value) {
    const auto rank = static_cast<std::size_t>(tree_.tensors[tensor].tensor.dim());
    merge_use(result_.uses[tensor], follow(value, rank));
  }

  void note_list_use(c10::ivalue::Object& object, const TensorList& list, const Value* value) {
    for (const Use& use : value->uses()) {
      const std::string_view kind = kind_by_list(name_of(*use.user));
      if (kind.empty()) continue;
      for (const std::string& member : list.members) {
        const auto found = index_.find({&object, member});
        if (found == index_.end() || tree_.tensors[found->second].tensor.dim() != 2) continue;
        merge_use(result_.uses[found->second], {std::string(kind), 0, ""});
      }
    }
  }

  // The type of the module says what its weight is, whether or not a method of the root comes by it, and knows better
  // than the operators: a traced LSTMCell is made of linear ones.
  void let_types_say() {
    for (std::size_t i = 0; i < tree_.tensors.size(); ++i) {
      WeightUse of_type;
      for (const Place& place : tree_.tensors[i].places) {
        const auto use = use_by_type(place.object->type()->name()->qualifiedName(), place.attribute,
                                     static_cast<std::size_t>(tree_.tensors[i].tensor.dim()));
        if (use) merge_use(of_type, *use);
      }
      const bool is_embedding = result_.uses[i].kind == "Embedding";
      if (!of_type.kind.empty() && !is_embedding) result_.uses[i] = std::move(of_type);
    }
  }

  // What speaks against a weight that a layer uses.
  void exclude(const TreeTensor& tensor, WeightUse& use) const {
    if (tensor.tensor.has_storage()) {
      const auto written = written_by_.find(tensor.tensor.storage().unsafeGetStorageImpl());
      if (written != written_by_.end()) use = {"", 0, written_reason(written->second)};
    }
    if (use.kind.empty() || !tensor.tensor.is_floating_point()) return;
    if (const std::string taken = taken_name(tensor); !taken.empty()) {
      use = {"", 0, taken_name_reason(taken)};
    }
  }

  struct PlaceHash {
    std::size_t operator()(const std::pair<c10::ivalue::Object*, std::string>& place) const {
      return std::hash<void*>()(place.first) ^ std::hash<std::string>()(place.second);
    }
  };

  const ModuleTree& tree_;
  WeightUses result_;
  std::unordered_map<std::pair<c10::ivalue::Object*, std::string>, std::size_t, PlaceHash> index_;
  std::unordered_map<const c10::StorageImpl*, std::string> written_by_;  // the operator
};

// Goes through the code of the root's methods, once calls are inlined.
class Search {
 public:
  Search(const ObjectPtr& root, const ModuleTree& tree) : root_(root), tree_(tree), found_(tree) {}

  WeightUses run() {
    add_methods_of_root();
    while (!methods_.empty()) {
      const Method method = std::move(methods_.back());
      methods_.pop_back();
      visit_method(method);
    }
    found_.conclude();
    WeightUses& result = found_.result();
    result.is_stateful = result.is_stateful || (has_norms_ && trains());
    return std::move(result);
  }

 private:
  // A method's code, and which of its inputs are what module.
  struct Method {
    std::shared_ptr<jit::Graph> graph;
    std::vector<c10::ivalue::Object*> inputs;
    std::string name;
  };

  void add_methods_of_root() {
    const auto type = root_->type();
    std::vector<jit::Function*> functions = type->methods();
    for (const auto& hooks : {type->getForwardPreHooks(), type->getForwardHooks()}) {
      functions.insert(functions.end(), hooks.begin(), hooks.end());
    }
    for (const auto& property : type->properties()) {
      functions.push_back(property.getter);
      if (property.setter != nullptr) functions.push_back(property.setter);
    }
    for (auto function = functions.rbegin(); function != functions.rend(); ++function)
      add_method(**function, root_.get());
  }

  void add_method(jit::Function& function, c10::ivalue::Object* object) {
    const auto* code = jit::tryToGraphFunction(function);
    if (code == nullptr || !known_methods_.emplace(&function, object).second) return;
    methods_.push_back({code->graph()->copy(), {object}, function.name()});
  }

  void visit_method(const Method& method) {
    const auto& graph = method.graph;
    require_size(*graph, method.name);
    jit::Inline(*graph);
    objects_.clear();
    for (std::size_t i = 0; i < std::min(graph->inputs().size(), method.inputs.size()); ++i) {
      if (method.inputs[i] != nullptr) objects_[graph->inputs()[i]] = method.inputs[i];
    }
    visit_block(*graph->block(), method.name);
    note_writes(graph);
  }

  void require_size(const jit::Graph& graph, const std::string& name) {
    node_count_ += sizes_.of(graph);
    if (node_count_ <= kMostInlinedNodes) return;
    throw Error(Status::kUnsupported,
                formatted("its code is more than {} operators long once calls are inlined", kMostInlinedNodes),
                "call methods from loops, not from methods that call one another over and over", name);
  }

  void visit_block(jit::Block& block, const std::string& method) {
    for (Node* node : block.nodes()) {
      visit_node(*node, method);
      for (jit::Block* inner : node->blocks()) visit_block(*inner, method);
    }
  }

  void visit_node(Node& node, const std::string& method) {
    if (node.kind() == c10::prim::GetAttr) {
      visit_attribute(node);
    } else if (node.kind() == c10::prim::Constant) {
      found_.note_constant(node, method);
    } else if (node.kind() == c10::prim::fork) {
      add_fork(node, method);
    } else if (node.kind() == c10::prim::CallMethod) {
      add_implementations(node);
    } else if (name_of(node) == "aten::batch_norm" && node.inputs().size() > 5) {
      const auto training = jit::toIValue(node.input(5));
      if (!training || !training->isBool() || training->toBool()) has_norms_ = true;
    }
  }

  // Code that runs beside the method.
  void add_fork(Node& node, const std::string& method) {
    std::vector<c10::ivalue::Object*> inputs;
    for (const Value* input : node.inputs()) {
      const auto object = objects_.find(input);
      inputs.push_back(object == objects_.end() ? nullptr : object->second);
    }
    methods_.push_back({node.g(c10::attr::Subgraph)->copy(), std::move(inputs), method});
  }

  // A call that is not inlined is one of an interface: whatever module has it may be meant.
  void add_implementations(const Node& call) {
    const auto interface = call.input(0)->type()->cast<c10::InterfaceType>();
    if (interface == nullptr) return;
    for (const auto& [object, name] : tree_.names) {
      if (!object->type()->isSubtypeOf(*interface)) continue;
      if (jit::Function* method = object->type()->findMethod(call.s(c10::attr::name))) add_method(*method, object);
    }
  }

  void note_writes(const std::shared_ptr<jit::Graph>& graph) {
    const MethodWrites writes = find_writes(graph);
    WeightUses& result = found_.result();
    result.is_stateful = result.is_stateful || writes.changes_state;
    result.writes_inputs = result.writes_inputs || writes.writes_inputs;
    for (const MethodWrites::Attribute& written : writes.attributes) note_write(*written.read, written.by);
  }

  // What belongs to no module is held by an attribute of one.
  void note_write(const Node& read, const std::string& by) {
    const auto owner = objects_.find(read.input(0));
    if (owner == objects_.end()) {
      const Node& holder = *read.input(0)->node();
      if (holder.kind() == c10::prim::GetAttr) note_write(holder, by);
      return;
    }
    const auto slot = owner->second->type()->findAttributeSlot(read.s(c10::attr::name));
    if (!slot) return;
    found_.note_written(owner->second->getSlot(*slot), by);
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
    found_.note_read(*owner->second, attribute, node.output());
  }

  // Whether a module is in training mode: norms then write to their averages.
  bool trains() const {
    return std::ranges::any_of(tree_.names, [](const auto& entry) {
      const auto slot = entry.first->type()->findAttributeSlot("training");
      return slot && entry.first->getSlot(*slot).isBool() && entry.first->getSlot(*slot).toBool();
    });
  }

  const ObjectPtr& root_;
  const ModuleTree& tree_;
  FoundUses found_;
  std::vector<Method> methods_;  // to be visited
  std::set<std::pair<const jit::Function*, c10::ivalue::Object*>> known_methods_;
  InlinedSize sizes_;
  std::uint64_t node_count_ = 0;
  std::unordered_map<const Value*, c10::ivalue::Object*> objects_;  // of the method's graph
  bool has_norms_ = false;                                          // that may update their averages
};

}  // namespace

WeightUses find_weight_uses(const ObjectPtr& root, const ModuleTree& tree) { return Search(root, tree).run(); }

}  // namespace mnq::libtorch
