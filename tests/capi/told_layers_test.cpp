// Models whose layers are told by their maker: mnq_model_from_layers.
#include <gtest/gtest.h>

#include <cstring>

#include "fixture.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

using mono_quant::Layer;
using mono_quant::LayerTensor;

LayerTensor told(const std::string& name, const Shape& shape, std::optional<std::string> kind, std::int64_t axis = -1) {
  std::size_t count = 1;
  for (const std::int64_t size : shape) count *= static_cast<std::size_t>(size);
  return {name, tensor_of<float>(shape, normal_values(count, 1)), std::move(kind), axis};
}

LayerTensor tied(const std::string& name, const std::string& to, std::optional<std::string> kind = {}) {
  LayerTensor tensor{name};
  tensor.tied_to = to;
  tensor.kind = std::move(kind);
  return tensor;
}

template <class... Tensors>
Model model_of(Tensors... tensors) {
  std::vector<LayerTensor> all;
  (all.push_back(std::move(tensors)), ...);
  return Model::from_layers(all);
}

template <class... Tensors>
Error refusal_of(Tensors... tensors) {
  return error_of([&] { model_of(std::move(tensors)...); });
}

TEST(ToldLayers, GoBeforeNamesAndShapes) {
  const Model model = model_of(told("embeddings.weight", {8, 4}, "Linear"), told("a.weight", {8, 4}, "Embedding"),
                               told("net.table", {8, 4}, "Linear"), told("net.positions.weight", {8, 4}, ""),
                               told("head.weight", {8, 4}, std::nullopt), told("conv.weight", {8, 4, 3}, "Conv1d"));
  const std::vector<Layer> layers = model.layers();
  ASSERT_EQ(layers.size(), 6u);
  const std::vector<std::pair<std::string, std::string>> wanted{{"embeddings", "Linear"}, {"a", "Embedding"},
                                                                {"net.table", "Linear"},  {"net.positions.weight", ""},
                                                                {"head", "Linear"},       {"conv", "Conv1d"}};
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(layers[i].name, wanted[i].first);
    EXPECT_EQ(layers[i].kind, wanted[i].second) << layers[i].name;
    EXPECT_EQ(layers[i].action, wanted[i].second.empty() ? "copy" : "quantize") << layers[i].name;
  }
  EXPECT_NE(layers[3].reason, "");
}

TEST(ToldLayers, AreChosenByTheirKinds) {
  const Model model = model_of(told("a.weight", {64, 64}, "Embedding"), told("b.weight", {64, 64}, "Linear"),
                               told("c.weight_ih_l0", {64, 64}, "LSTM"));
  const auto actions = [&](const char* json) {
    const Config config(json);
    std::string all;
    for (const Layer& layer : model.layers(&config)) all += layer.action + " ";
    return all;
  };
  EXPECT_EQ(actions("{}"), "quantize quantize copy ");
  EXPECT_EQ(actions(R"({"bits": 4})"), "copy quantize copy ");
  EXPECT_EQ(actions(R"({"layer_types": "LSTM,Embedding", "bits": 4})"), "quantize copy quantize ");
}

TEST(ToldLayers, HaveTheirChannelsWhereTheKindSays) {
  const Model model = model_of(told("up.weight", {3, 5, 2, 2}, "ConvTranspose2d"), told("fc.weight", {3, 5}, "Linear"),
                               told("c_fc.weight", {3, 5}, "Conv1D"), told("turned.weight", {3, 5}, "Linear", 1),
                               told("experts.w1", {2, 3, 5}, "Experts"));
  const Model quantized = mono_quant::quantize(model).model;
  const auto scales = [&](const char* name) {
    std::size_t count = 1;
    const Shape shape = shape_of(quantized.tensor(std::string(name) + "_scale"));
    for (const std::int64_t size : shape) count *= static_cast<std::size_t>(size);
    return count;
  };
  EXPECT_EQ(scales("up.weight"), 5u);
  EXPECT_EQ(scales("fc.weight"), 3u);
  EXPECT_EQ(scales("c_fc.weight"), 5u);
  EXPECT_EQ(scales("turned.weight"), 5u);
  EXPECT_EQ(scales("experts.w1"), 6u) << "each expert has channels of its own";
}

