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

// The code of a value that is one but for the rounding of what it was multiplied with: without the search that any
// other needs. A search asks for it a dozen times a group.
int code_of_e4m3(float value) {
  constexpr float kLeastNormal = 0x1p-6f, kDenormals = 0x1p9f;
  if (value < kLeastNormal) return static_cast<int>(value * kDenormals + 0.5f);
  constexpr int kDroppedBits = 20, kLostExponent = (127 - 7) << 3;
  return static_cast<int>((std::bit_cast<std::uint32_t>(value) + (1u << (kDroppedBits - 1))) >> kDroppedBits) -
         kLostExponent;
}

// As the kernel has it that chooses scales itself.
float free_scale_of(const kernels::FloatRule& rule, float largest) {
  float scale = 0;
  std::int8_t code = 0;
  kernels::kernel_table().quantize_floats(&largest, 1, 1, 1, rule, &scale, &code, nullptr);
  return scale;
}

float two_level_scale(std::uint8_t code, float global_scale) {
  return value_of_e4m3(std::clamp(code, kLeastE4M3, kMostE4M3)) / global_scale;
}

}  // namespace

float global_scale_of(const Scheme& scheme, const kernels::Range& range) {
  const float largest = largest_of(range);
  constexpr float kMostGlobalScale = 0x1p120f;
  return largest == 0 ? 1 : std::min(kMostGlobalScale, kLargestE4M3 * largest_value(scheme) / largest);
}

float book_scale_of(const QuantizedSpec& spec, const kernels::Range& range, float global_scale) {
  const float largest = largest_of(range);
  const Scheme& scheme = scheme_of(spec);
  if (scheme.has_global_scale) {
    return two_level_scale(nearest_e4m3(largest == 0 ? 1 : largest / largest_value(scheme) * global_scale),
                           global_scale);
  }
  if (largest == 0) return 1;
  if (spec.scale_dtype == DType::kF8E8M0) return power_for(*scheme.floats, largest);
  if (has_free_float_scales(spec)) return free_scale_of(float_rule(scheme, spec), largest);
  return round_scale(spec, std::max(largest / largest_value(scheme), 0x1p-126f));
}

void take_book_scales(const QuantizedSpec& spec, const float* weights, const PiecePlace& place, float global_scale,
                      float* scales) {
  const std::uint64_t group_size = group_size_in(spec, place);
  for (std::uint64_t row = 0; row < place.row_count; ++row, weights += place.column_count) {
    for (std::uint64_t column = 0; column < place.column_count; column += group_size) {
      const std::uint64_t count = std::min(group_size, place.column_count - column);
      *scales++ = book_scale_of(spec, kernels::kernel_table().range(weights + column, count), global_scale);
    }
  }
}

bool has_free_float_scales(const QuantizedSpec& spec) {
  const Scheme& scheme = scheme_of(spec);
  return scheme.floats != nullptr && !scheme.has_global_scale && is_weight_dtype(spec.scale_dtype);
}

bool has_few_scales(const QuantizedSpec& spec) {
  return spec.scale_dtype == DType::kF8E8M0 || scheme_of(spec).has_global_scale;
}

float neighbour_of_scale(const QuantizedSpec& spec, float scale, int steps, float global_scale) {
  if (spec.scale_dtype == DType::kF8E8M0) return power_of_two(std::ilogb(scale) + steps);
  const int code = code_of_e4m3(scale * global_scale) + steps;
  return two_level_scale(static_cast<std::uint8_t>(std::clamp<int>(code, kLeastE4M3, kMostE4M3)), global_scale);
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
