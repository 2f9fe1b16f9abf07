// float8_e5m2: a sign, 5 bits of exponent with bias 15, 2 of mantissa; infinities and NaN as of float16, whose first
// byte it is. The largest value is 57344.
// Source: arXiv:2209.05433, table 1
#include <limits>

#include "schemes/decode_in_torchscript.h"
#include "schemes/floats/small_floats.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr auto kValues = [] {
  auto values = small_floats<5, 2, 15>();
  values[0x7c] = std::numeric_limits<float>::infinity();
  values[0xfc] = -std::numeric_limits<float>::infinity();
  for (const int code : {0x7d, 0x7e, 0x7f, 0xfd, 0xfe, 0xff}) {
    values[static_cast<std::size_t>(code)] = std::numeric_limits<float>::quiet_NaN();
  }
  return values;
}();

constexpr kernels::FloatRule kRule{.exponent_bits = 5, .mantissa_bits = 2, .bias = 15, .largest = 57344};

}  // namespace

const Scheme kFloat8E5M2Scheme{
    .name = "float8_e5m2",
    .text = "float8_e5m2",
    .bits = 8,
    .is_taken_as_floats = true,
    .may_be_in_blocks = true,
    .code_dtype = DType::kF8E5M2,
    .book = kValues.data(),
    .floats = &kRule,
    .widest_step = 8192,
    .torchscript = &kFloatBytesScript,
};

}  // namespace mnq
