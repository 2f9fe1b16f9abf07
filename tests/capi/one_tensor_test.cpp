// One tensor by itself: the parts that a file would have of it, and back.
#include <gtest/gtest.h>

#include <map>

#include "fixture.h"

namespace mnq::test {
namespace {

using mono_quant::QuantizedTensor;
using mono_quant::Values;

Tensor weight(std::int64_t rows = 8, std::int64_t columns = 64) {
  return tensor_of<float>({rows, columns}, normal_values(static_cast<std::size_t>(rows * columns), 7));
}

std::map<std::string, std::string> tensors_of(const Values& parts) {
  std::map<std::string, std::string> all;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts.kind(i) != MNQ_VALUE_TENSOR) continue;
    const Tensor tensor = parts.tensor(i);
    all.emplace(parts.name(i),
                std::string(reinterpret_cast<const char*>(tensor.bytes().data()), tensor.bytes().size()));
  }
  return all;
}

std::map<std::string, std::string> tensors_of(const Model& model) {
  std::map<std::string, std::string> all;
  for (const std::string& name : model.tensor_names()) {
    const Tensor tensor = model.tensor(name);
    all.emplace(name, std::string(reinterpret_cast<const char*>(tensor.bytes().data()), tensor.bytes().size()));
  }
  return all;
}

TEST(OneTensor, HasThePartsOfAFileAndComesBack) {
  for (const char* settings :
       {R"({"bits": 8})", R"({"bits": 4, "group_size": 32})", R"({"bits": 4, "group_size": 32, "symmetric": false})",
        R"({"dtype": "quint8"})", R"({"dtype": "float16"})", R"({"bits": 8, "per_channel": false})"}) {
    Config config(settings);
    NamedTensors tensors;
    tensors.emplace_back("fc.weight", weight());
    config.set("min_parameters", "0");
    const Model quantized = mono_quant::quantize(Model::from_tensors(tensors), config).model;
    const QuantizedTensor alone = mono_quant::quantize_tensor(weight(), "fc.weight", "Linear", config);
    EXPECT_EQ(tensors_of(alone.parts), tensors_of(quantized)) << settings;
    EXPECT_EQ(values_of<float>(mono_quant::dequantize_tensor(alone.parts)),
              values_of<float>(mono_quant::dequantize(quantized).model, "fc.weight"))
        << settings;
    EXPECT_EQ(values_of<float>(quantized.weight("fc.weight")),
              values_of<float>(mono_quant::dequantize(quantized).model, "fc.weight"))
        << settings;
  }
}

// 127 is the largest code, so the scale of the first row is 2 / 127 and its codes are 127, -64 (63.5 to even), 0.
TEST(OneTensor, ByHand) {
  const Tensor tensor = tensor_of<float>({2, 3}, {2, -1, 0, 127, 1, -127});
  const QuantizedTensor made = mono_quant::quantize_tensor(tensor);
  ASSERT_EQ(made.parts.size(), 3u);
  EXPECT_EQ(made.parts.name(0), "weight");
  EXPECT_EQ(values_of<std::int8_t>(made.parts.tensor(0)), (std::vector<std::int8_t>{127, -64, 0, 127, 1, -127}));
  EXPECT_EQ(made.parts.name(1), "weight_scale");
  EXPECT_EQ(values_of<float>(made.parts.tensor(1)), (std::vector<float>{2.0f / 127, 1}));
  EXPECT_EQ(made.parts.name(2), "mono_quant");
  EXPECT_EQ(made.report.number("layers_quantized"), 1);
}

TEST(OneTensor, TakesEveryFloatAndEveryName) {
  const std::vector<std::uint16_t> halves{0x3c00, 0xbc00, 0x4000, 0x0000};  // 1, -1, 2, 0
  const std::int64_t shape[] = {2, 2};
  for (const mnq_dtype dtype : {MNQ_DTYPE_F16, MNQ_DTYPE_BF16}) {
    const Tensor tensor = Tensor::copy(dtype, shape, std::as_bytes(std::span(halves)));
    for (const char* name : {"w", "x.kernel", "token_embedding", "mlp.gate.weight", "lm_head.weight"}) {
      const QuantizedTensor made = mono_quant::quantize_tensor(tensor, name, "Linear", Config(R"({"bits": 4})"));
      EXPECT_EQ(made.parts.name(0), std::string(name) + "_packed");
      EXPECT_EQ(mono_quant::dequantize_tensor(made.parts).dtype(), dtype);
    }
  }
}

TEST(OneTensor, FollowsTheKindsAxis) {
  const QuantizedTensor linear = mono_quant::quantize_tensor(weight(8, 64), "w", "Linear");
  const QuantizedTensor conv1d = mono_quant::quantize_tensor(weight(8, 64), "w", "Conv1D");
  EXPECT_EQ(shape_of(linear.parts.tensor(1)), (Shape{8, 1}));
  EXPECT_EQ(shape_of(conv1d.parts.tensor(1)), (Shape{1, 64}));
}

