// Folders of compressed-tensors: what config.json says to their loaders, and what is read of folders that others made.
// tests/loaders loads them.
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <map>

#include "formats/choose_format.h"
#include "quantize/job_fixture.h"
#include "support/error_of.h"
#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

NamedTensor weight(const std::string& name, Shape shape = {64, 64}) {
  const std::size_t count = element_count(shape);
  return {name + ".weight", tensor_of(DType::kF32, std::move(shape), normal_values(count, 1))};
}

struct Made {
  Json config;  // its quantization_config; null where there is none
  Json report;
};

class CompressedTensors : public testing::Test {
 protected:
  // A folder of these tensors.
  void write_folder(const std::string& name, std::vector<NamedTensor> tensors, const std::string& config) {
    SafetensorsBytes file;
    for (const auto& [tensor_name, tensor, hint, ties] : tensors) {
      file.add_bytes(tensor_name, dtype_name(tensor.dtype).data(), shape_text(tensor.shape),
                     std::string(reinterpret_cast<const char*>(tensor.data.get()), tensor.size_bytes));
    }
    fs::create_directories(path(name));
    write_bytes(path(name) + "/model.safetensors", file.bytes());
    write_bytes(path(name) + "/config.json", config);
  }

  Made quantize_folder(std::vector<NamedTensor> tensors, const std::string& config, const std::string& settings = "") {
    write_folder("in", std::move(tensors), config);
    return quantize_path("in", settings);
  }

  Made quantize_path(const std::string& name, const std::string& more = "") {
    const auto source = open_source(path(name));
    const Settings settings =
        parse_settings(R"({"overwrite": true, "accuracy_warning": "ignore")" + (more.empty() ? "" : ", " + more) + "}");
    const Config config(&settings, nullptr);
    RunControl control;
    const Report report = quantize(*source, config, control, file_output(*source, path("out/"), config, control));
    const Json made = parse_json(read_bytes(path("out/config.json")));
    const Json* quantization = made.find("quantization_config");
    return {quantization == nullptr ? Json(nullptr) : *quantization, report.json()};
  }

  std::string path(const std::string& name) const { return folder_.path(name); }
  static Names texts(const Json& list) { return list.get<Names>(); }
  Names stored_names(const std::string& file) const {
    Names names;
    const std::string bytes = read_bytes(path(file));
    const auto source = open_memory(std::as_bytes(std::span(bytes)));
    for (const TensorInfo& info : source->tensors()) names.push_back(info.name);
    return names;
  }

  TempFolder folder_;
};

bool says(const Json& report, const std::string& text) { return report["warnings"].dump().find(text) != text.npos; }

TEST_F(CompressedTensors, HeadsThatShareTheEmbeddingAreIgnored) {
  const struct {
    const char* architecture;
    const char* head;
  } rows[] = {
      {"LlamaForCausalLM", "lm_head"},
      {"T5ForConditionalGeneration", "lm_head"},
      {"MarianMTModel", "lm_head"},
      {"WhisperForConditionalGeneration", "proj_out"},
      {"BertForMaskedLM", "cls.predictions.decoder"},
      {"DebertaV2ForMaskedLM", "cls.predictions.decoder"},
      {"XLMRobertaForMaskedLM", "lm_head.decoder"},
      {"DistilBertForMaskedLM", "vocab_projector"},
      {"AlbertForMaskedLM", "predictions.decoder"},
      {"ElectraForMaskedLM", "generator_lm_head"},
      {"ModernBertForMaskedLM", "decoder"},
      {"MoonshineForConditionalGeneration", "proj_out"},
      {"BlipForConditionalGeneration", "cls.predictions.decoder"},
      {"XLNetLMHeadModel", "lm_loss"},
      {"BertGenerationDecoder", "lm_head.decoder"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.architecture);
    const std::string config =
        R"({"architectures": [")" + std::string(row.architecture) + R"("], "tie_word_embeddings": false})";
    EXPECT_EQ(texts(quantize_folder({weight("layer")}, config).config["ignore"]), Names{row.head});
  }
  EXPECT_EQ(texts(quantize_folder({weight("layer")}, R"({"architectures": ["BertModel"]})").config["ignore"]), Names());
}

