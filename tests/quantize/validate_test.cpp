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

// The tensors of a model, to be changed and made a model again.
std::vector<NamedTensor> tensors_of(const TensorSource& source) {
  std::vector<NamedTensor> tensors;
  for (const TensorInfo& info : source.tensors()) {
    std::vector<std::byte> bytes(info.size_bytes);
    source.read(tensors.size(), 0, bytes);
    tensors.push_back({info.name, tensor_of(info.dtype, info.shape, bytes)});
  }
  return tensors;
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
    const Json report = validate_model(*make_memory_source(tensors_, model_->metadata()), original);
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
  const Json report = validate_model(*make_memory_source(tensors_, model_->metadata()));
  EXPECT_EQ(report["model"]["valid"], false);
  EXPECT_NE(report["problems"].dump().find("fc.weight_scale is missing"), std::string::npos) << report["problems"];
}

TEST_F(ValidateTest, AScaleOfAnotherShape) {
  find(tensors_, "fc.weight_scale").tensor = tensor_of(DType::kF32, {2}, std::vector<float>{1, 1});
  const Json report = validate_model(*make_memory_source(tensors_, model_->metadata()));
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
  const Json report = validate_model(*make_memory_source(tensors, quantized.model->metadata()));
  ASSERT_EQ(report["problems"].size(), 1u) << report["problems"];
  EXPECT_NE(report["problems"][0].dump().find("fc.weight"), std::string::npos);
}

TEST_F(ValidateTest, AgainstAnOriginal) {
  const auto more = model_of({{"fc.weight", tensor_of(DType::kF32, {2, 3}, std::vector<float>(6, 1))},
                              {"fc.bias", tensor_of(DType::kF32, {2}, std::vector<float>(2, 1))},
                              {"other", tensor_of(DType::kF32, {1}, std::vector<float>(1, 1))}});
  EXPECT_NE(problem(more.get()).find("is missing: the original has it"), std::string::npos);
  const auto less = model_of({{"fc.weight", tensor_of(DType::kF32, {2, 3}, std::vector<float>(6, 1))}});
  EXPECT_NE(problem(less.get()).find("is not in the original"), std::string::npos);
  const auto other_shape = model_of({{"fc.weight", tensor_of(DType::kF32, {3, 2}, std::vector<float>(6, 1))},
                                     {"fc.bias", tensor_of(DType::kF32, {2}, std::vector<float>(2, 1))}});
  EXPECT_NE(problem(other_shape.get()).find("the original's is [3, 2]"), std::string::npos);
}

TEST_F(ValidateTest, AnotherWidthOfFloatsIsNoProblem) {
  const auto half = model_of({{"fc.weight", tensor_of(DType::kF16, {2, 3}, std::vector<std::uint16_t>(6, 0x3c00))},
                              {"fc.bias", tensor_of(DType::kF32, {2}, std::vector<float>{1, 2})}});
  const Json report = validate_model(*half, float_model_.get());
  EXPECT_EQ(report["model"]["valid"], true) << report["problems"];
  EXPECT_NE(report["warnings"].dump().find("fc.weight: is F16, but the original is F32"), std::string::npos)
      << report["warnings"];
  const auto integers = model_of({{"fc.weight", tensor_of(DType::kI32, {2, 3}, std::vector<std::int32_t>(6, 1))},
                                  {"fc.bias", tensor_of(DType::kF32, {2}, std::vector<float>{1, 2})}});
  EXPECT_EQ(validate_model(*integers, float_model_.get())["problems"].size(), 1u);
}

// Groups with scales in float16 are not ggml's for that.
TEST_F(ValidateTest, ScalesOfGroupsInFloat16MustBePositive) {
  const auto model =
      model_of({{"fc.weight", tensor_of(DType::kF16, {2, 64}, std::vector<std::uint16_t>(128, 0x3c00))}});
  const Result quantized = quantize_in_memory(*model, R"({"group_size": 32})");
  Metadata metadata = quantized.model->metadata();
  std::string& text = metadata.at(std::string(kMetadataKey));
  text.replace(text.find("\"group_size\""), 0, "\"scale_dtype\":\"F16\",");
  std::vector<NamedTensor> tensors = tensors_of(*quantized.model);
  EXPECT_EQ(validate_model(*make_memory_source(tensors, metadata))["model"]["valid"], true);
  find(tensors, "fc.weight_scale").tensor = tensor_of(DType::kF32, {2, 2}, std::vector<float>{1, -1, 1, 1});
  EXPECT_EQ(validate_model(*make_memory_source(tensors, metadata))["problems"].size(), 1u);
}

}  // namespace
}  // namespace mnq::test
