// E4M3, the float of 8 bits: a sign, 4 bits of exponent with bias 7, 3 of mantissa; no infinities, NaN where all bits
// but the sign are set. The largest value is 448.
// Source: arXiv:2209.05433, table 1
#pragma once

#include <limits>

#include "kernels/kernel_table.h"
#include "schemes/floats/small_floats.h"

namespace mnq {

inline constexpr auto kE4M3Values = [] {
  auto values = small_floats<4, 3, 7>();
  values[0x7f] = values[0xff] = std::numeric_limits<float>::quiet_NaN();
  return values;
}();
inline constexpr float kE4M3WidestStep = 32;
inline constexpr kernels::FloatRule kE4M3Rule{.exponent_bits = 4, .mantissa_bits = 3, .bias = 7, .largest = 448};

}  // namespace mnq
