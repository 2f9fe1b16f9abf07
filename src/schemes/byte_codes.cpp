#include "schemes/byte_codes.h"

namespace mnq {

Shape stored_scale_shape(const QuantizedSpec& spec) {
  if (spec.granularity == Granularity::kTensor) return {1};
  const ScaleShape scales = scale_shape(spec);
  return {static_cast<std::int64_t>(scales.row_count), static_cast<std::int64_t>(scales.groups)};
}

std::vector<StoredPart> byte_code_parts(const QuantizedSpec& spec, DType codes_dtype) {
  std::vector<StoredPart> parts{
      {PartRole::kCodes, "", codes_dtype, spec.shape},
      {PartRole::kScale, "_scale", DType::kF32, stored_scale_shape(spec)},
  };
  if (!spec.symmetric) parts.push_back({PartRole::kZeroPoint, "_zero_point", codes_dtype, stored_scale_shape(spec)});
  return parts;
}

}  // namespace mnq
