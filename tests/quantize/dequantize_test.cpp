// Back to floats: every scheme, every float dtype, codes times scales by hand.
#include <gtest/gtest.h>

#include "job_fixture.h"

namespace mnq::test {
namespace {

TEST(Dequantize, CodesTimesScales) {
  // scale 2/127 and 1: 2 -> 127, -1 -> -64 (63.5 to even), 127 -> 127, 0.5 -> 0 (half to even).
  const Result quantized = quantize_in_memory(*one_weight({2, 2}, {2, -1, 127, 0.5}), "{}");
  const Result result = dequantize_in_memory(*quantized.model);
  const float scale = 2.0f / 127;
  EXPECT_EQ(read_values<float>(*result.model, "fc.weight"), (std::vector<float>{127 * scale, -64 * scale, 127, 0}));
  EXPECT_EQ(result.model->tensors().size(), 1u);
  EXPECT_EQ(result.model->own_metadata(), nullptr);
  EXPECT_EQ(result.report["model"]["layers_dequantized"], 1);
}

TEST(Dequantize, AsymmetricZeroPoint) {
  // Range 0 to 255, scale 1, zero point -128: codes -128 and 127.
  const Result quantized = quantize_in_memory(*one_weight({1, 3}, {0, 100, 255}), R"({"symmetric": false})");
  EXPECT_EQ(read_values<std::int8_t>(*quantized.model, "fc.weight_zero_point"), std::vector<std::int8_t>{-128});
  EXPECT_EQ(read_values<float>(*dequantize_in_memory(*quantized.model).model, "fc.weight"),
            (std::vector<float>{0, 100, 255}));
  EXPECT_EQ(quantized.report["layers"][0]["exact"], true);
  EXPECT_TRUE(quantized.report["layers"][0]["sqnr_db"].is_null());
}

// Every scheme stays within half a step of each weight, whatever the shape.
TEST(Dequantize, RoundTripWithinHalfAStep) {
  for (const char* settings :
       {R"({})", R"({"symmetric": false})", R"({"per_channel": false})",
        R"({"per_channel": false, "symmetric": false})", R"({"group_size": 24})", R"({"dtype": "quint8"})",
        R"({"dtype": "quint8", "symmetric": true})", R"({"bits": 4, "min_parameters": 0, "method": "minmax"})",
        R"({"bits": 4, "group_size": 32, "symmetric": false, "min_parameters": 0, "method": "minmax"})",
        R"({"bits": 4, "group_size": 0, "min_parameters": 0, "method": "minmax"})", R"({"channel_axis": 1})"}) {
    const auto values = normal_values(37 * 100, 12);
    const Result quantized = quantize_in_memory(*one_weight({37, 100}, values), settings);
    ASSERT_EQ(quantized.report["layers"][0]["action"], "quantize") << settings;
    const auto scales = read_values<float>(*quantized.model, "fc.weight_scale");
    const float step = *std::ranges::max_element(scales);
    const auto restored = read_values<float>(*dequantize_in_memory(*quantized.model).model, "fc.weight");
    ASSERT_EQ(restored.size(), values.size());
    double signal = 0, error = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      // An asymmetric zero point is rounded, too: the ends of the range may be cut by half a step.
      ASSERT_NEAR(restored[i], values[i], step * 1.001) << settings << " at " << i;
      signal += static_cast<double>(values[i]) * values[i];
      error += std::pow(static_cast<double>(values[i]) - restored[i], 2);
    }
    EXPECT_NEAR(quantized.report["layers"][0]["sqnr_db"].get<double>(), 10 * std::log10(signal / error), 1e-3)
        << settings;
  }
}

TEST(Dequantize, GivesBackTheDtypeItCameFrom) {
  const std::vector<std::uint16_t> halves{0x3C00, 0xB800};  // 1, -0.5
  const auto model = model_of({{"a.weight", tensor_of(DType::kF16, {1, 2}, halves)},
                               {"b.weight", tensor_of(DType::kF64, {1, 2}, std::vector<double>{255, 0})}});
  const Result quantized = quantize_in_memory(*model, R"({"symmetric": false})");
  const Result result = dequantize_in_memory(*quantized.model);
  EXPECT_EQ(result.model->tensors()[result.model->find("a.weight")].dtype, DType::kF16);
  EXPECT_EQ(read_values<double>(*result.model, "b.weight"), (std::vector<double>{255, 0}));
}

TEST(Dequantize, Float16IsWidenedAgain) {
  const Result quantized = quantize_in_memory(*one_weight({1, 3}, {1, 0.1f, -2}), R"({"dtype": "float16"})");
  EXPECT_EQ(read_values<std::uint16_t>(*quantized.model, "fc.weight"),
            (std::vector<std::uint16_t>{0x3C00, 0x2E66, 0xC000}));
  const float tenth = 0x1.998p-4f;  // 0.1 as float16
  EXPECT_EQ(read_values<float>(*dequantize_in_memory(*quantized.model).model, "fc.weight"),
            (std::vector<float>{1, tenth, -2}));
  EXPECT_EQ(quantized.report["model"]["layers_cast"], 1);
}

// Group sizes that only a file can have: pieces of long rows do not follow them.
TEST(Dequantize, GroupsOfAnySizeInLongRows) {
  const std::int64_t length = (1 << 20) + 1;
  for (const std::uint64_t group_size : {200000ull, 1ull << 61, ~0ull >> 1}) {
    const std::size_t groups = ceil_div(length, group_size);
    QuantizedSpec spec;
    spec.scheme = "qint8";
    spec.granularity = Granularity::kGroup;
    spec.group_size = group_size;
    spec.shape = {1, length};
    std::vector<float> scales(groups);
    for (std::size_t i = 0; i < groups; ++i) scales[i] = static_cast<float>(i + 1);
    const auto model =
        make_memory_source({{"w", tensor_of(DType::kI8, {1, length}, std::vector<std::int8_t>(length, 1))},
                            {"w_scale", tensor_of(DType::kF32, {1, static_cast<std::int64_t>(groups)}, scales)}},
                           {}, OwnMetadata{{{"w", spec, std::nullopt}}, {}});
    const auto weights = read_values<float>(*dequantize_in_memory(*model).model, "w");
    ASSERT_EQ(weights.size(), static_cast<std::size_t>(length));
    for (std::size_t i = 0; i < weights.size(); ++i) ASSERT_EQ(weights[i], static_cast<float>(i / group_size + 1)) << i;
  }
}

// The lowest of 16 codes is -8, and -8 / 7.5 of the largest weight is more than float16 has.
TEST(Dequantize, TheLowestCodeStaysWithinTheDtype) {
  std::vector<std::uint16_t> values(64 * 64, 0);
  values[3] = 0xfbff;  // -65504
  const auto model = model_of({{"fc.weight", tensor_of(DType::kF16, {64, 64}, values)}});
  const Result quantized = quantize_in_memory(*model, R"({"bits": 4})");
  EXPECT_EQ(read_values<std::uint16_t>(*dequantize_in_memory(*quantized.model).model, "fc.weight"), values);
}

}  // namespace
}  // namespace mnq::test
