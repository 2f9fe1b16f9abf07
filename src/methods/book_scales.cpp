#include "methods/book_scales.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "layouts/tables.h"
#include "methods/method.h"

namespace mnq {
namespace {

constexpr int kLeastExponent = -126, kMostExponent = 127;
constexpr std::uint8_t kLeastE4M3 = 1, kMostE4M3 = 126;
constexpr float kLargestE4M3 = 448;

float largest_value(const Scheme& scheme) {
  return scheme.floats == nullptr ? scheme.values->largest : scheme.floats->largest;
}

float largest_of(const kernels::Range& range) { return std::bit_cast<float>(range.max_abs_bits); }

float power_of_two(int exponent) { return std::ldexp(1.0f, std::clamp(exponent, kLeastExponent, kMostExponent)); }

// The lowest power of two with which the largest weight lies less than half a step above the largest code.
float power_for(const kernels::FloatRule& rule, float largest) {
  const float half_step = std::ldexp(0.5f, std::ilogb(rule.largest) - rule.mantissa_bits);
  return power_of_two(std::ilogb(largest / (rule.largest + half_step)) + 1);
}

// As the kernel has it that chooses scales itself.
float free_scale_of(const kernels::FloatRule& rule, float largest) {
  float scale = 0;
  std::int8_t code = 0;
  kernels::kernel_table().quantize_floats(&largest, 1, 1, 1, rule, &scale, &code, nullptr);
  return scale;
}

}  // namespace

float global_scale_of(const Scheme& scheme, const kernels::Range& range) {
  const float largest = largest_of(range);
  constexpr float kMostGlobalScale = 0x1p120f;
  return largest == 0 ? 1 : std::min(kMostGlobalScale, kLargestE4M3 * largest_value(scheme) / largest);
}

bool has_free_float_scales(const QuantizedSpec& spec) {
  const Scheme& scheme = scheme_of(spec);
  return scheme.floats != nullptr && !scheme.has_global_scale && is_weight_dtype(spec.scale_dtype);
}

bool has_few_scales(const QuantizedSpec& spec) {
  return spec.scale_dtype == DType::kF8E8M0 || scheme_of(spec).has_global_scale;
}

BookScales::BookScales(const QuantizedSpec& spec, float global_scale)
    : spec_(spec),
      scheme_(scheme_of(spec)),
      is_free_(has_free_float_scales(spec)),
      largest_value_(largest_value(scheme_)),
      global_scale_(global_scale) {
  if (!scheme_.has_global_scale) return;
  for (std::uint8_t code = kLeastE4M3; code <= kMostE4M3; ++code) stored_[code] = value_of_e4m3(code) / global_scale;
}

float BookScales::of(const kernels::Range& range) const {
  const float largest = largest_of(range);
  if (scheme_.has_global_scale) {
    return two_levels(nearest_e4m3(largest == 0 ? 1 : largest / largest_value_ * global_scale_));
  }
  if (largest == 0) return 1;
  if (spec_.scale_dtype == DType::kF8E8M0) return power_for(*scheme_.floats, largest);
  if (is_free_) return free_scale_of(float_rule(scheme_, spec_), largest);
  return round_scale(spec_, std::max(largest / largest_value_, 0x1p-126f));
}

float BookScales::neighbour(float scale, int steps) const {
  if (spec_.scale_dtype == DType::kF8E8M0) return power_of_two(std::ilogb(scale) + steps);
  return two_levels(nearest_e4m3(scale * global_scale_) + steps);
}

float BookScales::two_levels(int code) const {
  return stored_[static_cast<std::size_t>(std::clamp<int>(code, kLeastE4M3, kMostE4M3))];
}

void BookScales::take(const float* weights, const PiecePlace& place, float* scales) const {
  const std::uint64_t group_size = group_size_in(spec_, place);
  for (std::uint64_t row = 0; row < place.row_count; ++row, weights += place.column_count) {
    for (std::uint64_t column = 0; column < place.column_count; column += group_size) {
      const std::uint64_t count = std::min(group_size, place.column_count - column);
      *scales++ = of(kernels::kernel_table().range(weights + column, count));
    }
  }
}

void encode_values(const Scheme& scheme, const float* weights, std::uint64_t row_count, std::uint64_t column_count,
                   std::uint64_t group_size, const float* scales, std::int8_t* codes, kernels::ErrorSums* sums) {
  const kernels::KernelTable& kernels = kernels::kernel_table();
  if (scheme.floats != nullptr) {
    kernels.encode_floats(weights, row_count, column_count, group_size, *scheme.floats, scales, codes, sums);
  } else {
    kernels.encode_book(weights, row_count, column_count, group_size, *scheme.values, scales, codes);
  }
}

void encode_and_measure(const Scheme& scheme, const float* weights, const PiecePlace& place, std::uint64_t group_size,
                        const float* scales, std::int8_t* codes, std::vector<kernels::ErrorSums>& sums) {
  sums.resize(scheme.floats != nullptr ? place.row_count : 0);
  encode_values(scheme, weights, place.row_count, place.column_count, group_size, scales, codes, sums.data());
}

}  // namespace mnq
