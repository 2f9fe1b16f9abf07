// Folders and files as other tools quantize them, written: what config.json says to their loaders, what is called how,
// and what stays float. That the values are those of the tools: tests/layouts, and tests/loaders.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/text/format.h"
#include "quantize/job_fixture.h"
#include "support/error_of.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

using Names = std::vector<std::string>;

NamedTensor weight(const std::string& name, Shape shape = {64, 128}) {
  const std::size_t count = element_count(shape);
  return {name + ".weight", tensor_of(DType::kF32, std::move(shape), normal_values(count, 1))};
}

// Of a safetensors file, as it is.
Metadata metadata_of(const std::string& bytes) {
  std::uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof size);
  const Json header = parse_json(bytes.substr(sizeof size, size));
  Metadata metadata;
  const Json* found = header.find("__metadata__");
  if (found == nullptr) return metadata;
  for (const auto& [key, value] : found->members()) metadata.emplace(key, value.text());
  return metadata;
}

struct Made {
  Json config;  // config.json
  Json report;
  Names names;  // of the stored tensors
  Metadata metadata;

  std::string reason(const std::string& tensor) const {
    for (const Json& layer : report["layers"]) {
      if (layer["tensor"] == tensor) return layer["reason"].text();
    }
    return "no such tensor";
  }
  bool has(const std::string& name) const { return std::ranges::find(names, name) != names.end(); }
};

class Written : public testing::Test {
 protected:
  Made quantize_folder(const std::string& format, const std::string& more = "",
                       std::vector<NamedTensor> tensors = {weight("layers.0.up"), weight("layers.0.down")}) {
    write_folder(std::move(tensors));
    const auto source = open_source(path("in"));
    const bool is_file = format == "comfyui";
    const std::string out = path(is_file ? "out.safetensors" : "out/");
    const Settings settings =
        parse_settings(R"({"overwrite": true, "min_parameters": 0, "accuracy_warning": "ignore", "format": ")" +
                       format + "\"" + (more.empty() ? "" : ", " + more) + "}");
    const Config config(&settings, nullptr);
    RunControl control;
    Made made;
    made.report = quantize(*source, config, control, file_output(*source, out, config, control)).json();
    if (!is_file) made.config = parse_json(read_bytes(path("out/config.json")));
    const std::string bytes = read_bytes(is_file ? out : path("out/model.safetensors"));
    const auto stored = open_memory(std::as_bytes(std::span(bytes)));
    for (const TensorInfo& info : stored->tensors()) made.names.push_back(info.name);
    made.metadata = metadata_of(bytes);
    // Readers get what the report says.
    const Report compared = compare(*source, *open_source(out), Config(nullptr, nullptr), control);
    EXPECT_NEAR(compared.json()["model"]["sqnr_db"].get<double>(), made.report["model"]["sqnr_db"].get<double>(), 1e-6);
    return made;
  }

  std::string path(const std::string& name) const { return folder_.path(name); }
  void set_model_type(const std::string& type) { more_config_ = formatted(R"(, "model_type": "{}")", type); }

 private:
  void write_folder(std::vector<NamedTensor> tensors) {
    const auto model = model_of(std::move(tensors));
    std::filesystem::create_directories(path("in"));
    const Settings settings = parse_settings(R"({"overwrite": true})");
    const Config none(&settings, nullptr);
    RunControl control;
    convert(*model, none, control, file_output(*model, path("in/model.safetensors"), none, control));
    write_bytes(path("in/config.json"), R"({"architectures": ["LlamaForCausalLM"])" + more_config_ + "}");
  }

  TempFolder folder_;
  std::string more_config_;  // of config.json
};

