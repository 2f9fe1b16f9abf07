// Linear layers and embeddings through the C ABI: what they are made of, and that they give what the weights stand for.
// How products are rounded: tests/linear.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>

#include "fixture.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

using Floats = std::vector<float>;
using Linear = std::unique_ptr<mnq_linear, decltype(&mnq_linear_free)>;
using Embedding = std::unique_ptr<mnq_embedding, decltype(&mnq_embedding_free)>;

Linear make_linear(const Model& model, const char* layer, const Config* config = nullptr) {
  mnq_linear* out = nullptr;
  call(mnq_linear_create, model.get(), layer, config == nullptr ? nullptr : config->get(),
       static_cast<const mnq_run*>(nullptr), &out);
  return {out, mnq_linear_free};
}

Embedding make_embedding(const Model& model, const char* layer) {
  mnq_embedding* out = nullptr;
  call(mnq_embedding_create, model.get(), layer, &out);
  return {out, mnq_embedding_free};
}

Floats run(const Linear& linear, const Floats& rows, std::size_t row_count, std::size_t output_count) {
  Floats out(row_count * output_count, -1);
  call(mnq_linear_run, linear.get(), static_cast<const void*>(rows.data()), row_count, MNQ_DTYPE_F32,
       static_cast<void*>(out.data()), MNQ_DTYPE_F32, static_cast<void*>(nullptr), std::size_t{0});
  return out;
}

std::string describe(const Linear& linear) {
  mnq_buffer* buffer = nullptr;
  call(mnq_linear_describe, linear.get(), &buffer);
  std::string text(mnq_buffer_data(buffer));
  mnq_buffer_free(buffer);
  return text;
}

double product_at(const Floats& rows, const Floats& weights, const Floats& bias, std::size_t row, std::size_t output) {
  const std::size_t length = weights.size() / bias.size();
  double sum = static_cast<double>(bias[output]);
  for (std::size_t i = 0; i < length; ++i) {
    sum += static_cast<double>(rows[row * length + i]) * static_cast<double>(weights[output * length + i]);
  }
  return sum;
}

// How well outputs match those of float weights, in dB.
double sqnr_db(const Floats& out, const Floats& rows, const Floats& weights, const Floats& bias) {
  double signal = 0, error = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double wanted = product_at(rows, weights, bias, i / bias.size(), i % bias.size());
    signal += wanted * wanted;
    error += (wanted - static_cast<double>(out[i])) * (wanted - static_cast<double>(out[i]));
  }
  return 10 * std::log10(signal / error);
}

struct FloatLayer {
  Floats weights = normal_values(48 * 160, 1), bias = normal_values(48, 2), rows = normal_values(5 * 160, 3);
  Model model = make();

  Model make() const {
    NamedTensors tensors;
    tensors.emplace_back("block.fc.weight", tensor_of(Shape{48, 160}, weights));
    tensors.emplace_back("block.fc.bias", tensor_of(Shape{48}, bias));
    return Model::from_tensors(tensors);
  }
};

TEST(Linear, CodesByHand) {
  const std::int8_t codes[] = {1, 2, 3, 4, 5, 6}, zero_points[] = {1, 0};
  const float scales[] = {0.5f, -2}, bias[] = {10, 20};
  mono_quant::Run run_settings;
  run_settings.set("symmetric_activations", "true");
  mnq_linear* made = nullptr;
  call(mnq_linear_from_codes, codes, std::size_t{2}, std::size_t{3}, 8, std::size_t{0}, scales, zero_points, bias,
       static_cast<const mnq_config*>(nullptr), static_cast<const mnq_run*>(run_settings.get()), &made);
  const Linear linear(made, mnq_linear_free);
  // Codes 127, -127, 0: 127 * (0 - 1) * 0.5 + 10 and 127 * (4 - 5) * -2 + 20.
  EXPECT_EQ(run(linear, {127, -127, 0}, 1, 2), (Floats{-53.5f, 274}));
  EXPECT_NE(describe(linear).find(R"("symmetric_activations":true)"), std::string::npos);
}

