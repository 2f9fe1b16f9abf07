#include "schemes/byte_codes.h"

#include <algorithm>

namespace mnq {

namespace {

Shape broadcast_shape(const QuantizedSpec& spec) {
  if (spec.granularity == Granularity::kTensor) return {1};
  if (spec.granularity == Granularity::kGroup) return scale_matrix(spec);
  const auto channel = static_cast<std::size_t>(spec.channel_axis);
  Shape shape(spec.shape.size(), 1);
  shape[channel] = spec.shape[channel];
  std::copy_n(spec.shape.begin(), spec.stacked_axes, shape.begin());
  return shape;
}

// Up to 1.1 scales of channels were a column, whatever the weight's axes.
Shape former_shape(const QuantizedSpec& spec) {
  return spec.granularity == Granularity::kChannel && spec.stacked_axes == 0 ? scale_matrix(spec) : Shape();
}

}  // namespace

std::vector<StoredPart> byte_code_parts(const QuantizedSpec& spec, DType codes_dtype) {
  const Shape scales = broadcast_shape(spec), former = former_shape(spec);
  std::vector<StoredPart> parts{
      {PartRole::kCodes, "", codes_dtype, spec.shape},
      {PartRole::kScale, "_scale", DType::kF32, scales, former},
  };
  if (!spec.symmetric) parts.push_back({PartRole::kZeroPoint, "_zero_point", codes_dtype, scales, former});
  return parts;
}

}  // namespace mnq
