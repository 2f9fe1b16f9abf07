#include "schemes/decode_in_torchscript.h"

#include <algorithm>

#include "base/text/format.h"

namespace mnq {
namespace {

constexpr std::string_view kPrefix = "__torch__.mono_quant.v1";
constexpr std::string_view kIntegerLinear = "linear_channel";

// Weights stay small in this way: freezing folds all that depends on constants alone, and would fold codes into floats.
// So a dtype that is known only when the module runs (of the input, or anchored to it) stands before every conversion.
//
// Scales are [1] a tensor, [channels, 1] a channel and [rows, groups] a group. A Linear layer may have its scales on
// the output, which is [rows] and not [rows, inputs] long.
constexpr std::string_view kText = R"(
def anchored(dtype: int, like: Tensor) -> int:
  return dtype + (like.dim() - like.dim())

def unfolded(tensor: Tensor, zero: int) -> Tensor:
  return tensor.to(tensor.dtype + zero)

def unpacked(pairs: Tensor, length: int) -> Tensor:
  codes = torch.stack([torch.bitwise_and(pairs, 15), torch.bitwise_right_shift(pairs, 4)], -1).flatten(-2)
  return codes[:, :length].to(1) - 8

def unpacked_zero_points(words: Tensor, rows: int, groups: int) -> Tensor:
  pairs = words.reshape([-1, groups, 4])
  codes = torch.stack([torch.bitwise_and(pairs, 15), torch.bitwise_right_shift(pairs, 4)], -1).flatten(-2)
  return codes.permute([0, 2, 1]).reshape([-1, groups])[:rows].to(1) - 8

def scaled_groups(weight: Tensor, scales: Tensor, zero_point: Optional[Tensor], group_size: int, zero: int) -> Tensor:
  rows = weight.flatten(1)
  scale = unfolded(scales, zero)
  length = rows.size(1)
  if length % group_size == 0:
    groups = rows.reshape([rows.size(0), -1, group_size])
    if zero_point is not None:
      groups = groups - zero_point.unsqueeze(-1)
    return (groups * scale.unsqueeze(-1)).reshape(weight.size())
  if zero_point is not None:
    rows = rows - unfolded(zero_point, zero).repeat_interleave(group_size, 1)[:, :length]
  return (rows * scale.repeat_interleave(group_size, 1)[:, :length]).reshape(weight.size())

def linear_channel(x: Tensor, codes: Tensor, scale: Tensor, zero_point: Optional[Tensor], bias: Optional[Tensor]) -> Tensor:
  weight = codes.to(x.dtype)
  if zero_point is not None:
    weight = weight - zero_point
  y = torch.linear(x, weight) * scale.flatten()
  if bias is not None:
    y = y + bias
  return y

def weight_channel(codes: Tensor, scale: Tensor, zero_point: Optional[Tensor], axis: int, dtype: int) -> Tensor:
  weight = codes.to(dtype)
  shape = [1] * weight.dim()
  shape[axis] = -1
  if zero_point is not None:
    weight = weight - zero_point.reshape(shape)
  return (weight * scale.reshape(shape)).to(dtype)

def weight_group(codes: Tensor, scale: Tensor, zero_point: Optional[Tensor], group_size: int, dtype: int) -> Tensor:
  return scaled_groups(codes.to(dtype), scale, zero_point, group_size, dtype - dtype).to(dtype)

def weight_int4(packed: Tensor, scale: Tensor, zero_point: Optional[Tensor], shape: List[int], group_size: int, dtype: int) -> Tensor:
  length = 1
  for size in shape[1:]:
    length = length * size
  zero = dtype - dtype
  codes = unpacked(unfolded(packed, zero), length)
  offset: Optional[Tensor] = None
  if zero_point is not None:
    offset = unpacked_zero_points(unfolded(zero_point, zero), shape[0], scale.size(1))
  return scaled_groups(codes.to(dtype), scale, offset, group_size, zero).to(dtype).reshape(shape)

def weight_cast(values: Tensor, dtype: int) -> Tensor:
  return values.to(dtype)

def selected(rows: Optional[Tensor], indices: Tensor) -> Optional[Tensor]:
  if rows is None:
    return None
  if rows.dim() == 1:
    return rows
  return rows.index_select(0, indices)

def embedding_channel(indices: Tensor, codes: Tensor, scale: Tensor, zero_point: Optional[Tensor], padding_idx: int, dtype: int) -> Tensor:
  flat = indices.flatten()
  scales = scale
  if scale.dim() > 1:
    scales = scale.index_select(0, flat)
  rows = weight_channel(torch.embedding(codes, flat, padding_idx), scales, selected(zero_point, flat), 0, dtype)
  return rows.reshape(indices.size() + [-1])

def embedding_group(indices: Tensor, codes: Tensor, scale: Tensor, zero_point: Optional[Tensor], padding_idx: int, group_size: int, dtype: int) -> Tensor:
  flat = indices.flatten()
  rows = weight_group(torch.embedding(codes, flat, padding_idx), scale.index_select(0, flat), selected(zero_point, flat), group_size, dtype)
  return rows.reshape(indices.size() + [-1])

def embedding_int4(indices: Tensor, packed: Tensor, scale: Tensor, zero_point: Optional[Tensor], padding_idx: int, shape: List[int], group_size: int, dtype: int) -> Tensor:
  flat = indices.flatten()
  zero = dtype - dtype
  codes = unpacked(unfolded(torch.embedding(packed, flat, padding_idx), zero), shape[1])
  offset: Optional[Tensor] = None
  if zero_point is not None:
    words = unfolded(zero_point, zero)
    offset = unpacked_zero_points(words, shape[0], scale.size(1)).index_select(0, flat)
  rows = scaled_groups(codes.to(dtype), scale.index_select(0, flat), offset, group_size, zero).to(dtype)
  return rows.reshape(indices.size() + [-1])

def embedding_cast(indices: Tensor, values: Tensor, padding_idx: int, dtype: int) -> Tensor:
  return torch.embedding(values, indices, padding_idx).to(dtype)
)";

// Scales on the output of a Linear layer are not for half types, whose sums would overflow before they are scaled.
bool may_scale_output(const QuantizedSpec& spec) {
  return spec.channel_axis == 0 && (spec.weight_dtype == DType::kF32 || spec.weight_dtype == DType::kF64);
}

ScriptDecoder decode_bytes(const QuantizedSpec& spec) {
  ScriptDecoder decoder{.tensors = {"_scale", "_zero_point"}};
  if (spec.granularity == Granularity::kGroup) {
    const auto group_size = static_cast<std::int64_t>(spec.group_size);
    decoder.weight = {"weight_group", {group_size}};
    decoder.embedding = {"embedding_group", {group_size}};
    return decoder;
  }
  decoder.weight = {"weight_channel", {spec.channel_axis}};
  const bool has_scale_for_row = spec.granularity == Granularity::kTensor || spec.channel_axis == 0;
  if (has_scale_for_row) decoder.embedding = {"embedding_channel", {}};
  if (may_scale_output(spec)) decoder.linear = kIntegerLinear;
  return decoder;
}

// Their products are no integers: what runs Linear layers in integers must not take them.
ScriptDecoder decode_float_bytes(const QuantizedSpec& spec) {
  ScriptDecoder decoder = decode_bytes(spec);
  decoder.linear = {};
  return decoder;
}

ScriptDecoder decode_nibbles(const QuantizedSpec& spec) {
  const bool is_grouped = spec.granularity == Granularity::kGroup;
  const std::uint64_t row_length = row_view(spec.shape, spec.channel_axis).row_length;
  const auto group_size = static_cast<std::int64_t>(is_grouped ? spec.group_size : row_length);
  return {
      .tensors = {"_scale", "_zero_point"},
      .weight = {"weight_int4", {spec.shape, group_size}},
      .embedding = {"embedding_int4", {spec.shape, group_size}},
      .linear = {},
  };
}

ScriptDecoder decode_cast(const QuantizedSpec& /*spec*/) {
  return {.tensors = {}, .weight = {"weight_cast", {}}, .embedding = {"embedding_cast", {}}, .linear = {}};
}

}  // namespace

