// What happens to each tensor, and why; no data is read for it.
#include "plan/plan.h"

#include <gtest/gtest.h>

#include "plan/own_metadata.h"
#include "support/error_of.h"
#include "support/listed_source.h"

namespace mnq::test {
namespace {

Plan plan_of(const TensorSource& source, const std::string& json, const UnfitWeights& unfit = {}) {
  const Settings settings = parse_settings(json);
  return make_plan(source, Config(&settings, nullptr), {}, unfit);
}

const PlannedTensor& planned(const Plan& plan, std::string_view name) {
  for (const PlannedTensor& tensor : plan.tensors) {
    if (tensor.layer.name.tensor == name) return tensor;
  }
  throw std::runtime_error(std::string(name) + " is not in the plan");
}

const ListedSource& transformer() {
  static const ListedSource source({{"embed_tokens.weight", {1000, 64}},
                                    {"layers.0.query.weight", {64, 64}},
                                    {"layers.0.query.bias", {64}},
                                    {"layers.1.conv.weight", {64, 4, 4}},
                                    {"layers.1.norm.weight", {64}},
                                    {"small.weight", {4, 4}},
                                    {"odd_name", {64, 64}},
                                    {"half.weight", {64, 64}, DType::kF16},
                                    {"lm_head.weight", {1000, 64}},
                                    {"steps", {}, DType::kI64}});
  return source;
}

// The action on each tensor and its reason, in the model's order.
std::string summary(const Plan& plan) {
  std::string text;
  for (const PlannedTensor& tensor : plan.tensors) {
    text += std::string(tensor.layer.name.tensor) + ": " + std::string(action_name(tensor.action));
    if (tensor.action != Action::kCopy) text += " " + scheme_text(tensor.spec);
    text += (tensor.reason.empty() ? "" : " (" + tensor.reason + ")") + "\n";
  }
  return text;
}

TEST(Plan, Int8) {
  EXPECT_EQ(summary(plan_of(transformer(), "{}")),
            "embed_tokens.weight: quantize int8 per channel\n"
            "layers.0.query.weight: quantize int8 per channel\n"
            "layers.0.query.bias: copy (bias)\n"
            "layers.1.conv.weight: quantize int8 per channel\n"
            "layers.1.norm.weight: copy (one-dimensional: norm or buffer)\n"
            "small.weight: quantize int8 per channel\n"
            "odd_name: copy (not named as a layer's weight)\n"
            "half.weight: quantize int8 per channel\n"
            "lm_head.weight: quantize int8 per channel\n"
            "steps: copy (I64 is no dtype that is quantized)\n");
}

TEST(Plan, Int4LeavesWhatIsSensitiveOrSmall) {
  EXPECT_EQ(summary(plan_of(transformer(), R"({"bits": 4})")),
            "embed_tokens.weight: copy (int4 leaves an embedding as it is unless it is selected)\n"
            "layers.0.query.weight: quantize int4 group 128\n"
            "layers.0.query.bias: copy (bias)\n"
            "layers.1.conv.weight: quantize int4 group 128\n"
            "layers.1.norm.weight: copy (one-dimensional: norm or buffer)\n"
            "small.weight: copy (16 parameters are fewer than 512)\n"
            "odd_name: copy (not named as a layer's weight)\n"
            "half.weight: quantize int4 group 128\n"
            "lm_head.weight: copy (int4 leaves lm_head as it is unless it is selected)\n"
            "steps: copy (I64 is no dtype that is quantized)\n");
}

TEST(Plan, Float16) {
  const Plan plan = plan_of(transformer(), R"({"bits": 16})");
  EXPECT_EQ(planned(plan, "layers.0.query.weight").action, Action::kCast);
  EXPECT_EQ(planned(plan, "half.weight").action, Action::kCopy);
  EXPECT_EQ(planned(plan, "half.weight").reason, "float16 already");
}

struct Selected {
  const char* settings;
  const char* tensor;
  Action action;
  const char* reason;
};

constexpr Selected kSelected[] = {
    {R"({"only": ["layers.*"]})", "layers.0.query.weight", Action::kQuantize, "only=layers.*"},
    {R"({"only": ["layers.*"]})", "small.weight", Action::kCopy, "not matched by only"},
    {R"({"only": ["layers.0.query.weight"]})", "layers.0.query.weight", Action::kQuantize,
     "only=layers.0.query.weight"},
    {R"({"only": ["layers.*.bias"]})", "layers.0.query.bias", Action::kCopy, "bias"},
    {R"({"skip": ["layers.*"]})", "layers.0.query.weight", Action::kCopy, "skip=layers.*"},
    {R"({"skip": ["layers.*"]})", "small.weight", Action::kQuantize, ""},
    {R"({"skip": ["*.conv.weight"]})", "layers.1.conv.weight", Action::kCopy, "skip=*.conv.weight"},
    {R"({"only": ["layers.*"], "skip": ["*query"]})", "layers.0.query.weight", Action::kCopy, "skip=*query"},
    {R"({"only": ["layers.0.query"], "skip": ["*query"]})", "layers.0.query.weight", Action::kQuantize,
     "only=layers.0.query"},
    {R"({"layer_types": ["Conv1d"]})", "layers.1.conv.weight", Action::kQuantize, ""},
    {R"({"layer_types": ["Conv1d"]})", "small.weight", Action::kCopy, "layer_types does not list Linear"},
    {R"({"layer_types": ["Conv1d"], "only": ["small", "*conv"]})", "small.weight", Action::kQuantize, "only=small"},
    {R"({"min_parameters": 17})", "small.weight", Action::kCopy, "16 parameters are fewer than 17"},
    {R"({"min_parameters": 16})", "small.weight", Action::kQuantize, ""},
    {R"({"bits": 4, "min_parameters": 0})", "small.weight", Action::kQuantize, ""},
    {R"({"bits": 4, "only": ["small"]})", "small.weight", Action::kQuantize, "only=small"},
    {R"({"bits": 4, "only": ["small"], "min_parameters": 512})", "small.weight", Action::kCopy,
     "16 parameters are fewer than 512"},
    // Selected in any way, an embedding or lm_head is quantized to 4 bits.
    {R"({"bits": 4, "only": ["embed*"]})", "embed_tokens.weight", Action::kQuantize, "only=embed*"},
    {R"({"bits": 4, "layer_types": ["Embedding"]})", "embed_tokens.weight", Action::kQuantize, ""},
    {R"({"bits": 4, "layer_types": ["Linear"]})", "lm_head.weight", Action::kQuantize, ""},
    {R"({"layers": [{"name": "lm_head", "bits": 4}]})", "lm_head.weight", Action::kQuantize, ""},
    {R"({"bits": 4, "layers": [{"name": "lm_head", "group_size": 32}]})", "lm_head.weight", Action::kCopy,
     "int4 leaves lm_head as it is unless it is selected"},
    // Named in full, a weight is taken at its word.
    {R"({"only": ["odd_name"]})", "odd_name", Action::kQuantize, "only=odd_name"},
    {R"({"only": ["odd_*"]})", "odd_name", Action::kCopy, "not named as a layer's weight"},
    {R"({"only": ["steps"]})", "steps", Action::kCopy, "I64 is no dtype that is quantized"},
};

TEST(Plan, RowsOfOneNumberStay) {
  const ListedSource source({{"conv.weight", {64, 1, 1}}, {"fc.weight", {1, 64}}});
  for (const char* settings : {"{}", R"({"bits": 4, "only": "*"})", R"({"group_size": 8})", R"({"only": "conv"})"}) {
    EXPECT_EQ(planned(plan_of(source, settings), "conv.weight").reason, "each of its rows is one number") << settings;
  }
  EXPECT_EQ(planned(plan_of(source, "{}"), "fc.weight").action, Action::kQuantize);
  EXPECT_EQ(planned(plan_of(source, R"({"per_channel": false})"), "conv.weight").action, Action::kQuantize);
  EXPECT_EQ(planned(plan_of(source, R"({"dtype": "float16"})"), "conv.weight").action, Action::kCast);
}

TEST(Plan, Selection) {
  for (const Selected& row : kSelected) {
    const Plan plan = plan_of(transformer(), row.settings);
    EXPECT_EQ(planned(plan, row.tensor).action, row.action) << row.settings;
    EXPECT_EQ(planned(plan, row.tensor).reason, row.reason) << row.settings;
  }
}

TEST(Plan, SettingsForSomeLayers) {
  const Plan plan = plan_of(transformer(), R"({"bits": 4, "layers": [{"name": "layers.0.*", "dtype": "float16"},
      {"name": "half", "dtype": "quint8", "per_channel": false}, {"name": "*.conv", "group_size": 4}]})");
  EXPECT_EQ(scheme_text(planned(plan, "layers.0.query.weight").spec), "float16");
  EXPECT_EQ(planned(plan, "layers.0.query.weight").action, Action::kCast);
  EXPECT_EQ(scheme_text(planned(plan, "half.weight").spec), "uint8 per tensor");
  EXPECT_EQ(scheme_text(planned(plan, "layers.1.conv.weight").spec), "int4 group 4");
}

