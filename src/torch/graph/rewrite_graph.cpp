#include "torch/graph/rewrite_graph.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text/format.h"
#include "torch/graph/integer_linear.h"
#include "torch/graph/stock_functions.h"
#include "torch/tensors.h"

namespace mnq::libtorch {
namespace {

using jit::Graph;
using jit::Node;
using jit::Use;
using jit::Value;

bool is_tensor(const Value& value) { return value.type()->kind() == c10::TypeKind::TensorType; }

// Whether a value is known only when the module runs, and so keeps freezing from folding what depends on it.
bool is_runtime_tensor(const Value& value) {
  return is_tensor(value) && value.node()->kind() != c10::prim::GetAttr && value.node()->kind() != c10::prim::Constant;
}

// Operators whose weight has the dtype of their input: where the input is, seen from the weight.
struct InputOperand {
  std::string_view name;
  std::size_t weight;
  std::size_t input;
};
constexpr std::array kInputOperands{
    InputOperand{"aten::linear", 1, 0},
    InputOperand{"aten::conv1d", 1, 0},
    InputOperand{"aten::conv2d", 1, 0},
    InputOperand{"aten::conv3d", 1, 0},
    InputOperand{"aten::_convolution", 1, 0},
    InputOperand{"aten::conv_transpose1d", 1, 0},
    InputOperand{"aten::conv_transpose2d", 1, 0},
    InputOperand{"aten::conv_transpose3d", 1, 0},
    InputOperand{"aten::matmul", 1, 0},
    InputOperand{"aten::matmul", 0, 1},
    InputOperand{"aten::mm", 1, 0},
    InputOperand{"aten::mm", 0, 1},
    InputOperand{"aten::addmm", 2, 1},
    InputOperand{"aten::addmm", 1, 2},
    InputOperand{"aten::_native_multi_head_attention", 5, 0},
    InputOperand{"aten::_native_multi_head_attention", 7, 0},
    InputOperand{"aten::_transformer_encoder_layer_fwd", 3, 0},
    InputOperand{"aten::_transformer_encoder_layer_fwd", 5, 0},
    InputOperand{"aten::_transformer_encoder_layer_fwd", 14, 0},
    InputOperand{"aten::_transformer_encoder_layer_fwd", 16, 0},
};

// Where the codes are among the inputs of a call that decodes, the function itself counted.
constexpr std::size_t kWeightCodes = 1, kOperatorCodes = 2;

// In a call for an operator: the padding index of an embedding, the bias of a linear one.
std::size_t last_operand(const ScriptDecoder& decoder) { return kOperatorCodes + 1 + decoder.tensors.size(); }

class Rewriter {
 public:
  Rewriter(Graph& graph, const RewriteContext& context) : graph_(graph), context_(context) {}

  void run(const c10::ClassTypePtr& self) {
    if (!graph_.inputs().empty()) graph_.inputs()[0]->setType(self);
    visit(*graph_.block());
    for (Node* call : calls_) redirect(*call);
    for (Node* read : reads_) rewrite_read(*read);
    for (Node* read : list_reads_) rewrite_list(*read);
    if (!reads_.empty() || !list_reads_.empty()) jit::EliminateDeadCode(graph_.block());
    if (context_.integer_linear) use_integer_linear(*graph_.block());
  }

 private:
  // Gives module values the types of the clone, and notes what has to be rewritten.
  void visit(jit::Block& block) {
    for (Node* node : block.nodes()) {
      if (node->kind() == c10::prim::GetAttr) visit_read(*node);
      if (!called_stock_function(*node).empty()) calls_.push_back(node);
      for (jit::Block* inner : node->blocks()) visit(*inner);
    }
  }

  void visit_read(Node& node) {
    const auto type = node.input(0)->type()->cast<c10::ClassType>();
    const TypeEdits* edits = type == nullptr ? nullptr : context_.edits_of(*type);
    if (edits == nullptr) return;
    const std::string& attribute = node.s(c10::attr::name);
    if (edits->reads.contains(attribute)) {
      reads_.push_back(&node);
    } else if (std::ranges::find(edits->lists, attribute, &TensorList::attribute) != edits->lists.end()) {
      list_reads_.push_back(&node);
    } else if (const c10::TypePtr found = type->findAttribute(attribute)) {
      node.output()->setType(found);
    }
  }

  const TypeEdits& edits_of(const Node& read) const {
    return *context_.edits_of(*read.input(0)->type()->expect<c10::ClassType>());
  }

  // A stock function of the unit that the original came from becomes the clone's own.
  void redirect(Node& call) {
    const std::string function = called_stock_function(call);
    if (!has_stock_function(context_.unit, function)) return;
    const jit::WithInsertPoint point(&call);
    Value* result = insert_stock_call(graph_, context_.unit, function, call.inputs().slice(1));
    replace(call, result);
  }

