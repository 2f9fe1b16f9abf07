// What the plan says of weights that a format holds in another way than was asked for, or not at all.
#include <gtest/gtest.h>

#include "formats/compressed_tensors/compressed_tensors.h"
#include "formats/gguf/gguf.h"
#include "layouts/layouts.h"
#include "support/error_of.h"
#include "support/listed_source.h"

namespace mnq::test {
namespace {

PlannedTensor planned(const Format& format, const Listed& listed, const std::string& json) {
  const ListedSource source({listed});
  const Settings settings = parse_settings(json);
  return make_plan(source, Config(&settings, nullptr), format.storage).tensors.front();
}

const Listed kWeight{"layers.0.query.weight", {64, 96}};

std::string reason(const Format& format, const std::string& json, const Listed& listed = kWeight) {
  return planned(format, listed, json).reason;
}

// "KEY: message"
std::string refusal(const Format& format, const std::string& json) {
  const Error error = error_of([&] { planned(format, kWeight, json); });
  EXPECT_EQ(error.status(), Status::kConfig) << error.message();
  EXPECT_TRUE(error.suggestion().starts_with("leave the key unset, or write ")) << error.suggestion();
  return error.subject() + ": " + error.message();
}

TEST(FitWeight, RefusesKeysThatGgufCannotFollow) {
  EXPECT_EQ(refusal(kGgufFormat, R"({"group_size": 64})"),
            "group_size: layer layers.0.query: GGUF has groups of 32 only");
  EXPECT_EQ(refusal(kGgufFormat, R"({"group_size": 0})"),
            "group_size: layer layers.0.query: GGUF has groups of 32 only");
  EXPECT_EQ(refusal(kGgufFormat, R"({"per_channel": false})"),
            "per_channel: layer layers.0.query: GGUF has a scale for each group of 32");
  EXPECT_EQ(refusal(kGgufFormat, R"({"channel_axis": 0})"),
            "channel_axis: layer layers.0.query: GGUF has its groups on the last axis");
}

TEST(FitWeight, RefusesKeysThatCompressedTensorsCannotFollow) {
  EXPECT_EQ(refusal(kCompressedTensorsFormat, R"({"per_channel": false})"),
            "per_channel: layer layers.0.query: compressed-tensors is written with a scale for each channel or group");
  EXPECT_EQ(refusal(kCompressedTensorsFormat, R"({"channel_axis": 1})"),
            "channel_axis: layer layers.0.query: compressed-tensors has its channels on axis 0");
  EXPECT_EQ(
      refusal(kCompressedTensorsFormat, R"({"bits": 4, "activation_bits": 8})"),
      "activation_bits: layer layers.0.query: activations of 8 bits need int8 weights, symmetric and per channel");
}

TEST(FitWeight, TakesKeysThatSayWhatTheFormatHas) {
  EXPECT_EQ(reason(kGgufFormat, R"({"group_size": 32})"), "as Q8_0");
  EXPECT_EQ(reason(kCompressedTensorsFormat, R"({"channel_axis": 0})"), "");
  EXPECT_EQ(planned(kCompressedTensorsFormat, kWeight, R"({"activation_bits": 8})").spec.activation_bits, 8);
}

TEST(FitWeight, SaysWhatItMakesInstead) {
  EXPECT_EQ(reason(kGgufFormat, R"({"bits": 4})"), "as Q4_0");
  EXPECT_EQ(reason(kGgufFormat, R"({"bits": 4, "symmetric": false})"), "as Q4_1");
  EXPECT_EQ(reason(kGgufFormat, R"({"bits": 4})", {"output.weight", {64, 96}}), "as Q8_0: the output head gets 8 bits");
  EXPECT_EQ(reason(kGgufFormat, "{}", {"a.weight", {64, 33}}), "as float16: GGUF's blocks of 32 do not fit [64, 33]");
  EXPECT_EQ(reason(kGgufFormat, "{}", {"a.weight", {64, 33}, DType::kF16}), "GGUF's blocks of 32 do not fit [64, 33]");
  EXPECT_EQ(reason(kCompressedTensorsFormat, R"({"bits": 4, "group_size": 64})"),
            "per channel: groups of 64 do not divide 96 columns");
}

TEST(FitWeight, GivesItsMethodAndLayout) {
  const PlannedTensor gguf = planned(kGgufFormat, kWeight, "{}");
  EXPECT_EQ(gguf.method, &kGgmlMethod);
  EXPECT_EQ(gguf.layout, &kGgmlLayout);
  EXPECT_TRUE(gguf.spec.has_free_scales);
  EXPECT_EQ(planned(kCompressedTensorsFormat, kWeight, "{}").layout, &kPackQuantizedLayout);
  EXPECT_EQ(planned(kCompressedTensorsFormat, kWeight, R"({"activation_bits": 8})").layout, &kIntQuantizedLayout);
  EXPECT_EQ(planned(kCompressedTensorsFormat, kWeight, "{}").taken_suffixes.size(), 5u);
}

}  // namespace
}  // namespace mnq::test
