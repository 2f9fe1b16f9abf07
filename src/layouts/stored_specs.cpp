#include "layouts/stored_specs.h"

#include <algorithm>

#include "schemes/schemes.h"

namespace mnq {

const Scheme* find_float8_scheme(DType dtype) {
  if (dtype == DType::kF8E4M3) return &kFloat8E4M3Scheme;
  return dtype == DType::kF8E5M2 ? &kFloat8E5M2Scheme : nullptr;
}

const Scheme& float8_scheme_of(const QuantizedSpec& spec) {
  const bool has_mx_groups = spec.granularity == Granularity::kGroup && spec.group_rows == 1 &&
                             spec.group_size == kMxfp8Scheme.group_size_default &&
                             spec.shape.back() % static_cast<std::int64_t>(spec.group_size) == 0;
  const bool is_mx = has_mx_groups && spec.scale_dtype == DType::kF8E8M0 && spec.scheme == kFloat8E4M3Scheme.name;
  return is_mx ? kMxfp8Scheme : scheme_of(spec);
}

const Scheme* find_byte_scheme(DType dtype) {
  if (dtype == DType::kI8) return &kInt8Scheme;
  return dtype == DType::kU8 ? &kUint8Scheme : nullptr;
}

const Scheme* find_mx_scheme(std::uint64_t width) {
  if (width == 4) return &kMxfp4Scheme;
  return width == 6 ? &kMxfp6Scheme : nullptr;
}

const Scheme& mxfp8_scheme() { return kMxfp8Scheme; }

const Scheme& nvfp4_scheme() { return kNvfp4Scheme; }

const Scheme* find_affine_scheme(std::int64_t width) {
  const auto found = std::ranges::find_if(
      all_schemes(), [width](const Scheme* scheme) { return scheme->has_minima && scheme->bits == width; });
  return found == all_schemes().end() ? nullptr : *found;
}

const Scheme* find_bitsandbytes_scheme(std::string_view quant_type) {
  for (const Scheme* scheme : {&kNf4Scheme, &kFp4Scheme}) {
    if (scheme->name == quant_type) return scheme;
  }
  return nullptr;
}

bool has_book(const Scheme& scheme, std::span<const float> values) {
  return scheme.book != nullptr && std::ranges::equal(values, std::span(scheme.book, std::size_t{1} << scheme.bits));
}

}  // namespace mnq