  static void replace(Node& node, Value* result) {
    result->node()->setSourceRange(node.sourceRange());
    if (node.output()->hasDebugName()) result->setDebugName(node.output()->debugName());
    node.output()->replaceAllUsesWith(result);
    node.destroy();
  }

  void rewrite_read(Node& read) {
    const AttributeEdit edit = edits_of(read).reads.at(read.s(c10::attr::name));
    const std::vector<Use> uses = read.output()->uses();
    for (const Use& use : uses) {
      const jit::WithInsertPoint point(use.user);
      if (edit.change->quantized) {
        use_codes(read, edit, use);
      } else {
        use_values(read, edit, use);
      }
    }
    read.destroy();
  }

  Value* part(const Node& read, const AttributeEdit& edit, std::string_view suffix) {
    return graph_.insertGetAttr(read.input(0), part_attribute(edit.base, suffix));
  }

  Value* none() { return graph_.insertConstant(c10::IValue()); }

  // The codes come first, then what their decoder takes with them.
  std::vector<Value*> decoding_arguments(const Node& read, const AttributeEdit& edit) {
    const WeightChange& change = *edit.change;
    std::vector<Value*> arguments{part(read, edit, change.parts[0].suffix)};
    for (const std::string_view suffix : change.decoder.tensors) {
      const bool has_part = std::ranges::find(change.parts, suffix, &WeightChange::Part::suffix) != change.parts.end();
      arguments.push_back(has_part ? part(read, edit, suffix) : none());
    }
    return arguments;
  }

  void add_constants(std::vector<Value*>& arguments, const ScriptCall& call) {
    for (const auto& constant : call.constants) {
      arguments.push_back(std::visit([&](const auto& value) { return graph_.insertConstant(value); }, constant));
    }
  }

  void use_codes(const Node& read, const AttributeEdit& edit, const Use& use) {
    Node& user = *use.user;
    const ScriptDecoder& decoder = edit.change->decoder;
    const std::string_view name = user.kind().toQualString();
    if (name == "aten::linear" && use.offset == 1 && !decoder.linear.empty() && is_tensor(*user.input(0))) {
      std::vector<Value*> arguments = decoding_arguments(read, edit);
      arguments.insert(arguments.begin(), user.input(0));
      arguments.push_back(user.input(2));
      return replace(user, insert_stock_call(graph_, context_.unit, decoder.linear, arguments));
    }
    const bool decodes_rows = !decoder.embedding.function.empty();
    if (name == "aten::embedding" && use.offset == 0 && decodes_rows) {
      return use_embedding(read, edit, use, user.input(1), user.input(2));
    }
    if (is_plain_embedding_call(user) && use.offset == 2 && decodes_rows) {
      return use_embedding(read, edit, use, user.input(1), graph_.insertConstant(-1));
    }
    user.replaceInput(use.offset, whole_weight(read, edit, use));
  }

  // torch.nn.functional.embedding(input, weight, padding_idx, max_norm = None...): with a max_norm it writes to the
  // weight.
  static bool is_plain_embedding_call(const Node& node) {
    if (node.kind() != c10::prim::CallFunction || node.inputs().size() < 5) return false;
    const auto type = node.input(0)->type()->cast<c10::FunctionType>();
    if (type == nullptr || type->function()->qualname().name() != "embedding") return false;
    if (type->function()->qualname().prefix().find("torch.nn.functional") == std::string::npos) return false;
    const auto max_norm = jit::toIValue(node.input(4));
    return max_norm && max_norm->isNone();
  }

  void use_embedding(const Node& read, const AttributeEdit& edit, const Use& use, Value* indices, Value* padding_idx) {
    const ScriptCall& call = edit.change->decoder.embedding;
    std::vector<Value*> arguments = decoding_arguments(read, edit);
    arguments.insert(arguments.begin(), indices);
    arguments.push_back(padding_idx);
    add_constants(arguments, call);
    arguments.push_back(anchored_dtype(read, edit, use));
    replace(*use.user, insert_stock_call(graph_, context_.unit, call.function, arguments));
  }

  // Scales of a float32 weight have its dtype, and keep it where the module is moved to another. Nothing that a half
  // or a cast weight leaves behind does so.
  Value* weight_dtype(const Node& read, const AttributeEdit& edit) {
    const WeightChange& change = *edit.change;
    if (change.spec.weight_dtype == DType::kF32 && !change.decoder.tensors.empty()) {
      return graph_.insert(c10::prim::dtype, {part(read, edit, change.decoder.tensors.front())});
    }
    return graph_.insertConstant(static_cast<std::int64_t>(*scalar_type_of(change.spec.weight_dtype)));
  }

  Value* anchored_dtype(const Node& read, const AttributeEdit& edit, const Use& use) {
    Value* dtype = weight_dtype(read, edit);
    Value* like = runtime_tensor_at(use);
    if (like == nullptr) return dtype;
    return insert_stock_call(graph_, context_.unit, stock_functions().anchor, {dtype, like});
  }