TEST_F(Written, Gptq) {
  const Made made = quantize_folder("gptq", R"("bits": 4, "group_size": 32)");
  EXPECT_EQ(made.config["quantization_config"], (Json{{"quant_method", "gptq"},
                                                      {"bits", 4},
                                                      {"group_size", 32},
                                                      {"sym", true},
                                                      {"desc_act", false},
                                                      {"lm_head", false},
                                                      {"checkpoint_format", "gptq"},
                                                      {"pack_dtype", "int32"}}));
  for (const char* part : {"qweight", "qzeros", "scales", "g_idx"}) {
    EXPECT_TRUE(made.has("layers.0.up." + std::string(part))) << part;
  }
  EXPECT_FALSE(made.has("layers.0.up.weight"));
  EXPECT_FALSE(made.metadata.contains("mono_quant"));
}

// Readers do not agree on what a zero point of 0 is in the first form.
TEST_F(Written, GptqOfZeroPointsIsOfTheSecondForm) {
  const Json config = quantize_folder("gptq", R"("symmetric": false)").config["quantization_config"];
  EXPECT_EQ(config["checkpoint_format"], "gptq_v2");
  EXPECT_EQ(config["sym"], false);
  EXPECT_EQ(config["bits"], 8);
  EXPECT_EQ(config["group_size"], -1);
  const Error error =
      error_of([&] { quantize_folder("gptq", R"("bits": 4, "layers": [{"name": "*up", "symmetric": false}])"); });
  EXPECT_EQ(error.status(), Status::kUnsupported);
  EXPECT_EQ(error.suggestion(), "give all layers one value of symmetric, or write safetensors");
}

TEST_F(Written, GptqNamesLayersThatAreNotAsMostAre) {
  const Made made =
      quantize_folder("gptq", R"("bits": 4, "layers": [{"name": "*c", "bits": 8, "group_size": 64}])",
                      {weight("m.a"), weight("m.b"), weight("m.c"), weight("m.odd", {5, 64}), weight("lm_head")});
  const Json& dynamic = made.config["quantization_config"]["dynamic"];
  EXPECT_EQ(dynamic, (Json{{"+:^m\\.c$", Json{{"bits", 8}, {"group_size", 64}, {"sym", true}}},
                           {"-:^m\\.odd$", Json::object()}}));
  EXPECT_EQ(made.reason("m.odd.weight"), "GPTQ holds multiples of 32 rows and columns, and this has [5, 64]");
  EXPECT_EQ(made.reason("lm_head.weight"), "GPTQ leaves lm_head as it is unless it is selected");
  EXPECT_NE(made.report["warnings"].dump().find("transformers does not"), std::string::npos);
}

TEST_F(Written, GptqHasFourWidths) {
  for (const int width : {2, 3, 4, 8}) {
    const Made made = quantize_folder("gptq", "\"bits\": " + std::to_string(width));
    EXPECT_EQ(made.config["quantization_config"]["bits"], width);
  }
}

TEST_F(Written, GroupsOfOtherSizesStayFloatInGptq) {
  const Made made = quantize_folder("gptq", R"("bits": 4, "layers": [{"name": "*up", "group_size": 8}])");
  EXPECT_EQ(made.reason("layers.0.up.weight"), "GPTQ has groups of 16, 32, 64 and so on to 1024, and none of 8");
}

TEST_F(Written, Mlx) {
  const Made made = quantize_folder("mlx", R"("bits": 4, "layers": [{"name": "down", "bits": 6, "group_size": 32}])",
                                    {weight("up"), weight("embed"), weight("down"), weight("odd", {64, 40})});
  const Json expected{{"group_size", 128},
                      {"bits", 4},
                      {"mode", "affine"},
                      {"down", Json{{"group_size", 32}, {"bits", 6}, {"mode", "affine"}}}};
  EXPECT_EQ(made.config["quantization"], expected);
  EXPECT_EQ(made.config["quantization_config"], expected);
  for (const char* name : {"up.weight", "up.scales", "up.biases", "embed.scales"}) EXPECT_TRUE(made.has(name)) << name;
  EXPECT_EQ(made.metadata.at("format"), "mlx");
  EXPECT_EQ(made.reason("up.weight"), "as affine4");
  EXPECT_EQ(made.reason("odd.weight"), "MLX holds rows of multiples of 32, and this has [64, 40]");
}