// Through mnq_kernel_quantize, a model and floats comes the same layer.
TEST(Linear, HoweverItIsMadeItIsTheSame) {
  const FloatLayer layer;
  for (const int bits : {8, 4}) {
    const std::size_t group = bits == 4 ? 32 : 0, groups = bits == 4 ? 5 : 1;
    std::vector<std::int8_t> codes(48 * 160), zero_points(48 * groups);
    Floats scales(48 * groups);
    call(mnq_kernel_quantize, layer.weights.data(), std::size_t{48}, std::size_t{160}, bits, 0, group, scales.data(),
         zero_points.data(), codes.data(), static_cast<double*>(nullptr));
    mnq_linear* made = nullptr;
    call(mnq_linear_from_codes, codes.data(), std::size_t{48}, std::size_t{160}, bits, group, scales.data(),
         zero_points.data(), layer.bias.data(), static_cast<const mnq_config*>(nullptr),
         static_cast<const mnq_run*>(nullptr), &made);
    const Linear from_codes(made, mnq_linear_free);
    const Floats wanted = run(from_codes, layer.rows, 5, 48);
    EXPECT_GT(sqnr_db(wanted, layer.rows, layer.weights, layer.bias), bits == 8 ? 35 : 17);

    Config config;
    config.set("bits", bits);
    config.set("symmetric", "false");
    config.set("method", "minmax");
    config.set("group_size", group);
    config.set("min_parameters", 0);
    EXPECT_EQ(run(make_linear(layer.model, "block.fc", &config), layer.rows, 5, 48), wanted);
    const Model quantized = mono_quant::quantize(layer.model, config).model;
    EXPECT_EQ(run(make_linear(quantized, "block.fc.weight"), layer.rows, 5, 48), wanted);

    const Tensor weight = tensor_of(Shape{48, 160}, layer.weights), bias = tensor_of(Shape{48}, layer.bias);
    made = nullptr;
    call(mnq_linear_from_floats, weight.get(), bias.get(), config.get(), static_cast<const mnq_run*>(nullptr), &made);
    EXPECT_EQ(run(Linear(made, mnq_linear_free), layer.rows, 5, 48), wanted);
  }
}

// Layouts of other tools keep their codes: what is packed stands for what dequantizing gives.
TEST(Linear, OfFiles) {
  const FloatLayer layer;
  const TempFolder folder;
  for (const char* name : {"a.safetensors", "a.pt", "a.gguf", "a/"}) {
    for (const int bits : {8, 4}) {
      Config config;
      config.set("bits", bits);
      config.set("group_size", 32);
      config.set("min_parameters", 0);
      const std::string path = folder.path(std::to_string(bits) + name);
      mono_quant::quantize_to_file(layer.model, path, config);
      const Model model = Model::open(path);
      const Floats weights = values_of<float>(mono_quant::dequantize(model).model, "block.fc.weight");
      const Floats out = run(make_linear(model, "block.fc"), layer.rows, 5, 48);
      EXPECT_GT(sqnr_db(out, layer.rows, weights, layer.bias), 38) << path;
    }
  }
}

TEST(Linear, Convolutions) {
  const FloatLayer layer;
  const Model model = one_weight({48, 160, 1, 1}, layer.weights, "conv.weight");
  const Floats out = run(make_linear(model, "conv"), layer.rows, 5, 48);
  EXPECT_GT(sqnr_db(out, layer.rows, layer.weights, Floats(48)), 35);
}

TEST(Linear, Tensors) {
  const FloatLayer layer;
  const Linear linear = make_linear(layer.model, "block.fc");
  mnq_tensor* made = nullptr;
  const Tensor rows = tensor_of(Shape{1, 5, 160}, layer.rows);
  call(mnq_linear_run_tensor, linear.get(), rows.get(), MNQ_DTYPE_F32, &made);
  const Tensor out(made);
  EXPECT_EQ(shape_of(out), (Shape{1, 5, 48}));
  EXPECT_EQ(values_of<float>(out), run(linear, layer.rows, 5, 48));
  const Tensor flat = tensor_of(Shape{5 * 160}, layer.rows);
  EXPECT_EQ(mnq_linear_run_tensor(linear.get(), flat.get(), MNQ_DTYPE_F32, &made, nullptr), MNQ_E_SHAPE);
}

TEST(Linear, ScratchDecidesHowManyThreadsWork) {
  const FloatLayer layer;
  const Linear linear = make_linear(layer.model, "block.fc");
  const Floats wanted = run(linear, layer.rows, 5, 48);
  std::size_t size = 0;
  call(mnq_linear_scratch_size, linear.get(), std::size_t{5}, &size);
  for (const std::size_t offset : {0, 1, 63}) {
    std::vector<char> scratch(size + offset);
    Floats out(wanted.size());
    call(mnq_linear_run, linear.get(), static_cast<const void*>(layer.rows.data()), std::size_t{5}, MNQ_DTYPE_F32,
         static_cast<void*>(out.data()), MNQ_DTYPE_F32, static_cast<void*>(scratch.data() + offset), size);
    EXPECT_EQ(out, wanted);
  }
}

