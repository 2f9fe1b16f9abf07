// The integer Linear layer: by hand, at the edges, and the same bits from every instruction set.
#include <gtest/gtest.h>

#include "kernel_cases.h"

namespace mnq::kernels::test {
namespace {

std::vector<std::int8_t> codes_of(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::int8_t> codes(count);
  for (std::int8_t& code : codes) code = static_cast<std::int8_t>(static_cast<int>(random() % 255) - 127);
  return codes;
}

std::vector<KernelTable> tables() {
  std::vector<KernelTable> all{oracle()};
  for (const KernelTable* table : fast_tables()) all.push_back(*table);
  return all;
}

TEST(LinearInt8, ByHand) {
  const std::int8_t codes[] = {1, -2, 3, 127, 0, -127};
  const float scales[] = {0.5f, 2};
  const std::int8_t weights[] = {10, 20, 30, -128, 5, 1};
  const float weight_scales[] = {0.25f, 4};
  const std::int8_t zero_points[] = {1, -3};
  const float bias[] = {100, -1};
  for (const KernelTable& table : tables()) {
    float out[4];
    table.linear_int8(codes, scales, 2, 3, weights, weight_scales, nullptr, 1, nullptr, 2, out);
    // 10 - 40 + 90 = 60; -128 - 10 + 3 = -135; 1270 - 3810 = -2540; -16256 - 127 = -16383
    EXPECT_EQ(out[0], 60 * 0.5f * 0.25f);
    EXPECT_EQ(out[1], -135 * 0.5f * 4);
    EXPECT_EQ(out[2], -2540 * 2.0f * 0.25f);
    EXPECT_EQ(out[3], -16383 * 2.0f * 4);
    // The codes of the rows sum to 2 and 0.
    table.linear_int8(codes, scales, 2, 3, weights, weight_scales, zero_points, 1, bias, 2, out);
    EXPECT_EQ(out[0], (60 - 2) * 0.5f * 0.25f + 100);
    EXPECT_EQ(out[1], (-135 + 6) * 0.5f * 4 - 1);
    EXPECT_EQ(out[2], -2540 * 2.0f * 0.25f + 100);
    // One scale and zero point for all.
    table.linear_int8(codes, scales, 1, 3, weights, weight_scales, zero_points, 0, nullptr, 2, out);
    EXPECT_EQ(out[1], (-135 - 2) * 0.5f * 0.25f);
  }
}

TEST(LinearInt8, SameBitsEverywhere) {
  for (const std::size_t length : lengths()) {
    for (const std::size_t rows : {1, 3, 4, 5, 9}) {
      const std::size_t outputs = 7;
      const auto codes = codes_of(rows * length, 1), weights = codes_of(outputs * length, 2),
                 zeros = codes_of(outputs, 3);
      const auto scales = weights_of(0, rows), weight_scales = weights_of(0, outputs, 2),
                 bias = weights_of(0, outputs, 3);
      std::vector<float> wanted(rows * outputs);
      oracle().linear_int8(codes.data(), scales.data(), rows, length, weights.data(), weight_scales.data(),
                           zeros.data(), 1, bias.data(), outputs, wanted.data());
      for (const KernelTable* table : fast_tables()) {
        std::vector<float> out(rows * outputs, -1);
        table->linear_int8(codes.data(), scales.data(), rows, length, weights.data(), weight_scales.data(),
                           zeros.data(), 1, bias.data(), outputs, out.data());
        EXPECT_EQ(out, wanted) << table->isa << " " << rows << " x " << length;
      }
    }
  }
}

TEST(LinearInt8, TheLargestSumsAreExact) {
  const float one[] = {1, 1, 1, 1};
  for (const std::size_t length : {1u << 17, (1u << 17) + 33, 1u << 19}) {
    const std::vector<std::int8_t> codes(4 * length, 127), weights(length, -128);
    for (const KernelTable& table : tables()) {
      float out[4];
      table.linear_int8(codes.data(), one, 4, length, weights.data(), one, nullptr, 0, nullptr, 1, out);
      for (const float value : out)
        EXPECT_EQ(value, static_cast<float>(-16256.0 * static_cast<double>(length))) << table.isa;
    }
  }
}

TEST(LinearInt8, ARowWithoutAScaleHasNoOutput) {
  const std::vector<std::int8_t> codes(32), weights(32, 1);
  const float scales[] = {NAN}, one[] = {1};
  for (const KernelTable& table : tables()) {
    float out = 0;
    table.linear_int8(codes.data(), scales, 1, 32, weights.data(), one, nullptr, 1, nullptr, 1, &out);
    EXPECT_TRUE(std::isnan(out)) << table.isa;
  }
}

}  // namespace
}  // namespace mnq::kernels::test
