// Quantize in memory, with codes, scales and accuracies worked out by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "fixture.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

using Codes = std::vector<std::int8_t>;

Quantized quantize(const Shape& shape, const std::vector<float>& values, const std::string& settings) {
  return mono_quant::quantize(one_weight(shape, values), Config(settings));
}

// Row 0: 0.01 a step. Row 1: nothing but zeros. Row 2: 2 a step; halves go to the even code.
TEST(Quantize, Int8PerChannel) {
  const Model model = quantize({3, 4}, {1.27f, -0.64f, 0.1f, 0, 0, 0, 0, 0, -254, 1, 3, 5}, "{}").model;
  EXPECT_EQ(model.tensor_names(), (std::vector<std::string>{"fc.weight", "fc.weight_scale"}));
  EXPECT_EQ(values_of<std::int8_t>(model, "fc.weight"), (Codes{127, -64, 10, 0, 0, 0, 0, 0, -127, 0, 2, 2}));
  EXPECT_EQ(values_of<float>(model, "fc.weight_scale"), (std::vector<float>{1.27f / 127, 1, 2}));
  EXPECT_EQ(shape_of(model.tensor("fc.weight")), (Shape{3, 4}));
  EXPECT_EQ(shape_of(model.tensor("fc.weight_scale")), (Shape{3, 1}));
}

TEST(Quantize, Int8PerTensor) {
  const Model model = quantize({2, 2}, {-254, 1, 3, 5}, R"({"per_channel": false})").model;
  EXPECT_EQ(values_of<std::int8_t>(model, "fc.weight"), (Codes{-127, 0, 2, 2}));
  EXPECT_EQ(values_of<float>(model, "fc.weight_scale"), std::vector<float>{2});
  EXPECT_EQ(shape_of(model.tensor("fc.weight_scale")), Shape{1});
}

// 0 always has a code of its own: the range of the last row is [0, 510].
TEST(Quantize, Int8Asymmetric) {
  const Model model = quantize({3, 3}, {-100, 155, 0, 0, 255, 1, 510, 2, 4}, R"({"symmetric": false})").model;
  EXPECT_EQ(values_of<std::int8_t>(model, "fc.weight"), (Codes{-128, 127, -28, -128, 127, -127, 127, -127, -126}));
  EXPECT_EQ(values_of<float>(model, "fc.weight_scale"), (std::vector<float>{1, 1, 2}));
  EXPECT_EQ(values_of<std::int8_t>(model, "fc.weight_zero_point"), (Codes{-28, -128, -128}));
}

TEST(Quantize, Uint8) {
  const Model model = quantize({1, 3}, {-100, 155, 0}, R"({"dtype": "quint8"})").model;
  EXPECT_EQ(values_of<std::uint8_t>(model, "fc.weight"), (std::vector<std::uint8_t>{0, 255, 100}));
  EXPECT_EQ(values_of<std::uint8_t>(model, "fc.weight_zero_point"), std::vector<std::uint8_t>{100});
}

// Groups of two and a last one of one. The largest of a group is 7.5 steps from 0, which is code -8 or, since there is
// no 8, 7: 2, 0.5 and 3 a step. Codes -8, 1, 7, -1, 7 are stored as 0, 9, 15, 7, 15.
TEST(Quantize, Int4Groups) {
  const Model model = quantize({1, 5}, {-15, 2, 3.75f, -0.5f, 22.5f},
                               R"({"bits": 4, "group_size": 2, "min_parameters": 0, "method": "minmax"})")
                          .model;
  EXPECT_EQ(values_of<std::int32_t>(model, "fc.weight_packed"), std::vector<std::int32_t>{0x000f7f90});
  EXPECT_EQ(values_of<float>(model, "fc.weight_scale"), (std::vector<float>{2, 0.5f, 3}));
  EXPECT_EQ(shape_of(model.tensor("fc.weight_scale")), (Shape{1, 3}));
  EXPECT_EQ(values_of<std::int64_t>(model, "fc.weight_shape"), (std::vector<std::int64_t>{1, 5}));
}