TEST(ToldLayers, ATensorThatIsNoWeightMayHaveTheKindOfItsModule) {
  const std::vector<Layer> layers =
      model_of(told("fc.bias", {4}, "Linear"), told("steps", {}, "ConvTranspose2d")).layers();
  for (const Layer& layer : layers) {
    EXPECT_EQ(layer.action, "copy") << layer.tensor;
    EXPECT_EQ(layer.kind, "") << layer.tensor;
    EXPECT_NE(layer.reason, "") << layer.tensor;
  }
}

TEST(ToldLayers, ATieIsAnotherNameOfOneTensor) {
  const Model model = model_of(tied("head.weight", "wte.weight"), told("wte.weight", {8, 4}, "Embedding"));
  EXPECT_EQ(model.tensor_names(), std::vector<std::string>{"wte.weight"});
  ASSERT_EQ(model.layers().size(), 1u);
  EXPECT_EQ(model.layers()[0].ties, std::vector<std::string>{"head.weight"});
  const TempFolder folder;
  const Report report = mono_quant::quantize_to_file(model, folder.path("a.safetensors"));
  EXPECT_EQ(report.number("layers_quantized"), 1);
  const std::vector<Layer> read = Model::open(folder.path("a.safetensors")).layers();
  ASSERT_EQ(read.size(), 1u);
  EXPECT_EQ(read[0].ties, std::vector<std::string>{"head.weight"});
}

TEST(ToldLayers, AnEmbeddingThatIsTiedIsOneFirstOfAll) {
  const Model model = model_of(told("head.weight", {8, 4}, "Linear"), tied("wte.weight", "head.weight", "Embedding"));
  EXPECT_EQ(model.layers()[0].kind, "Embedding");
  EXPECT_EQ(model.layers()[0].name, "head");
  EXPECT_EQ(model_of(told("a.weight", {8, 4}, "Linear"), tied("b.weight", "a.weight", "Linear")).layers()[0].kind,
            "Linear");
}

TEST(ToldLayers, ATieMayComeWithItsTensor) {
  LayerTensor same = told("b.weight", {8, 4}, "Linear"), other = told("b.weight", {4, 8}, "Linear"), integers;
  same.tied_to = other.tied_to = integers.tied_to = "a.weight";
  integers.name = "b.weight";
  integers.tensor = tensor_of<std::int32_t>({8, 4}, std::vector<std::int32_t>(32));
  EXPECT_EQ(model_of(told("a.weight", {8, 4}, "Linear"), std::move(same)).tensor_names().size(), 1u);
  EXPECT_EQ(refusal_of(told("a.weight", {8, 4}, "Linear"), std::move(other)).code(), MNQ_E_SHAPE);
  EXPECT_EQ(refusal_of(told("a.weight", {8, 4}, "Linear"), std::move(integers)).code(), MNQ_E_DTYPE);
}

TEST(ToldLayers, OfAnUnknownKindAreRefusedWithTheKnownOnes) {
  const Error error = refusal_of(told("fc.weight", {8, 4}, "Lienar"));
  EXPECT_EQ(error.code(), MNQ_E_INVALID_ARG);
  EXPECT_EQ(error.subject(), "fc.weight");
  EXPECT_NE(std::string(error.what()).find("Lienar"), std::string::npos) << error.what();
  std::string kinds = error.suggestion();
  ASSERT_TRUE(kinds.starts_with("the kinds are Linear, ")) << kinds;
  kinds = kinds.substr(std::strlen("the kinds are ")) + ", ";
  int count = 0;
  for (std::size_t end = 0; (end = kinds.find(", ")) != std::string::npos; kinds.erase(0, end + 2), ++count) {
    EXPECT_EQ(refusal_of(told("fc.weight", {8, 4}, kinds.substr(0, end))).code(), MNQ_OK) << kinds;
  }
  EXPECT_GE(count, 16);
}