// A head that has a weight stays float, and is named so that a module without the prefix is found as well.
TEST_F(CompressedTensors, AHeadBehindAPrefixIsIgnoredUnderEitherName) {
  const Made made = quantize_folder({weight("layer"), weight("language_model.lm_head")},
                                    R"({"architectures": ["LlavaForConditionalGeneration"]})");
  EXPECT_EQ(texts(made.config["ignore"]), (Names{"language_model.lm_head", "re:.*\\blm_head$"}));
  const Made stored = quantize_folder({weight("layer"), weight("cls.predictions.decoder")},
                                      R"({"architectures": ["BertForMaskedLM"]})");
  EXPECT_EQ(texts(stored.config["ignore"]), Names{"cls.predictions.decoder"});
  const Made tied = quantize_folder({weight("layer")}, R"({"architectures": ["BlipForConditionalGeneration"],
      "model_type": "blip", "text_config": {"model_type": "blip_text_model"}})");
  EXPECT_EQ(texts(tied.config["ignore"]), (Names{"cls.predictions.decoder", "re:.*\\bcls.predictions.decoder$"}));
}

// int8 is packed there, which its own parts do not show.
TEST_F(CompressedTensors, NamesThatItsReadersLookForAreNobodyElses) {
  for (const char* part :
       {"layer.weight_packed", "layer.weight_shape", "layer.weight_scale", "layer.weight_zero_point"}) {
    for (const char* settings : {R"("bits": 8)", R"("dtype": "quint8")", R"("bits": 4, "min_parameters": 0)"}) {
      const auto tensors = [&] {
        return std::vector{weight("layer"), NamedTensor{part, tensor_of(DType::kF32, {64}, normal_values(64, 2))}};
      };
      const Error error = error_of([&] { quantize_folder(tensors(), "{}", settings); });
      EXPECT_EQ(error.status(), Status::kFormat) << part << " " << settings;
      EXPECT_EQ(error.subject(), part);
      EXPECT_EQ(error.suggestion(), "skip the layer layer, or rename the other tensor");
      quantize_folder(tensors(), "{}", std::string(settings) + R"(, "skip": ["layer"])");
    }
  }
}

TEST_F(CompressedTensors, ExpertsInOneTensorStayFloat) {
  const auto experts = normal_values(4 * 64 * 64, 1);
  const Made made = quantize_folder({weight("attention.out"),
                                     weight("mlp.gate", {4, 64}),
                                     {"mlp.experts.down_proj", tensor_of(DType::kF32, {4, 64, 64}, experts)}},
                                    "{}");
  EXPECT_EQ(texts(made.config["ignore"]), Names{"mlp.gate"});
  for (const Json& layer : made.report["layers"]) {
    if (layer["kind"] != "Experts") continue;
    EXPECT_NE(layer["reason"].text().find("all experts in one tensor"), std::string::npos) << layer;
  }
}

TEST_F(CompressedTensors, Conv1DStaysFloat) {
  const auto tensors = [] { return std::vector{weight("h.0.attn.c_attn"), weight("h.0.mlp.c_proj")}; };
  const Made made = quantize_folder(tensors(), R"({"model_type": "gpt2"})");
  EXPECT_TRUE(made.config.is_null());
  EXPECT_TRUE(says(made.report, "2 layers are Conv1D")) << made.report["warnings"];
  EXPECT_TRUE(says(made.report, "write safetensors or GGUF"));
  EXPECT_NE(made.report["layers"][0]["reason"].text().find("Conv1D"), std::string::npos);
  const Made nested = quantize_folder(tensors(), R"({"model_type": "vision-encoder-decoder", "decoder":
                                                     {"model_type": "gpt2"}})");
  EXPECT_TRUE(nested.config.is_null());
  // The same names are those of Linear layers elsewhere.
  EXPECT_FALSE(quantize_folder(tensors(), R"({"model_type": "gpt_bigcode"})").config.is_null());
}