TEST_F(Written, MlxOfEveryWidth) {
  for (const int width : {2, 3, 4, 5, 6, 8}) {
    const Made made = quantize_folder("mlx", "\"bits\": " + std::to_string(width));
    EXPECT_EQ(made.config["quantization"]["bits"], width);
  }
  EXPECT_EQ(quantize_folder("mlx", R"("method": "minmax")").reason("layers.0.up.weight"),
            "as affine8, by a search: minmax makes no minima");
}

TEST_F(Written, MlxHasGroupsOfThreeSizes) {
  const Error error = error_of([&] { quantize_folder("mlx", R"("group_size": 16)"); });
  EXPECT_EQ(error.subject(), "group_size");
  EXPECT_NE(error.message().find("MLX has groups of 64, 32 or 128 only"), std::string::npos) << error.message();
  const Made made = quantize_folder("mlx", R"("bits": 4, "group_size": 128)", {weight("a"), weight("b", {64, 96})});
  EXPECT_EQ(made.reason("b.weight"), "as affine4 in groups of 32: groups of 128 do not divide 96 columns");
}

TEST_F(Written, Awq) {
  const Made made = quantize_folder("awq", R"("bits": 4, "group_size": 64)",
                                    {weight("a"), weight("b"), weight("odd", {64, 96}), weight("lm_head")});
  EXPECT_EQ(made.config["quantization_config"], (Json{{"quant_method", "awq"},
                                                      {"bits", 4},
                                                      {"group_size", 64},
                                                      {"zero_point", true},
                                                      {"version", "gemm"},
                                                      {"modules_to_not_convert", Names{"lm_head", "odd"}},
                                                      {"dynamic", Json{{"-:^odd$", Json::object()}}}}));
  for (const char* name : {"a.qweight", "a.qzeros", "a.scales"}) EXPECT_TRUE(made.has(name)) << name;
  EXPECT_EQ(made.reason("odd.weight"), "AWQ has one size of groups for all layers, and 64 do not divide 96 columns");
  const Error error =
      error_of([&] { quantize_folder("awq", R"("bits": 4, "layers": [{"name": "*up", "group_size": 32}])"); });
  EXPECT_EQ(error.status(), Status::kUnsupported) << error.message();
}

TEST_F(Written, GroupsOfOtherSizesStayFloatInAwq) {
  for (const int size : {8, 256}) {
    const Made made = quantize_folder("awq", formatted(R"("layers": [{{"name": "*up", "group_size": {}}}])", size),
                                      {weight("layers.0.up", {64, 256}), weight("layers.0.down")});
    EXPECT_EQ(made.reason("layers.0.up.weight"),
              formatted("AWQ has groups of 16, 32, 64 and 128, and none of {}", size));
  }
}

// A head is quantized only where it is named, and not all that loads such a folder looks for codes in it.
TEST_F(Written, AQuantizedHeadHasANote) {
  const auto warnings = [&](const std::string& format, const std::string& only) {
    const std::string more = formatted(R"("bits": 4, "group_size": 64, "only": {})", only);
    return quantize_folder(format, more, {weight("m.a"), weight("lm_head")}).report["warnings"].dump();
  };
  for (const char* format : {"gptq", "awq"}) {
    EXPECT_NE(warnings(format, R"(["*a", "lm_head"])")
                  .find("lm_head is quantized: gptqmodel loads it, transformers does not"),
              std::string::npos)
        << format;
    EXPECT_EQ(warnings(format, R"(["*a"])").find("lm_head"), std::string::npos) << format;
  }
}

