// The oracle itself, against numbers worked out by hand: the rounding, the scales, the zero points, the sums.
#include <gtest/gtest.h>

#include "kernel_cases.h"

namespace mnq::kernels::test {
namespace {

struct Quantized {
  std::size_t rows_done = 0;
  std::vector<float> scales;
  std::vector<std::int8_t> zero_points;
  std::vector<std::int8_t> codes;
  ErrorSums sums{};
};

Quantized quantize_row(const std::vector<float>& weights, const CodeRule& rule) {
  Quantized result{0, std::vector<float>(1), std::vector<std::int8_t>(1), std::vector<std::int8_t>(weights.size()), {}};
  result.rows_done =
      oracle().quantize_rows(weights.data(), 1, weights.size(), weights.size(), rule, result.scales.data(),
                             result.zero_points.data(), result.codes.data(), &result.sums);
  return result;
}

using Codes = std::vector<std::int8_t>;

TEST(Oracle, RoundsHalfToEven) {
  // The largest is 127, so the scale is 1.
  const Quantized result = quantize_row({127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 0.49f, 125.5f}, kInt8);
  EXPECT_EQ(result.scales[0], 1.0f);
  EXPECT_EQ(result.codes, (Codes{127, 0, 2, 2, 0, -2, -2, 0, 126}));
}

TEST(Oracle, SymmetricUsesBothEndsAlike) {
  const Quantized result = quantize_row({-254, 254, 2}, kInt8);
  EXPECT_EQ(result.scales[0], 2.0f);
  EXPECT_EQ(result.codes, (Codes{-127, 127, 1}));
}

TEST(Oracle, FourBits) {
  // The largest is 7.5, so the scale is 1; -7.5 goes to the even -8, and 7.5 would go to 8, which is no code.
  const Quantized result = quantize_row({-7.5f, 7.5f, 3.5f, 6.6f, 0}, kInt4);
  EXPECT_EQ(result.scales[0], 1.0f);
  EXPECT_EQ(result.codes, (Codes{-8, 7, 4, 7, 0}));
}

TEST(Oracle, AsymmetricPutsTheRangeOnAllCodes) {
  // Range -100 to 155: scale 1, zero point round(-128 + 100) = -28.
  const Quantized result = quantize_row({-100, 155, 0, 1}, kInt8Asymmetric);
  EXPECT_EQ(result.scales[0], 1.0f);
  EXPECT_EQ(result.zero_points[0], -28);
  EXPECT_EQ(result.codes, (Codes{-128, 127, -28, -27}));
}

TEST(Oracle, AsymmetricRangeHoldsZero) {
  // 10 to 255 becomes 0 to 255: scale 1, zero point -128.
  const Quantized result = quantize_row({10, 255}, kInt8Asymmetric);
  EXPECT_EQ(result.scales[0], 1.0f);
  EXPECT_EQ(result.zero_points[0], -128);
  EXPECT_EQ(result.codes, (Codes{-118, 127}));
}

TEST(Oracle, UnsignedCodesHaveTheTopBitTurned) {
  const Quantized result = quantize_row({0, 255, 128}, kUint8);
  EXPECT_EQ(result.zero_points[0], -128);
  EXPECT_EQ(static_cast<std::uint8_t>(result.codes[0]), 0);
  EXPECT_EQ(static_cast<std::uint8_t>(result.codes[1]), 255);
  EXPECT_EQ(static_cast<std::uint8_t>(result.codes[2]), 128);
}

TEST(Oracle, ZeroRow) {
  for (const CodeRule& rule : rules()) {
    const Quantized result = quantize_row({0, -0.0f, 0}, rule);
    EXPECT_EQ(result.scales[0], 1.0f);
    EXPECT_EQ(result.zero_points[0], 0);
    for (const std::int8_t code : result.codes) EXPECT_EQ(static_cast<std::uint8_t>(code), rule.code_xor);
    EXPECT_EQ(result.sums.signal, 0);
    EXPECT_EQ(result.sums.error, 0);
  }
}

TEST(Oracle, SumsByHand) {
  // Scale 1: 127 -> 127, 0.5 -> 0, 2.25 -> 2. Signal 127^2 + 0.25 + 5.0625, error 0.25 + 0.0625.
  const Quantized result = quantize_row({127, 0.5f, 2.25f}, kInt8);
  EXPECT_DOUBLE_EQ(result.sums.signal, 16134.3125);
  EXPECT_DOUBLE_EQ(result.sums.error, 0.3125);
  EXPECT_DOUBLE_EQ(result.sums.max_error, 0.5);
}

TEST(Oracle, ScalesStayFiniteAndPositive) {
  for (const CodeRule& rule : rules()) {
    for (const float largest : {FLT_MAX, FLT_MIN, 1e-45f, 1e38f}) {
      for (const float other : {largest, -largest, 0.0f}) {
        const Quantized result = quantize_row({largest, other, largest / 2}, rule);
        ASSERT_GE(result.scales[0], FLT_MIN);
        ASSERT_LE(result.scales[0], FLT_MAX);
        std::vector<float> back(3);
        oracle().dequantize_rows(result.codes.data(), 1, 3, 3, rule.code_xor, result.scales.data(),
                                 result.zero_points.data(), back.data());
        for (const float value : back) ASSERT_TRUE(std::isfinite(value)) << largest << ' ' << other;
        ASSERT_LE(std::abs(back[0] - largest), result.scales[0] * 1.001) << largest << ' ' << other;
      }
    }
  }
}

TEST(Oracle, NibblesLowFirst) {
  const Codes codes{-8, 7, 0, 1, -1};
  std::vector<std::uint8_t> packed(3, 0xFF);
  oracle().pack_int4(codes.data(), codes.size(), packed.data());
  EXPECT_EQ(packed, (std::vector<std::uint8_t>{0xF0, 0x98, 0x07}));  // code + 8: 0 15 8 9 7
  Codes back(5);
  oracle().unpack_int4(packed.data(), 5, back.data());
  EXPECT_EQ(back, codes);
}

TEST(Oracle, HalvesByHand) {
  // 1, -2, the largest half, halfway to the next (infinite), the smallest denormal, half of it (to even: 0), 1 + a half
  // ulp
  const std::vector<float> values{1,        -2,         65504,        65520,          0x1p-24f,
                                  0x1p-25f, 0x1.8p-25f, 1 + 0x1p-11f, 1 + 0x1.8p-10f, INFINITY};
  const std::vector<std::uint16_t> expected{0x3C00, 0xC000, 0x7BFF, 0x7C00, 1, 0, 1, 0x3C00, 0x3C02, 0x7C00};
  std::vector<std::uint16_t> halves(values.size());
  oracle().f32_to_f16(values.data(), values.size(), halves.data());
  EXPECT_EQ(halves, expected);
}

TEST(Oracle, EveryHalfComesBack) {
  std::vector<std::uint16_t> halves(65536), back(65536);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  std::vector<float> values(65536);
  oracle().f16_to_f32(halves.data(), halves.size(), values.data());
  oracle().f32_to_f16(values.data(), values.size(), back.data());
  for (std::size_t i = 0; i < halves.size(); ++i) {
    const bool is_nan = (i & 0x7fff) > 0x7c00;
    ASSERT_EQ(std::isnan(values[i]), is_nan) << i;
    ASSERT_EQ(back[i] | (is_nan ? 0x200 : 0), halves[i] | (is_nan ? 0x200 : 0)) << i;
  }
  EXPECT_EQ(values[0x3555], 0.333251953125f);
  EXPECT_EQ(values[1], 0x1p-24f);
}

TEST(Oracle, BrainFloats) {
  const std::vector<float> values{1, 1 + 0x1p-8f, 1 + 0x1.8p-7f, -3.140625f, FLT_MAX, INFINITY};
  std::vector<std::uint16_t> brains(values.size());
  oracle().f32_to_bf16(values.data(), values.size(), brains.data());
  EXPECT_EQ(brains, (std::vector<std::uint16_t>{0x3F80, 0x3F80, 0x3F82, 0xC049, 0x7F80, 0x7F80}));
}

constexpr FloatRule kE4M3{4, 3, 7, 448}, kE5M2{5, 2, 15, 57344}, kE2M1{2, 1, 1, 6}, kE2M3{2, 3, 1, 7.5f};

std::vector<int> float_codes(const std::vector<float>& weights, const FloatRule& rule, float scale = 1) {
  std::vector<std::int8_t> codes(weights.size());
  oracle().encode_floats(weights.data(), 1, weights.size(), weights.size(), rule, &scale, codes.data(), nullptr);
  std::vector<int> numbers;
  for (const std::int8_t code : codes) numbers.push_back(static_cast<std::uint8_t>(code));
  return numbers;
}

// 1 is 0 0111 000; 448 the largest, 0 1111 110; the least step is 2^-9.
TEST(Oracle, FloatsOfEightBits) {
  EXPECT_EQ(float_codes({1, -1, 448, -449, 1e30f, 0, -0.0f}, kE4M3),
            (std::vector<int>{0x38, 0xb8, 0x7e, 0xfe, 0x7e, 0, 0x80}));
  // Halfway between 1 and 1.125, 1.125 and 1.25; 2^-10, half the least step, and a little more; 2^-6, the least normal.
  EXPECT_EQ(float_codes({1.0625f, 1.1875f, 0x1p-10f, 0x1.01p-10f, 0x1.8p-9f, 0x1p-6f, 0x1.fp-7f}, kE4M3),
            (std::vector<int>{0x38, 0x3a, 0, 1, 2, 8, 8}));
  EXPECT_EQ(float_codes({1, 57344, 60000, 0x1p-16f, 0x1p-17f}, kE5M2), (std::vector<int>{0x3c, 0x7b, 0x7b, 1, 0}));
  EXPECT_EQ(float_codes({2, 896}, kE4M3, 2), (std::vector<int>{0x38, 0x7e}));
  EXPECT_EQ(float_codes({2, -3}, kE4M3, 0), (std::vector<int>{0, 0}));
}

// The scale of a group is its largest weight / 448: 1, FLT_MIN at the least, and 1 for zeros. Beside the largest float it
// is less, or what the largest code stands for would be infinite.
TEST(Oracle, ScalesOfFloats) {
  const std::vector<float> weights{448, -3.2f, 1e-37f, 0, 0, 0, FLT_MAX, 1};
  std::vector<float> scales(4);
  std::vector<std::int8_t> codes(weights.size());
  ErrorSums sums;
  ASSERT_EQ(oracle().quantize_floats(weights.data(), 1, 8, 2, kE4M3, scales.data(), codes.data(), &sums), 1u);
  EXPECT_EQ(scales[0], 1);
  EXPECT_EQ(scales[1], FLT_MIN);
  EXPECT_EQ(scales[2], 1);
  EXPECT_TRUE(std::isfinite(448 * scales[3]));
  EXPECT_NEAR(scales[3] * 448 / FLT_MAX, 1, 1e-6);
  EXPECT_EQ(codes, (std::vector<std::int8_t>{0x7e, static_cast<std::int8_t>(0xc5), 0x51, 0, 0, 0, 0x7e, 0}));
  const float infinite = INFINITY;
  EXPECT_EQ(oracle().quantize_floats(&infinite, 1, 1, 1, kE4M3, scales.data(), codes.data(), nullptr), 0u);
}

// 100 / 127 is 0.78740, and 0.7890625 the nearest bfloat16: 50 is 63.37 of those. 1e-9 / 127 is no float16 but 0: the
// least one is 2^-24.
TEST(Oracle, ScalesAsTheyAreStored) {
  const std::vector<float> weights{100, 50};
  CodeRule rule{-128, 127, true, 0, 127, ScaleFloats::kBrain};
  float scale = 0;
  std::int8_t codes[2];
  oracle().quantize_rows(weights.data(), 1, 2, 2, rule, &scale, nullptr, codes, nullptr);
  EXPECT_EQ(scale, 0.7890625f);
  EXPECT_EQ(codes[0], 127);
  EXPECT_EQ(codes[1], 63);
  rule.scale_floats = ScaleFloats::kHalf;
  const float least = 1e-9f;
  oracle().quantize_rows(&least, 1, 1, 1, rule, &scale, nullptr, codes, nullptr);
  EXPECT_EQ(scale, 0x1p-24f);
  EXPECT_EQ(codes[0], 0);
}

// Low nibbles first, each code + 8.
TEST(Oracle, PackedCodes) {
  std::vector<float> weights(16, 0);
  weights[0] = -7.5f;
  weights[1] = 1;
  weights[3] = 7;
  CodeRule rule{-8, 7, true, 0, 7.5f};
  rule.is_packed = true;
  float scale = 0;
  std::vector<std::int8_t> packed(8);
  oracle().quantize_rows(weights.data(), 1, 16, 16, rule, &scale, nullptr, packed.data(), nullptr);
  EXPECT_EQ(packed[0], static_cast<std::int8_t>(0x90));
  EXPECT_EQ(packed[1], static_cast<std::int8_t>(0xf8));
  EXPECT_EQ(packed[7], static_cast<std::int8_t>(0x88));
}

// 3.2 becomes 3.25: of it 0.05 is lost.
TEST(Oracle, WhatFloatsLose) {
  const std::vector<float> weights{448, 3.2f, -2};
  const float scale = 1;
  std::vector<std::int8_t> codes(weights.size());
  ErrorSums sums;
  oracle().encode_floats(weights.data(), 1, 3, 3, kE4M3, &scale, codes.data(), &sums);
  EXPECT_NEAR(sums.signal, 448 * 448 + 3.2 * 3.2 + 4, 1e-2);
  EXPECT_NEAR(sums.error, 0.0025, 1e-8);
  EXPECT_NEAR(sums.max_error, 0.05, 1e-6);
}

// Values -1, 0.5 and 2 with codes 7, 3 and 9.
TEST(Oracle, ValuesOfABook) {
  BookRule rule{.thresholds = {-0.25f, 1.25f}, .codes = {7, 3, 9}, .largest = 2};
  std::fill(rule.thresholds + 2, std::end(rule.thresholds), INFINITY);
  const std::vector<float> weights{-5, -1, -0.25f, -0.24f, 0.5f, 1.25f, 1.26f, 100};
  std::vector<std::int8_t> codes(weights.size());
  float scale = 1;
  const auto encode = [&] {
    oracle().encode_book(weights.data(), 1, weights.size(), weights.size(), rule, &scale, codes.data());
    return codes;
  };
  EXPECT_EQ(encode(), (std::vector<std::int8_t>{7, 7, 7, 3, 3, 3, 9, 9}));
  scale = -2;
  EXPECT_EQ(encode(), (std::vector<std::int8_t>{9, 3, 3, 3, 7, 7, 7, 7}));
  scale = 0;
  EXPECT_EQ(encode(), std::vector<std::int8_t>(weights.size()));
}

TEST(Oracle, WhatCodesExplain) {
  const std::vector<float> book{0, 2, -3}, weights{1, 10, 100, 5, 7};
  const std::vector<std::int8_t> codes{1, 2, 0, 1, 2};
  CodeSums sums[2];
  oracle().code_sums(weights.data(), 1, 5, 3, book.data(), book.size(), codes.data(), sums);
  EXPECT_EQ(sums[0].a, 2 - 30);
  EXPECT_EQ(sums[0].b, 4 + 9);
  EXPECT_EQ(sums[1].a, 10 - 21);
  EXPECT_EQ(sums[1].b, 4 + 9);
}

// 0, 0.5, 1, 1.5, 2, 3, 4, 6; ties go to the even code.
TEST(Oracle, FloatsOfFourBits) {
  EXPECT_EQ(float_codes({0, 0.5f, 1, 1.5f, 2, 3, 4, 6, 7, -3}, kE2M1),
            (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 7, 13}));
  EXPECT_EQ(float_codes({0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5}, kE2M1), (std::vector<int>{0, 2, 2, 4, 4, 6, 6}));
  EXPECT_EQ(float_codes({0.125f, 7.5f, 7.3f, 0.0625f, 0.1875f}, kE2M3), (std::vector<int>{1, 31, 31, 0, 2}));
}

}  // namespace
}  // namespace mnq::kernels::test