TEST(Linear, WhatCannotBePacked) {
  const FloatLayer layer;
  const auto refusal = [](const Model& model, const char* name, const char* settings) {
    const Config config(settings);
    return error_of([&] { make_linear(model, name, &config); });
  };
  EXPECT_EQ(refusal(layer.model, "block.fb", "{}").code(), MNQ_E_NOT_FOUND);
  EXPECT_EQ(refusal(layer.model, "block.fc.bias", "{}").code(), MNQ_E_UNSUPPORTED);
  EXPECT_EQ(refusal(layer.model, "block.fc", R"({"dtype": "float16"})").code(), MNQ_E_UNSUPPORTED);
  EXPECT_EQ(refusal(layer.model, "block.fc", R"({"bits": 4, "group_size": 48, "min_parameters": 0})").code(),
            MNQ_E_UNSUPPORTED);
  EXPECT_EQ(refusal(one_weight({48, 40, 2, 2}, layer.weights, "conv.weight"), "conv", "{}").code(), MNQ_E_UNSUPPORTED);
  EXPECT_EQ(refusal(one_weight({2, 2}, {1, 2, 3, NAN}), "fc", "{}").code(), MNQ_E_VALIDATION);
  NamedTensors tensors;
  tensors.emplace_back("fc.weight", tensor_of<float>({2, 2}, {1, 2, 3, 4}));
  tensors.emplace_back("fc.bias", tensor_of<float>({3}, {1, 2, 3}));
  EXPECT_EQ(refusal(Model::from_tensors(tensors), "fc", "{}").code(), MNQ_E_SHAPE);
  EXPECT_EQ(refusal(layer.model, "block.fc", R"({"skip": "*"})").code(), MNQ_OK);
}

// "*" and "[" in a name choose nothing.
TEST(Linear, OfAnyName) {
  const FloatLayer layer;
  for (const char* name : {"blocks[0].fc", "a,b", "[!q]", "back\\slash", " sp "}) {
    const Model model = one_weight({48, 160}, layer.weights, std::string(name) + ".weight");
    EXPECT_GT(sqnr_db(run(make_linear(model, name), layer.rows, 5, 48), layer.rows, layer.weights, Floats(48)), 35);
  }
}

TEST(Linear, OfTiedWeights) {
  const FloatLayer layer;
  mono_quant::LayerTensor table, head;
  table.name = "embed.weight";
  table.tensor = tensor_of(Shape{48, 160}, layer.weights);
  head.name = "head.weight";
  head.tied_to = table.name;
  std::vector<mono_quant::LayerTensor> tensors;
  tensors.push_back(std::move(table));
  tensors.push_back(std::move(head));
  const Model model = Model::from_layers(tensors);
  EXPECT_EQ(run(make_linear(model, "head"), layer.rows, 5, 48), run(make_linear(model, "embed"), layer.rows, 5, 48));
}

TEST(Linear, BiasesOfRecurrentLayers) {
  const FloatLayer layer;
  NamedTensors tensors;
  tensors.emplace_back("rnn.weight_ih_l0", tensor_of(Shape{48, 160}, layer.weights));
  tensors.emplace_back("rnn.bias_ih_l0", tensor_of(Shape{48}, layer.bias));
  const Linear linear = make_linear(Model::from_tensors(tensors), "rnn.weight_ih_l0");
  EXPECT_GT(sqnr_db(run(linear, layer.rows, 5, 48), layer.rows, layer.weights, layer.bias), 35);
}

// Groups that are longer than a kernel sums at once are cut.
TEST(Linear, LongGroups) {
  const std::size_t group = 49152;
  std::vector<std::int8_t> codes(2 * group, 1);
  const float scales[] = {1, 2};
  mono_quant::Run run_settings;
  run_settings.set("symmetric_activations", "true");
  mnq_linear* made = nullptr;
  call(mnq_linear_from_codes, static_cast<const std::int8_t*>(codes.data()), std::size_t{1}, 2 * group, 8, group,
       scales, static_cast<const std::int8_t*>(nullptr), static_cast<const float*>(nullptr),
       static_cast<const mnq_config*>(nullptr), static_cast<const mnq_run*>(run_settings.get()), &made);
  EXPECT_EQ(run(Linear(made, mnq_linear_free), Floats(2 * group, 127), 1, 1), (Floats{127.0f * 3 * group}));
}

