// float8_e4m3: a sign, 4 bits of exponent with bias 7, 3 of mantissa; no infinities, NaN where all bits but the sign are set. The
// largest value is 448. Files have it with a scale for each tensor, row or block of 128 x 128.
// Source: arXiv:2209.05433, table 1
#include <array>
#include <limits>

#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr int kCodes = 256, kBias = 7, kMantissaBits = 3;

constexpr float value_of(int code) {
  const int exponent = code >> kMantissaBits & 15, mantissa = code & 7;
  if (exponent == 15 && mantissa == 7) return std::numeric_limits<float>::quiet_NaN();
  float value = static_cast<float>(exponent == 0 ? mantissa : mantissa + 8);
  int power = (exponent == 0 ? 1 : exponent) - kBias - kMantissaBits;
  for (; power < 0; ++power) value /= 2;
  for (; power > 0; --power) value *= 2;
  return code < kCodes / 2 ? value : -value;
}

constexpr std::array<float, kCodes> kValues = [] {
  std::array<float, kCodes> values{};
  for (int code = 0; code < kCodes; ++code) values[static_cast<std::size_t>(code)] = value_of(code);
  return values;
}();

}  // namespace

const Scheme kFloat8E4M3Scheme{
    .name = "float8_e4m3",
    .text = "float8_e4m3",
    .bits = 8,
    .may_be_chosen = false,
    .book = kValues.data(),
    .widest_step = 32,
};

}  // namespace mnq
