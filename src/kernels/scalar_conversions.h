// One value from one float format to another, rounded half to even; NaN stays NaN and becomes quiet. For the oracle and
// for what is left over at the end of a vector loop.
#pragma once

#include "kernels/code_scale.h"

namespace mnq::kernels {
namespace {

inline float float_from_f16(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
  const std::uint32_t exponent = half >> 10 & 31;
  const std::uint32_t mantissa = half & 0x3ff;
  if (exponent == 31) {
    return float_from_bits(sign | kInfinityBits | mantissa << 13 | (mantissa != 0 ? 0x400000u : 0u));
  }
  if (exponent != 0) return float_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // exact
  return float_from_bits(sign | bits_from_float(magnitude));
}

inline std::uint16_t f16_from_float(float value) {
  const std::uint32_t bits = bits_from_float(value);
  const std::uint32_t sign = bits >> 16 & 0x8000;
  const std::uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > kInfinityBits) return static_cast<std::uint16_t>(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  if (magnitude >= 0x477ff000) return static_cast<std::uint16_t>(sign | 0x7c00);  // 65520 and above
  if (magnitude < 0x38800000) {                                                   // below 2^-14: a denormal half
    // Adding 0.5 leaves value * 2^24 in the low bits, rounded half to even by the addition itself.
    const float shifted = float_from_bits(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (bits_from_float(shifted) - 0x3f000000));
  }
  const std::uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000) >> 13));
}

inline float float_from_bf16(std::uint16_t brain) { return float_from_bits(static_cast<std::uint32_t>(brain) << 16); }

inline std::uint16_t bf16_from_float(float value) {
  const std::uint32_t bits = bits_from_float(value);
  if ((bits & 0x7fffffff) > kInfinityBits) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

constexpr float kLeastHalf = 0x1p-24f;

/// What is read of a scale, > 0, that is stored so: at least the least one above 0.
inline float stored_scale(float scale, ScaleFloats as) {
  if (as == ScaleFloats::kFloat32) return scale;
  if (as == ScaleFloats::kBrain) return float_from_bf16(bf16_from_float(scale));
  const float rounded = float_from_f16(f16_from_float(scale));
  return rounded > 0 ? rounded : kLeastHalf;
}

inline float float_from_double(double value) { return static_cast<float>(value); }
inline double double_from_float(float value) { return value; }

}  // namespace
}  // namespace mnq::kernels