// Zero points -8 and -3 are stored as 0 and 5, the first row's lowest; codes -8, 7 as 0, 15.
TEST(Quantize, Int4Asymmetric) {
  const Model model =
      quantize({2, 2}, {0, 15, -5, 10}, R"({"bits": 4, "group_size": 0, "symmetric": false, "min_parameters": 0})")
          .model;
  EXPECT_EQ(values_of<std::int32_t>(model, "fc.weight_packed"), (std::vector<std::int32_t>{0xf0, 0xf0}));
  EXPECT_EQ(values_of<std::int32_t>(model, "fc.weight_zero_point"), std::vector<std::int32_t>{0x50});
}

TEST(Quantize, Float16) {
  const Quantized result = quantize({1, 2}, {1, -2.5f}, R"({"dtype": "float16"})");
  const Tensor tensor = result.model.tensor("fc.weight");
  EXPECT_EQ(tensor.dtype(), MNQ_DTYPE_F16);
  const std::uint16_t wanted[] = {0x3c00, 0xc100};
  EXPECT_TRUE(std::ranges::equal(tensor.bytes(), std::as_bytes(std::span(wanted))));
  EXPECT_EQ(result.report.number("layers_cast"), 1);
}

TEST(Quantize, WhatIsNoWeightIsCopied) {
  NamedTensors tensors;
  tensors.emplace_back("fc.weight", tensor_of<float>({1, 2}, {127, 1}));
  tensors.emplace_back("fc.bias", tensor_of<float>({1}, {0.3f}));
  tensors.emplace_back("steps", tensor_of<std::int64_t>({}, {7}));
  const Model model = mono_quant::quantize(Model::from_tensors(tensors)).model;
  EXPECT_EQ(values_of<float>(model, "fc.bias"), std::vector<float>{0.3f});
  EXPECT_EQ(values_of<std::int64_t>(model, "steps"), std::vector<std::int64_t>{7});
}

// 1, 3 and 5 become 0, 4 and 4: of 254^2 + 1 + 9 + 25 = 64551, 3 is lost.
TEST(Quantize, Accuracy) {
  const Quantized result = quantize({1, 4}, {-254, 1, 3, 5}, "{}");
  const auto layer = result.report.layers().at(0);
  EXPECT_NEAR(*layer.number("sqnr_db"), 10 * std::log10(64551. / 3), 1e-9);
  EXPECT_EQ(layer.number("max_error"), 1);
  EXPECT_EQ(layer.number("bytes_before"), 16);
  EXPECT_EQ(layer.number("bytes_after"), 8);  // four codes and a scale
  EXPECT_EQ(layer.number("bits"), 8);
  EXPECT_EQ(layer.text("scheme"), "int8 per channel");
  EXPECT_EQ(layer.text("kind"), "Linear");
}

TEST(Quantize, ExactIsInfinite) {
  const Quantized result = quantize({1, 2}, {127, -64}, "{}");
  EXPECT_EQ(result.report.number("sqnr_db"), INFINITY);
  EXPECT_EQ(result.report.layers().at(0).number("sqnr_db"), INFINITY);
  EXPECT_EQ(result.report.number("max_error"), 0);
  EXPECT_NE(result.report.json().find(R"("sqnr_db":null,"exact":true)"), std::string::npos);
}

TEST(Quantize, WithoutAConfigARunAndAReport) {
  const Model model = one_weight({1, 2}, {127, 1});
  mnq_model* quantized = nullptr;
  ASSERT_EQ(mnq_quantize(model.get(), nullptr, nullptr, &quantized, nullptr, nullptr), MNQ_OK);
  EXPECT_EQ(values_of<std::int8_t>(Model(quantized), "fc.weight"), (Codes{127, 1}));
}

