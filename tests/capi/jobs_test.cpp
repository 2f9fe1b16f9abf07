// Dequantize, compare and validate; and every job on files.
#include <gtest/gtest.h>

#include <cmath>

#include "fixture.h"
#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

const std::vector<float> kValues{-254, 1, 3, 5};        // 2 a step
const std::vector<float> kWithLosses{-254, 0, 4, 4};    // what comes back
constexpr double kLost = 3, kSignal = 254 * 254 + 35.;  // squared

Model quantized_model() { return mono_quant::quantize(one_weight({1, 4}, kValues)).model; }

TEST(Dequantize, GivesTheValuesOfTheCodes) {
  const Quantized result = mono_quant::dequantize(quantized_model());
  EXPECT_EQ(result.model.tensor_names(), std::vector<std::string>{"fc.weight"});
  EXPECT_EQ(values_of<float>(result.model, "fc.weight"), kWithLosses);
  EXPECT_EQ(result.report.layers().at(0).text("action"), "dequantize");
}

TEST(Dequantize, AFloatModelIsCopied) {
  const Quantized result = mono_quant::dequantize(one_weight({1, 4}, kValues));
  EXPECT_EQ(values_of<float>(result.model, "fc.weight"), kValues);
  EXPECT_EQ(result.report.layers().at(0).text("action"), "copy");
}

TEST(Compare, FloatWithQuantized) {
  const Report report = mono_quant::compare(one_weight({1, 4}, kValues), quantized_model());
  EXPECT_NEAR(*report.number("sqnr_db"), 10 * std::log10(kSignal / kLost), 1e-9);
  EXPECT_EQ(report.number("max_error"), 1);
  EXPECT_EQ(report.number("tensors_compared"), 1);
  EXPECT_EQ(report.layers().at(0).text("action"), "compare");
}

TEST(Compare, EqualModelsAreInfinitelyClose) {
  const Model model = one_weight({1, 4}, kValues);
  const Report report = mono_quant::compare(model, model.clone());
  EXPECT_EQ(report.number("sqnr_db"), INFINITY);
  EXPECT_EQ(report.number("exact"), 1);
}

TEST(Compare, WhatCannotBeComparedSaysWhy) {
  NamedTensors ours, theirs;
  ours.emplace_back("shared", tensor_of<float>({2}, {1, 2}));
  ours.emplace_back("ours", tensor_of<float>({1}, {1}));
  theirs.emplace_back("shared", tensor_of<float>({1, 2}, {1, 2}));
  theirs.emplace_back("theirs", tensor_of<float>({1}, {1}));
  const Report report = mono_quant::compare(Model::from_tensors(ours), Model::from_tensors(theirs));
  ASSERT_EQ(report.layers().size(), 3u);
  EXPECT_EQ(report.layers()[0].text("reason"), "its shape is [1, 2] in the second");
  EXPECT_EQ(report.layers()[1].text("reason"), "only in the first");
  EXPECT_EQ(report.layers()[2].text("reason"), "only in the second");
  EXPECT_EQ(report.number("tensors_skipped"), 3);
  EXPECT_EQ(report.warnings().size(), 1u);
}

class OnFiles : public testing::Test {
 protected:
  OnFiles() { one_weight({1, 4}, kValues).save(original_); }

  const TempFolder folder_;
  const std::string original_ = folder_.path("original.safetensors");
  const std::string small_ = folder_.path("small.safetensors");
  const std::string back_ = folder_.path("back.safetensors");
};

TEST_F(OnFiles, ThereAndBack) {
  const Report report = mono_quant::quantize_file(original_, small_);
  EXPECT_NE(report.json().find("\"input\":\"" + original_ + "\",\"output\":\"" + small_ + "\""), std::string::npos);
  EXPECT_EQ(values_of<std::int8_t>(Model::open(small_), "fc.weight"), (std::vector<std::int8_t>{-127, 0, 2, 2}));
  mono_quant::dequantize_file(small_, back_);
  EXPECT_EQ(values_of<float>(Model::open(back_), "fc.weight"), kWithLosses);
  EXPECT_EQ(folder_.names(), (std::set<std::string>{"original.safetensors", "small.safetensors", "back.safetensors"}));
}

TEST_F(OnFiles, FromAnOpenModelTheSameFile) {
  mono_quant::quantize_file(original_, small_);
  mono_quant::quantize_to_file(Model::open(original_), back_);
  EXPECT_EQ(read_bytes(small_), read_bytes(back_));
}

TEST_F(OnFiles, TheSameModelAsInMemory) {
  mono_quant::quantize_file(original_, small_);
  EXPECT_EQ(Model::open(small_).save_memory().text(), quantized_model().save_memory().text());
}

TEST_F(OnFiles, NeverOntoTheInput) {
  const std::string before = read_bytes(original_);
  const Config overwrite(R"({"overwrite": true})");
  EXPECT_EQ(error_of([&] { mono_quant::quantize_file(original_, original_, overwrite); }).code(), MNQ_E_INVALID_ARG);
  EXPECT_EQ(read_bytes(original_), before);
}

TEST_F(OnFiles, AFormatThatCannotBeWritten) {
  const Error error = error_of([&] { mono_quant::quantize_file(original_, folder_.path("out.jit")); });
  EXPECT_EQ(error.code(), MNQ_E_UNSUPPORTED) << error.what();
  EXPECT_FALSE(error.suggestion().empty());
}

TEST_F(OnFiles, ValidateFindsNothingWhereNothingIs) {
  mono_quant::quantize_file(original_, small_);
  const Report report = mono_quant::validate_file(small_, original_);
  EXPECT_EQ(report.number("valid"), 1);
  EXPECT_TRUE(report.problems().empty());
}

TEST_F(OnFiles, ValidateFindsValuesThatAreNotFinite) {
  write_bytes(small_, SafetensorsBytes().add<float>("a", "F32", "[2]", {1, NAN}).bytes());
  const Report report = mono_quant::validate_file(small_);
  EXPECT_EQ(report.number("valid"), 0);
  EXPECT_EQ(report.problems(), std::vector<std::string>{"a: element 1 is not finite"});
}

TEST_F(OnFiles, ValidateComparesTheNames) {
  write_bytes(small_, SafetensorsBytes().add<float>("other", "F32", "[1]", {1}).bytes());
  const Report report = mono_quant::validate_file(small_, original_);
  EXPECT_EQ(report.problems(),
            (std::vector<std::string>{"fc.weight: is missing: the original has it", "other: is not in the original"}));
}

TEST_F(OnFiles, ValidateRefusesWhatCannotBeOpened) {
  write_bytes(small_, "no checkpoint at all");
  EXPECT_EQ(error_of([&] { mono_quant::validate_file(small_); }).code(), MNQ_E_FORMAT);
  EXPECT_EQ(error_of([&] { mono_quant::validate_file(original_, folder_.path("none")); }).code(), MNQ_E_NOT_FOUND);
}

}  // namespace
}  // namespace mnq::test
