// Floats of 8 bits and fewer: a sign, some bits of exponent, some of mantissa. Codes of exponent 0 are denormal.
#pragma once

#include <array>
#include <cstddef>

namespace mnq {

template <int exponent_bits, int mantissa_bits, int bias>
constexpr float small_float(int code) {
  constexpr int kSign = 1 << (exponent_bits + mantissa_bits), kOne = 1 << mantissa_bits;
  const int exponent = code >> mantissa_bits & ((1 << exponent_bits) - 1), mantissa = code & (kOne - 1);
  float value = static_cast<float>(exponent == 0 ? mantissa : mantissa + kOne);
  int power = (exponent == 0 ? 1 : exponent) - bias - mantissa_bits;
  for (; power < 0; ++power) value /= 2;
  for (; power > 0; --power) value *= 2;
  return (code & kSign) == 0 ? value : -value;
}

/// All of them, by their codes. What stands for no number is left to the caller.
template <int exponent_bits, int mantissa_bits, int bias>
constexpr auto small_floats() {
  std::array<float, std::size_t{2} << (exponent_bits + mantissa_bits)> values{};
  for (std::size_t code = 0; code < values.size(); ++code) {
    values[code] = small_float<exponent_bits, mantissa_bits, bias>(static_cast<int>(code));
  }
  return values;
}

}  // namespace mnq
