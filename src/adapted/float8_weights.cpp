// Floats of 8 bits with scales beside them: DeepSeek's, compressed-tensors', ModelOpt's, ComfyUI's, Mistral's. What a
// scale is of, its shape says.
#include <algorithm>
#include <array>

#include "adapted/weight_finders.h"
#include "adapted/weight_in_making.h"
#include "base/text/format.h"
#include "layouts/layouts.h"
#include "layouts/stored_specs.h"

namespace mnq {
namespace {

// What scales are called, behind the weight's name, or behind that of its layer.
constexpr std::array<std::string_view, 2> kBehindWeight{"_scale_inv", "_scale"};
constexpr std::array<std::string_view, 3> kBehindLayer{".scale", ".scale_weight", ".qscale_weight"};

std::string find_scale(const NamedTensors& tensors, const std::string& weight) {
  for (const std::string_view suffix : kBehindWeight) {
    if (tensors.find(weight + std::string(suffix))) return weight + std::string(suffix);
  }
  for (const std::string_view suffix : kBehindLayer) {
    const std::string name = stem_of(weight) + std::string(suffix);
    if (name != weight && tensors.find(name)) return name;
  }
  return {};
}

// The size of blocks of which there are so many; 0: none fits. configured: 0: not said.
std::uint64_t block_size(std::int64_t size, std::int64_t count, std::int64_t configured) {
  for (const std::int64_t usual : {128, 64, 32}) {
    const std::int64_t block = configured > 0 ? configured : usual;
    if ((size - 1) / block + 1 == count) return static_cast<std::uint64_t>(block);
  }
  return 0;
}

// The same of a row by itself.
std::uint64_t group_size(std::int64_t columns, std::int64_t count, std::int64_t configured) {
  const std::uint64_t block = block_size(columns, count, configured);
  if (block != 0 || count <= 0 || columns % count != 0) return block;
  return static_cast<std::uint64_t>(columns / count);
}

std::int64_t configured_block(const Json& config, std::size_t axis) {
  const Json* size = config.is_object() ? config.find("weight_block_size") : nullptr;
  if (size == nullptr || !size->is_array() || size->size() != 2) return 0;
  const Json& of_axis = (*size)[axis];
  return of_axis.is_integer() ? of_axis.get<std::int64_t>() : 0;
}

// Rows and columns of scales, of each matrix of a stack; empty where the shape is none of them.
std::optional<std::pair<std::int64_t, std::int64_t>> scale_grid(const Shape& scale, const Shape& weight) {
  const std::size_t rank = weight.size(), stacked = rank - 2;
  if (scale.size() < stacked ||
      !std::equal(weight.begin(), weight.begin() + static_cast<std::ptrdiff_t>(stacked), scale.begin())) {
    return std::nullopt;
  }
  if (scale.size() == stacked) return std::pair<std::int64_t, std::int64_t>{1, 1};
  const std::int64_t rows = scale[stacked];
  if (scale.size() == stacked + 1) return std::pair<std::int64_t, std::int64_t>{rows, 1};
  if (scale.size() > rank) return std::nullopt;
  return std::pair{rows, scale[stacked + 1]};
}

void set_granularity(WeightInMaking& weight, const std::string& name, const TensorInfo& scale, const Json& config) {
  QuantizedSpec& spec = weight.spec;
  if (element_count(scale.shape) == 1) {
    spec.granularity = Granularity::kTensor;
    spec.stacked_axes = 0;
    return;
  }
  const auto grid = scale_grid(scale.shape, spec.shape);
  const std::int64_t rows = spec.shape[spec.shape.size() - 2], columns = spec.shape.back();
  if (grid && grid->first == rows && grid->second == 1) {
    spec.granularity = Granularity::kChannel;
    return;
  }
  const bool is_whole = grid && grid->first == 1 && grid->second == 1, has_rows = grid && grid->first == rows;
  const std::int64_t said_rows = configured_block(config, 0), said_columns = configured_block(config, 1);
  const std::uint64_t block_rows = is_whole   ? static_cast<std::uint64_t>(rows)
                                   : has_rows ? 1
                                   : grid     ? block_size(rows, grid->first, said_rows)
                                              : 0;
  const std::uint64_t block_columns = is_whole   ? static_cast<std::uint64_t>(columns)
                                      : has_rows ? group_size(columns, grid->second, said_columns)
                                      : grid     ? block_size(columns, grid->second, said_columns)
                                                 : 0;
  if (block_rows == 0 || block_columns == 0) {
    weight.tensors().fail(
        name, formatted("its shape {} does not fit a weight of {}", shape_text(scale.shape), shape_text(spec.shape)));
  }
  spec.granularity = Granularity::kGroup;
  spec.group_rows = block_rows;
  spec.group_size = block_columns;
}

}  // namespace

std::optional<LogicalTensor> find_float8_weight(const FinderInput& input, const TensorInfo& codes) {
  const Scheme* scheme = find_float8_scheme(codes.dtype);
  if (scheme == nullptr || codes.shape.size() < 2 || element_count(codes.shape) == 0) return std::nullopt;
  const std::string scale_name = find_scale(input.tensors, codes.name);
  if (scale_name.empty()) return std::nullopt;
  WeightInMaking weight(input.tensors);
  weight.add_part(codes.name, {codes.dtype});
  const TensorInfo& scale =
      weight.add_part(scale_name, {DType::kF32, DType::kF16, DType::kBF16, DType::kF64, DType::kF8E8M0, DType::kU8});
  const bool has_bytes = scale.dtype == DType::kF8E8M0 || scale.dtype == DType::kU8;
  if (has_bytes && element_count(scale.shape) > 1) refuse_swizzled(input, codes);
  weight.set_matrix(*scheme, codes.shape, input.weight_dtype);
  set_granularity(weight, scale_name, scale, input.config);
  weight.spec.scale_dtype = scale.dtype == DType::kU8    ? DType::kF8E8M0
                            : scale.dtype == DType::kF64 ? DType::kF32
                                                         : scale.dtype;
  weight.spec.has_free_scales = true;
  weight.spec.scheme = float8_scheme_of(weight.spec).name;
  // Tensors of other names are no compressed-tensors' to copy.
  if (scale_name != codes.name + "_scale") return weight.finish(codes.name, kFloat8InverseLayout);
  return weight.finish(codes.name, kMxfp8Layout.can_hold(weight.spec) ? kMxfp8Layout : kFloatQuantizedLayout);
}

}  // namespace mnq
