// Which layers a module has, by type and by use, and what is said of the rest.
#include "module_fixture.h"

namespace mnq::test {
namespace {

using Kinds = std::map<std::string, std::string>;

Kinds kinds_of(const std::string& name) {
  Kinds kinds;
  for (const auto& layer : open_module(name).layers()) {
    if (!layer.kind.empty()) kinds[layer.name] = layer.kind;
  }
  return kinds;
}

const Kinds kLayers{{"conv1", "Conv1d"},        {"conv2", "Conv2d"},        {"conv3", "Conv3d"},
                    {"up1", "ConvTranspose1d"}, {"up2", "ConvTranspose2d"}, {"up3", "ConvTranspose3d"},
                    {"embedding", "Embedding"}, {"first", "Linear"},        {"inner.0", "Linear"},
                    {"inner.2.0", "Linear"},    {"functional", "Linear"},   {"matrix", "Linear"},
                    {"basis", "Conv1d"}};

TEST(ModuleLayers, ScriptedByTypeAndByUse) { EXPECT_EQ(kinds_of("scripted"), kLayers); }
TEST(ModuleLayers, TracedByTypeAndByUse) { EXPECT_EQ(kinds_of("traced"), kLayers); }

TEST(ModuleLayers, OfRecurrentModulesGoByTheirOwnNames) {
  const Kinds kinds = kinds_of("recurrent");
  EXPECT_EQ(kinds.size(), 8u + 2 + 2 + 2);
  EXPECT_EQ(kinds.at("lstm.weight_ih_l0"), "LSTM");
  EXPECT_EQ(kinds.at("lstm.weight_hh_l1_reverse"), "LSTM");
  EXPECT_EQ(kinds.at("gru.weight_hh_l0"), "GRU");
  EXPECT_EQ(kinds.at("cell.weight_ih"), "LSTMCell");
  EXPECT_EQ(kinds.at("gru_cell.weight_hh"), "GRUCell");
}

TEST(ModuleLayers, AtTheRoot) { EXPECT_EQ(kinds_of("root_linear"), (Kinds{{"weight", "Linear"}})); }

TEST(ModuleLayers, HaveShapesDtypesAndTies) {
  const Model model = open_module("tied");
  const auto embedding = layer_of(model, "embedding.weight");
  EXPECT_EQ(embedding.kind, "Embedding");
  EXPECT_EQ(embedding.shape, (Shape{40, 32}));
  EXPECT_EQ(embedding.dtype, MNQ_DTYPE_F32);
  EXPECT_EQ(embedding.ties, (std::vector<std::string>{"head.weight"}));
  EXPECT_EQ(layer_of(model, "a.weight").ties, (std::vector<std::string>{"again.weight"}));
  EXPECT_EQ(layer_of(model, "b.weight").ties, std::vector<std::string>());
  EXPECT_EQ(layer_of(open_module("half"), "layer.weight").dtype, MNQ_DTYPE_F16);
  EXPECT_EQ(model.layers().size(), 5u) << "each tied tensor once";
}

TEST(ModuleLayers, EveryTensorThatIsNoneSaysWhy) {
  for (const char* name : {"scripted", "traced", "recurrent", "tied", "frozen", "stateful", "double"}) {
    for (const auto& layer : open_module(name).layers()) {
      const bool says_why = !layer.reason.empty();
      EXPECT_TRUE(says_why || (!layer.kind.empty() && layer.action == "quantize")) << name << " " << layer.tensor;
    }
  }
  const Model model = open_module("scripted");
  EXPECT_EQ(layer_of(model, "first.bias").reason, "bias");
  EXPECT_EQ(layer_of(model, "batch_norm.running_mean").reason, "one-dimensional: norm or buffer");
}

TEST(ModuleLayers, ThatAreWrittenToByAnyWayAreNone) {
  EXPECT_EQ(kinds_of("writers"), (Kinds{{"plain", "Linear"}}));
  const Model model = open_module("writers");
  for (const char* name : {"by_tuple", "by_dict", "by_list", "by_if", "by_loop", "by_hook"}) {
    const std::string reason = layer_of(model, std::string(name) + ".weight").reason;
    EXPECT_NE(reason.find("the code writes to it (aten::mul_)"), std::string::npos) << name << ": " << reason;
  }
}

TEST(ModuleLayers, OfAFrozenModuleAreItsConstants) {
  int constants = 0;
  for (const auto& layer : open_module("frozen").layers()) {
    if (layer.name.starts_with("constants.") && layer.reason.find("frozen") != std::string::npos) ++constants;
    EXPECT_EQ(layer.action, "copy");
  }
  EXPECT_EQ(constants, 3) << "embedding and head are one, a and again too";
}

TEST(ModuleLayers, RecurrentOnesAreLeftUnlessAskedFor) {
  const Model model = open_module("recurrent");
  const Config defaults;
  for (const auto& layer : model.layers(&defaults)) {
    EXPECT_EQ(layer.action, "copy") << layer.tensor;
    if (!layer.kind.empty()) {
      EXPECT_NE(layer.reason.find("layer_types"), std::string::npos) << layer.reason;
    }
  }
  const Config lstm(R"({"layer_types": "LSTM"})");
  for (const auto& layer : model.layers(&lstm)) EXPECT_EQ(layer.action == "quantize", layer.kind == "LSTM");
}

TEST(ModuleLayers, OfConvTransposeHaveTheirChannelsOnTheSecondAxis) {
  const auto report = mono_quant::plan(open_module("scripted"), Config());
  for (const auto& layer : report.layers()) {
    if (layer.text("kind").starts_with("ConvTranspose")) {
      EXPECT_EQ(layer.number("channel_axis"), 1);
    }
    if (layer.text("name") == "matrix") {
      EXPECT_EQ(layer.number("channel_axis"), 1) << "x @ matrix";
    }
    if (layer.text("name") == "functional") {
      EXPECT_EQ(layer.number("channel_axis"), 0);
    }
  }
}

}  // namespace
}  // namespace mnq::test
