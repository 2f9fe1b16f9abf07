// float8_e4m3: a sign, 4 bits of exponent with bias 7, 3 of mantissa; no infinities, NaN where all bits but the sign are set. The
// largest value is 448. Files have it with a scale for each tensor, row or block of 128 x 128.
// Source: arXiv:2209.05433, table 1
#include <limits>

#include "schemes/decode_in_torchscript.h"
#include "schemes/floats/small_floats.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr auto kValues = [] {
  auto values = small_floats<4, 3, 7>();
  values[0x7f] = values[0xff] = std::numeric_limits<float>::quiet_NaN();
  return values;
}();

constexpr kernels::FloatRule kRule{.exponent_bits = 4, .mantissa_bits = 3, .bias = 7, .largest = 448};

}  // namespace

const Scheme kFloat8E4M3Scheme{
    .name = "float8_e4m3",
    .text = "float8_e4m3",
    .bits = 8,
    .code_dtype = DType::kF8E4M3,
    .book = kValues.data(),
    .floats = &kRule,
    .widest_step = 32,
    .torchscript = &kFloatBytesScript,
};

}  // namespace mnq
