#include "torch/graph/decode_weight.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text/format.h"
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

Value* call(const WeightRead& read, std::string_view function, const std::vector<Value*>& arguments) {
  return insert_stock_call(read.graph, read.unit, function, arguments);
}

Value* part(const WeightRead& read, std::string_view suffix) {
  return read.graph.insertGetAttr(read.node.input(0), part_attribute(read.edit.base, suffix));
}

// The codes come first, then what their decoder takes with them.
std::vector<Value*> decoding_arguments(const WeightRead& read) {
  const WeightChange& change = *read.edit.change;
  std::vector<Value*> arguments{part(read, change.parts[0].suffix)};
  for (const std::string_view suffix : change.decoder.tensors) {
    const bool has_part = std::ranges::find(change.parts, suffix, &WeightChange::Part::suffix) != change.parts.end();
    arguments.push_back(has_part ? part(read, suffix) : read.graph.insertConstant(c10::IValue()));
  }
  return arguments;
}

c10::IValue constant_of(std::int64_t value) { return value; }
c10::IValue constant_of(const Shape& sizes) { return std::vector<std::int64_t>(sizes.begin(), sizes.end()); }

void add_constants(const WeightRead& read, std::vector<Value*>& arguments, const ScriptCall& called) {
  for (const auto& constant : called.constants) {
    const c10::IValue value = std::visit([](const auto& each) { return constant_of(each); }, constant);
    arguments.push_back(read.graph.insertConstant(value));
  }
}

// Scales of a float32 weight have its dtype, and keep it where the module is moved to another. Nothing that a half
// or a cast weight leaves behind does so.
Value* weight_dtype(const WeightRead& read) {
  const WeightChange& change = *read.edit.change;
  if (change.spec.weight_dtype == DType::kF32 && !change.decoder.tensors.empty()) {
    return read.graph.insert(c10::prim::dtype, {part(read, change.decoder.tensors.front())});
  }
  return read.graph.insertConstant(static_cast<std::int64_t>(*scalar_type_of(change.spec.weight_dtype)));
}

// A tensor of the running module that is there at the use; null where the method has none.
Value* runtime_tensor_at(Graph& graph, const Use& use) {
  for (Value* input : graph.inputs()) {
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

Value* anchored_dtype(const WeightRead& read, const Use& use) {
  Value* dtype = weight_dtype(read);
  Value* like = runtime_tensor_at(read.graph, use);
  if (like == nullptr) return dtype;
  return call(read, stock_functions().anchor, {dtype, like});
}

Value* runtime_dtype(const WeightRead& read, const Use& use) {
  const Node& user = *use.user;
  for (const InputOperand& row : kInputOperands) {
    if (row.name != user.kind().toQualString() || row.weight != use.offset) continue;
    Value* input = user.input(row.input);
    if (is_runtime_tensor(*input)) return read.graph.insert(c10::prim::dtype, {input});
  }
  return anchored_dtype(read, use);
}

// torch.nn.functional.embedding(input, weight, padding_idx, max_norm = None...): with a max_norm it writes to the
// weight.
bool is_plain_embedding_call(const Node& node) {
  if (node.kind() != c10::prim::CallFunction || node.inputs().size() < 5) return false;
  const auto type = node.input(0)->type()->cast<c10::FunctionType>();
  if (type == nullptr || type->function()->qualname().name() != "embedding") return false;
  if (type->function()->qualname().prefix().find("torch.nn.functional") == std::string::npos) return false;
  const auto max_norm = jit::toIValue(node.input(4));
  return max_norm && max_norm->isNone();
}

void use_embedding(const WeightRead& read, const Use& use, Value* indices, Value* padding_idx) {
  const ScriptCall& called = read.edit.change->decoder.embedding;
  std::vector<Value*> arguments = decoding_arguments(read);
  arguments.insert(arguments.begin(), indices);
  arguments.push_back(padding_idx);
  add_constants(read, arguments, called);
  arguments.push_back(anchored_dtype(read, use));
  replace_node(*use.user, call(read, called.function, arguments));
}

// codes: their place among the inputs of the user. False where it is no call that decodes such a weight.
bool use_weight(Graph& graph, Node& user, std::size_t codes, const ScriptDecoder& decoder, Value* weight) {
  const std::string function = called_stock_function(user);
  if (function.empty()) return false;
  if (function == decoder.weight.function && codes == kWeightCodes) {
    user.output()->replaceAllUsesWith(weight);
    user.destroy();
  } else if (function == decoder.linear && codes == kOperatorCodes) {
    replace_node(user, graph.insert(c10::aten::linear, {user.input(1), weight, user.input(last_operand(decoder))}));
  } else if (function == decoder.embedding.function && codes == kOperatorCodes) {
    Value* padding_idx = user.input(last_operand(decoder));
    replace_node(user, graph.insert(c10::aten::embedding, {weight, user.input(1), padding_idx, false, false}));
  } else {
    return false;
  }
  return true;
}

}  // namespace

void replace_node(Node& node, Value* result) {
  result->node()->setSourceRange(node.sourceRange());
  if (node.output()->hasDebugName()) result->setDebugName(node.output()->debugName());
  node.output()->replaceAllUsesWith(result);
  node.destroy();
}

void use_codes(const WeightRead& read, const Use& use) {
  Node& user = *use.user;
  const ScriptDecoder& decoder = read.edit.change->decoder;
  const std::string_view name = user.kind().toQualString();
  if (name == "aten::linear" && use.offset == 1 && !decoder.linear.empty() && is_tensor(*user.input(0))) {
    std::vector<Value*> arguments = decoding_arguments(read);
    arguments.insert(arguments.begin(), user.input(0));
    arguments.push_back(user.input(2));
    return replace_node(user, call(read, decoder.linear, arguments));
  }
  const bool decodes_rows = !decoder.embedding.function.empty();
  if (name == "aten::embedding" && use.offset == 0 && decodes_rows) {
    return use_embedding(read, use, user.input(1), user.input(2));
  }
  if (is_plain_embedding_call(user) && use.offset == 2 && decodes_rows) {
    return use_embedding(read, use, user.input(1), read.graph.insertConstant(-1));
  }
  user.replaceInput(use.offset, decode_whole(read, use));
}

// The weight as floats, right before its use.
Value* decode_whole(const WeightRead& read, const Use& use) {
  const ScriptCall& called = read.edit.change->decoder.weight;
  std::vector<Value*> arguments = decoding_arguments(read);
  add_constants(read, arguments, called);
  arguments.push_back(runtime_dtype(read, use));
  return call(read, called.function, arguments);
}

void use_values(const WeightRead& read, const Use& use) {
  Node& user = *use.user;
  Value* weight = read.graph.insertGetAttr(read.node.input(0), read.edit.base);
  Node* dtype = user.inputs().back()->node();
  if (!use_weight(read.graph, user, use.offset, read.edit.change->decoder, weight)) {
    throw Error(Status::kUnsupported,
                formatted("{}: its codes are used by {}, not only by what quantizing put there", read.edit.change->name,
                          user.kind().toQualString()),
                "dequantize the module before its code is changed", read.edit.change->name);
  }
  if (called_stock_function(*dtype) == stock_functions().anchor && !dtype->hasUses()) dtype->destroy();
}

}  // namespace mnq::libtorch