TEST(Plan, ChannelAxis) {
  const auto axis_of = [](const char* json) {
    return planned(plan_of(transformer(), json), "layers.1.conv.weight").spec.channel_axis;
  };
  EXPECT_EQ(axis_of("{}"), 0);
  EXPECT_EQ(axis_of(R"({"channel_axis": 1})"), 1);
  EXPECT_EQ(axis_of(R"({"channel_axis": -1, "skip": ["odd_name"]})"), 2);
  const auto error = [](const char* json) { return error_of([&] { plan_of(transformer(), json); }); };
  EXPECT_EQ(error(R"({"channel_axis": 2})").status(), Status::kConfig);  // a Linear has no third
  EXPECT_EQ(error(R"({"channel_axis": -3})").status(), Status::kConfig);
  EXPECT_EQ(error(R"({"channel_axis": 2})").subject(), "embed_tokens");
  EXPECT_EQ(error(R"({"channel_axis": 1, "bits": 4})").status(), Status::kUnsupported);
  EXPECT_EQ(error(R"({"channel_axis": 1, "group_size": 32})").status(), Status::kUnsupported);
}

TEST(Plan, PatternsThatMatchNothing) {
  const Plan plan = plan_of(transformer(), R"({"only": ["layers.*", "layer.*"], "skip": ["heads"],
      "layers": [{"name": "decoder.*", "bits": 4}, {"name": "decoder.*", "group_size": 32}, {"name": "*", "bits": 8}]})");
  EXPECT_EQ(plan.warnings, (std::vector<std::string>{"only: 'layer.*' matches no tensor of this model",
                                                     "skip: 'heads' matches no tensor of this model",
                                                     "layers: 'decoder.*' matches no tensor of this model"}));
}