TEST(OneTensor, SaysWhyItWouldBeLeft) {
  const Error bias = error_of([] { mono_quant::quantize_tensor(tensor_of<float>({4}, {1, 2, 3, 4}), "fc.bias"); });
  EXPECT_EQ(bias.code(), MNQ_E_CONFIG);
  EXPECT_NE(std::string(bias.what()).find("would be left as it is"), std::string::npos) << bias.what();
  const Error skipped =
      error_of([] { mono_quant::quantize_tensor(weight(), "fc.weight", "", Config(R"({"only": "other.*"})")); });
  EXPECT_EQ(skipped.code(), MNQ_E_CONFIG);
  EXPECT_NE(std::string(skipped.what()).find("not matched by only"), std::string::npos) << skipped.what();
  const Error left_out =
      error_of([] { mono_quant::quantize_tensor(weight(), "lm_head.weight", "", Config(R"({"skip": "lm_*"})")); });
  EXPECT_EQ(left_out.code(), MNQ_E_CONFIG);
  EXPECT_NE(std::string(left_out.what()).find("skip=lm_*"), std::string::npos) << left_out.what();
  EXPECT_EQ(error_of([] { mono_quant::quantize_tensor(weight(), "w", "Lienar"); }).code(), MNQ_E_INVALID_ARG);
  EXPECT_EQ(error_of([] { mono_quant::quantize_tensor(tensor_of<float>({1, 2}, {1, NAN})); }).code(), MNQ_E_VALIDATION);
}

TEST(OneTensor, RefusesPartsThatDoNotFit) {
  const QuantizedTensor made = mono_quant::quantize_tensor(weight());
  Values no_scale, no_text, other_text, two;
  no_scale.add(made.parts.tensor(0), "weight").add_text(made.parts.text(2), "mono_quant");
  EXPECT_EQ(error_of([&] { mono_quant::dequantize_tensor(no_scale); }).code(), MNQ_E_FORMAT);
  no_text.add(made.parts.tensor(0), "weight").add(made.parts.tensor(1), "weight_scale");
  EXPECT_EQ(error_of([&] { mono_quant::dequantize_tensor(no_text); }).code(), MNQ_E_INVALID_ARG);
  other_text.add(made.parts.tensor(0), "weight").add(made.parts.tensor(1), "weight_scale");
  other_text.add_text("{\"version\": 1", "mono_quant");
  EXPECT_EQ(error_of([&] { mono_quant::dequantize_tensor(other_text); }).code(), MNQ_E_FORMAT);
  two.add(made.parts.tensor(0), "weight").add(std::int64_t{3}, "x");
  EXPECT_EQ(error_of([&] { mono_quant::dequantize_tensor(two); }).code(), MNQ_E_INVALID_ARG);
  EXPECT_EQ(error_of([] { mono_quant::dequantize_tensor(Values()); }).code(), MNQ_E_INVALID_ARG);
}

TEST(OneTensor, OfAModelIsReadAlone) {
  NamedTensors tensors;
  tensors.emplace_back("a.weight", weight());
  tensors.emplace_back("a.bias", tensor_of<float>({8}, normal_values(8, 1)));
  const Model quantized = mono_quant::quantize(Model::from_tensors(tensors)).model;
  EXPECT_EQ(values_of<float>(quantized.weight("a.bias")), normal_values(8, 1));
  EXPECT_EQ(error_of([&] { quantized.weight("a.weight_scale"); }).code(), MNQ_E_NOT_FOUND);  // a part of a weight
  const Error misspelt = error_of([&] { quantized.weight("a.wieght"); });
  EXPECT_EQ(misspelt.code(), MNQ_E_NOT_FOUND);
  EXPECT_EQ(misspelt.suggestion(), "did you mean 'a.weight'?");
}

TEST(Kind, IsASettingOfALayer) {
  NamedTensors tensors;
  tensors.emplace_back("net.table", weight());
  tensors.emplace_back("net.kernel", weight());
  const Model model = Model::from_tensors(tensors);
  Config config(
      R"({"layers": [{"name": "net.kernel", "kind": "Linear"}, {"name": "net.table", "kind": "Embedding"}]})");
  const auto layers = model.layers(&config);
  EXPECT_EQ(layers[0].kind, "Embedding");
  EXPECT_EQ(layers[0].action, "quantize");
  EXPECT_EQ(layers[1].kind, "Linear");
  EXPECT_EQ(model.layers()[0].kind, "");
  Config wrong(R"({"layers": [{"name": "net.kernel", "kind": "Conv2d"}]})");
  const Error error = error_of([&] { mono_quant::quantize(model, wrong); });
  EXPECT_EQ(error.code(), MNQ_E_CONFIG);
  EXPECT_EQ(error.subject(), "net.kernel");
}

}  // namespace
}  // namespace mnq::test
