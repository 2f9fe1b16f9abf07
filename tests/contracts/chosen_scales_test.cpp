// Scales and codes that minmax chooses for floats and books, worked out by hand.
#include <gtest/gtest.h>

#include "quantize/job_fixture.h"

namespace mnq::test {
namespace {

// What is stored of [rows, columns] of weights, all 0 but the first ones of each row.
std::shared_ptr<const TensorSource> quantized(const char* dtype, std::int64_t columns, std::uint64_t group_size,
                                              const std::vector<std::vector<float>>& rows) {
  std::vector<float> values;
  for (const std::vector<float>& row : rows) {
    values.insert(values.end(), row.begin(), row.end());
    values.resize(values.size() + static_cast<std::size_t>(columns) - row.size());
  }
  const std::string settings = R"({"min_parameters": 0, "method": "minmax", "group_size": )" +
                               std::to_string(group_size) + R"(, "dtype": ")" + dtype + "\"}";
  const auto count = static_cast<std::int64_t>(rows.size());
  return quantize_in_memory(*one_weight({count, columns}, values), settings).model;
}

using Bytes = std::vector<std::uint8_t>;
using Words = std::vector<std::uint32_t>;

// The largest code is 6 (7.5, 448) and its step 2 (0.5, 32): half a step more is cut, what is further doubles the
// scale.
TEST(PowersOfTwo, AreTheLowestThatCutLessThanHalfAStep) {
  const auto scales_of = [](const char* dtype, const std::vector<std::vector<float>>& rows) {
    return read_values<std::uint8_t>(*quantized(dtype, 32, 32, rows), "fc.weight_scale");
  };
  EXPECT_EQ(scales_of("mxfp4", {{6}, {-6.99f}, {7}, {3.5f}, {3.49f}, {0}}), (Bytes{127, 127, 128, 127, 126, 127}));
  EXPECT_EQ(scales_of("mxfp6", {{7.5f}, {7.74f}, {-7.75f}}), (Bytes{127, 127, 128}));
  EXPECT_EQ(scales_of("mxfp8", {{448}, {463}, {464}}), (Bytes{127, 127, 128}));
}

// 6 becomes 6 * 448 at the first level, and 448 at the second: 448 is 0x7e, 224 is 0x76. The codes of 6, -3, 0, 0.5,
// and of 3 with half the scale.
TEST(TwoLevels, TheLargestScaleIsTheLargestFloat) {
  std::vector<float> row{6, -3, 0, 0.5f};
  row.resize(17, 0);
  row.back() = 3;
  const auto model = quantized("nvfp4", 32, 16, {row});
  EXPECT_EQ(read_values<float>(*model, "fc.weight_global_scale"), (std::vector<float>{448}));
  EXPECT_EQ(read_values<std::uint8_t>(*model, "fc.weight_scale"), (Bytes{0x7e, 0x76}));
  EXPECT_EQ(read_values<std::uint32_t>(*model, "fc.weight_packed"), (Words{0x10d7, 0, 7, 0}));
}

// -2 and 2 are the first and the last value, 0 the eighth, and 0.5 nearer to the thirteenth than to the next.
TEST(Books, TheLargestWeightIsTheLargestValue) {
  const auto model = quantized("nf4", 8, 8, {{-2, 2, 0, 1}});
  EXPECT_EQ(read_values<float>(*model, "fc.weight_scale"), (std::vector<float>{2}));
  EXPECT_EQ(read_values<std::uint32_t>(*model, "fc.weight_packed"), (Words{0x7777c7f0}));
}

// 12, 0.0625, 8, -3 of twelve; zeros have the first of two codes.
TEST(Books, ThoseOfBitsandbytesHaveNoOrder) {
  const auto model = quantized("fp4", 8, 8, {{12, 0.0625f, 8, -3}});
  EXPECT_EQ(read_values<float>(*model, "fc.weight_scale"), (std::vector<float>{12}));
  EXPECT_EQ(read_values<std::uint32_t>(*model, "fc.weight_packed"), (Words{0xf213}));
}

}  // namespace
}  // namespace mnq::test
