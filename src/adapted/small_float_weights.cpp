// Floats of 4 and 6 bits: compressed-tensors' nvfp4, mxfp4 and mxfp6, ModelOpt's NVFP4, DeepSeek's and gpt-oss's
// experts.
#include "adapted/weight_finders.h"
#include "adapted/weight_in_making.h"
#include "base/text/format.h"
#include "layouts/layouts.h"
#include "layouts/stored_specs.h"

namespace mnq {
namespace {

constexpr std::int64_t kNvfp4Group = 16, kMxGroup = 32;

Shape with_columns(Shape shape, std::int64_t columns) {
  shape.back() = columns;
  return shape;
}

void set_scheme(WeightInMaking& weight, const Scheme& scheme, const Shape& shape, DType weight_dtype,
                std::int64_t group, DType scale_dtype) {
  weight.set_matrix(scheme, shape, weight_dtype);
  weight.spec.granularity = Granularity::kGroup;
  weight.spec.group_size = static_cast<std::uint64_t>(group);
  weight.spec.scale_dtype = scale_dtype;
  weight.spec.has_free_scales = true;
}

// Two levels of scales. second: the name of the upper one.
LogicalTensor make_nvfp4(const FinderInput& input, const TensorInfo& codes, const std::string& name,
                         const std::string& second, const Layout& layout) {
  WeightInMaking weight(input.tensors);
  weight.add_part(codes.name, {DType::kU8});
  const Shape shape = with_columns(codes.shape, codes.shape.back() * 2);
  if (shape.back() % kNvfp4Group != 0) input.tensors.fail(codes.name, "has rows that groups of 16 do not divide");
  weight.add_part(name + "_scale", {DType::kF8E4M3}, with_columns(shape, shape.back() / kNvfp4Group));
  weight.add_part(second, {DType::kF32}, {1});
  set_scheme(weight, nvfp4_scheme(), shape, input.weight_dtype, kNvfp4Group, DType::kF32);
  return weight.finish(name, layout);
}

LogicalTensor make_mx(const FinderInput& input, const TensorInfo& codes, const std::string& name,
                      const TensorInfo& scale) {
  const auto columns = scale.shape.empty() ? 0 : scale.shape.back() * kMxGroup;
  const std::int64_t width = columns == 0 ? 0 : codes.shape.back() * 8 / columns;
  const Scheme* scheme = find_mx_scheme(static_cast<std::uint64_t>(width));
  if (scheme == nullptr || codes.shape.back() * 8 != width * columns) {
    input.tensors.fail(scale.name, formatted("its shape {} does not fit codes of {}", shape_text(scale.shape),
                                             shape_text(codes.shape)));
  }
  WeightInMaking weight(input.tensors);
  if (codes.name == name) {
    weight.add_part(codes.name, {DType::kU8, DType::kI8});
  } else {
    weight.add_part(codes.name, {DType::kU8});
  }
  weight.add_part(scale.name, {DType::kU8, DType::kF8E8M0}, with_columns(codes.shape, scale.shape.back()));
  set_scheme(weight, *scheme, with_columns(codes.shape, columns), input.weight_dtype, kMxGroup, DType::kF8E8M0);
  return weight.finish(name, width == 4 ? kMxfp4PackLayout : kMxfp6PackLayout);
}

}  // namespace

std::optional<LogicalTensor> find_small_float_weight(const FinderInput& input, const TensorInfo& codes) {
  if ((codes.dtype != DType::kU8 && codes.dtype != DType::kI8) || codes.shape.size() < 2 || codes.size_bytes == 0) {
    return std::nullopt;
  }
  constexpr std::string_view kPacked = "_packed";
  const NamedTensors& tensors = input.tensors;
  if (codes.name.ends_with(kPacked)) {
    const std::string name = codes.name.substr(0, codes.name.size() - kPacked.size());
    if (tensors.find(name + "_global_scale")) {
      return make_nvfp4(input, codes, name, name + "_global_scale", kNvfp4PackLayout);
    }
    const TensorInfo* scale = tensors.find_info(name + "_scale");
    return scale == nullptr ? std::nullopt : std::optional(make_mx(input, codes, name, *scale));
  }
  const TensorInfo* scale = tensors.find_info(codes.name + "_scale");
  if (scale != nullptr && scale->dtype == DType::kF8E4M3 && tensors.find(codes.name + "_scale_2")) {
    refuse_swizzled(input, codes);
    return make_nvfp4(input, codes, codes.name, codes.name + "_scale_2", kModelOptNvfp4Layout);
  }
  if (scale == nullptr) scale = tensors.find_info(stem_of(codes.name) + ".scale");
  if (scale == nullptr || scale->dtype != DType::kF8E8M0) return std::nullopt;
  return make_mx(input, codes, codes.name, *scale);
}

std::optional<LogicalTensor> find_gpt_oss_weight(const FinderInput& input, const TensorInfo& codes) {
  constexpr std::string_view kBlocks = "_blocks";
  if (codes.dtype != DType::kU8 || codes.shape.size() != 4 || !codes.name.ends_with(kBlocks)) return std::nullopt;
  const std::string name = codes.name.substr(0, codes.name.size() - kBlocks.size());
  const bool is_said = text_in(input.config, "quant_method") == find_mx_scheme(4)->name;
  if (is_said && !input.is_part) input.tensors.require(name + "_scales");
  if (!input.tensors.find(name + "_scales") || codes.size_bytes == 0) return std::nullopt;
  const std::int64_t experts = codes.shape[0], outputs = codes.shape[1], groups = codes.shape[2];
  if (codes.shape[3] * 2 != kMxGroup) input.tensors.fail(codes.name, "has blocks that are not of 32");
  WeightInMaking weight(input.tensors);
  weight.add_part(codes.name, {DType::kU8});
  weight.add_part(name + "_scales", {DType::kU8, DType::kF8E8M0}, {experts, outputs, groups});
  set_scheme(weight, *find_mx_scheme(4), {experts, groups * kMxGroup, outputs}, input.weight_dtype, kMxGroup,
             DType::kF8E8M0);
  return weight.finish(name, kGptOssLayout);
}

}  // namespace mnq