// transformers loads layers of one list of modules, the first that it knows.
TEST_F(Written, GptqSaysWhichLayersTransformersLoses) {
  set_model_type("bart");
  const auto warnings = [&](std::vector<NamedTensor> tensors) {
    return quantize_folder("gptq", R"("bits": 4)", std::move(tensors)).report["warnings"].dump();
  };
  EXPECT_NE(warnings({weight("model.decoder.layers.0.a"), weight("model.encoder.layers.0.a")})
                .find("transformers loads GPTQ's layers of model.decoder.layers only, and those are not, as "
                      "model.encoder.layers.0.a: 1"),
            std::string::npos);
  EXPECT_NE(warnings({weight("encoder.layer.0.a")}).find("transformers loads no GPTQ of this model"),
            std::string::npos);
  EXPECT_EQ(warnings({weight("model.layers.0.a")}).find("transformers loads"), std::string::npos);
}

TEST_F(Written, WeightsThatTransformersSplitsStayFloat) {
  set_model_type("nomic_bert");
  for (const char* format : {"fp8", "bitsandbytes", "gptq", "awq"}) {
    const Made made =
        quantize_folder(format, "", {weight("layers.0.attn.Wqkv", {128, 128}), weight("layers.0.a", {128, 128})});
    EXPECT_EQ(made.reason("layers.0.attn.Wqkv.weight"), "transformers splits this weight as it loads it") << format;
    if (std::string_view(format) == "gptq") continue;  // has `dynamic`
    const char* key = std::string_view(format) == "bitsandbytes" ? "llm_int8_skip_modules" : "modules_to_not_convert";
    EXPECT_NE(made.config["quantization_config"][key].dump().find("self_attn.q_proj"), std::string::npos) << format;
  }
}

TEST_F(Written, LayersOfOtherClassesStayFloatInBitsandbytes) {
  set_model_type("wavlm");
  const Made made =
      quantize_folder("bitsandbytes", "", {weight("a.q_proj"), weight("head.attention.out_proj"), weight("a.b")});
  EXPECT_EQ(made.reason("a.q_proj.weight"), "transformers makes no layer of bitsandbytes of it");
  EXPECT_EQ(made.reason("head.attention.out_proj.weight"), "transformers makes no layer of bitsandbytes of it");
  EXPECT_EQ(made.reason("a.b.weight"), "as nf4");
}

// What is not asked for is of 8 bits per channel elsewhere; with 4 a scale for a row would be too few.
TEST_F(Written, AwqHasGroupsByDefault) {
  const Made made = quantize_folder("awq");
  EXPECT_EQ(made.config["quantization_config"].find("dynamic"), nullptr);
  EXPECT_EQ(made.config["quantization_config"]["group_size"], 128);
  EXPECT_EQ(made.reason("layers.0.up.weight"), "as int4 group 128");
  EXPECT_EQ(quantize_folder("awq", R"("group_size": 32)").config["quantization_config"]["group_size"], 32);
  EXPECT_EQ(quantize_folder("awq", R"("group_size": 0)").config["quantization_config"]["group_size"], -1);
}

// Floats are no folder of another tool's quantized weights.
TEST_F(Written, HoldsNoFloatsAlone) {
  quantize_folder("gptq", R"("bits": 4)");
  const auto source = open_source(path("out/"));
  for (const char* format : {"gptq", "awq", "mlx", "bitsandbytes", "fp8", "comfyui"}) {
    const Settings settings = parse_settings(R"({"format": ")" + std::string(format) + "\"}");
    const Config config(&settings, nullptr);
    RunControl control;
    const std::string to = path(std::string_view(format) == "comfyui" ? "floats.safetensors" : "floats/");
    const Error error =
        error_of([&] { dequantize(*source, config, control, file_output(*source, to, config, control)); });
    EXPECT_EQ(error.status(), Status::kConfig) << format;
    EXPECT_EQ(error.subject(), "format");
    EXPECT_FALSE(std::filesystem::exists(to)) << format;
  }
}

// Blocks of whole rows are of multiples of eight, which one of 2^18 elements alone would not be.
TEST_F(Written, AwqOfManyBlocks) { quantize_folder("awq", R"("bits": 4)", {weight("a", {64, 23 * 1024})}); }

