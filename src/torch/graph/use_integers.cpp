#include "torch/graph/use_integers.h"

#include <algorithm>
#include <array>
#include <optional>

#include "torch/graph/decode_weight.h"
#include "torch/graph/integer_layers.h"
#include "torch/graph/stock_functions.h"

namespace mnq::libtorch {
namespace {

using jit::Block;
using jit::Graph;
using jit::Node;
using jit::Value;

// Operators of a layer, and where they have what ours take; 0: nowhere.
struct LayerOperator {
  std::string_view name;
  std::size_t stride, padding, dilation, transposed, groups;
};
constexpr std::array kLayerOperators{
    LayerOperator{"aten::linear", 0, 0, 0, 0, 0},       LayerOperator{"aten::conv1d", 3, 4, 5, 0, 6},
    LayerOperator{"aten::conv2d", 3, 4, 5, 0, 6},       LayerOperator{"aten::conv3d", 3, 4, 5, 0, 6},
    LayerOperator{"aten::_convolution", 3, 4, 5, 6, 8},
};
constexpr std::size_t kWeight = 1, kBias = 2;

const LayerOperator* find_operator(const Node& node) {
  const auto* found = std::ranges::find(kLayerOperators, node.kind().toQualString(), &LayerOperator::name);
  return found == kLayerOperators.end() ? nullptr : found;
}

bool is_false(Value* value) {
  const auto constant = jit::toIValue(value);
  return constant && constant->isBool() && !constant->toBool();
}

bool is_list(const Value& value) { return value.type()->kind() == c10::TypeKind::ListType; }

// Padding may be a word, too.
bool is_layer(const Node& node, const LayerOperator& known) {
  return (known.padding == 0 || is_list(*node.input(known.padding))) &&
         (known.transposed == 0 || is_false(node.input(known.transposed)));
}

// Calls that decode integers have (function, codes, scale, zero point, constants..., dtype).
constexpr std::size_t kCodes = 1, kConstants = 4;

std::optional<IntegerForm> integer_form(const Node& call) {
  const std::string function = called_stock_function(call);
  const auto& known = stock_functions().integer_weights;
  const auto found = std::ranges::find(known, function, &ScriptLibrary::IntegerWeight::function);
  if (function.empty() || found == known.end()) return std::nullopt;
  if (found->form != IntegerForm::kChannels) return found->form;
  const auto axis = jit::toIValue(call.input(kConstants));
  return axis && axis->isInt() && axis->toInt() == 0 ? std::optional(found->form) : std::nullopt;
}

class IntegerUser {
 public:
  explicit IntegerUser(Graph& graph) : graph_(graph) {}

  // A method may hand a weight on to another one, as nn.Conv2d does: it then becomes a part of this one.
  void inline_calls(Block& block) {
    for (Node* node = block.param_node()->next(); node != block.return_node();) {
      Node* const before = node->prev();
      for (Block* inner : node->blocks()) inline_calls(*inner);
      node = inline_call(*node) ? before->next() : node->next();
    }
  }

  void replace_layers(Block& block) {
    const std::vector<Node*> nodes(block.nodes().begin(), block.nodes().end());
    for (Node* node : nodes) {
      for (Block* inner : node->blocks()) replace_layers(*inner);
      const jit::WithInsertPoint point(node);
      const LayerOperator* known = find_operator(*node);
      if (called_stock_function(*node) == stock_functions().integer_linear) {
        replace_call(*node);
      } else if (known != nullptr && is_layer(*node, *known)) {
        replace_layer(*node, *known);
      }
    }
  }

 private:
  bool inline_call(Node& node) {
    const bool is_call = node.kind() == c10::prim::CallMethod || node.kind() == c10::prim::CallFunction;
    if (!is_call || !called_stock_function(node).empty()) return false;
    const bool takes_integers =
        std::ranges::any_of(node.inputs(), [](Value* input) { return integer_form(*input->node()).has_value(); });
    jit::GraphFunction* callee = takes_integers ? jit::tryToGraphFunction(&node) : nullptr;
    if (callee == nullptr) return false;
    jit::inlineCallTo(&node, callee);
    return true;
  }

  Value* none() { return graph_.insertConstant(c10::IValue()); }

  // (function, input, codes, scale, zero point, bias)
  void replace_call(Node& call) {
    std::vector<Value*> arguments = call.inputs().slice(1).vec();
    const c10::IValue whole_rows = 0, takes_bfloat16 = false;  // the stock function promotes those to float32
    arguments.insert(arguments.end(),
                     {none(), graph_.insertConstant(whole_rows), graph_.insertConstant(takes_bfloat16)});
    choose(call, nullptr, integer_linear_symbol(), arguments);
  }

  void replace_layer(Node& node, const LayerOperator& known) {
    Node* decode = node.input(kWeight)->node();
    const auto form = integer_form(*decode);
    if (!form) return;
    const bool is_packed = *form == IntegerForm::kPackedGroups;
    std::vector<Value*> arguments{node.input(0)};
    for (std::size_t i = kCodes; i < kConstants; ++i) arguments.push_back(decode->input(i));
    arguments.push_back(node.input(kBias));
    arguments.push_back(is_packed ? decode->input(kConstants) : none());
    arguments.push_back(*form == IntegerForm::kChannels ? graph_.insertConstant(c10::IValue(0))
                                                        : decode->input(kConstants + (is_packed ? 1 : 0)));
    arguments.push_back(graph_.insertConstant(c10::IValue(true)));
    if (known.stride == 0) return choose(node, decode, integer_linear_symbol(), arguments);
    for (const std::size_t at : {known.stride, known.padding, known.dilation, known.groups})
      arguments.push_back(node.input(at));
    choose(node, decode, integer_convolution_symbol(), arguments);
  }

  // Our operator's result, or where it has none, what the node gives, its weight decoded there and nowhere else.
  void choose(Node& node, Node* decode, c10::Symbol symbol, const std::vector<Value*>& arguments) {
    Value* integers = graph_.insertNode(graph_.create(symbol, arguments))->output();
    integers->setType(c10::OptionalType::ofTensor());
    Value* is_none = graph_.insert(c10::aten::__is__, {integers, none()});
    Node* choice = graph_.insertNode(graph_.create(c10::prim::If, {is_none}));
    add_floats(*choice->addBlock(), node, decode);
    add_integers(*choice->addBlock(), integers);
    choice->output()->setType(c10::TensorType::get());
    replace_node(node, choice->output());
    if (decode != nullptr && !decode->hasUses()) decode->destroy();
  }

  void add_floats(Block& block, Node& node, Node* decode) {
    Value* weight = nullptr;
    const auto as_here = [&](Value* value) { return weight != nullptr && value == decode->output() ? weight : value; };
    if (decode != nullptr) weight = block.appendNode(graph_.createClone(decode, as_here))->output();
    block.registerOutput(block.appendNode(graph_.createClone(&node, as_here))->output());
  }

  void add_integers(Block& block, Value* integers) {
    const jit::WithInsertPoint point(&block);
    block.registerOutput(graph_.insert(c10::prim::unchecked_unwrap_optional, {integers}));
  }

  Graph& graph_;
};

}  // namespace

void use_integers(Graph& graph) {
  IntegerUser user(graph);
  user.inline_calls(*graph.block());
  user.replace_layers(*graph.block());
}

}  // namespace mnq::libtorch
