// MLX's weights: L.weight U32, L.scales and, of the affine mode, L.biases. Only config.json says of how many bits they
// are, for all layers or for one.
#include <algorithm>
#include <array>

#include "adapted/weight_finders.h"
#include "adapted/weight_in_making.h"
#include "base/text/format.h"
#include "layouts/layouts.h"
#include "layouts/stored_specs.h"

namespace mnq {
namespace {

// What the config says of one layer.
struct Mode {
  std::int64_t width = 4, group_size = 64;
  std::string name;
};

std::int64_t whole_number_in(const FinderInput& input, const TensorInfo& codes, const Json& said, const char* key,
                             std::int64_t otherwise) {
  const Json* found = said.find(key);
  if (found != nullptr && !found->is_integer()) {
    input.tensors.fail(codes.name, formatted("has a {} in config.json that is no whole number", key));
  }
  return number_in(said, key, otherwise);
}

Mode mode_of(const FinderInput& input, const TensorInfo& codes, const std::string& layer) {
  const Json* own = input.config.find(layer);
  if (own != nullptr && !own->is_object() && !own->is_boolean()) {
    input.tensors.fail(codes.name, "has no object of its own in config.json, but another value");
  }
  const Json& said = own != nullptr && own->is_object() ? *own : input.config;
  Mode mode{whole_number_in(input, codes, said, "bits", 4), whole_number_in(input, codes, said, "group_size", 64),
            text_in(said, "mode")};
  if (mode.name.empty()) mode.name = "affine";
  return mode;
}

constexpr std::int64_t kWord = 32;

Shape with_columns(Shape shape, std::int64_t columns) {
  shape.back() = columns;
  return shape;
}

LogicalTensor make_affine(const FinderInput& input, const TensorInfo& codes, const Mode& mode, const Shape& shape) {
  const Scheme* scheme = find_affine_scheme(mode.width);
  if (scheme == nullptr) input.tensors.refuse(codes.name, formatted("MLX's {} bits are not read", mode.width));
  const std::string layer = stem_of(codes.name);
  const Shape groups = with_columns(shape, shape.back() / mode.group_size);
  WeightInMaking weight(input.tensors);
  weight.add_part(codes.name, {DType::kU32});
  const DType dtype = weight.add_part(layer + ".scales", {DType::kF16, DType::kBF16, DType::kF32}, groups).dtype;
  weight.add_part(layer + ".biases", {dtype}, groups);
  weight.set_matrix(*scheme, shape, dtype);
  weight.spec.granularity = Granularity::kGroup;
  weight.spec.group_size = static_cast<std::uint64_t>(mode.group_size);
  weight.spec.scale_dtype = dtype;
  weight.spec.has_free_scales = true;
  return weight.finish(codes.name, kMlxLayout);
}

// What the modes are whose scales are bytes.
struct SmallMode {
  std::string_view name;
  const Scheme* scheme;
  const Layout* layout;
  std::int64_t width, group_size;
  DType scale_dtype;
};

LogicalTensor make_small(const FinderInput& input, const TensorInfo& codes, const Mode& mode, const Shape& shape) {
  const std::array modes{
      SmallMode{find_mx_scheme(4)->name, find_mx_scheme(4), &kMxfp4PackLayout, 4, 32, DType::kF8E8M0},
      SmallMode{mxfp8_scheme().name, &mxfp8_scheme(), &kMxfp8Layout, 8, 32, DType::kF8E8M0},
      SmallMode{nvfp4_scheme().name, &nvfp4_scheme(), &kModelOptNvfp4Layout, 4, 16, DType::kF32},
  };
  const auto found = std::ranges::find(modes, std::string_view(mode.name), &SmallMode::name);
  if (found == modes.end() || found->width != mode.width || found->group_size != mode.group_size) {
    input.tensors.refuse(codes.name, formatted("MLX's mode {} of {} bits in groups of {} is not read", mode.name,
                                               mode.width, mode.group_size));
  }
  WeightInMaking weight(input.tensors);
  weight.add_part(codes.name, {DType::kU32});
  weight.add_part(stem_of(codes.name) + ".scales", {DType::kU8}, with_columns(shape, shape.back() / mode.group_size));
  weight.set_matrix(*found->scheme, shape, input.weight_dtype);
  weight.spec.granularity = Granularity::kGroup;
  weight.spec.group_size = static_cast<std::uint64_t>(mode.group_size);
  weight.spec.scale_dtype = found->scale_dtype;
  weight.spec.has_free_scales = true;
  return weight.finish(codes.name, *found->layout);
}

}  // namespace

std::optional<LogicalTensor> find_mlx_weight(const FinderInput& input, const TensorInfo& codes) {
  const std::string layer = stem_of(codes.name);
  if (codes.dtype != DType::kU32 || codes.shape.size() < 2 || codes.size_bytes == 0 || !input.config.is_object() ||
      !input.tensors.find(layer + ".scales")) {
    return std::nullopt;
  }
  const Mode mode = mode_of(input, codes, layer);
  if (mode.width <= 0 || mode.width > 8 || mode.group_size <= 0) {
    input.tensors.refuse(codes.name, formatted("{} bits in groups of {}", mode.width, mode.group_size));
  }
  const std::int64_t columns = codes.shape.back() * kWord / mode.width;
  if (columns * mode.width != codes.shape.back() * kWord || columns % mode.group_size != 0) {
    input.tensors.fail(codes.name, formatted("its shape {} is not that of {} bits in groups of {}",
                                             shape_text(codes.shape), mode.width, mode.group_size));
  }
  const Shape shape = with_columns(codes.shape, columns);
  const bool is_affine = input.tensors.find(layer + ".biases").has_value();
  return is_affine ? make_affine(input, codes, mode, shape) : make_small(input, codes, mode, shape);
}

}  // namespace mnq