TEST_F(Written, Float8) {
  const Made made = quantize_folder("fp8", "", {weight("a", {256, 384}), weight("lm_head"), weight("odd", {200, 64})});
  EXPECT_EQ(made.config["quantization_config"], (Json{{"quant_method", "fp8"},
                                                      {"fmt", "e4m3"},
                                                      {"activation_scheme", "dynamic"},
                                                      {"weight_block_size", std::vector<int>{128, 128}},
                                                      {"modules_to_not_convert", Names{"lm_head", "odd"}}}));
  EXPECT_EQ(made.reason("odd.weight"), "transformers decodes whole blocks of 128x128 only, and this has [200, 64]");
  EXPECT_TRUE(made.has("a.weight"));
  EXPECT_TRUE(made.has("a.weight_scale_inv"));
  EXPECT_EQ(made.reason("a.weight"), "as float8_e4m3 in blocks of 128x128");
  EXPECT_EQ(quantize_folder("fp8", R"("dtype": "float8_e4m3")").reason("layers.0.up.weight"),
            "as float8_e4m3 in blocks of 128x128");
}

// What has no scales is of no layer that a config calls quantized: its own readers look for them.
TEST_F(Written, PlainFloatsOf8BitsAreNamedAsLeft) {
  const std::vector<std::uint8_t> codes(64 * 128, 0x38);
  const NamedTensor plain{"m.plain.weight", tensor_of(DType::kF8E4M3, {64, 128}, codes)};
  const Made fp8 = quantize_folder("fp8", "", {weight("m.a"), plain});
  const Json& left = fp8.config["quantization_config"]["modules_to_not_convert"];
  EXPECT_NE(left.dump().find("m.plain"), std::string::npos) << left.dump();
  const Made compressed = quantize_folder("compressed-tensors", R"("dtype": "float8_e4m3")", {weight("m.a"), plain});
  const Json& ignored = compressed.config["quantization_config"]["ignore"];
  EXPECT_NE(ignored.dump().find("m.plain"), std::string::npos) << ignored.dump();
}

TEST_F(Written, Bitsandbytes) {
  const Made made = quantize_folder("bitsandbytes", "", {weight("a"), weight("odd", {64, 96}), weight("lm_head")});
  EXPECT_EQ(made.config["quantization_config"], (Json{{"quant_method", "bitsandbytes"},
                                                      {"load_in_4bit", true},
                                                      {"load_in_8bit", false},
                                                      {"bnb_4bit_quant_type", "nf4"},
                                                      {"bnb_4bit_use_double_quant", false},
                                                      {"bnb_4bit_compute_dtype", "float32"},
                                                      {"bnb_4bit_quant_storage", "uint8"},
                                                      {"llm_int8_skip_modules", Names{"lm_head", "odd"}}}));
  for (const char* part : {"", ".absmax", ".quant_map", ".quant_state.bitsandbytes__nf4"}) {
    EXPECT_TRUE(made.has("a.weight" + std::string(part))) << part;
  }
  EXPECT_EQ(made.reason("a.weight"), "as nf4");
  EXPECT_EQ(made.reason("odd.weight"), "bitsandbytes' blocks of 64 do not divide 96 columns");
  const Made other = quantize_folder("bitsandbytes", R"("dtype": "fp4")");
  EXPECT_EQ(other.config["quantization_config"]["bnb_4bit_quant_type"], "fp4");
  const Error error =
      error_of([&] { quantize_folder("bitsandbytes", R"("layers": [{"name": "*up", "dtype": "fp4"}])"); });
  EXPECT_EQ(error.status(), Status::kUnsupported);
}

