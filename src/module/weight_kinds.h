// Which tensors of a module are weights, told by the type of the module that holds them and by the operators that take
// them: for LibTorch's graphs, and for the code that is read without it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mnq {

/// What one tensor is used for.
struct WeightUse {
  std::string kind;  ///< "Linear"...; empty: no weight that can be quantized
  std::int64_t channel_axis = 0;
  std::string reason;  ///< why there is no kind
};

inline constexpr std::string_view kUnusedWeight = "no layer uses it";

/// The use of an attribute by the type of its object, "__torch__.torch.nn.modules.linear.___torch_mangle_3.Linear".
/// rank: of the tensor. None where the type says nothing of it.
std::optional<WeightUse> use_by_type(std::string_view type, std::string_view attribute, std::size_t rank);

/// The use by an operator, "aten::linear", of the operand with this index. transposed: two axes were swapped on the
/// way.
WeightUse use_by_operator(std::string_view name, std::size_t operand, std::size_t rank, bool transposed);

/// Of aten::_convolution, which carries the transposed flag where conv2d has it in its name; none: it is not known.
WeightUse use_by_convolution(std::optional<bool> transposed, std::size_t rank);

/// The layers whose operator takes a list of weights, "aten::lstm"; empty for other operators.
std::string_view kind_by_list(std::string_view name);

/// Whether the first output of an operator is its first operand: the same values in the same order of axes.
bool keeps_values(std::string_view name);

/// Of a tensor's uses and another one: one as an embedding counts first, its rows are looked up; then the first that
/// has a kind.
void merge_use(WeightUse& into, WeightUse use);

/// What stores a weight's codes beside it: where an attribute, a constant or a method of its type has such a name, it
/// stays.
inline constexpr std::string_view kPartSuffixes[] = {"_scale", "_zero_point", "_packed", "_shape"};
std::string taken_name_reason(std::string_view taken);

std::string written_reason(std::string_view writer);

/// Of a constant of frozen code; it begins so.
inline constexpr std::string_view kFrozenReason = "a constant of ";
std::string frozen_reason(std::string_view method, std::string_view kind);

/// "encoder.query" for its weight; a weight of several in one object goes by its own name.
std::string layer_of_weight(std::string_view object, std::string_view attribute, std::string_view name);

}  // namespace mnq