TEST(Quantize, NotFiniteNamesTheTensorAndThePosition) {
  const Error error = error_of([] { quantize({2, 2}, {1, 2, 3, NAN}, "{}"); });
  EXPECT_EQ(error.code(), MNQ_E_VALIDATION);
  EXPECT_EQ(error.subject(), "fc.weight");
  EXPECT_NE(std::string(error.what()).find("[1, 1]"), std::string::npos) << error.what();
  EXPECT_NE(error.suggestion().find("nonfinite=copy"), std::string::npos) << error.suggestion();
}

// In memory everything fits, whatever the model came from; a folder holds Linear layers only.
TEST(Quantize, PlanOfAFolderIsWhatQuantizeDoes) {
  const TempFolder folder;
  NamedTensors tensors;
  tensors.emplace_back("embed.weight", tensor_of(Shape{4, 32}, normal_values(128, 1)));
  tensors.emplace_back("fc.weight", tensor_of(Shape{4, 32}, normal_values(128, 2)));
  Model::from_tensors(tensors).save(folder.path("model.safetensors"));
  const Model model = Model::open(folder.path());
  EXPECT_EQ(mono_quant::plan(model).number("layers_quantized"), 2);
  EXPECT_EQ(mono_quant::quantize(model, Config()).report.number("layers_quantized"), 2);
  const Config as_folder(R"({"format": "compressed-tensors"})");
  EXPECT_EQ(mono_quant::plan(model, as_folder).number("layers_quantized"), 1);
  EXPECT_EQ(mono_quant::quantize_file(folder.path(), folder.path("out/"), Config()).number("layers_quantized"), 1);
}

// Headers and padding included.
TEST(Quantize, PlanKnowsTheSizeOfTheFile) {
  const TempFolder folder;
  NamedTensors tensors;
  tensors.emplace_back("fc.weight", tensor_of(Shape{5, 96}, normal_values(480, 1)));
  tensors.emplace_back("fc.bias", tensor_of(Shape{5}, normal_values(5, 2)));
  const Model model = Model::from_tensors(tensors);
  for (const char* format : {"safetensors", "pytorch", "gguf"}) {
    Config config;
    config.set("format", format);
    const std::string path = folder.path(format);
    mono_quant::quantize_to_file(model, path, config);
    EXPECT_EQ(mono_quant::plan(model, config).number("file_bytes"), static_cast<double>(read_bytes(path).size()))
        << format;
  }
  EXPECT_EQ(mono_quant::plan(model).number("file_bytes"), std::nullopt);
}

TEST(Quantize, PlanKnowsTheSizeOfTheShards) {
  const TempFolder folder;
  NamedTensors tensors;
  for (int i = 0; i < 4; ++i) {
    tensors.emplace_back("fc" + std::to_string(i) + ".weight", tensor_of(Shape{5, 96}, normal_values(480, 1)));
  }
  const Model model = Model::from_tensors(tensors);
  for (const char* most : {"5GiB", "1KiB"}) {
    Config config(R"({"format": "compressed-tensors"})");
    config.set("max_shard_size", most);
    const std::string path = folder.path(most);
    mono_quant::quantize_to_file(model, path + "/", config);
    std::uintmax_t size = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (entry.path().extension() == ".safetensors") size += entry.file_size();
    }
    EXPECT_EQ(mono_quant::plan(model, config).number("file_bytes"), static_cast<double>(size)) << most;
  }
}

TEST(Quantize, PlanIsTheReportWithoutAccuracy) {
  const Model model = one_weight({1, 4}, {-254, 1, 3, NAN});
  const Report report = mono_quant::plan(model);
  EXPECT_EQ(report.number("layers_quantized"), 1);
  EXPECT_EQ(report.number("bytes_after"), 8);
  EXPECT_EQ(report.number("sqnr_db"), std::nullopt);
  EXPECT_NE(report.json().find(R"("dry_run":true)"), std::string::npos);
}

}  // namespace
}  // namespace mnq::test