constinit const SchemeScript kBytesScript{kText, decode_bytes};
constinit const SchemeScript kFloatBytesScript{kText, decode_float_bytes};
constinit const SchemeScript kNibblesScript{kText, decode_nibbles};
constinit const SchemeScript kCastScript{kText, decode_cast};

const ScriptLibrary& script_library() {
  static const ScriptLibrary library = [] {
    ScriptLibrary all{.prefix = kPrefix,
                      .texts = {kText},
                      .anchor = "anchored",
                      .integer_linear = kIntegerLinear,
                      .integer_weights = {{"weight_channel", IntegerForm::kChannels},
                                          {"weight_group", IntegerForm::kGroups},
                                          {"weight_int4", IntegerForm::kPackedGroups}}};
    for (const Scheme* scheme : all_schemes()) {
      if (scheme->torchscript == nullptr) continue;
      const std::string_view text = scheme->torchscript->text;
      if (std::ranges::find(all.texts, text) == all.texts.end()) all.texts.push_back(text);
    }
    return all;
  }();
  return library;
}

std::optional<ScriptDecoder> find_script_decoder(const QuantizedSpec& spec) {
  const SchemeScript* script = scheme_of(spec).torchscript;
  if (script == nullptr || spec.group_rows > 1 || spec.stacked_axes > 0) return std::nullopt;
  return script->decode(spec);
}

std::string find_script_obstacle(const QuantizedSpec& spec) {
  if (find_script_decoder(spec)) return "";
  return formatted("no code of a TorchScript module decodes {}", scheme_text(spec));
}

}  // namespace mnq
