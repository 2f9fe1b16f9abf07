#include "torch/stock_functions.h"

#include <array>

namespace mnq::libtorch {
namespace {

constexpr std::string_view kPrefix = "__torch__.mono_quant.v1";

constexpr std::array<std::string_view, static_cast<std::size_t>(StockFunction::kCount)> kNames{
    "anchored",    "linear_channel",    "weight_channel",  "weight_group",   "weight_int4",
    "weight_cast", "embedding_channel", "embedding_group", "embedding_int4", "embedding_cast",
};

// Symmetric and asymmetric, codes of int8, uint8 and int4; scales are [1] a tensor, [channels, 1] a channel and
// [rows, groups] a group. Linear layers have their scales on the output, which is [rows] and not [rows, inputs] long.
constexpr std::string_view kSource = R"(
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

c10::QualifiedName qualified(StockFunction function) {
  return c10::QualifiedName(std::string(kPrefix) + "." + std::string(kNames[static_cast<std::size_t>(function)]));
}

}  // namespace

jit::Function& stock_function(jit::CompilationUnit& unit, StockFunction function) {
  const c10::QualifiedName name = qualified(function);
  if (unit.find_function(name) == nullptr) {
    unit.define(c10::QualifiedName(std::string(kPrefix)), std::string(kSource), jit::nativeResolver(), nullptr);
  }
  return unit.get_function(name);
}

StockFunction called_stock_function(const jit::Node& call) {
  if (call.kind() != c10::prim::CallFunction) return StockFunction::kCount;
  const auto type = call.input(0)->type()->cast<c10::FunctionType>();
  if (type == nullptr) return StockFunction::kCount;
  const c10::QualifiedName& name = type->function()->qualname();
  if (name.prefix() != kPrefix) return StockFunction::kCount;
  const auto found = std::find(kNames.begin(), kNames.end(), name.name());
  return static_cast<StockFunction>(found - kNames.begin());
}

jit::Value* insert_stock_call(jit::Graph& graph, jit::CompilationUnit& unit, StockFunction function,
                              at::ArrayRef<jit::Value*> arguments) {
  jit::Function& callee = stock_function(unit, function);
  jit::Node* constant = graph.insertNode(graph.create(c10::prim::Constant));
  constant->s_(c10::attr::name, callee.name());
  constant->output()->setType(c10::FunctionType::create(&callee));
  std::vector<jit::Value*> inputs{constant->output()};
  inputs.insert(inputs.end(), arguments.begin(), arguments.end());
  jit::Node* call = graph.insertNode(graph.create(c10::prim::CallFunction, inputs));
  return call->output()->setType(callee.getSchema().returns().at(0).type());
}

}  // namespace mnq::libtorch