  // The weight as floats, right before its use.
  Value* whole_weight(const Node& read, const AttributeEdit& edit, const Use& use) {
    const ScriptCall& call = edit.change->decoder.weight;
    std::vector<Value*> arguments = decoding_arguments(read, edit);
    add_constants(arguments, call);
    arguments.push_back(runtime_dtype(read, edit, use));
    return insert_stock_call(graph_, context_.unit, call.function, arguments);
  }

  Value* runtime_dtype(const Node& read, const AttributeEdit& edit, const Use& use) {
    const Node& user = *use.user;
    for (const InputOperand& row : kInputOperands) {
      if (row.name != user.kind().toQualString() || row.weight != use.offset) continue;
      Value* input = user.input(row.input);
      if (is_runtime_tensor(*input)) return graph_.insert(c10::prim::dtype, {input});
    }
    return anchored_dtype(read, edit, use);
  }

  // A tensor of the running module that is there at the use; null where the method has none.
  Value* runtime_tensor_at(const Use& use) {
    for (Value* input : graph_.inputs()) {
      if (is_tensor(*input)) return input;
    }
    for (Value* input : use.user->inputs()) {
      if (is_runtime_tensor(*input)) return input;
    }
    for (Node* node = use.user->prev(); node != nullptr && node->kind() != c10::prim::Param; node = node->prev()) {
      for (Value* output : node->outputs()) {
        if (is_runtime_tensor(*output)) return output;
      }
      if (node == node->owningBlock()->return_node()) break;
    }
    return nullptr;
  }

  // The inverse of use_codes.
  void use_values(const Node& read, const AttributeEdit& edit, const Use& use) {
    Node& user = *use.user;
    Value* weight = graph_.insertGetAttr(read.input(0), edit.base);
    Node* dtype = user.inputs().back()->node();
    if (!use_weight(user, use.offset, edit.change->decoder, weight)) {
      throw Error(Status::kUnsupported,
                  formatted("{}: its codes are used by {}, not only by what quantizing put there", edit.change->name,
                            user.kind().toQualString()),
                  "dequantize the module before its code is changed", edit.change->name);
    }
    if (called_stock_function(*dtype) == stock_functions().anchor && !dtype->hasUses()) dtype->destroy();
  }

  // codes: their place among the inputs of the user. False where it is no call that decodes such a weight.
  bool use_weight(Node& user, std::size_t codes, const ScriptDecoder& decoder, Value* weight) {
    const std::string function = called_stock_function(user);
    if (function.empty()) return false;
    if (function == decoder.weight.function && codes == kWeightCodes) {
      user.output()->replaceAllUsesWith(weight);
      user.destroy();
    } else if (function == decoder.linear && codes == kOperatorCodes) {
      replace(user, graph_.insert(c10::aten::linear, {user.input(1), weight, user.input(last_operand(decoder))}));
    } else if (function == decoder.embedding.function && codes == kOperatorCodes) {
      Value* padding_idx = user.input(last_operand(decoder));
      replace(user, graph_.insert(c10::aten::embedding, {weight, user.input(1), padding_idx, false, false}));
    } else {
      return false;
    }
    return true;
  }

  // nn.LSTM reads its weights from a list: the same list is made where it is used.
  void rewrite_list(Node& read) {
    const TypeEdits& edits = edits_of(read);
    const auto list = std::ranges::find(edits.lists, read.s(c10::attr::name), &TensorList::attribute);
    const std::vector<Use> uses = read.output()->uses();
    for (const Use& use : uses) {
      const jit::WithInsertPoint point(use.user);
      std::vector<Value*> members;
      for (const std::string& member : list->members) {
        const auto edit = edits.reads.find(member);
        members.push_back(edit == edits.reads.end() ? graph_.insertGetAttr(read.input(0), member)
                                                    : whole_weight(read, edit->second, use));
      }
      Node* made = graph_.insertNode(graph_.createList(c10::TensorType::get(), members));
      use.user->replaceInput(use.offset, made->output());
    }
    read.destroy();
  }

  void use_integer_linear(jit::Block& block) {
    std::vector<Node*> nodes;
    for (Node* node : block.nodes()) nodes.push_back(node);
    for (Node* node : nodes) {
      for (jit::Block* inner : node->blocks()) use_integer_linear(*inner);
      if (called_stock_function(*node) != stock_functions().integer_linear) continue;
      const jit::WithInsertPoint point(node);
      Node* integer = graph_.insertNode(graph_.create(integer_linear_symbol(), node->inputs().slice(1)));
      integer->output()->setType(c10::TensorType::get());
      replace(*node, integer->output());
    }
  }

  Graph& graph_;
  const RewriteContext& context_;
  std::vector<Node*> reads_, list_reads_, calls_;
};

}  // namespace

void rewrite_graph(Graph& graph, const c10::ClassTypePtr& self, const RewriteContext& context) {
  Rewriter(graph, context).run(self);
}

}  // namespace mnq::libtorch
