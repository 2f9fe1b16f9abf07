// Compare: numbers by hand, quantized against float, and what cannot be compared.
#include <gtest/gtest.h>

#include <limits>

#include "job_fixture.h"

namespace mnq::test {
namespace {

Json compare_models(const TensorSource& a, const TensorSource& b) {
  RunControl control;
  return compare(a, b, Config(nullptr, nullptr), control).json();
}

const Json& layer_of(const Json& report, const std::string& tensor) {
  return *std::ranges::find_if(report["layers"], [&](const Json& layer) { return layer["tensor"] == tensor; });
}

TEST(Compare, NumbersByHand) {
  // Signal 9 + 16 = 25, error 0.25: 20 dB.
  const auto a = one_weight({1, 2}, {3, 4}), b = one_weight({1, 2}, {3, 4.5f});
  const Json report = compare_models(*a, *b);
  EXPECT_NEAR(report["layers"][0]["sqnr_db"].get<double>(), 20, 1e-9);
  EXPECT_EQ(report["layers"][0]["max_error"], 0.5);
  EXPECT_NEAR(report["model"]["sqnr_db"].get<double>(), 20, 1e-9);
  EXPECT_EQ(report["model"]["tensors_compared"], 1);
}

TEST(Compare, TheSameIsExact) {
  const auto a = one_weight({40, 50}, normal_values(2000, 1));
  const Json report = compare_models(*a, *a);
  EXPECT_EQ(report["layers"][0]["exact"], true);
  EXPECT_TRUE(report["layers"][0]["sqnr_db"].is_null());
}

TEST(Compare, TensorsWithoutElementsAreTheSame) {
  for (const Shape& shape : {Shape{0}, Shape{0, 1}, Shape{1, 0}, Shape{0, 3}, Shape{0, 0}, Shape{2, 0, 1}}) {
    const auto a = model_of({{"a", tensor_of(DType::kF32, shape, std::vector<float>())}});
    EXPECT_EQ(compare_models(*a, *a)["layers"][0]["exact"], true) << shape_text(shape);
    RunControl control;
    EXPECT_TRUE(validate(*a, a.get(), Config(nullptr, nullptr), control).problems().empty()) << shape_text(shape);
  }
}

// What quantize measured in passing is what compare measures afterwards, for every scheme.
TEST(Compare, AgreesWithTheReportOfQuantize) {
  const auto model = one_weight({70, 600}, normal_values(42000, 2));
  for (const char* settings :
       {"{}", R"({"bits": 4})", R"({"bits": 4, "symmetric": false})", R"({"per_channel": false})",
        R"({"dtype": "quint8"})", R"({"bits": 16})", R"({"channel_axis": 1})"}) {
    const Result quantized = quantize_in_memory(*model, settings);
    const Json report = compare_models(*model, *quantized.model);
    EXPECT_NEAR(report["layers"][0]["sqnr_db"].get<double>(), quantized.report["layers"][0]["sqnr_db"].get<double>(),
                1e-4)
        << settings;
    EXPECT_NEAR(report["layers"][0]["max_error"].get<double>(),
                quantized.report["layers"][0]["max_error"].get<double>(), 1e-9)
        << settings;
  }
}

// A large tensor that is copied adds signal and no error: counted, it would make the same file look better here than
// there.
TEST(Compare, CopiedTensorsDoNotCountForTheModel) {
  const auto model = model_of({{"fc.weight", tensor_of(DType::kF32, {8, 64}, normal_values(512, 4))},
                               {"norm.weight", tensor_of(DType::kF32, {4096}, std::vector<float>(4096, 9))}});
  const Result quantized = quantize_in_memory(*model, "{}");
  const Json report = compare_models(*model, *quantized.model);
  EXPECT_NEAR(report["model"]["sqnr_db"].get<double>(), quantized.report["model"]["sqnr_db"].get<double>(), 1e-4);
  EXPECT_EQ(report["model"]["tensors_compared"], 2);
  EXPECT_EQ(report["layers"][1]["exact"], true);
}

TEST(Compare, LongRowsAndOtherAxes) {
  const auto a = one_weight({3, 2000000}, normal_values(6000000, 3));
  const Result quantized = quantize_in_memory(*a, "{}");
  const Json report = compare_models(*a, *quantized.model);
  EXPECT_NEAR(report["layers"][0]["sqnr_db"].get<double>(), quantized.report["layers"][0]["sqnr_db"].get<double>(),
              1e-4);
}

TEST(Compare, InfinitiesThatBothHaveAreTheSame) {
  const float infinity = std::numeric_limits<float>::infinity();
  const auto model = model_of({{"mask", tensor_of(DType::kF32, {1, 3}, std::vector<float>{0, 2, -infinity})}});
  const Json report = compare_models(*model, *model);
  EXPECT_EQ(layer_of(report, "mask")["action"], "compare");
  EXPECT_EQ(layer_of(report, "mask")["exact"], true);
  EXPECT_EQ(report["model"]["exact"], true);
}

TEST(Compare, Float64BeyondFloat32) {
  const auto model_with = [](double value) {
    return model_of({{"a", tensor_of(DType::kF64, {1, 2}, std::vector<double>{value, value})}});
  };
  for (const double value : {1e300, 1e-300}) {
    EXPECT_EQ(layer_of(compare_models(*model_with(value), *model_with(value)), "a")["exact"], true) << value;
    const Json report = compare_models(*model_with(value), *model_with(value * 1.5));
    EXPECT_EQ(layer_of(report, "a")["action"], "compare") << value;
    EXPECT_EQ(layer_of(report, "a")["exact"], false) << value;
    EXPECT_DOUBLE_EQ(layer_of(report, "a")["max_error"].get<double>(), value * 0.5);
  }
}

TEST(Compare, WhatCannotBeComparedSaysWhy) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto a = model_of({{"a.weight", tensor_of(DType::kF32, {1, 2}, std::vector<float>{1, 2})},
                           {"b.weight", tensor_of(DType::kF32, {1, 2}, std::vector<float>{1, 2})},
                           {"c.weight", tensor_of(DType::kF32, {1, 2}, std::vector<float>{1, nan})},
                           {"steps", tensor_of(DType::kI64, {1}, std::vector<std::int64_t>{1})}});
  const auto b = model_of({{"b.weight", tensor_of(DType::kF32, {2, 1}, std::vector<float>{1, 2})},
                           {"c.weight", tensor_of(DType::kF32, {1, 2}, std::vector<float>{1, 2})},
                           {"d.weight", tensor_of(DType::kF32, {1, 2}, std::vector<float>{1, 2})},
                           {"steps", tensor_of(DType::kI64, {1}, std::vector<std::int64_t>{2})}});
  const Json report = compare_models(*a, *b);
  EXPECT_EQ(layer_of(report, "a.weight")["reason"], "only in the first");
  EXPECT_EQ(layer_of(report, "b.weight")["reason"], "its shape is [2, 1] in the second");
  EXPECT_EQ(layer_of(report, "c.weight")["reason"], "element 1 is not finite in one of the two");
  EXPECT_EQ(layer_of(report, "d.weight")["reason"], "only in the second");
  EXPECT_EQ(layer_of(report, "steps")["reason"], "its I64 values differ");
  EXPECT_EQ(report["model"]["tensors_skipped"], 4);
}

TEST(Compare, AnyTwoFloatDtypes) {
  const auto a = model_of({{"fc.weight", tensor_of(DType::kF64, {1, 2}, std::vector<double>{3, 4})}});
  const auto b = model_of({{"fc.weight", tensor_of(DType::kF16, {1, 2}, std::vector<std::uint16_t>{0x4200, 0x4480})}});
  const Json report = compare_models(*a, *b);  // 3 and 4.5
  EXPECT_NEAR(report["layers"][0]["sqnr_db"].get<double>(), 20, 1e-9);
  EXPECT_EQ(report["layers"][0]["dtype_other"], "F16");
}

// A file of 600 bytes may say so.
TEST(Compare, RowsWithoutElementsAreNotWalked) {
  const auto a = model_of({{"fc.weight", tensor_of(DType::kF32, {std::int64_t{1} << 40, 0}, std::vector<float>{})}});
  RunControl control;
  const Report report = compare(*a, *a, Config(nullptr, nullptr), control);
  EXPECT_EQ(report.json()["layers"].size(), 1u);
}

}  // namespace
}  // namespace mnq::test
