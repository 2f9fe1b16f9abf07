// E2M1, the float of 4 bits: a sign, 2 bits of exponent with bias 1, one of mantissa; no infinities, no NaN.
// Source: OCP Microscaling Formats (MX) Specification 1.0
#pragma once

#include "kernels/kernel_table.h"

namespace mnq {

inline constexpr float kE2M1Values[] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                        -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
inline constexpr float kE2M1WidestStep = 2;
inline constexpr kernels::FloatRule kE2M1Rule{.exponent_bits = 2, .mantissa_bits = 1, .bias = 1, .largest = 6};

}  // namespace mnq
