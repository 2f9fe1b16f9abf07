// Codes that are floats, by the bits of the quotients. Included inside a target pragma, for whose registers the compiler
// arranges the loop: its count is a constant, without which GCC 12 at -O2 would not.
#include <cstdint>
#include <cstring>

#include "kernels/code_scale.h"
#include "kernels/kernel_table.h"

namespace mnq::kernels {
namespace {

// What of a rule is the same for all quotients.
struct FloatCoder {
  explicit FloatCoder(const FloatRule& rule)
      : dropped_bits(23 - rule.mantissa_bits),
        lost_exponent(static_cast<std::uint32_t>(127 - rule.bias) << rule.mantissa_bits),
        least_normal(static_cast<std::uint32_t>(128 - rule.bias) << 23),
        denormals(float_from_bits(static_cast<std::uint32_t>(128 - rule.bias + dropped_bits) << 23)),
        sign_shift(31 - rule.exponent_bits - rule.mantissa_bits),
        largest(rule.largest) {}

  std::int32_t dropped_bits;
  std::uint32_t lost_exponent;
  std::uint32_t least_normal;
  float denormals;  // whose last bit is the step of denormal codes: adding it rounds to them
  std::int32_t sign_shift;
  float largest;
};

inline std::uint32_t code_of(const FloatCoder& coder, float quotient) {
  const auto bits = bits_from_float(quotient);
  const float unclamped = float_from_bits(bits & 0x7fffffffu);
  const float magnitude = unclamped < coder.largest ? unclamped : coder.largest;
  const auto from = bits_from_float(magnitude);
  const std::uint32_t half = (1u << (coder.dropped_bits - 1)) - 1;
  const std::uint32_t normal =
      ((from + half + (from >> coder.dropped_bits & 1)) >> coder.dropped_bits) - coder.lost_exponent;
  const std::uint32_t denormal = bits_from_float(magnitude + coder.denormals) - bits_from_float(coder.denormals);
  return (from < coder.least_normal ? denormal : normal) | (bits & 0x80000000u) >> coder.sign_shift;
}

constexpr std::size_t kFloatsAtOnce = 64;

inline void encode_block(const FloatCoder& coder, const float* weights, float scale, std::int8_t* codes) {
  std::uint32_t wide[kFloatsAtOnce];
  for (std::size_t i = 0; i < kFloatsAtOnce; ++i) wide[i] = code_of(coder, weights[i] / scale);
  for (std::size_t i = 0; i < kFloatsAtOnce; ++i) codes[i] = static_cast<std::int8_t>(wide[i]);
}

inline void encode_group(const FloatCoder& coder, const float* weights, std::size_t count, float scale,
                         std::int8_t* codes) {
  if (scale == 0) {
    std::memset(codes, 0, count);
    return;
  }
  std::size_t i = 0;
  for (; i + kFloatsAtOnce <= count; i += kFloatsAtOnce) encode_block(coder, weights + i, scale, codes + i);
  if (i == count) return;
  float rest[kFloatsAtOnce] = {};
  std::int8_t rest_codes[kFloatsAtOnce];
  std::memcpy(rest, weights + i, (count - i) * sizeof(float));
  encode_block(coder, rest, scale, rest_codes);
  std::memcpy(codes + i, rest_codes, count - i);
}

void encode_floats(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                   const FloatRule& rule, const float* scales, std::int8_t* codes) {
  const FloatCoder coder(rule);
  for (std::size_t row = 0; row < row_count; ++row, weights += row_length, codes += row_length) {
    for (std::size_t begin = 0; begin < row_length; begin += group_size) {
      const std::size_t count = row_length - begin < group_size ? row_length - begin : group_size;
      encode_group(coder, weights + begin, count, *scales++, codes + begin);
    }
  }
}

}  // namespace
}  // namespace mnq::kernels
