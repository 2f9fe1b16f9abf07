// What validate finds: each problem planted in a quantized model that was sound before.
#include <gtest/gtest.h>

#include <limits>

#include "job_fixture.h"

namespace mnq::test {
namespace {

Json validate_model(const TensorSource& source, const TensorSource* original = nullptr) {
  RunControl control;
  return validate(source, original, Config(nullptr, nullptr), control).json();
}

NamedTensor& find(std::vector<NamedTensor>& tensors, const std::string& name) {
  return *std::ranges::find(tensors, name, &NamedTensor::name);
}

class ValidateTest : public testing::Test {
 protected:
  std::shared_ptr<const TensorSource> float_model_ =
      model_of({{"fc.weight", tensor_of(DType::kF32, {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6})},
                {"fc.bias", tensor_of(DType::kF32, {2}, std::vector<float>{1, 2})}});
  std::shared_ptr<const TensorSource> model_ = quantize_in_memory(*float_model_, "{}").model;
  std::vector<NamedTensor> tensors_ = tensors_of(*model_);

  // The one problem of the changed model.
  std::string problem(const TensorSource* original = nullptr) {
    const Json report = validate_model(*make_memory_source(tensors_, {}, *model_->own_metadata()), original);
    EXPECT_EQ(report["model"]["valid"], false);
    EXPECT_EQ(report["problems"].size(), 1u) << report["problems"];
    return report["problems"].empty() ? "" : report["problems"][0].dump();
  }
  void set_scales(std::vector<float> scales) {
    find(tensors_, "fc.weight_scale").tensor = tensor_of(DType::kF32, {2, 1}, scales);
  }
};

TEST_F(ValidateTest, ASoundModelIsValid) {
  for (const TensorSource* model : {float_model_.get(), model_.get()}) {
    const Json report = validate_model(*model, float_model_.get());
    EXPECT_EQ(report["model"]["valid"], true) << report["problems"];
    EXPECT_EQ(report["model"]["tensors_checked"], 2);
  }
}

TEST_F(ValidateTest, ScalesMustBePositiveAndFinite) {
  for (const float bad :
       {0.0f, -1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    set_scales({1, bad});
    EXPECT_NE(problem().find("scale"), std::string::npos) << bad;
  }
}

TEST_F(ValidateTest, AMissingScale) {
  std::erase_if(tensors_, [](const NamedTensor& tensor) { return tensor.name == "fc.weight_scale"; });
  const Json report = validate_model(*make_memory_source(tensors_, {}, *model_->own_metadata()));
  EXPECT_EQ(report["model"]["valid"], false);
  EXPECT_NE(report["problems"].dump().find("fc.weight_scale is missing"), std::string::npos) << report["problems"];
}

TEST_F(ValidateTest, AScaleOfAnotherShape) {
  find(tensors_, "fc.weight_scale").tensor = tensor_of(DType::kF32, {2}, std::vector<float>{1, 1});
  const Json report = validate_model(*make_memory_source(tensors_, {}, *model_->own_metadata()));
  EXPECT_NE(report["problems"].dump().find("must be F32 [2, 1]"), std::string::npos) << report["problems"];
}

TEST_F(ValidateTest, CodesWithoutMetadataStillNeedAScale) {
  std::erase_if(tensors_, [](const NamedTensor& tensor) { return tensor.name == "fc.weight_scale"; });
  const Json report = validate_model(*make_memory_source(tensors_, {}));
  EXPECT_NE(report["problems"].dump().find("fc.weight_scale is missing"), std::string::npos) << report["problems"];
}

TEST_F(ValidateTest, ValuesThatAreNotFinite) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  find(tensors_, "fc.bias").tensor = tensor_of(DType::kF32, {2}, std::vector<float>{1, nan});
  const std::string text = problem();
  EXPECT_NE(text.find("fc.bias"), std::string::npos) << text;
  EXPECT_NE(text.find("element 1 is not finite"), std::string::npos) << text;
}

TEST_F(ValidateTest, TheShapePartOfInt4MustAgree) {
  const auto wide = one_weight({2, 512}, normal_values(1024, 1));
  const Result quantized = quantize_in_memory(*wide, R"({"bits": 4})");
  std::vector<NamedTensor> tensors = tensors_of(*quantized.model);
  find(tensors, "fc.weight_shape").tensor = tensor_of(DType::kI64, {2}, std::vector<std::int64_t>{4, 256});
  const Json report = validate_model(*make_memory_source(tensors, {}, *quantized.model->own_metadata()));
  ASSERT_EQ(report["problems"].size(), 1u) << report["problems"];
  EXPECT_NE(report["problems"][0].dump().find("fc.weight"), std::string::npos);
}

TEST_F(ValidateTest, AgainstAnOriginal) {
  const auto more = model_of({{"fc.weight", tensor_of(DType::kF32, {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6})},
                              {"fc.bias", tensor_of(DType::kF32, {2}, std::vector<float>{1, 2})},
                              {"other", tensor_of(DType::kF32, {1}, std::vector<float>(1, 1))}});
  EXPECT_NE(problem(more.get()).find("is missing: the original has it"), std::string::npos);
  const auto less = model_of({{"fc.weight", tensor_of(DType::kF32, {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6})}});
  EXPECT_NE(problem(less.get()).find("is not in the original"), std::string::npos);
  const auto other_shape = model_of({{"fc.weight", tensor_of(DType::kF32, {3, 2}, std::vector<float>(6, 1))},
                                     {"fc.bias", tensor_of(DType::kF32, {2}, std::vector<float>{1, 2})}});
  EXPECT_NE(problem(other_shape.get()).find("the original's is [3, 2]"), std::string::npos);
}

TEST_F(ValidateTest, AnotherWidthOfFloatsIsNoProblem) {
  const std::vector<std::uint16_t> halves{0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600};  // 1 to 6
  const auto half = model_of({{"fc.weight", tensor_of(DType::kF16, {2, 3}, halves)},
                              {"fc.bias", tensor_of(DType::kF32, {2}, std::vector<float>{1, 2})}});
  const Json report = validate_model(*half, float_model_.get());
  EXPECT_EQ(report["model"]["valid"], true) << report["problems"];
  EXPECT_NE(report["warnings"].dump().find("fc.weight: is F16, but the original is F32"), std::string::npos)
      << report["warnings"];
  const auto integers = model_of({{"fc.weight", tensor_of(DType::kI32, {2, 3}, std::vector<std::int32_t>(6, 1))},
                                  {"fc.bias", tensor_of(DType::kF32, {2}, std::vector<float>{1, 2})}});
  EXPECT_EQ(validate_model(*integers, float_model_.get())["problems"].size(), 1u);
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::shared_ptr<const TensorSource> with_mask(const std::vector<float>& mask, float weight = 6) {
  return model_of({{"fc.weight", tensor_of(DType::kF32, {2, 3}, std::vector<float>{1, 2, 3, 4, 5, weight})},
                   {"attn_mask", tensor_of(DType::kF32, {2, 2}, mask)}});
}

TEST(ValidateNotFinite, MasksMayHoldInfinities) {
  const auto model = with_mask({0, -kInfinity, 0, 0});
  const auto quantized = quantize_in_memory(*model, "{}").model;
  for (const TensorSource* original : {static_cast<const TensorSource*>(nullptr), model.get()}) {
    for (const TensorSource* source : {model.get(), quantized.get()}) {
      const Json report = validate_model(*source, original);
      EXPECT_EQ(report["model"]["valid"], true) << report["problems"];
      EXPECT_NE(report["warnings"].dump().find("attn_mask: element 1 is infinite"), std::string::npos)
          << report["warnings"];
    }
  }
}

TEST(ValidateNotFinite, WhatIsNotTheOriginalsIsAProblem) {
  const auto original = with_mask({0, 0, 0, 0});
  const Json report = validate_model(*with_mask({0, -kInfinity, 0, 0}), original.get());
  EXPECT_EQ(report["problems"].dump(), R"([{"tensor":"attn_mask","problem":"element 1 is not finite"}])");
}

TEST(ValidateNotFinite, NaNIsAProblemUnlessTheOriginalHasIt) {
  const auto model = with_mask({0, -kInfinity, kNan, 0});
  EXPECT_EQ(validate_model(*model)["problems"].dump(),
            R"([{"tensor":"attn_mask","problem":"element 2 is not finite"}])");
  EXPECT_EQ(validate_model(*model, model.get())["model"]["valid"], true);
}

TEST(ValidateNotFinite, AWeightMayHoldNeither) {
  for (const float bad : {kNan, kInfinity}) {
    const auto model = with_mask({0, 0, 0, 0}, bad);
    for (const TensorSource* original : {static_cast<const TensorSource*>(nullptr), model.get()}) {
      EXPECT_EQ(validate_model(*model, original)["problems"].dump(),
                R"([{"tensor":"fc.weight","problem":"element 5 is not finite"}])");
    }
  }
}

TEST(ValidateNotFinite, AFloat64BeyondFloat32IsFinite) {
  const auto model = model_of({{"fc.weight", tensor_of(DType::kF64, {1, 2}, std::vector<double>{1e300, 1})}});
  EXPECT_EQ(validate_model(*model)["model"]["valid"], true);
  EXPECT_EQ(validate_model(*model, model.get())["model"]["valid"], true);
}

std::shared_ptr<const TensorSource> weight_and_bias(unsigned seed) {
  return model_of({{"fc.weight", tensor_of(DType::kF32, {64, 64}, normal_values(64 * 64, seed))},
                   {"fc.bias", tensor_of(DType::kF32, {64}, normal_values(64, 1))}});
}

TEST(ValidateAgainst, AnotherModelOfTheSameShapes) {
  for (const char* settings : {"{}", R"({"bits": 4})", R"({"dtype": "float16"})", R"({"per_channel": false})"}) {
    const auto quantized = quantize_in_memory(*weight_and_bias(1), settings).model;
    const Json same = validate_model(*quantized, weight_and_bias(1).get());
    EXPECT_EQ(same["model"]["valid"], true) << same["problems"];
    EXPECT_EQ(same["warnings"], Json::array());
    const Json report = validate_model(*quantized, weight_and_bias(2).get());
    ASSERT_EQ(report["problems"].size(), 1u) << settings;
    EXPECT_EQ(report["problems"][0]["tensor"], "fc.weight");
    const std::string text = report["problems"][0]["problem"].get<std::string>();
    EXPECT_NE(text.find("its values are not the original's: -3."), std::string::npos) << text;
    EXPECT_NE(text.find(" dB, below 10 dB (sqnr_critical_db)"), std::string::npos) << text;
  }
}

TEST(ValidateAgainst, TheReportHasTheAccuracyThatQuantizeHad) {
  const auto model = weight_and_bias(1);
  const Result quantized = quantize_in_memory(*model, "{}");
  const Json report = validate_model(*quantized.model, model.get());
  ASSERT_EQ(report["layers"].size(), 2u);
  EXPECT_EQ(report["layers"][0]["action"], "compare");
  EXPECT_EQ(report["layers"][0]["scheme"], "int8 per channel");
  EXPECT_NEAR(report["layers"][0]["sqnr_db"].get<double>(), quantized.report["layers"][0]["sqnr_db"].get<double>(),
              1e-6);
  EXPECT_NEAR(report["model"]["max_error"].get<double>(), quantized.report["model"]["max_error"].get<double>(), 1e-9);
  EXPECT_EQ(report["layers"][1]["exact"], true);
}

// One value of 1000 and many of 1 in four bits: an honest 0 dB and less, with the file's own record of it and without.
TEST(ValidateAgainst, ALayerThatIsHonestlyBadIsTheOriginals) {
  std::vector<float> values = normal_values(64 * 64, 1);
  for (std::size_t row = 0; row < 64; ++row) values[row * 64] = 2;
  const auto model = one_weight({64, 64}, values);
  const auto negated = [&] {
    std::vector<float> others(values);
    for (float& value : others) value = -value;
    return one_weight({64, 64}, others);
  }();
  const auto quantized =
      quantize_in_memory(*model, R"({"bits": 4, "sqnr_critical_db": 35, "sqnr_warning_db": 35})").model;
  const Settings critical = parse_settings(R"({"sqnr_critical_db": 35, "sqnr_warning_db": 35})");
  RunControl control;
  for (const bool has_record : {true, false}) {
    OwnMetadata own = *quantized->own_metadata();
    ASSERT_TRUE(own.entries.at(0).sqnr_db.has_value());
    if (!has_record) own.entries[0].sqnr_db.reset();
    const auto source = make_memory_source(tensors_of(*quantized), {}, own);
    const Report same = validate(*source, model.get(), Config(&critical, nullptr), control);
    EXPECT_TRUE(same.problems().empty()) << same.problems().front();
    ASSERT_EQ(same.warnings().size(), 1u);
    EXPECT_NE(same.warnings()[0].find("fc.weight: "), std::string::npos);
    EXPECT_NE(same.warnings()[0].find("below 35 dB: critical"), std::string::npos) << same.warnings()[0];
    EXPECT_EQ(validate(*source, negated.get(), Config(&critical, nullptr), control).problems().size(), 1u);
  }
}

// Its weights were a little others when it was quantized.
TEST(ValidateAgainst, AnotherVersionIsWarnedOf) {
  std::vector<float> values = normal_values(64 * 64, 1);
  const auto quantized = quantize_in_memory(*one_weight({64, 64}, values), "{}").model;
  for (std::size_t i = 0; i < values.size(); i += 2) values[i] *= 1.05f;
  const Json report = validate_model(*quantized, one_weight({64, 64}, values).get());
  EXPECT_EQ(report["model"]["valid"], true) << report["problems"];
  EXPECT_NE(report["warnings"].dump().find("another version of the original"), std::string::npos) << report["warnings"];
}

TEST(ValidateAgainst, CopiedIntegersAreTheOriginals) {
  const auto model_with = [](std::int64_t steps) {
    return model_of({{"steps", tensor_of(DType::kI64, {1}, std::vector<std::int64_t>{steps})}});
  };
  EXPECT_EQ(validate_model(*model_with(1), model_with(1).get())["model"]["valid"], true);
  EXPECT_EQ(validate_model(*model_with(1), model_with(2).get())["problems"].dump(),
            R"([{"tensor":"steps","problem":"its values are not the original's"}])");
}

// Groups with scales in float16 are not ggml's for that.
TEST_F(ValidateTest, ScalesOfGroupsInFloat16MustBePositive) {
  const auto model =
      model_of({{"fc.weight", tensor_of(DType::kF16, {2, 64}, std::vector<std::uint16_t>(128, 0x3c00))}});
  const Result quantized = quantize_in_memory(*model, R"({"group_size": 32})");
  OwnMetadata own = *quantized.model->own_metadata();
  own.entries.at(0).spec.scale_dtype = DType::kF16;
  std::vector<NamedTensor> tensors = tensors_of(*quantized.model);
  EXPECT_EQ(validate_model(*make_memory_source(tensors, {}, own))["model"]["valid"], true);
  find(tensors, "fc.weight_scale").tensor = tensor_of(DType::kF32, {2, 2}, std::vector<float>{1, -1, 1, 1});
  EXPECT_EQ(validate_model(*make_memory_source(tensors, {}, own))["problems"].size(), 1u);
}

}  // namespace
}  // namespace mnq::test