TEST(ToldLayers, ThatCannotBe) {
  const auto code_of = [](auto... tensors) { return refusal_of(std::move(tensors)...).code(); };
  EXPECT_EQ(code_of(told("w", {8, 4}, "Linear", 2)), MNQ_E_INVALID_ARG);
  EXPECT_EQ(code_of(told("w", {8, 4}, "Linear", -2)), MNQ_E_INVALID_ARG);
  EXPECT_EQ(code_of(told("w", {8, 4}, std::nullopt, 0)), MNQ_E_INVALID_ARG) << "an axis of what?";
  EXPECT_EQ(code_of(tied("w", "v")), MNQ_E_INVALID_ARG) << "there is no v";
  EXPECT_EQ(code_of(tied("w", "w")), MNQ_E_INVALID_ARG) << "tied to itself";
  EXPECT_EQ(code_of(told("u", {8, 4}, "Linear"), tied("v", "u"), tied("w", "v")), MNQ_E_INVALID_ARG);
  EXPECT_EQ(code_of(told("u", {8, 4}, "Linear"), tied("u", "u")), MNQ_E_INVALID_ARG);
  EXPECT_EQ(code_of(told("u", {8, 4}, "Linear"), tied("v", "u"), tied("v", "u")), MNQ_E_INVALID_ARG);
  EXPECT_EQ(code_of(LayerTensor{"w"}), MNQ_E_INVALID_ARG) << "no tensor";
}

TEST(ToldLayers, StayWhatTheyAreInAClone) {
  const Model model = model_of(told("a.weight", {8, 4}, "Embedding"), tied("b.weight", "a.weight"));
  const std::vector<Layer> layers = model.clone().layers();
  ASSERT_EQ(layers.size(), 1u);
  EXPECT_EQ(layers[0].kind, "Embedding");
  EXPECT_EQ(layers[0].ties, std::vector<std::string>{"b.weight"});
  for (const char* json : {"{}", R"({"bits": 4, "layer_types": "Embedding", "min_parameters": 0})"}) {
    const Model quantized = mono_quant::quantize(model, Config(json)).model;
    EXPECT_EQ(quantized.layers()[0].kind, "Embedding") << json;
    EXPECT_EQ(mono_quant::dequantize(quantized).model.layers()[0].kind, "Embedding") << json;
  }
}

// What a program passes that was compiled with a later header.
struct LargerEntry {
  mnq_layer_tensor entry;
  const char* more;
};

TEST(ToldLayers, OfLaterVersions) {
  const Tensor tensor = tensor_of<float>({2, 2}, {1, 2, 3, 4});
  LargerEntry entries[2] = {{{sizeof(LargerEntry), "a.weight", tensor.get(), "Linear", -1, nullptr}, nullptr},
                            {{sizeof(LargerEntry), "b.weight", tensor.get(), "Embedding", -1, nullptr}, nullptr}};
  mnq_model* handle = nullptr;
  ASSERT_EQ(mnq_model_from_layers(&entries[0].entry, 2, &handle, nullptr), MNQ_OK);
  const Model model(handle);
  EXPECT_EQ(model.layers()[1].kind, "Embedding");
  entries[1].more = "what this library cannot know";
  mnq_error* error = nullptr;
  EXPECT_EQ(mnq_model_from_layers(&entries[0].entry, 2, &handle, &error), MNQ_E_ABI);
  EXPECT_EQ(handle, nullptr);
  mnq_error_free(error);
}

TEST(ToldLayers, OutliveTheTextsAndTheHandles) {
  mnq_model* handle = nullptr;
  {
    const std::string name = "a weight's name that is too long to lie in the string itself", kind = "Linear";
    const Tensor tensor = tensor_of<float>({1, 4}, {1.27f, -0.64f, 0.1f, 0});
    const mnq_layer_tensor entry{sizeof(mnq_layer_tensor), name.c_str(), tensor.get(), kind.c_str(), -1, nullptr};
    ASSERT_EQ(mnq_model_from_layers(&entry, 1, &handle, nullptr), MNQ_OK);
  }
  const Model model(handle);
  const Model quantized = mono_quant::quantize(model).model;
  EXPECT_EQ(values_of<std::int8_t>(quantized, model.tensor_names()[0]), (std::vector<std::int8_t>{127, -64, 10, 0}));
}

}  // namespace
}  // namespace mnq::test