TEST_F(Written, ComfyUi) {
  const Made made = quantize_folder("comfyui", R"("dtype": "float8_e4m3")");
  EXPECT_EQ(parse_json(made.metadata.at("_quantization_metadata")),
            (Json{{"format_version", "1.0"},
                  {"layers", Json{{"layers.0.down", Json{{"format", "float8_e4m3fn"}}},
                                  {"layers.0.up", Json{{"format", "float8_e4m3fn"}}}}}}));
  EXPECT_TRUE(made.has("layers.0.up.weight_scale"));
  EXPECT_EQ(made.reason("layers.0.up.weight"), "as float8_e4m3 per tensor");
}

// A source without a config.json leaves that of the folder it replaces, which is not of its weights.
TEST_F(Written, AReplacedFolderIsNoLongerSaidToBeQuantized) {
  for (const char* format : {"gptq", "mlx"}) {
    quantize_folder(format, R"("bits": 4)");
    const auto source = open_source(path("in/model.safetensors"));
    const Settings settings = parse_settings(R"({"overwrite": true, "format": "folder"})");
    const Config config(&settings, nullptr);
    RunControl control;
    convert(*source, config, control, file_output(*source, path("out/"), config, control));
    EXPECT_EQ(parse_json(read_bytes(path("out/config.json"))), (Json{{"architectures", Names{"LlamaForCausalLM"}}}));
    EXPECT_EQ(open_source(path("out/"))->require_weights().size(), 2u);
  }
}

// What a format has no codes for is not made into others behind the user's back.
TEST_F(Written, WhatAFormatHasNotIsAnError) {
  struct Case {
    const char *format, *setting, *message;
  };
  constexpr Case kCases[] = {
      {"gptq", R"("dtype": "nf4")", "GPTQ has no nf4 group 64"},
      {"gptq", R"("bits": 6)", "GPTQ has no int6 group 128"},
      {"awq", R"("bits": 8)", "AWQ has no int8 per channel"},
      {"mlx", R"("dtype": "mxfp4")", "MLX has no mxfp4 group 32"},
      {"mlx", R"("bits": 7)", "MLX has no int7 group 128"},
      {"fp8", R"("dtype": "float8_e5m2")", "fp8 has no float8_e5m2 per channel"},
      {"fp8", R"("bits": 4)", "fp8 has no int4 group 128"},
      {"bitsandbytes", R"("dtype": "qint8")", "bitsandbytes has no int8 per channel"},
      {"comfyui", R"("dtype": "nvfp4")", "ComfyUI has no nvfp4 group 16"},
  };
  for (const auto& [format, setting, message] : kCases) {
    const Error error = error_of([&] { quantize_folder(format, setting); });
    EXPECT_EQ(error.status(), Status::kConfig) << format << setting;
    EXPECT_EQ(error.message(), "layer layers.0.down: " + std::string(message));
    EXPECT_EQ(error.suggestion(), "leave the key unset, or write safetensors");
    EXPECT_FALSE(std::filesystem::exists(path("out"))) << format;
    EXPECT_FALSE(std::filesystem::exists(path("out.safetensors"))) << format;
  }
}

// Codes go from one into the other, and come back as they were.
TEST_F(Written, CodesAreKeptBetweenThem) {
  quantize_folder("awq", R"("bits": 4, "group_size": 64, "symmetric": false)");
  RunControl control;
  std::string from = path("out/");
  int step = 0;
  for (const char* format : {"gptq", "compressed-tensors", "awq", "gptq"}) {
    const auto source = open_source(from);
    const std::string to = path(std::to_string(step++) + "/");
    const Settings settings = parse_settings(R"({"format": ")" + std::string(format) + "\"}");
    const Config config(&settings, nullptr);
    const Json report = convert(*source, config, control, file_output(*source, to, config, control)).json();
    for (const Json& layer : report["layers"]) EXPECT_EQ(layer["action"], "copy") << format << layer;
    EXPECT_EQ(compare(*source, *open_source(to), Config(nullptr, nullptr), control).json()["model"]["exact"], true);
    from = to;
  }
}

}  // namespace
}  // namespace mnq::test