TEST(Plan, NamesThatMatchNothingBringTheNearest) {
  const Plan plan = plan_of(transformer(), R"({"only": ["layers.0.qeury", "*"], "skip": ["lm_heads", "nothing.like.it"],
      "layers": [{"name": "layers.1.conv.wieght", "bits": 8}]})");
  EXPECT_EQ(
      plan.warnings,
      (std::vector<std::string>{
          "only: 'layers.0.qeury' matches no tensor of this model; did you mean 'layers.0.query'?",
          "skip: 'lm_heads' matches no tensor of this model; did you mean 'lm_head'?",
          "skip: 'nothing.like.it' matches no tensor of this model",
          "layers: 'layers.1.conv.wieght' matches no tensor of this model; did you mean 'layers.1.conv.weight'?"}));
}

TEST(Plan, AKindOfLayerThatIsNone) {
  const Error error = error_of([] { plan_of(transformer(), R"({"layer_types": ["linear"]})"); });
  EXPECT_EQ(error.status(), Status::kConfig);
  EXPECT_EQ(error.subject(), "layer_types");
  EXPECT_NE(error.suggestion().find("Linear"), std::string::npos);
}

TEST(Plan, ImpossibleEvenWhereNoLayerWouldUseIt) {
  const ListedSource nothing({});
  EXPECT_EQ(error_of([&] { plan_of(nothing, R"({"bits": 4, "dtype": "quint8"})"); }).status(), Status::kConfig);
  EXPECT_TRUE(plan_of(nothing, "{}").tensors.empty());
}

TEST(Plan, WhatIsNotFinite) {
  const Plan plan =
      plan_of(transformer(), R"({"nonfinite": "copy"})", {{"small.weight", "the value at [0, 0] is not finite"}});
  EXPECT_EQ(planned(plan, "small.weight").action, Action::kCopy);
  EXPECT_NE(planned(plan, "small.weight").reason.find("is not finite (nonfinite=copy)"), std::string::npos);
  EXPECT_TRUE(planned(plan, "half.weight").copies_nonfinite);
}

TEST(Plan, OutputsWithSizes) {
  const ListedSource source({{"fc.weight", {9, 20}, DType::kBF16}, {"fc.bias", {9}}});
  const Plan plan = plan_of(source, R"({"bits": 4, "group_size": 8, "symmetric": false, "min_parameters": 0})");
  const auto outputs = PlanSlice(plan).outputs();
  ASSERT_EQ(outputs.size(), 5u);
  const auto expect_output = [&](std::size_t i, const char* name, DType dtype, const Shape& shape, std::uint64_t size) {
    EXPECT_EQ(outputs[i]->name, name);
    EXPECT_EQ(outputs[i]->dtype, dtype) << name;
    EXPECT_EQ(outputs[i]->shape, shape) << name;
    EXPECT_EQ(outputs[i]->size_bytes, size) << name;
  };
  expect_output(0, "fc.weight_packed", DType::kI32, {9, 3}, 108);
  expect_output(1, "fc.weight_scale", DType::kF32, {9, 3}, 108);
  expect_output(2, "fc.weight_shape", DType::kI64, {2}, 16);
  expect_output(3, "fc.weight_zero_point", DType::kI32, {2, 3}, 24);
  expect_output(4, "fc.bias", DType::kF32, {9}, 36);
}

