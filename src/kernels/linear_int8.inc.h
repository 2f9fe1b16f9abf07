// A Linear layer in integers, for one instruction set: sums of products of bytes, exact, and the floats made of them in
// one order. Isa::dot<kRows>(rows, weights, count, sums) gives the sums of kRows rows with one row of weights, each
// below 2^31: no product exceeds 2^14, no count kExactCount.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mnq::kernels {
namespace {

constexpr std::size_t kExactCount = std::size_t{1} << 17;

inline std::int64_t sum_of_codes(const std::int8_t* codes, std::size_t count) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += codes[i];
  return sum;
}

template <class Isa, std::size_t kRows>
void linear_rows(const std::int8_t* codes, const float* scales, std::size_t row_length, const std::int8_t* weights,
                 const float* weight_scales, const std::int8_t* zero_points, std::size_t scale_stride,
                 const float* bias, std::size_t output_count, float* out) {
  const std::int8_t* rows[kRows];
  std::int64_t code_sums[kRows];
  for (std::size_t row = 0; row < kRows; ++row) {
    rows[row] = codes + row * row_length;
    code_sums[row] = zero_points == nullptr ? 0 : sum_of_codes(rows[row], row_length);
  }
  for (std::size_t output = 0; output < output_count; ++output) {
    std::int64_t sums[kRows] = {};
    for (std::size_t begin = 0; begin < row_length; begin += kExactCount) {
      const std::size_t count = row_length - begin < kExactCount ? row_length - begin : kExactCount;
      const std::int8_t* pieces[kRows];
      for (std::size_t row = 0; row < kRows; ++row) pieces[row] = rows[row] + begin;
      std::int32_t piece_sums[kRows];
      Isa::template dot<kRows>(pieces, weights + output * row_length + begin, count, piece_sums);
      for (std::size_t row = 0; row < kRows; ++row) sums[row] += piece_sums[row];
    }
    const float weight_scale = weight_scales[output * scale_stride];
    const std::int64_t zero_point = zero_points == nullptr ? 0 : zero_points[output * scale_stride];
    for (std::size_t row = 0; row < kRows; ++row) {
      const auto sum = static_cast<float>(sums[row] - zero_point * code_sums[row]);
      const float value = sum * scales[row] * weight_scale;
      out[row * output_count + output] = bias == nullptr ? value : value + bias[output];
    }
  }
}

/// KernelTable::linear_int8.
template <class Isa>
void linear_int8_with(const std::int8_t* codes, const float* scales, std::size_t row_count, std::size_t row_length,
                      const std::int8_t* weights, const float* weight_scales, const std::int8_t* zero_points,
                      std::size_t scale_stride, const float* bias, std::size_t output_count, float* out) {
  constexpr std::size_t kBlock = 4;  // rows that share one conversion of the weights
  std::size_t row = 0;
  for (; row + kBlock <= row_count; row += kBlock) {
    linear_rows<Isa, kBlock>(codes + row * row_length, scales + row, row_length, weights, weight_scales, zero_points,
                             scale_stride, bias, output_count, out + row * output_count);
  }
  for (; row < row_count; ++row) {
    linear_rows<Isa, 1>(codes + row * row_length, scales + row, row_length, weights, weight_scales, zero_points,
                        scale_stride, bias, output_count, out + row * output_count);
  }
}

}  // namespace
}  // namespace mnq::kernels