// Neither are columns taken for rows, nor is what quantizing leaves taken for codes.
TEST(Linear, FloatsThatAreNoRowsOfOutputs) {
  const FloatLayer layer;
  const auto refusal = [](const Model& model, const char* name, const char* settings) {
    const Config config(settings);
    return error_of([&] { make_linear(model, name, &config); });
  };
  EXPECT_EQ(refusal(layer.model, "block.fc", R"({"channel_axis": 1})").code(), MNQ_E_UNSUPPORTED);
  EXPECT_EQ(refusal(one_weight({2, 2}, {1, 2, 3, NAN}), "fc", R"({"nonfinite": "copy"})").code(), MNQ_E_VALIDATION);
  const TempFolder folder;
  std::filesystem::create_directories(folder.path("gpt2"));
  Config config;
  config.set("only", "none");
  const Model floats = one_weight({48, 48}, normal_values(48 * 48, 1), "h.0.attn.c_proj.weight");
  mono_quant::quantize_to_file(floats, folder.path("gpt2/model.safetensors"), config);
  std::ofstream(folder.path("gpt2/config.json")) << R"({"model_type": "gpt2"})";
  EXPECT_EQ(refusal(Model::open(folder.path("gpt2")), "h.0.attn.c_proj", "{}").code(), MNQ_E_UNSUPPORTED);
}

TEST(Embedding, DoublesStayThemselves) {
  const double values[] = {1e300, 1.23456789012345, 1e-300, -3};
  const Embedding embedding = make_embedding(
      Model::from_tensors([&] {
        NamedTensors tensors;
        tensors.emplace_back("e.weight", tensor_of<double>({2, 2}, std::vector<double>(values, values + 4)));
        return tensors;
      }()),
      "e");
  const std::int64_t indices[] = {1, 0};
  double out[4];
  call(mnq_embedding_run, embedding.get(), indices, std::size_t{2}, static_cast<void*>(out), MNQ_DTYPE_F64);
  EXPECT_EQ(std::vector<double>(out, out + 4), (std::vector<double>{values[2], values[3], values[0], values[1]}));
}

TEST(Embedding, RowsAreThoseOfTheTable) {
  const Floats values = normal_values(20 * 64, 5);
  const TempFolder folder;
  const Model floats = one_weight({20, 64}, values, "embed.weight");
  for (const char* settings : {R"({"bits": 8})", R"({"bits": 4, "group_size": 32, "min_parameters": 0})",
                               R"({"bits": 8, "symmetric": false})", R"({"skip": "*"})"}) {
    mono_quant::Run run;
    run.set("only", "embed");
    const std::string path = folder.path(std::to_string(std::string(settings).size()) + ".safetensors");
    mono_quant::quantize_to_file(floats, path, Config(settings), &run);
    const Model model = Model::open(path);
    const Floats wanted = values_of<float>(mono_quant::dequantize(model).model, "embed.weight");
    const Embedding embedding = make_embedding(model, "embed");
    const std::int64_t indices[] = {19, 0, 7, 7};
    Floats out(4 * 64);
    call(mnq_embedding_run, embedding.get(), indices, std::size_t{4}, static_cast<void*>(out.data()), MNQ_DTYPE_F32);
    for (std::size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(out[i], wanted[static_cast<std::size_t>(indices[i / 64]) * 64 + i % 64]) << settings;
    }
  }
}

TEST(Embedding, Tensors) {
  const Model model = one_weight({3, 2}, {1, 2, 3, 4, 5, 6}, "embed.weight");
  Embedding embedding = make_embedding(model, "embed.weight");
  const Tensor indices = tensor_of<std::int32_t>({1, 2}, {2, 0});
  mnq_tensor* made = nullptr;
  call(mnq_embedding_run_tensor, embedding.get(), indices.get(), MNQ_DTYPE_F32, &made);
  const Tensor out(made);
  EXPECT_EQ(shape_of(out), (Shape{1, 2, 2}));
  EXPECT_EQ(values_of<float>(out), (Floats{5, 6, 1, 2}));
}

TEST(Embedding, IndicesThatNoRowHas) {
  const Embedding embedding = make_embedding(one_weight({3, 2}, {1, 2, 3, 4, 5, 6}), "fc");
  float out[4];
  for (const std::int64_t bad : {std::int64_t{3}, std::int64_t{-1}, INT64_MIN}) {
    const std::int64_t indices[] = {0, bad};
    const Error error = error_of([&] {
      call(mnq_embedding_run, embedding.get(), indices, std::size_t{2}, static_cast<void*>(out), MNQ_DTYPE_F32);
    });
    EXPECT_EQ(error.code(), MNQ_E_INVALID_ARG);
    EXPECT_EQ(error.subject(), "indices");
  }
}

}  // namespace
}  // namespace mnq::test