TEST_F(CompressedTensors, RoutersStayFloat) {
  const Made made =
      quantize_folder({weight("mlp.gate"), weight("mlp.experts.0.up_proj"), weight("mlp.gate_proj")}, "{}");
  EXPECT_EQ(texts(made.config["ignore"]), Names{"mlp.gate"});
  EXPECT_EQ(made.report["model"]["layers_quantized"], 2);
}

TEST_F(CompressedTensors, TheLargestGroupIsAllThatNoOtherNames) {
  const Made made =
      quantize_folder({weight("a.q_proj", {8, 36}), weight("a.down", {8, 64}), weight("b", {8, 64})},
                      R"({"model_type": "qwen2_vl"})", R"("bits": 4, "group_size": 32, "min_parameters": 0)");
  const Json& groups = made.config["config_groups"];
  EXPECT_EQ(texts(groups["group_0"]["targets"]), Names{"re:.*\\ba\\.(q|qkv)_proj$"});  // qkv_proj is vLLM's
  EXPECT_EQ(texts(groups["group_1"]["targets"]), Names{"Linear"});
  EXPECT_TRUE(says(made.report, "other names")) << made.report["warnings"];
}

TEST_F(CompressedTensors, ExpertsComeFirstAndMustBeAlike) {
  const auto tensors = [] {
    return std::vector{weight("a"), weight("b"), weight("c"), weight("mlp.experts.0.up"), weight("mlp.experts.1.up")};
  };
  const Made mixed = quantize_folder(
      tensors(), "{}", R"("layers": [{"name": "*experts*", "bits": 4, "group_size": 32, "min_parameters": 0}])");
  EXPECT_EQ(mixed.config["config_groups"]["group_0"]["weights"]["num_bits"], 4);
  EXPECT_FALSE(says(mixed.report, "experts")) << mixed.report["warnings"];
  for (const char* settings : {R"("symmetric": false)", R"("activation_bits": 8)", R"("skip": ["*experts.0*"])",
                               R"("layers": [{"name": "*experts.0*", "group_size": 32}])"}) {
    EXPECT_TRUE(says(quantize_folder(tensors(), "{}", settings).report, "experts")) << settings;
  }
}

// transformers reads X.weight of every Linear while it builds a T5.
TEST_F(CompressedTensors, ModelsThatCannotBePackedAreNot) {
  const std::string t5 = R"({"model_type": "t5"})";
  for (const char* settings : {"", R"("symmetric": false)", R"("group_size": 32)", R"("dtype": "quint8")"}) {
    SCOPED_TRACE(settings);
    const Made made = quantize_folder({weight("layer", {6, 96})}, t5, settings);
    EXPECT_EQ(made.config["format"], "int-quantized");
    EXPECT_EQ(made.config["config_groups"]["group_0"]["format"], "int-quantized");
    EXPECT_TRUE(made.config["config_groups"]["group_0"]["input_activations"].is_null());
    const Names names = stored_names("out/model.safetensors");
    EXPECT_NE(std::ranges::find(names, "layer.weight"), names.end());
    EXPECT_TRUE(says(made.report, "int-quantized"));
    RunControl control;
    const auto before = open_source(path("in")), after = open_source(path("out"));
    const Report compared = compare(*before, *after, Config(nullptr, nullptr), control);
    EXPECT_NEAR(compared.json()["model"]["sqnr_db"].get<double>(), made.report["model"]["sqnr_db"].get<double>(), 1e-6);
    EXPECT_EQ(after->require_weights().at(0).spec->activation_bits, 0);
  }
  EXPECT_TRUE(says(quantize_folder({weight("layer", {8, 128})}, t5, R"("bits": 4)").report, "cannot load"));
}

