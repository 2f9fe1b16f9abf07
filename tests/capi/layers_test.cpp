// The layers of a model, and what settings make of each.
#include <gtest/gtest.h>

#include "fixture.h"

namespace mnq::test {
namespace {

Model small_network() {
  NamedTensors tensors;
  tensors.emplace_back("conv.weight", tensor_of({4, 3, 2, 2}, normal_values(48, 1)));
  tensors.emplace_back("conv.bias", tensor_of({4}, normal_values(4, 2)));
  tensors.emplace_back("head.weight", tensor_of({5, 4}, normal_values(20, 3)));
  tensors.emplace_back("steps", tensor_of<std::int64_t>({}, {7}));
  return Model::from_tensors(tensors);
}

TEST(Layers, EveryTensorInTheOrderOfTheModel) {
  const auto layers = small_network().layers();
  ASSERT_EQ(layers.size(), 4u);
  EXPECT_EQ(layers[0].name, "conv");
  EXPECT_EQ(layers[0].tensor, "conv.weight");
  EXPECT_EQ(layers[0].kind, "Conv2d");
  EXPECT_EQ(layers[0].shape, (Shape{4, 3, 2, 2}));
  EXPECT_EQ(layers[2].kind, "Linear");
  EXPECT_EQ(layers[2].action, "quantize");
  EXPECT_EQ(layers[2].scheme, "int8 per channel");
}

TEST(Layers, WhatIsNoneSaysWhy) {
  const auto layers = small_network().layers();
  ASSERT_EQ(layers.size(), 4u);
  for (const std::size_t index : {1u, 3u}) {
    EXPECT_EQ(layers[index].kind, "");
    EXPECT_EQ(layers[index].action, "copy");
    EXPECT_EQ(layers[index].scheme, "");
    EXPECT_FALSE(layers[index].reason.empty());
  }
}

TEST(Layers, FollowTheConfigAndTheRun) {
  Config config(R"({"skip": "head"})");
  mono_quant::Run run;
  run.set_for_layers("conv", "dtype", "float16");
  const auto layers = small_network().layers(&config, &run);
  ASSERT_EQ(layers.size(), 4u);
  EXPECT_EQ(layers[0].action, "cast");
  EXPECT_EQ(layers[2].action, "copy");
  EXPECT_NE(layers[2].reason.find("head"), std::string::npos) << layers[2].reason;
  EXPECT_EQ(layers[2].kind, "Linear");  // all the same
}

TEST(Layers, AgreeWithTheReport) {
  const Model model = small_network();
  const Config config(R"({"skip": "head"})");
  const auto layers = model.layers(&config);
  const Report report = mono_quant::quantize(model, config).report;
  const auto reported = report.layers();
  ASSERT_EQ(reported.size(), layers.size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    EXPECT_EQ(reported[i].text("name"), layers[i].name);
    EXPECT_EQ(reported[i].text("tensor"), layers[i].tensor);
    EXPECT_EQ(reported[i].text("kind"), layers[i].kind);
    EXPECT_EQ(reported[i].text("action"), layers[i].action);
    EXPECT_EQ(reported[i].text("scheme"), layers[i].scheme);
    EXPECT_EQ(reported[i].text("reason"), layers[i].reason);
  }
}

// The texts belong to the layers, not to the model or the settings they were made of.
TEST(Layers, OutliveTheModel) {
  mnq_layers* layers = nullptr;
  {
    const Model model = small_network();
    const Config config;
    ASSERT_EQ(mnq_model_list_layers(model.get(), config.get(), nullptr, &layers, nullptr), MNQ_OK);
  }
  EXPECT_STREQ(mnq_layers_tensor(layers, 0), "conv.weight");
  EXPECT_EQ(mnq_layers_shape(layers, 0)[3], 2);
  mnq_layers_free(layers);
}

TEST(Layers, OfAQuantizedModelAreItsLogicalTensors) {
  const Model quantized = mono_quant::quantize(small_network()).model;
  EXPECT_EQ(quantized.tensor_names().size(), 6u);
  const auto layers = quantized.layers();
  ASSERT_EQ(layers.size(), 4u);
  EXPECT_EQ(layers[0].tensor, "conv.weight");
  EXPECT_EQ(layers[0].action, "copy");
  EXPECT_FALSE(layers[0].reason.empty());
}

}  // namespace
}  // namespace mnq::test
