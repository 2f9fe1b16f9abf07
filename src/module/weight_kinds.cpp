#include "module/weight_kinds.h"

#include <algorithm>
#include <array>

#include "base/text/format.h"
#include "base/text/glob.h"

namespace mnq {
namespace {

// Of layers with one weight, and of what weight_norm, spectral_norm and pruning leave of it.
constexpr std::string_view kOneWeight = "weight weight_v weight_orig";
constexpr std::string_view kLayerWeights = "weight_?h_l? weight_?h_l?? weight_?h_l*_reverse weight_hr_l*";
constexpr std::string_view kCellWeights = "weight_ih weight_hh";
constexpr std::string_view kAttentionWeights = "in_proj_weight q_proj_weight k_proj_weight v_proj_weight";

struct TypeKind {
  std::string_view type;  // as plain_type gives it
  std::string_view kind;
  std::int64_t channel_axis;
  std::string_view weights = kOneWeight;  // globs of the attributes that are
};
constexpr std::array kTypeKinds{
    TypeKind{"torch.nn.modules.linear.Linear", "Linear", 0},
    TypeKind{"torch.nn.modules.linear.NonDynamicallyQuantizableLinear", "Linear", 0},
    TypeKind{"torch.nn.modules.activation.MultiheadAttention", "Linear", 0, kAttentionWeights},
    TypeKind{"torch.nn.modules.conv.Conv1d", "Conv1d", 0},
    TypeKind{"torch.nn.modules.conv.Conv2d", "Conv2d", 0},
    TypeKind{"torch.nn.modules.conv.Conv3d", "Conv3d", 0},
    TypeKind{"torch.nn.modules.conv.ConvTranspose1d", "ConvTranspose1d", 1},
    TypeKind{"torch.nn.modules.conv.ConvTranspose2d", "ConvTranspose2d", 1},
    TypeKind{"torch.nn.modules.conv.ConvTranspose3d", "ConvTranspose3d", 1},
    TypeKind{"torch.nn.modules.sparse.Embedding", "Embedding", 0},
    TypeKind{"torch.nn.modules.rnn.LSTM", "LSTM", 0, kLayerWeights},
    TypeKind{"torch.nn.modules.rnn.GRU", "GRU", 0, kLayerWeights},
    TypeKind{"torch.nn.modules.rnn.RNN", "RNN", 0, kLayerWeights},
    TypeKind{"torch.nn.modules.rnn.LSTMCell", "LSTMCell", 0, kCellWeights},
    TypeKind{"torch.nn.modules.rnn.GRUCell", "GRUCell", 0, kCellWeights},
    TypeKind{"torch.nn.modules.rnn.RNNCell", "RNNCell", 0, kCellWeights},
};

// Codes of 4 bits have a name of their own.
bool is_weight_of(const TypeKind& row, std::string_view attribute) {
  constexpr std::string_view kPacked = "_packed";
  if (attribute.ends_with(kPacked)) attribute.remove_suffix(kPacked.size());
  for (std::string_view globs = row.weights; !globs.empty();) {
    const std::size_t end = std::min(globs.find(' '), globs.size());
    if (matches_glob(globs.substr(0, end), attribute)) return true;
    globs.remove_prefix(std::min(end + 1, globs.size()));
  }
  return false;
}

// "__torch__.torch.nn.modules.linear.___torch_mangle_3.Linear" -> "torch.nn.modules.linear.Linear"
std::string plain_type(std::string_view type) {
  std::string name(type);
  constexpr std::string_view kRoot = "__torch__.";
  constexpr std::string_view kMangle = "___torch_mangle_";
  if (name.starts_with(kRoot)) name.erase(0, kRoot.size());
  for (std::size_t at = name.find(kMangle); at != std::string::npos; at = name.find(kMangle, at)) {
    const std::size_t dot = name.find('.', at);
    name.erase(at, dot == std::string::npos ? dot : dot - at + 1);
  }
  return name;
}

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
    OperatorKind{"aten::_native_multi_head_attention", 5, "Linear", 0},
    OperatorKind{"aten::_native_multi_head_attention", 7, "Linear", 0},
    OperatorKind{"aten::_transformer_encoder_layer_fwd", 3, "Linear", 0},
    OperatorKind{"aten::_transformer_encoder_layer_fwd", 5, "Linear", 0},
    OperatorKind{"aten::_transformer_encoder_layer_fwd", 14, "Linear", 0},
    OperatorKind{"aten::_transformer_encoder_layer_fwd", 16, "Linear", 0},
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
// The same values in the same order of axes; of weight_norm, with another length.
constexpr std::array<std::string_view, 9> kSameValues{
    "aten::to",           "aten::type_as", "aten::contiguous",     "aten::detach",
    "aten::alias",        "aten::clone",   "prim::unchecked_cast", "prim::unchecked_unwrap_optional",
    "aten::_weight_norm",
};

}  // namespace

std::optional<WeightUse> use_by_type(std::string_view type, std::string_view attribute, std::size_t rank) {
  if (rank < 2) return std::nullopt;
  const auto* row = std::ranges::find(kTypeKinds, plain_type(type), &TypeKind::type);
  if (row == kTypeKinds.end() || !is_weight_of(*row, attribute)) return std::nullopt;
  return WeightUse{std::string(row->kind), row->channel_axis, ""};
}

WeightUse use_by_operator(std::string_view name, std::size_t operand, std::size_t rank, bool transposed) {
  for (const OperatorKind& row : kOperatorKinds) {
    if (row.name != name || row.operand != operand) continue;
    if (row.kind == "Linear" && rank != 2) break;
    return {std::string(row.kind), transposed ? 1 - row.channel_axis : row.channel_axis, ""};
  }
  return {"", 0, formatted("used by {}", name)};
}

WeightUse use_by_convolution(std::optional<bool> transposed, std::size_t rank) {
  if (rank < 3 || rank > 5 || !transposed) return {"", 0, "used by a convolution of unknown kind"};
  return {formatted("{}{}d", *transposed ? "ConvTranspose" : "Conv", rank - 2), *transposed ? 1 : 0, ""};
}

std::string_view kind_by_list(std::string_view name) {
  for (const auto& [list_operator, kind] : kListOperators) {
    if (list_operator == name) return kind;
  }
  return {};
}

bool keeps_values(std::string_view name) { return std::ranges::find(kSameValues, name) != kSameValues.end(); }

void merge_use(WeightUse& into, WeightUse use) {
  if (use.kind.empty() && (!into.kind.empty() || use.reason == kUnusedWeight)) return;
  if (into.kind.empty() || use.kind == "Embedding") into = std::move(use);
}

std::string taken_name_reason(std::string_view taken) {
  return formatted("its module has something else called {}", taken);
}

std::string written_reason(std::string_view writer) { return formatted("the code writes to it ({})", writer); }

std::string frozen_reason(std::string_view method, std::string_view kind) {
  return formatted("{}{}, used as the weight of {}: the module was frozen; quantize it before", kFrozenReason, method,
                   kind);
}

std::string layer_of_weight(std::string_view object, std::string_view attribute, std::string_view name) {
  const bool is_single = attribute == "weight" || attribute.starts_with("weight_packed");
  return std::string(is_single && !object.empty() ? object : name);
}

}  // namespace mnq
