// Codes that are values of a book, and what codes explain. Included inside a target pragma, for whose registers the
// compiler arranges the loops: their counts are constants, without which GCC 12 at -O2 would not.
#include <cstdint>
#include <cstring>

#include "kernels/code_scale.h"
#include "kernels/kernel_table.h"

namespace mnq::kernels {
namespace {

// From one value to the next its code changes by a step: those of all thresholds below are added up, without a look-up.
struct BookCoder {
  explicit BookCoder(const BookRule& rule) : first(static_cast<std::uint32_t>(rule.codes[0])) {
    for (std::size_t i = 0; i < kSteps; ++i) {
      thresholds[i] = rule.thresholds[i];
      steps[i] = static_cast<std::uint32_t>(rule.codes[i + 1] - rule.codes[i]);
    }
  }

  std::uint32_t code_of(float quotient) const {
    std::uint32_t code = first;
    for (std::size_t i = 0; i < kSteps; ++i) code += thresholds[i] < quotient ? steps[i] : 0;
    return code;
  }

  static constexpr std::size_t kSteps = 15;
  float thresholds[kSteps];
  std::uint32_t steps[kSteps];
  std::uint32_t first;
};

constexpr std::size_t kFloatsAtOnce = 64, kFewFloats = 16;

template <std::size_t count, class Coder>
inline void encode_block(const Coder& coder, const float* weights, float scale, std::int8_t* codes) {
  std::uint32_t wide[count];
  for (std::size_t i = 0; i < count; ++i) wide[i] = coder.code_of(weights[i] / scale);
  for (std::size_t i = 0; i < count; ++i) codes[i] = static_cast<std::int8_t>(wide[i]);
}

template <class Coder>
inline void encode_group(const Coder& coder, const float* weights, std::size_t count, float scale, std::int8_t* codes) {
  if (scale == 0) {
    std::memset(codes, 0, count);
    return;
  }
  std::size_t i = 0;
  for (; i + kFloatsAtOnce <= count; i += kFloatsAtOnce) {
    encode_block<kFloatsAtOnce>(coder, weights + i, scale, codes + i);
  }
  for (; i + kFewFloats <= count; i += kFewFloats) encode_block<kFewFloats>(coder, weights + i, scale, codes + i);
  if (i == count) return;
  float rest[kFewFloats] = {};
  std::int8_t rest_codes[kFewFloats];
  std::memcpy(rest, weights + i, (count - i) * sizeof(float));
  encode_block<kFewFloats>(coder, rest, scale, rest_codes);
  std::memcpy(codes + i, rest_codes, count - i);
}

template <class Coder>
inline void encode_groups(const Coder& coder, const float* weights, std::size_t row_count, std::size_t row_length,
                          std::size_t group_size, const float* scales, std::int8_t* codes) {
  for (std::size_t row = 0; row < row_count; ++row, weights += row_length, codes += row_length) {
    for (std::size_t begin = 0; begin < row_length; begin += group_size) {
      const std::size_t count = row_length - begin < group_size ? row_length - begin : group_size;
      encode_group(coder, weights + begin, count, *scales++, codes + begin);
    }
  }
}

void encode_book(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                 const BookRule& rule, const float* scales, std::int8_t* codes) {
  encode_groups(BookCoder(rule), weights, row_count, row_length, group_size, scales, codes);
}

inline CodeSums sums_of_group(const float* weights, std::size_t count, const float* book, const std::int8_t* codes) {
  constexpr std::size_t kSumLanes = 16;
  float a[kSumLanes] = {}, b[kSumLanes] = {};
  std::size_t i = 0;
  for (; i + kSumLanes <= count; i += kSumLanes) {
    float values[kSumLanes];
    for (std::size_t lane = 0; lane < kSumLanes; ++lane)
      values[lane] = book[static_cast<std::uint8_t>(codes[i + lane])];
    for (std::size_t lane = 0; lane < kSumLanes; ++lane) {
      a[lane] += weights[i + lane] * values[lane];
      b[lane] += values[lane] * values[lane];
    }
  }
  for (std::size_t lane = 0; i + lane < count; ++lane) {
    const float value = book[static_cast<std::uint8_t>(codes[i + lane])];
    a[lane] += weights[i + lane] * value;
    b[lane] += value * value;
  }
  for (std::size_t half = kSumLanes / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) {
      a[lane] += a[lane + half];
      b[lane] += b[lane + half];
    }
  }
  return {a[0], b[0]};
}

void code_sums(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
               const float* book, const std::int8_t* codes, CodeSums* sums) {
  for (std::size_t row = 0; row < row_count; ++row, weights += row_length, codes += row_length) {
    for (std::size_t begin = 0; begin < row_length; begin += group_size) {
      const std::size_t count = row_length - begin < group_size ? row_length - begin : group_size;
      *sums++ = sums_of_group(weights + begin, count, book, codes + begin);
    }
  }
}

}  // namespace
}  // namespace mnq::kernels