TEST(Plan, TwoOutputsOfOneName) {
  const ListedSource source({{"fc.weight", {4, 4}}, {"fc.weight_scale", {4, 1}}});
  const Error error = error_of([&] { plan_of(source, R"({"only": ["fc"]})"); });
  EXPECT_EQ(error.status(), Status::kFormat);
  EXPECT_EQ(error.subject(), "fc.weight_scale");
  EXPECT_EQ(error.suggestion(), "skip the layer fc, or rename the other tensor");
  EXPECT_EQ(error_of([&] { plan_of(source, R"({"skip": ["fc"]})"); }).status(), Status::kOk);
}

// The layer that is named is the one without which the other keeps its name, whichever comes first.
TEST(Plan, TheHintForTwoOutputsOfOneNameIsFollowed) {
  const char* kEvery[] = {R"("dtype": "qint8")", R"("dtype": "quint8")", R"("bits": 4, "min_parameters": 0)"};
  for (const char* part : {"_scale", "_zero_point", "_packed", "_shape"}) {
    for (const char* scheme : kEvery) {
      for (const bool first : {false, true}) {
        std::vector<Listed> tensors{{"fc.weight", {8, 8}}, {std::string("fc.weight") + part, {8, 8}}};
        if (first) std::swap(tensors[0], tensors[1]);
        const ListedSource source(tensors);
        const std::string settings = std::string("{") + scheme;
        const Error error = error_of([&] { plan_of(source, settings + "}"); });
        if (error.status() == Status::kOk) continue;  // a scheme that has no such part
        EXPECT_EQ(error.suggestion(), "skip the layer fc, or rename the other tensor") << scheme << part << first;
        EXPECT_EQ(error_of([&] { plan_of(source, settings + R"(, "skip": ["fc"]})"); }).status(), Status::kOk);
      }
    }
  }
}

TEST(Plan, RoutersStay) {
  const ListedSource source({{"mlp.gate.weight", {4, 64}}, {"mlp.experts.gate_up_proj", {4, 128, 64}}});
  for (const char* settings :
       {"{}", R"({"bits": 4, "min_parameters": 0})", R"({"only": ["mlp*"]})", R"({"bits": 16})"}) {
    const Plan plan = plan_of(source, settings);
    EXPECT_EQ(planned(plan, "mlp.gate.weight").action, Action::kCopy) << settings;
    EXPECT_NE(planned(plan, "mlp.gate.weight").reason.find("router"), std::string::npos);
    EXPECT_NE(planned(plan, "mlp.experts.gate_up_proj").action, Action::kCopy) << settings;
  }
  EXPECT_EQ(planned(plan_of(source, R"({"only": ["mlp.gate"]})"), "mlp.gate.weight").action, Action::kQuantize);
}

TEST(Plan, ExpertsHaveScalesOfTheirOwn) {
  const ListedSource source({{"e.experts.gate_up_proj", {4, 128, 64}},
                             {"e.experts.down_proj", {4, 64, 64}},
                             {"t.experts.gate_up_proj", {4, 64, 96}},
                             {"t.experts.down_proj", {4, 48, 64}}});
  const auto shapes_of = [&](const char* settings) {
    std::string text;
    const Plan plan = plan_of(source, settings);
    for (const TensorInfo* info : PlanSlice(plan).outputs()) {
      if (info->name.ends_with("_scale")) text += shape_text(info->shape) + " ";
    }
    return text;
  };
  EXPECT_EQ(shapes_of("{}"), "[4, 128, 1] [4, 64, 1] [4, 1, 96] [4, 1, 64] ");
  EXPECT_EQ(shapes_of(R"({"channel_axis": 0})"), "[4, 1, 1] [4, 1, 1] [4, 1, 1] [4, 1, 1] ");
  EXPECT_EQ(shapes_of(R"({"per_channel": false})"), "[1] [1] [1] [1] ");
  EXPECT_EQ(shapes_of(R"({"bits": 4, "group_size": 32})"), "[512, 2] [256, 2] [256, 3] [192, 2] ");
  EXPECT_EQ(shapes_of(R"({"layer_types": ["Experts"], "only": ["e.*"]})"), "[4, 128, 1] [4, 64, 1] ");
  EXPECT_EQ(error_of([&] { plan_of(source, R"({"channel_axis": 2, "bits": 4})"); }).status(), Status::kUnsupported);
}

TEST(Plan, Conv1DWithoutAConfigIsSaid) {
  const ListedSource source({{"h.0.attn.c_attn.weight", {64, 192}}, {"h.0.mlp.c_fc.weight", {64, 256}}});
  const Plan plan = plan_of(source, "{}");
  EXPECT_EQ(planned(plan, "h.0.attn.c_attn.weight").spec.channel_axis, 1);
  ASSERT_EQ(plan.warnings.size(), 1u);
  EXPECT_NE(plan.warnings[0].find("2 layers are taken for the Conv1D of GPT-2"), std::string::npos);
}

}  // namespace
}  // namespace mnq::test
