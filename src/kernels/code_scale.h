// From the range of some weights to their scale and zero point: the one rule, shared by every instruction set. Plain
// float32 arithmetic; the compiler must neither contract nor reassociate it.
#pragma once

#include <cfloat>
#include <cstdint>
#include <cstring>

#include "kernels/kernel_table.h"

namespace mnq::kernels {
namespace {

constexpr std::uint32_t kInfinityBits = 0x7f800000;

inline float float_from_bits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline std::uint32_t bits_from_float(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// A scale, its zero point, and the quotients weight / scale that have a code: [low, high].
struct CodeScale {
  float scale;
  std::int32_t zero_point;
  float low;
  float high;
};

/// Whether codes reach as far down as up: then a symmetric scale made from some weights lets none of them beyond the
/// codes.
inline bool has_mirrored_codes(const CodeRule& rule) {
  return rule.symmetric && rule.symmetric_divisor == static_cast<float>(rule.code_max);
}

/// Whether all codes are used on both sides, so that the largest weight of a symmetric scale is half a code beyond the
/// highest one, or above the lowest.
inline bool has_tied_codes(const CodeRule& rule) {
  return rule.symmetric && rule.symmetric_divisor == static_cast<float>(rule.code_max) + 0.5f &&
         rule.code_min == -rule.code_max - 1;
}

inline CodeScale with_limits(float scale, std::int32_t zero_point, const CodeRule& rule) {
  const std::int32_t code_min = has_mirrored_codes(rule) ? -rule.code_max : rule.code_min;
  return {scale, zero_point, static_cast<float>(code_min - zero_point), static_cast<float>(rule.code_max - zero_point)};
}

/// Half to even for |value| < 2^22, whatever the rounding of library calls costs.
constexpr float kRoundingMagic = 12582912.0f;  // 1.5 * 2^23
inline float round_half_even(float value) { return (value + kRoundingMagic) - kRoundingMagic; }

inline float quotient_of_range(const Range& range, const CodeRule& rule, float low, float high) {
  if (rule.symmetric) return float_from_bits(range.max_abs_bits) / rule.symmetric_divisor;
  const auto steps = static_cast<float>(rule.code_max - rule.code_min);
  const float span = high - low;
  return span <= FLT_MAX ? span / steps : high / steps - low / steps;
}

/// The rule of CodeRule for a finite range; some numbers, without undefined behaviour, for any other.
inline CodeScale scale_for(const Range& range, const CodeRule& rule) {
  if (range.max_abs_bits == 0) return with_limits(1, 0, rule);
  const float low = range.minimum < 0 ? range.minimum : 0;
  const float high = range.maximum > 0 ? range.maximum : 0;
  float scale = quotient_of_range(range, rule, low, high);
  if (!(scale >= FLT_MIN)) scale = FLT_MIN;
  std::int32_t zero_point = 0;
  if (!rule.symmetric) {
    float zero = round_half_even(static_cast<float>(rule.code_min) - low / scale);
    if (zero > static_cast<float>(rule.code_max)) zero = static_cast<float>(rule.code_max);
    // Written so that NaN, of a range that is not finite and found so later, becomes a code too.
    if (!(zero >= static_cast<float>(rule.code_min))) zero = static_cast<float>(rule.code_min);
    zero_point = static_cast<std::int32_t>(zero);
  }
  CodeScale result = with_limits(scale, zero_point, rule);
  const float farthest = result.high > -result.low ? result.high : -result.low;
  if (!(farthest * scale <= FLT_MAX)) result.scale = float_from_bits(bits_from_float(FLT_MAX / farthest) - 1);
  return result;
}

/// Floats have the scales of integers whose highest code is their largest value.
inline CodeRule scale_rule_of(const FloatRule& rule) {
  const auto largest = static_cast<std::int32_t>(rule.largest);
  return {.code_min = -largest,
          .code_max = largest,
          .symmetric = true,
          .code_xor = 0,
          .symmetric_divisor = rule.largest,
          .scale_floats = rule.scale_floats};
}

/// The power of two that brings values of this magnitude into [1, 2) (the largest denormal and the smallest power
/// aside): 2^(127 - e), e the biased exponent.
inline float unit_for(std::uint32_t max_abs_bits) {
  std::uint32_t exponent = max_abs_bits >> 23;
  if (exponent < 1) exponent = 1;
  if (exponent > 253) exponent = 253;
  return float_from_bits((254 - exponent) << 23);
}

inline float magnitude_of(float value) { return float_from_bits(bits_from_float(value) & 0x7fffffff); }

inline float unit_for_scale(float scale) { return unit_for(bits_from_float(magnitude_of(scale))); }

}  // namespace
}  // namespace mnq::kernels