TEST_F(CompressedTensors, ConfigKeepsItsBytes) {
  const std::string config = "{\n  \"time_step_limit\": [0.0, Infinity],\n  \"eps\": 1.0e-05\n}\n";
  EXPECT_FALSE(quantize_folder({weight("layer")}, "{}").config.is_null());
  write_folder("in", {weight("layer")}, config);
  const auto source = open_source(path("in"));
  const Settings settings = parse_settings(R"({"overwrite": true})");
  const Config set(&settings, nullptr);
  RunControl control;
  quantize(*source, set, control, file_output(*source, path("out/"), set, control));
  const std::string written = read_bytes(path("out/config.json"));
  const std::string kept = config.substr(0, config.size() - 3);
  EXPECT_EQ(written.substr(0, kept.size()), kept);
  EXPECT_EQ(written.substr(kept.size(), 28), ",\n  \"quantization_config\": {");
  const auto quantized = open_source(path("out"));
  EXPECT_EQ(quantized->format(), "compressed-tensors");
  dequantize(*quantized, set, control, file_output(*quantized, path("float/"), set, control));
  EXPECT_EQ(read_bytes(path("float/config.json")), config);
}

TEST_F(CompressedTensors, AConfigThatIsNoObject) {
  write_folder("in", {weight("layer")}, "[]");
  const Error error = error_of([&] { open_source(path("in")); });
  EXPECT_EQ(error.status(), Status::kFormat);
  EXPECT_EQ(error.subject(), path("in/config.json"));
}

TEST_F(CompressedTensors, OneFileOfAFolderIsReadByItsConfig) {
  quantize_folder({weight("layer")}, "{}");
  const auto source = open_source(path("out/model.safetensors"));
  EXPECT_TRUE(source->require_weights().at(0).spec.has_value());
  EXPECT_EQ(output_format("x.safetensors", "auto", *source).name, "safetensors");
  // Floats need no config, so a damaged one is none of their business.
  write_folder("in", {weight("layer")}, "damaged");
  EXPECT_EQ(open_source(path("in/model.safetensors"))->tensors().size(), 1u);
}

TEST_F(CompressedTensors, AnIndexIsReadAsItsFolder) {
  write_folder("in", {weight("a"), weight("b")}, R"({"hidden_size": 64})");
  write_bytes(path("in/tokenizer.json"), "tokens");
  quantize_path("in", R"("max_shard_size": 5000)");
  const auto index = open_source(path("out/model.safetensors.index.json"));
  EXPECT_EQ(index->format(), "compressed-tensors");
  RunControl control;
  const Config config(nullptr, nullptr);
  dequantize(*index, config, control, file_output(*index, path("float/"), config, control));
  EXPECT_EQ(read_bytes(path("float/config.json")), R"({"hidden_size": 64})");
  EXPECT_EQ(read_bytes(path("float/tokenizer.json")), "tokens");
}

// ---- Folders that others made

constexpr const char* kDynamic =
    R"({"num_bits": 8, "type": "int", "symmetric": true, "strategy": "token", "dynamic": true})";

std::string foreign_config(const std::string& weights, const std::string& activations, const std::string& more = "") {
  return R"({"quantization_config": {"quant_method": "compressed-tensors", "format": "int-quantized", "config_groups":
             {"group_0": {"targets": ["Linear"], "weights": {"type": "int", )" +
         weights + R"(}, "input_activations": )" + activations + "}}" + more + "}}";
}

std::vector<NamedTensor> plain_int8() {
  return {{"layer.weight", tensor_of(DType::kI8, {2, 4}, std::vector<std::int8_t>{1, 2, 3, 4, 5, 6, 7, 8})},
          {"layer.weight_scale", tensor_of(DType::kF32, {2, 1}, std::vector<float>{1, 2})},
          {"layer.input_scale", tensor_of(DType::kF32, {1}, std::vector<float>{0.5f})},
          {"attn.k_scale", tensor_of(DType::kF32, {1}, std::vector<float>{0.5f})}};
}

TEST_F(CompressedTensors, OnlyActivationsThatCanBeWrittenAreKept) {
  const auto bits_of = [&](const std::string& config) {
    write_folder("in", plain_int8(), config);
    return open_source(path("in"))->require_weights().at(0).spec->activation_bits;
  };
  EXPECT_EQ(bits_of(foreign_config(R"("num_bits": 8)", kDynamic)), 8);
  EXPECT_TRUE(open_source(path("in"))->remarks().at(0).find("1 scales of activations") == 0);
  const std::string fixed = R"({"num_bits": 8, "type": "int", "symmetric": true, "strategy": "tensor"})";
  const std::string asymmetric =
      R"({"num_bits": 8, "type": "int", "symmetric": false, "strategy": "token", "dynamic": true})";
  for (const auto& [weights, activations] :
       {std::pair{R"("num_bits": 8)", fixed}, {R"("num_bits": 8)", asymmetric}, {R"("num_bits": 4)", kDynamic}}) {
    EXPECT_EQ(bits_of(foreign_config(weights, activations)), 0) << activations;
    EXPECT_NE(open_source(path("in"))->remarks().at(0).find("activations is not kept"), std::string::npos);
  }
}

TEST_F(CompressedTensors, ScalesOfActivationsAreDropped) {
  write_folder("in", plain_int8(), foreign_config(R"("num_bits": 8)", kDynamic, R"(, "kv_cache_scheme": {})"));
  const auto source = open_source(path("in"));
  const auto tensors = source->require_weights();
  ASSERT_EQ(tensors.size(), 1u) << tensors.back().name;
  EXPECT_EQ(source->remarks(),
            (Names{"the kv_cache_scheme is not kept", "2 scales of activations are not carried on"}));
}

TEST_F(CompressedTensors, CodesWithoutTheirScaleAreNotValid) {
  auto tensors = plain_int8();
  std::erase_if(tensors, [](const NamedTensor& tensor) { return tensor.name == "layer.weight_scale"; });
  write_folder("in", std::move(tensors), foreign_config(R"("num_bits": 8)", "null"));
  const Error error = error_of([&] { open_source(path("in")); });
  EXPECT_EQ(error.status(), Status::kFormat);
  EXPECT_EQ(error.message(), path("in") + ": tensor layer.weight: is I8, and its scales are missing");
  RunControl control;
  std::filesystem::remove(path("in/config.json"));  // which said so
  EXPECT_EQ(validate(*open_source(path("in")), nullptr, Config(nullptr, nullptr), control).problems(),
            Names{"layer.weight: layer.weight_scale is missing"});
}

TEST_F(CompressedTensors, AZeroPointOfTheWholeTensorIsNotPacked) {
  const std::vector<NamedTensor> tensors{
      {"layer.weight_packed", tensor_of(DType::kI32, {2, 1}, std::vector<std::uint32_t>{0x83828180, 0x7f7e7d7c})},
      {"layer.weight_shape", tensor_of(DType::kI64, {2}, std::vector<std::int64_t>{2, 4})},
      {"layer.weight_scale", tensor_of(DType::kF32, {1}, std::vector<float>{2})},
      {"layer.weight_zero_point", tensor_of(DType::kI8, {1}, std::vector<std::int8_t>{1})}};
  write_folder("in", tensors, foreign_config(R"("num_bits": 8, "symmetric": false, "strategy": "tensor")", "null"));
  const auto model = dequantize_in_memory(*open_source(path("in"))).model;
  EXPECT_EQ(read_values<float>(*model, "layer.weight"), (std::vector<float>{-2, 0, 2, 4, -10, -8, -6, -4}));
}

// The scales say which blocks there are: here each is a row.
TEST_F(CompressedTensors, BlocksAreThoseOfTheScales) {
  write_folder("in", plain_int8(), foreign_config(R"("num_bits": 8, "strategy": "block")", "null"));
  const auto source = open_source(path("in"));
  EXPECT_EQ(source->require_weights().front().spec->granularity, Granularity::kChannel);
}

// Both kinds of int8 in one folder: the groups tell which is which.
TEST_F(CompressedTensors, ActivationsOfSomeLayersOnly) {
  const Made made = quantize_folder({weight("a"), weight("b"), weight("c")}, R"({"model_type": "t5"})",
                                    R"("activation_bits": 8, "layers": [{"name": "b", "activation_bits": "none"}])");
  EXPECT_EQ(made.config["config_groups"].size(), 2u);
  const auto source = open_source(path("out"));
  for (const LogicalTensor& tensor : source->require_weights()) {
    EXPECT_EQ(tensor.spec->activation_bits, tensor.name == "b.weight" ? 0 : 8) << tensor.name;
  }
}

TEST_F(CompressedTensors, ActivationBitsForAllPassLayersBy) {
  const Made made = quantize_folder(
      {weight("a"), weight("b")}, "{}",
      R"("activation_bits": 8, "layers": [{"name": "b", "bits": 4, "group_size": 32, "min_parameters": 0}])");
  EXPECT_EQ(made.report["layers"][1]["reason"],
            "activations stay float: 8 bits need int8 weights, symmetric and per channel");
  for (const char* settings :
       {R"("bits": 4, "activation_bits": 8)", R"("layers": [{"name": "b", "bits": 4, "activation_bits": 8}])"}) {
    EXPECT_EQ(error_of([&] { quantize_path("in", settings); }).status(), Status::kConfig) << settings;
  }
}

TEST(ActivationBits, WithoutEffectAreWarnedOf) {
  const auto model = one_weight({8, 32}, normal_values(256, 1));
  EXPECT_TRUE(says(quantize_in_memory(*model, R"({"activation_bits": 8})").report, "activation_bits=8 has no effect"));
  EXPECT_FALSE(says(quantize_in_memory(*model, "{}").report, "activation_bits"));
}

// The largest weights are 448 and 896, so that scales are 1 and 2; 1 is 0x38, -224 is 0xf6.
TEST_F(CompressedTensors, FloatsOfEightBits) {
  const auto values = tensor_of(DType::kF32, {2, 3}, std::vector<float>{448, 1, -224, 896, 2, -448});
  const Made made = quantize_folder({{"fc.weight", values}}, "{}", R"("dtype": "float8_e4m3")");
  EXPECT_EQ(made.config["format"], "float-quantized");
  const Json& weights = made.config["config_groups"]["group_0"]["weights"];
  EXPECT_EQ(weights["type"], "float");
  EXPECT_EQ(weights["num_bits"], 8);
  EXPECT_EQ(weights["strategy"], "channel");
  const std::string bytes = read_bytes(path("out/model.safetensors"));
  const auto shard = open_memory(std::as_bytes(std::span(bytes)));
  const std::size_t codes = shard->find("fc.weight"), scales = shard->find("fc.weight_scale");
  EXPECT_EQ(shard->tensors()[codes].dtype, DType::kF8E4M3);
  EXPECT_EQ(shard->tensors()[scales].shape, (Shape{2, 1}));
  std::array<std::uint8_t, 6> stored{};
  shard->read(codes, 0, std::as_writable_bytes(std::span(stored)));
  EXPECT_EQ(stored, (std::array<std::uint8_t, 6>{0x7e, 0x38, 0xf6, 0x7e, 0x38, 0xf6}));
  std::array<float, 2> stored_scales{};
  shard->read(scales, 0, std::as_writable_bytes(std::span(stored_scales)));
  EXPECT_EQ(stored_scales, (std::array<float, 2>{1, 2}));
}

// ---- Floats of 4, 6 and 8 bits

TEST_F(CompressedTensors, SmallFloats) {
  const struct {
    const char *scheme, *type, *strategy, *scale_dtype;
    int width, group_size;
  } rows[] = {
      {"nvfp4", "nvfp4-pack-quantized", "tensor_group", "torch.float8_e4m3fn", 4, 16},
      {"mxfp4", "mxfp4-pack-quantized", "group", "torch.uint8", 4, 32},
      {"mxfp6", "mxfp6-pack-quantized", "group", "torch.uint8", 6, 32},
      {"mxfp8", "mxfp8-quantized", "group", "torch.uint8", 8, 32},
  };
  for (const auto& row : rows) {
    const Made made = quantize_folder({weight("layer"), weight("odd", {64, 40})}, "{}",
                                      R"("min_parameters": 0, "dtype": ")" + std::string(row.scheme) + "\"");
    EXPECT_EQ(made.config["format"], row.type);
    EXPECT_EQ(texts(made.config["ignore"]), Names{"odd"});
    const Json& group = made.config["config_groups"]["group_0"];
    EXPECT_EQ(group["format"], row.type);
    EXPECT_TRUE(group["input_activations"].is_null());
    const Json& weights = group["weights"];
    EXPECT_EQ(weights["num_bits"], row.width);
    EXPECT_EQ(weights["type"], "float");
    EXPECT_EQ(weights["strategy"], row.strategy);
    EXPECT_EQ(weights["group_size"], row.group_size);
    EXPECT_EQ(weights["scale_dtype"], row.scale_dtype);
    EXPECT_EQ(made.report["layers"][1]["reason"],
              "groups of " + std::to_string(row.group_size) + " do not divide 40 columns");
    const Config config(nullptr, nullptr);
    RunControl control;
    const Report compared = compare(*open_source(path("in")), *open_source(path("out/")), config, control);
    EXPECT_NEAR(compared.json()["model"]["sqnr_db"].get<double>(), made.report["model"]["sqnr_db"].get<double>(), 1e-6);
  }
}

// vLLM makes one layer of query, key and value: 448 * 6 / 6 for all three, and 448 * 6 / 2 for what it leaves alone.
TEST_F(CompressedTensors, LayersThatBecomeOneHaveOneGlobalScale) {
  const auto filled = [](const std::string& name, float value, Shape shape) {
    const std::size_t count = element_count(shape);
    return NamedTensor{name + ".weight", tensor_of(DType::kF32, std::move(shape), std::vector<float>(count, value))};
  };
  const std::string attention = "model.layers.0.self_attn.", mlp = "model.layers.0.mlp.";
  // Of one block, and of several.
  for (const std::int64_t rows : {64, 5000}) {
    for (const char* shards : {"", R"(, "max_shard_size": 20000)"}) {
      quantize_folder({filled(attention + "k_proj", 6, {64, 64}), filled(attention + "o_proj", 2, {64, 64}),
                       filled(attention + "q_proj", 1, {rows, 64}), filled(attention + "v_proj", -3, {64, 64}),
                       filled(mlp + "down_proj", 2, {64, 64}), filled(mlp + "gate_proj", 2, {64, 64}),
                       filled(mlp + "up_proj", 4, {64, 64}), filled("model.layers.1.mlp.up_proj", 2, {64, 64})},
                      "{}", R"("min_parameters": 0, "dtype": "nvfp4")" + std::string(shards));
      std::map<std::string, float> found;
      for (const auto& file : fs::directory_iterator(path("out"))) {
        if (file.path().extension() != ".safetensors") continue;
        const std::string bytes = read_bytes(file.path());
        const auto source = open_memory(std::as_bytes(std::span(bytes)));
        for (const TensorInfo& info : source->tensors()) {
          if (info.name.ends_with("global_scale")) found[info.name] = read_values<float>(*source, info.name).front();
        }
      }
      const std::string end = ".weight_global_scale";
      const std::map<std::string, float> expected{
          {attention + "k_proj" + end, 448}, {attention + "o_proj" + end, 1344},
          {attention + "q_proj" + end, 448}, {attention + "v_proj" + end, 448},
          {mlp + "down_proj" + end, 1344},   {mlp + "gate_proj" + end, 672},
          {mlp + "up_proj" + end, 672},      {"model.layers.1.mlp.up_proj" + end, 1344},
      };
      EXPECT_EQ(found, expected) << rows << shards;
    }
  }
}

}  // namespace
}  // namespace mnq::test
