// Models that hold all experts in one tensor, in folders whose loaders want them otherwise: what each expert's weights
// are called there, and that they are its own. That the loaders take them: tests/loaders.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "base/text/format.h"
#include "formats/experts/experts_apart.h"
#include "quantize/job_fixture.h"
#include "support/error_of.h"
#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

constexpr std::int64_t kExperts = 3, kInner = 32, kWidth = 64;

// Of an expert's gate, up or down: whole numbers with 127 in each row, so that int8 loses nothing.
enum Part { kGate, kUp, kDown };
float value_of(Part part, std::int64_t expert, std::int64_t row, std::int64_t column) {
  if (column == 0) return 127;
  return static_cast<float>((expert * 31 + row * 7 + column * 3 + part * 11) % 254 - 127);
}

using Value = std::function<float(std::int64_t, std::int64_t, std::int64_t)>;  // expert, row, column

NamedTensor experts(const std::string& name, std::int64_t rows, std::int64_t columns, const Value& value) {
  std::vector<float> values;
  for (std::int64_t expert = 0; expert < kExperts; ++expert) {
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t column = 0; column < columns; ++column) values.push_back(value(expert, row, column));
    }
  }
  return {name, tensor_of(DType::kF32, {kExperts, rows, columns}, values)};
}

float gate_up(std::int64_t expert, std::int64_t row, std::int64_t column) {
  return row < kInner ? value_of(kGate, expert, row, column) : value_of(kUp, expert, row - kInner, column);
}
float down(std::int64_t expert, std::int64_t row, std::int64_t column) { return value_of(kDown, expert, row, column); }

// As transformers has them, [experts, out, in].
std::vector<NamedTensor> in_rows(const std::string& module, const std::string& up = "gate_up_proj",
                                 const std::string& below = "down_proj") {
  return {experts(module + up, 2 * kInner, kWidth, gate_up), experts(module + below, kWidth, kInner, down)};
}

// [experts, in, out], as Llama 4 has them; in GPT-OSS, rows of gate and up take turns.
std::vector<NamedTensor> in_columns(const std::string& module, bool is_interleaved) {
  const auto turned = [&](std::int64_t expert, std::int64_t row, std::int64_t column) {
    const std::int64_t output = is_interleaved ? column / 2 + column % 2 * kInner : column;
    return gate_up(expert, output, row);
  };
  return {experts(module + "gate_up_proj", kWidth, 2 * kInner, turned),
          experts(module + "down_proj", kInner, kWidth, [](std::int64_t expert, std::int64_t row, std::int64_t column) {
            return down(expert, column, row);
          })};
}

// As most models' files have them.
std::vector<NamedTensor> each_apart(const std::string& module, const std::vector<std::string>& names,
                                    std::int64_t count = kExperts) {
  std::vector<NamedTensor> tensors;
  for (std::int64_t expert = 0; expert < count; ++expert) {
    for (const Part part : {kGate, kUp, kDown}) {
      const std::int64_t rows = part == kDown ? kWidth : kInner, columns = part == kDown ? kInner : kWidth;
      std::vector<float> values;
      for (std::int64_t i = 0; i < rows * columns; ++i)
        values.push_back(value_of(part, expert, i / columns, i % columns));
      tensors.push_back({formatted("{}experts.{}.{}.weight", module, expert, names[part]),
                         tensor_of(DType::kF32, {rows, columns}, values)});
    }
  }
  return tensors;
}

// One expert's, as models' files may have it.
std::vector<NamedTensor> one_by_one(const std::string& layer) {
  return {{layer + ".weight", tensor_of(DType::kF32, {kInner, kWidth}, normal_values(kInner * kWidth, 1))}};
}

NamedTensor router(const std::string& layer) {
  return {layer + ".weight", tensor_of(DType::kF32, {kExperts, kWidth}, std::vector<float>(kExperts * kWidth, 1))};
}

class Experts : public testing::Test {
 protected:
  void write_model(const std::vector<NamedTensor>& tensors, const std::string& type) {
    SafetensorsBytes file;
    for (const NamedTensor& each : tensors) {
      file.add_bytes(each.name, dtype_name(each.tensor.dtype).data(), shape_text(each.tensor.shape),
                     std::string(reinterpret_cast<const char*>(each.tensor.data.get()), each.tensor.size_bytes));
    }
    std::filesystem::create_directories(folder_.path("in"));
    write_bytes(folder_.path("in/model.safetensors"), file.bytes());
    write_bytes(folder_.path("in/config.json"), type.empty() ? "{}" : R"({"model_type": ")" + type + "\"}");
  }

  // The report; what was written is open then.
  Json quantize_to(const std::string& format, const std::vector<NamedTensor>& tensors, const std::string& type,
                   const std::string& more = "") {
    write_model(tensors, type);
    return quantize_folder(folder_.path("in"), format, more);
  }

  Json quantize_folder(const std::string& in, const std::string& format, const std::string& more) {
    in_ = open_source(in);
    const Settings settings =
        parse_settings(R"({"overwrite": true, "min_parameters": 0, "accuracy_warning": "ignore", "format": ")" +
                       format + "\"" + more + "}");
    const Config config(&settings, nullptr);
    RunControl control;
    const Json planned = plan_quantize(*in_, config).json();
    const bool is_file = format == "safetensors" || format == "gguf";
    const std::string out = folder_.path(is_file ? "out." + format : "out/");
    const Json report = quantize(*in_, config, control, file_output(*in_, out, config, control)).json();
    EXPECT_EQ(planned["layers"].size(), report["layers"].size());
    EXPECT_EQ(planned["model"]["bytes_after"], report["model"]["bytes_after"]);
    out_ = open_source(out);
    const Settings wide = parse_settings(R"({"float_dtype": "float32"})");
    dequantize(*out_, Config(&wide, nullptr), control, memory_output(*out_, floats_));
    return report;
  }

  void expect_valid() {
    RunControl control;
    const Json validated = validate(*out_, in_.get(), Config(nullptr, nullptr), control).json();
    EXPECT_EQ(validated["problems"].size(), 0) << validated["problems"];
    const Json compared = compare(*in_, *out_, Config(nullptr, nullptr), control).json();
    EXPECT_EQ(compared["model"]["tensors_skipped"], 0) << compared["layers"];
  }

  // Whether that weight of the output has these values.
  void expect_matrix(const std::string& name, std::int64_t rows, std::int64_t columns, std::int64_t first_expert,
                     std::int64_t expert_count, const Value& value, float tolerance) {
    const std::vector<float> found = read_values<float>(*floats_, name);
    ASSERT_EQ(found.size(), static_cast<std::size_t>(expert_count * rows * columns)) << name;
    std::size_t i = 0;
    for (std::int64_t expert = first_expert; expert < first_expert + expert_count; ++expert) {
      for (std::int64_t row = 0; row < rows; ++row) {
        for (std::int64_t column = 0; column < columns; ++column, ++i) {
          ASSERT_NEAR(found[i], value(expert, row, column), tolerance) << name << " " << expert << " " << row;
        }
      }
    }
  }

  void expect_apart(const std::string& module, const std::string& gate, const std::string& up,
                    const std::string& down_name) {
    for (std::int64_t expert = 0; expert < kExperts; ++expert) {
      const std::string start = module + std::to_string(expert) + ".";
      const auto of = [](Part part) { return std::bind_front(value_of, part); };
      expect_matrix(start + gate + ".weight", kInner, kWidth, expert, 1, of(kGate), 1e-3f);
      expect_matrix(start + up + ".weight", kInner, kWidth, expert, 1, of(kUp), 1e-3f);
      expect_matrix(start + down_name + ".weight", kWidth, kInner, expert, 1, of(kDown), 1e-3f);
    }
    expect_valid();
  }

  // Steps of affine codes are 254 / 255 wide.
  void expect_stacks(const std::string& module) {
    const auto of = [](Part part) { return std::bind_front(value_of, part); };
    expect_matrix(module + "gate_proj.weight", kInner, kWidth, 0, kExperts, of(kGate), 0.51f);
    expect_matrix(module + "up_proj.weight", kInner, kWidth, 0, kExperts, of(kUp), 0.51f);
    expect_matrix(module + "down_proj.weight", kWidth, kInner, 0, kExperts, of(kDown), 0.51f);
    expect_valid();
  }

  // One that its publishers quantized.
  void copy_gpt_oss() {
    std::filesystem::copy(MNQ_TEST_DATA "/adapted/gpt_oss", folder_.path("oss"));
    write_bytes(folder_.path("oss/config.json"),
                R"({"model_type": "gpt_oss", "quantization_config": {"quant_method": "mxfp4"}})");
  }

  static std::string stored(const TensorSource& source, const std::string& name) {
    const std::size_t tensor = source.find(name);
    if (tensor == TensorSource::kNone) return "none";
    std::string bytes(source.tensors()[tensor].size_bytes, '\0');
    source.read(tensor, 0, std::as_writable_bytes(std::span(bytes)));
    return bytes;
  }

  static std::size_t count_of(const Json& report, const std::string& action) {
    return static_cast<std::size_t>(
        std::ranges::count_if(report["layers"], [&](const Json& layer) { return layer["action"].text() == action; }));
  }

  TempFolder folder_;
  std::shared_ptr<const TensorSource> in_, out_, floats_;
};

TEST_F(Experts, AreLinearLayersWhereLoadersHaveThemSo) {
  for (const char* format : {"compressed-tensors", "gptq", "fp8"}) {
    const Json report = quantize_to(format, in_rows("layers.0.mlp.experts."), "qwen3_moe");
    EXPECT_EQ(count_of(report, "quantize"), 3u * kExperts) << format;
    EXPECT_EQ(report["layers"][0]["tensor"], "layers.0.mlp.experts.0.gate_proj.weight");
    EXPECT_NE(report["remarks"].dump().find("2 tensors of all experts became several"), std::string::npos) << report;
    if (format != std::string("fp8")) expect_apart("layers.0.mlp.experts.", "gate_proj", "up_proj", "down_proj");
    EXPECT_EQ(report["warnings"].size(), format == std::string("gptq") ? 1 : 0) << report["warnings"];
  }
  const Json report = quantize_to("awq", in_rows("layers.0.mlp.experts."), "qwen3_moe", R"(, "group_size": 32)");
  EXPECT_EQ(count_of(report, "quantize"), 3u * kExperts);
  EXPECT_NE(out_->find("layers.0.mlp.experts.2.up_proj.qweight"), TensorSource::kNone);
}

TEST_F(Experts, AreCalledAsTheModelsFirstFilesHaveThem) {
  quantize_to("compressed-tensors", in_rows("layers.0.block_sparse_moe.experts."), "mixtral");
  expect_apart("layers.0.block_sparse_moe.experts.", "w1", "w3", "w2");
  const std::string module = "layers.0.block_sparse_moe.";
  const Json report = quantize_to("gptq", in_rows(module, "input_linear.weight", "output_linear.weight"), "granitemoe");
  expect_apart(module + "experts.", "w1", "w3", "w2");
}

TEST_F(Experts, WhoseLoadersAreFewHaveANote) {
  const auto tensors = in_rows("layers.0.block_sparse_moe.", "input_linear.weight", "output_linear.weight");
  const Json report = quantize_to("compressed-tensors", tensors, "granitemoe");
  EXPECT_NE(report["warnings"].dump().find("as vLLM loads them: transformers does not"), std::string::npos) << report;
}

// Whether they lay one by one already or not.
TEST_F(Experts, OfGptqAndAwqHaveNotesOnTheirLoaders) {
  const auto expect_note = [&](const std::vector<NamedTensor>& tensors, const std::string& type, const char* note) {
    for (const char* format : {"gptq", "awq"}) {
      const Json report = quantize_to(format, tensors, type, R"(, "bits": 4, "group_size": 32)");
      ASSERT_EQ(report["warnings"].size(), 1) << format << report["warnings"];
      EXPECT_EQ(report["warnings"][0], note) << format;
    }
  };
  const char* named = "the experts are quantized one by one, as gptqmodel loads them: transformers does not";
  expect_note(in_rows("layers.0.mlp.experts."), "qwen3_moe", named);
  expect_note(one_by_one("layers.0.mlp.experts.0.up_proj"), "new_moe", named);
  const char* numbered =
      "the experts are quantized one by one as w1, w2 and w3, as vLLM has them: gptqmodel and transformers do not load "
      "them";
  expect_note(in_rows("layers.0.feed_forward.experts."), "lfm2_moe", numbered);
  expect_note(one_by_one("layers.0.block_sparse_moe.experts.0.w2"), "mixtral", numbered);
  expect_note(in_rows("layers.0.mlp.experts."), "qwen3_vl_moe",
              "the experts of this qwen3_vl_moe lie one by one, as vLLM loads them: transformers does not");
}

// PhiMoE's router is a Linear layer to transformers, which looks for its scales where the config does not leave it.
TEST_F(Experts, HaveRoutersThatAConfigLeavesByAllNames) {
  std::vector<NamedTensor> tensors = one_by_one("layers.0.block_sparse_moe.experts.0.w1");
  tensors.push_back(router("layers.0.block_sparse_moe.gate"));
  quantize_to("compressed-tensors", tensors, "phimoe");
  const Json config = parse_json(read_bytes(folder_.path("out/config.json")))["quantization_config"];
  EXPECT_EQ(config["ignore"],
            (Json{std::vector<std::string>{"layers.0.block_sparse_moe.gate", "layers.0.mlp.router"}}));
}

// The module around them, too: transformers has other names than its files, and may save either.
TEST_F(Experts, LieInTheModuleThatTheirLoadersHave) {
  std::vector<NamedTensor> tensors = in_rows("layers.0.mlp.experts.");
  tensors.push_back(router("layers.0.mlp.gate"));
  tensors.push_back(one_by_one("layers.1.mlp.up_proj").front());  // of a layer without experts
  const std::string gate = "layers.0.block_sparse_moe.gate.weight";
  for (const char* format : {"compressed-tensors", "gptq"}) {
    const Json report = quantize_to(format, tensors, "mixtral");
    expect_apart("layers.0.block_sparse_moe.experts.", "w1", "w3", "w2");
    EXPECT_NE(out_->find(gate), TensorSource::kNone) << format;
    EXPECT_NE(report.dump().find("layers.1.mlp.up_proj.weight"), std::string::npos) << format;
    EXPECT_NE(report["remarks"].dump().find("2 tensors of all experts became several"), std::string::npos) << report;
  }
  quantize_to("mlx", tensors, "mixtral", R"(, "group_size": 32)");
  expect_stacks("layers.0.block_sparse_moe.switch_mlp.");
  EXPECT_NE(out_->find(gate), TensorSource::kNone);
  tensors[2] = router("layers.0.mlp.router");
  const Json report = quantize_to("compressed-tensors", tensors, "phimoe", R"(, "skip": ["*mlp.router*"])");
  EXPECT_NE(out_->find(gate), TensorSource::kNone);
  EXPECT_EQ(report["warnings"].size(), 0) << report["warnings"];  // it is known by either name
}

TEST_F(Experts, MayLieTheOtherWayRound) {
  quantize_to("compressed-tensors", in_columns("layers.0.feed_forward.experts.", false), "llama4_text");
  expect_apart("layers.0.feed_forward.experts.", "gate_proj", "up_proj", "down_proj");
}

TEST_F(Experts, AreStacksInMlx) {
  const std::string more = R"(, "group_size": 32)";
  const Json report = quantize_to("mlx", in_rows("layers.0.mlp.experts."), "qwen3_moe", more);
  EXPECT_EQ(count_of(report, "quantize"), 3u);
  EXPECT_EQ(report["layers"][0]["kind"], "Experts");
  expect_stacks("layers.0.mlp.switch_mlp.");
  quantize_to("mlx", in_columns("layers.0.feed_forward.experts.", false), "llama4", more);
  expect_stacks("layers.0.feed_forward.experts.");
  const std::string module = "layers.0.block_sparse_moe.";
  quantize_to("mlx", in_rows(module, "input_linear.weight", "output_linear.weight"), "granitemoe", more);
  expect_stacks(module + "switch_mlp.");
}

TEST_F(Experts, ThatLieOneByOneAreStacksInMlx) {
  const std::vector<std::string> named{"gate_proj", "up_proj", "down_proj"}, numbered{"w1", "w3", "w2"};
  const std::string more = R"(, "group_size": 32)";
  const Json report = quantize_to("mlx", each_apart("layers.0.mlp.", named), "qwen3_moe", more);
  EXPECT_EQ(count_of(report, "quantize"), 3u);
  EXPECT_EQ(report["layers"][0]["name"], "layers.0.mlp.switch_mlp.gate_proj");
  EXPECT_NE(report["remarks"].dump().find("experts that lie one by one became 3 tensors"), std::string::npos) << report;
  expect_stacks("layers.0.mlp.switch_mlp.");
  quantize_to("mlx", each_apart("layers.0.block_sparse_moe.", numbered), "mixtral", more);
  expect_stacks("layers.0.block_sparse_moe.switch_mlp.");
  quantize_to("mlx", each_apart("layers.0.mlp.", named), "dots1", more);
  expect_stacks("layers.0.mlp.experts.");
  quantize_to("mlx", each_apart("layers.0.mlp.", named), "a_new_moe", more);
  expect_stacks("layers.0.mlp.switch_mlp.");
}

// mlx-lm would find what it does not know.
TEST_F(Experts, ThatCannotBeJoinedStayFloatInMlx) {
  const std::vector<std::string> named{"gate_proj", "up_proj", "down_proj"};
  std::vector<NamedTensor> tensors = each_apart("layers.0.mlp.", named);
  const auto reason_of = [&](const std::string& type) {
    const Json report = quantize_to("mlx", tensors, type, R"(, "group_size": 32)");
    EXPECT_EQ(count_of(report, "copy"), tensors.size());
    return report["layers"][0]["reason"].text();
  };
  EXPECT_EQ(reason_of("qwen3_next"), "mlx-lm has experts one by one as floats only in a qwen3_next");
  EXPECT_EQ(reason_of(""),
            "MLX has the weights of all experts in one tensor, and no config.json says of which model these are");
  tensors.pop_back();
  EXPECT_EQ(reason_of("qwen3_moe"), "MLX has the weights of all experts in one tensor, and these are not alike");
}

// mlx-lm turns and splits it.
TEST_F(Experts, AreNotAllThatMlxLmChanges) {
  const std::string name = "layers.0.self_attn.kv_b_proj";
  for (const char* type : {"deepseek_v3", "llama"}) {
    const Json report = quantize_to("mlx", one_by_one(name), type, R"(, "group_size": 32)");
    const bool is_left = report["layers"][0]["action"] == "copy";
    EXPECT_EQ(is_left, std::string(type) == "deepseek_v3") << report["layers"][0];
  }
}

// What has no other form is said, and not made up.
TEST_F(Experts, InStacksThatTransformersDoesNotLoadAreAWarning) {
  RunControl control;
  const Config config(nullptr, nullptr);
  for (const char* type : {"llama4", "granitemoe", "qwen3_moe"}) {
    std::filesystem::remove_all(folder_.path("floats"));
    quantize_to("mlx", in_rows("layers.0.mlp.experts."), type, R"(, "group_size": 32)");
    const Json report =
        dequantize(*out_, config, control, file_output(*out_, folder_.path("floats/"), config, control)).json();
    const bool is_said = report["warnings"].dump().find("but not by transformers") != std::string::npos;
    EXPECT_EQ(is_said, std::string(type) != "qwen3_moe") << report["warnings"];
    EXPECT_EQ(report["layers"].size(), is_said ? 3u : 3u * kExperts);
  }
}

// transformers has them in one tensor, of which bitsandbytes makes nothing.
TEST_F(Experts, StayFloatInBitsandbytes) {
  const std::vector<NamedTensor> tensors = each_apart("layers.0.mlp.", {"gate_proj", "up_proj", "down_proj"});
  for (const char* type : {"qwen3_moe", "a_new_moe"}) {
    const Json report = quantize_to("bitsandbytes", tensors, type);
    EXPECT_EQ(count_of(report, "copy"), tensors.size());
    EXPECT_EQ(report["layers"][0]["reason"],
              "bitsandbytes holds Linear layers only, and transformers has all experts of a layer in one tensor");
  }
}

// Of other layers likewise.
TEST_F(Experts, AreNotAllThatTransformersLeavesInBitsandbytes) {
  const std::string name = "encoder.block.0.layer.1.DenseReluDense.wo";
  EXPECT_EQ(quantize_to("bitsandbytes", one_by_one(name), "t5")["layers"][0]["reason"],
            "transformers makes no layer of bitsandbytes of it");
  EXPECT_EQ(count_of(quantize_to("bitsandbytes", one_by_one(name), "llama"), "quantize"), 1u);
}

// From one by one to stacks and back: the same codes, wherever they are from.
TEST_F(Experts, KeepTheirCodesOnTheWayToMlxAndBack) {
  const std::vector<std::string> named{"gate_proj", "up_proj", "down_proj"};
  RunControl control;
  // With scales of float32 a code times a scale is rounded once more where it is a minimum that it is added to.
  const auto expect_same = [](const Json& compared) {
    EXPECT_EQ(compared["model"]["tensors_skipped"], 0) << compared["layers"];
    const Json& model = compared["model"];
    EXPECT_TRUE(model["exact"] == true || model["sqnr_db"].get<double>() > 130) << model;
  };
  for (const char* format : {"gptq", "awq", "compressed-tensors", "folder"}) {
    SCOPED_TRACE(format);
    quantize_to(format, each_apart("layers.0.mlp.", named), "qwen3_moe", R"(, "bits": 4, "group_size": 32)");
    const std::string first = folder_.path("first"), stacked = folder_.path("stacked/"),
                      floats = folder_.path("floats/");
    for (const std::string& each : {first, stacked, floats}) std::filesystem::remove_all(each);
    std::filesystem::rename(folder_.path("out"), first);
    const auto source = open_source(first);
    const Settings mlx = parse_settings(R"({"format": "mlx"})"), wide = parse_settings(R"({"float_dtype": "float32"})");
    const Config to_mlx(&mlx, nullptr), to_floats(&wide, nullptr);
    const Json report = convert(*source, to_mlx, control, file_output(*source, stacked, to_mlx, control)).json();
    ASSERT_EQ(report["layers"].size(), 3u);
    EXPECT_EQ(report["layers"][0]["name"], "layers.0.mlp.switch_mlp.down_proj");
    EXPECT_NE(report["layers"][0]["reason"].text().find("with the scales that it has"), std::string::npos) << report;
    const auto joined = open_source(stacked);
    expect_same(compare(*source, *joined, to_floats, control).json());
    dequantize(*joined, to_floats, control, file_output(*joined, floats, to_floats, control));
    const auto apart = open_source(floats);
    expect_same(compare(*source, *apart, to_floats, control).json());
    EXPECT_EQ(apart->tensors()[0].name, "layers.0.mlp.experts.0.down_proj.weight");
    // Blocks of several experts, and pieces that start within them.
    std::shared_ptr<const TensorSource> whole;
    dequantize(*joined, to_floats, control, memory_output(*joined, whole));
    const std::vector<float> values = read_values<float>(*whole, "layers.0.mlp.switch_mlp.down_proj.weight");
    std::vector<float> one_by_one;
    for (std::int64_t expert = 0; expert < kExperts; ++expert) {
      const auto of_one = read_values<float>(*apart, formatted("layers.0.mlp.experts.{}.down_proj.weight", expert));
      one_by_one.insert(one_by_one.end(), of_one.begin(), of_one.end());
    }
    EXPECT_EQ(values, one_by_one);
  }
}

// float16 of our own is stored as such, and no codes.
TEST_F(Experts, ThatAreCastAreJoinedAsFloats) {
  quantize_to("folder", each_apart("layers.0.mlp.", {"gate_proj", "up_proj", "down_proj"}), "qwen3_moe",
              R"(, "dtype": "float16")");
  std::filesystem::rename(folder_.path("out"), folder_.path("again"));
  quantize_folder(folder_.path("again"), "mlx", R"(, "bits": 8, "group_size": 32)");
  expect_stacks("layers.0.mlp.switch_mlp.");
}

// All of a layer get the module's name in other loaders, whatever is cut first.
TEST_F(Experts, AreRenamedWithTheirCodes) {
  quantize_to("folder", in_rows("layers.0.mlp.experts."), "mixtral");
  std::filesystem::rename(folder_.path("out"), folder_.path("again"));
  quantize_folder(folder_.path("again"), "gptq", "");
  for (const TensorInfo& info : out_->tensors()) {
    EXPECT_TRUE(info.name.starts_with("layers.0.block_sparse_moe.experts.")) << info.name;
  }
}

// Rows of [experts, in, out] are no outputs.
TEST_F(Experts, ThatLieTheOtherWayRoundAreNotCutByRows) {
  quantize_to("safetensors", in_columns("layers.0.mlp.experts.", false), "llama4",
              R"(, "layers": [{"name": "*", "kind": "Experts"}])");
  std::filesystem::create_directories(folder_.path("again"));
  std::filesystem::rename(folder_.path("out.safetensors"), folder_.path("again/model.safetensors"));
  write_bytes(folder_.path("again/config.json"), R"({"model_type": "llama4"})");
  quantize_folder(folder_.path("again"), "gptq", "");
  expect_valid();
}

// Biases go with weights that are cut with their codes.
TEST_F(Experts, HaveBiasesBesideTheirCodes) {
  std::vector<NamedTensor> tensors = in_rows("layers.0.mlp.experts.");
  std::vector<float> biases(kExperts * kWidth);
  for (std::size_t i = 0; i < biases.size(); ++i) biases[i] = static_cast<float>(i);
  tensors.push_back({"layers.0.mlp.experts.down_proj_bias", tensor_of(DType::kF32, {kExperts, kWidth}, biases)});
  quantize_to("mlx", tensors, "qwen3_moe", R"(, "group_size": 32)");
  std::filesystem::rename(folder_.path("out"), folder_.path("again"));
  quantize_folder(folder_.path("again"), "gptq", R"(, "bits": 8)");
  const std::vector<float> of_one = read_values<float>(*out_, "layers.0.mlp.experts.1.down_proj.bias");
  EXPECT_EQ(of_one, std::vector<float>(biases.begin() + kWidth, biases.begin() + 2 * kWidth));
}

// What is MLX's already is copied.
TEST_F(Experts, InMlxAreCopied) {
  quantize_to("mlx", in_rows("layers.0.mlp.experts."), "qwen3_moe", R"(, "bits": 4, "group_size": 32)");
  RunControl control;
  const Settings mlx = parse_settings(R"({"format": "mlx"})");
  const Config config(&mlx, nullptr);
  const Json report =
      convert(*out_, config, control, file_output(*out_, folder_.path("copy/"), config, control)).json();
  EXPECT_EQ(count_of(report, "copy"), 3u) << report["layers"];
}

// GPTQ's desc_act has an order for each expert.
TEST_F(Experts, ThatDifferInTheirCodesAreJoinedAsFloats) {
  const std::vector<std::string> named{"gate_proj", "up_proj", "down_proj"};
  quantize_to("gptq", each_apart("layers.0.mlp.", named), "qwen3_moe",
              R"(, "bits": 8, "group_size": 32, "layers": [{"name": "*experts.1.up_proj", "bits": 4}])");
  std::filesystem::rename(folder_.path("out"), folder_.path("again"));
  const Json report = quantize_folder(folder_.path("again"), "mlx", R"(, "bits": 8, "group_size": 32)");
  EXPECT_EQ(count_of(report, "quantize"), 3u) << report["layers"];
  EXPECT_NE(report["remarks"].dump().find("9 weights of experts quantized already"), std::string::npos)
      << report["remarks"];
}

// Its biases are called by the layers, too.
TEST_F(Experts, OfGptOssTakeTurns) {
  std::vector<NamedTensor> tensors = in_columns("layers.0.mlp.experts.", true);
  std::vector<float> biases(kExperts * 2 * kInner), below(kExperts * kWidth, 2);
  for (std::size_t i = 0; i < biases.size(); ++i) biases[i] = static_cast<float>(i);
  tensors.push_back({"layers.0.mlp.experts.gate_up_proj_bias", tensor_of(DType::kF32, {kExperts, 2 * kInner}, biases)});
  tensors.push_back({"layers.0.mlp.experts.down_proj_bias", tensor_of(DType::kF32, {kExperts, kWidth}, below)});
  quantize_to("mlx", tensors, "gpt_oss", R"(, "group_size": 32)");
  expect_stacks("layers.0.mlp.experts.");
  const std::vector<float> gate = read_values<float>(*out_, "layers.0.mlp.experts.gate_proj.bias");
  const std::vector<float> up = read_values<float>(*out_, "layers.0.mlp.experts.up_proj.bias");
  ASSERT_EQ(gate.size(), static_cast<std::size_t>(kExperts * kInner));
  ASSERT_EQ(up.size(), gate.size());
  for (std::size_t i = 0; i < gate.size(); ++i) {
    EXPECT_EQ(gate[i], static_cast<float>(2 * i));
    EXPECT_EQ(up[i], static_cast<float>(2 * i + 1));
  }
  EXPECT_EQ(read_values<float>(*out_, "layers.0.mlp.experts.down_proj.bias"), below);
}

// Their values are whole, so that int8 has lost nothing of them.
TEST_F(Experts, ThatAreQuantizedAlreadyKeepTheirCodes) {
  const auto quantize_twice = [&](const std::vector<NamedTensor>& tensors, const char* type, const char* format,
                                  const char* more, const char* remark = "of all experts became several") {
    quantize_to("folder", tensors, type);
    std::filesystem::remove_all(folder_.path("again"));
    std::filesystem::rename(folder_.path("out"), folder_.path("again"));
    const Json report = quantize_folder(folder_.path("again"), format, more);
    EXPECT_EQ(report["model"]["layers_dequantized"], 0) << report;
    EXPECT_NE(report["remarks"].dump().find(remark), std::string::npos) << report["remarks"];
    return report;
  };
  const std::string module = "layers.0.mlp.experts.";
  const Json kept = quantize_twice(in_rows(module), "qwen3_moe", "compressed-tensors", "");
  EXPECT_EQ(count_of(kept, "copy"), 3u * kExperts) << kept["layers"];
  expect_apart(module, "gate_proj", "up_proj", "down_proj");
  quantize_twice(in_rows(module), "qwen3_moe", "gptq", "");
  expect_apart(module, "gate_proj", "up_proj", "down_proj");
  quantize_twice(in_rows(module), "qwen3_moe", "mlx", R"(, "bits": 8, "group_size": 32)");
  expect_stacks("layers.0.mlp.switch_mlp.");
  // Rows of these have no codes of their own.
  quantize_twice(in_columns(module, true), "gpt_oss", "mlx", R"(, "bits": 8, "group_size": 32)", "taken as floats");
  expect_stacks(module);
}

// GPT-OSS's own files: the same as by way of floats.
TEST_F(Experts, OfGptOssFilesBecomeStacks) {
  const std::string more = R"(, "bits": 4, "group_size": 32)";
  copy_gpt_oss();
  const Json report = quantize_folder(folder_.path("oss"), "mlx", more);
  EXPECT_EQ(report["model"]["layers_dequantized"], 0) << report;
  const auto at_once = out_;
  RunControl control;
  const Config config(nullptr, nullptr);
  const auto source = open_source(folder_.path("oss"));
  dequantize(*source, config, control, file_output(*source, folder_.path("floats/"), config, control));
  std::filesystem::rename(folder_.path("out"), folder_.path("at_once"));
  quantize_folder(folder_.path("floats"), "mlx", more);
  ASSERT_EQ(at_once->tensors().size(), out_->tensors().size());
  for (const TensorInfo& info : out_->tensors()) {
    EXPECT_EQ(stored(*at_once, info.name), stored(*out_, info.name)) << info.name;
  }
}

// Where settings leave them out they become floats, too: nothing says that they were copied.
TEST_F(Experts, ThatAreQuantizedAlreadyAndLeftOutAreAWarning) {
  const std::string module = "layers.0.mlp.experts.";
  quantize_to("folder", in_columns(module, false), "llama4");
  std::filesystem::rename(folder_.path("out"), folder_.path("again"));
  const Json report =
      quantize_folder(folder_.path("again"), "compressed-tensors", R"(, "skip": ["*.experts.*.down_proj*"])");
  EXPECT_EQ(count_of(report, "copy"), 3u);
  EXPECT_NE(report["warnings"].dump().find("quantized weights that become floats: 3, as"), std::string::npos) << report;
  for (const Json& layer : report["layers"]) {
    const char* wanted = layer["action"] == "copy" ? "made floats of int8 per channel" : "quantized anew, before int8";
    EXPECT_NE(layer["reason"].text().find(wanted), std::string::npos) << layer;
  }
}

// Nobody asked for floats, and they are larger.
TEST_F(Experts, ThatBecomeFloatsAreAWarning) {
  copy_gpt_oss();
  const Json report = quantize_folder(folder_.path("oss"), "gptq", R"(, "bits": 4, "group_size": 32)");
  EXPECT_NE(report["warnings"].dump().find("quantized weights that become floats: "), std::string::npos) << report;
}

TEST_F(Experts, StayFloatWhereNoLoaderHasThemApart) {
  const auto reason = [&](const std::string& format, const std::string& type) {
    const Json report = quantize_to(format, in_rows("layers.0.mlp.experts."), type);
    EXPECT_EQ(count_of(report, "copy"), 2u) << format << " " << type;
    return report["layers"][0]["reason"].text();
  };
  EXPECT_EQ(reason("compressed-tensors", "gpt_oss"),
            "compressed-tensors holds Linear layers only, and this is all experts in one tensor, which none of its "
            "loaders is known to have otherwise in a gpt_oss");
  EXPECT_EQ(reason("gptq", "new_moe"),
            "GPTQ holds Linear layers only, and this is all experts in one tensor, which it is not known how to take "
            "apart in a new_moe");
  EXPECT_EQ(reason("mlx", ""),
            "MLX holds Linear layers and embeddings only, and this is all experts in one tensor, which no config.json "
            "says how to take apart");
}

TEST_F(Experts, StayTogetherInFilesOfOurs) {
  write_model(in_rows("layers.0.mlp.experts."), "qwen3_moe");
  const auto source = open_source(folder_.path("in"));
  EXPECT_EQ(take_experts_apart(*source, ExpertForm::kTogether).experts, nullptr);
  const Json report = quantize_in_memory(*source, R"({"min_parameters": 0})").report;
  EXPECT_EQ(report["layers"].size(), 2u);
  EXPECT_EQ(count_of(report, "quantize"), 2u);
}

// Gate and up are half of the rows each.
TEST_F(Experts, OfAnOddNumberOfRowsStayTogether) {
  write_model({experts("mlp.experts.gate_up_proj", 33, 8, gate_up), experts("mlp.experts.down_proj", 8, 16, down)},
              "qwen3_moe");
  const auto source = open_source(folder_.path("in"));
  const auto apart = take_experts_apart(*source, ExpertForm::kApart).experts;
  ASSERT_NE(apart, nullptr);
  EXPECT_NE(apart->find("mlp.experts.gate_up_proj"), TensorSource::kNone);
  EXPECT_NE(apart->find("mlp.experts.2.down_proj.weight"), TensorSource::kNone);
}

// By either name: that of the input, and that of the output.
TEST_F(Experts, AreNamedBySettingsAsTheInputHasThem) {
  const auto counts = [&](const std::string& more) {
    const Json report = quantize_to("compressed-tensors", in_rows("layers.0.mlp.experts."), "qwen3_moe", ", " + more);
    EXPECT_EQ(report["warnings"].dump().find("matches no tensor"), std::string::npos) << report["warnings"];
    return std::pair(count_of(report, "quantize"), count_of(report, "copy"));
  };
  using Counts = std::pair<std::size_t, std::size_t>;
  EXPECT_EQ(counts(R"("skip": ["*.experts.gate_up_proj"])"), Counts(kExperts, 2 * kExperts));
  EXPECT_EQ(counts(R"("skip": ["*.experts.1.*"])"), Counts(2 * 3, 3));
  EXPECT_EQ(counts(R"("only": ["layers.0.mlp.experts.down_proj"])"), Counts(kExperts, 2 * kExperts));
  const Json report = quantize_to("mlx", in_rows("layers.0.mlp.experts."), "qwen3_moe",
                                  R"(, "bits": 4, "group_size": 32,
                                      "layers": [{"name": "*.experts.down_proj", "bits": 8}])");
  for (const Json& layer : report["layers"]) {
    const bool is_down = layer["tensor"] == "layers.0.mlp.switch_mlp.down_proj.weight";
    EXPECT_EQ(layer["bits"], is_down ? 8 : 4) << layer["tensor"];
  }
}

// The accuracy of each is that of its rows alone, in a model of nothing else.
TEST_F(Experts, AreMeasuredEachByItselfOnRequest) {
  constexpr std::size_t kRows = 64, kColumns = 96, kCount = kRows * kColumns;
  std::vector<float> values = normal_values(kExperts * kCount, 1);
  for (std::size_t i = 0; i < kCount; ++i) values[i] *= i % 7 == 0 ? 20 : 1;  // the first one is coarse
  for (const std::string settings : {R"("bits": 8)", R"("dtype": "quint8")", R"("bits": 4)", R"("dtype": "float16")",
                                     R"("dtype": "float8_e4m3")", R"("dtype": "nf4")", R"("dtype": "mxfp4")"}) {
    const std::string all = R"({"accuracy_warning": "ignore", )" + settings;
    const auto model = one_weight({kExperts, kRows, kColumns}, values, "mlp.experts.down_proj");
    const Json with = quantize_in_memory(*model, all + R"(, "expert_accuracy": true})").report["layers"][0];
    const Json without = quantize_in_memory(*model, all + "}").report["layers"][0];
    EXPECT_EQ(without.find("experts"), nullptr);
    EXPECT_NEAR(with["sqnr_db"].get<double>(), without["sqnr_db"].get<double>(), 1e-9);
    ASSERT_NE(with.find("experts"), nullptr) << settings;
    ASSERT_EQ(with["experts"].size(), static_cast<std::size_t>(kExperts)) << settings;
    for (std::size_t i = 0; i < kExperts; ++i) {
      const auto begin = values.begin() + static_cast<std::ptrdiff_t>(i * kCount);
      const std::vector<float> own(begin, begin + kCount);
      const Json alone = quantize_in_memory(*one_weight({kRows, kColumns}, own), all + "}").report["layers"][0];
      EXPECT_NEAR(with["experts"][i]["sqnr_db"].get<double>(), alone["sqnr_db"].get<double>(), 1e-9) << settings;
      EXPECT_NEAR(with["experts"][i]["max_error"].get<double>(), alone["max_error"].get<double>(), 1e-12) << settings;
    }
  }
}

// Those of a turned weight, of blocks of ggml's, of long rows and of MLX's stacks are cut in other ways.
TEST_F(Experts, AreMeasuredWhicheverWayTheyLie) {
  const auto expect_three = [&](const std::string& format, const std::vector<NamedTensor>& tensors,
                                const std::string& type) {
    const Json report = quantize_to(format, tensors, type, R"(, "expert_accuracy": true)");
    for (const Json& layer : report["layers"]) {
      ASSERT_NE(layer.find("experts"), nullptr) << format << layer;
      ASSERT_EQ(layer["experts"].size(), static_cast<std::size_t>(kExperts));
      double error = 0;
      for (const Json& expert : layer["experts"]) error = std::max(error, expert["max_error"].get<double>());
      EXPECT_EQ(error, layer["max_error"].get<double>()) << format << layer;
    }
  };
  const auto rows = in_rows("mlp.experts."), columns = in_columns("mlp.experts.", false);
  expect_three("safetensors", rows, "qwen3_moe");
  expect_three("safetensors", columns, "llama4");
  expect_three("gguf", rows, "qwen3_moe");
  expect_three("mlx", columns, "llama4");
  const auto large = [](std::int64_t expert, std::int64_t row, std::int64_t column) {
    return static_cast<float>((expert + row * 5 + column) % 101) - 50.5f;
  };
  expect_three("gguf", {experts("mlp.experts.down_proj", 40, 32768, large)}, "qwen3_moe");
}

// Experts that nothing was ever sent to.
TEST_F(Experts, MayBeIdle) {
  const auto but_one = [](const Value& value) {
    return [value](std::int64_t expert, std::int64_t row, std::int64_t column) {
      return expert == 1 ? 0.0f : value(expert, row, column);
    };
  };
  const std::vector<NamedTensor> tensors{experts("mlp.experts.gate_up_proj", 2 * kInner, kWidth, but_one(gate_up)),
                                         experts("mlp.experts.down_proj", kWidth, kInner, but_one(down))};
  const auto is_exact = [](const Json& found) { return found["exact"] == true && found["sqnr_db"].is_null(); };
  const auto check = [&](const std::string& format, const std::string& more) {
    const Json report = quantize_to(format, tensors, "qwen3_moe", R"(, "expert_accuracy": true)" + more);
    EXPECT_EQ(count_of(report, "copy"), 0u) << format << more;
    EXPECT_EQ(report.dump().find("nan"), std::string::npos);
    for (const Json& layer : report["layers"]) {
      const Json* each = layer.find("experts");
      const bool is_idle = layer["tensor"].text().find("experts.1.") != std::string::npos;
      EXPECT_TRUE(!is_idle || is_exact(layer)) << format << more << layer;
      EXPECT_TRUE(each == nullptr || is_exact((*each)[1])) << format << more << layer;
    }
    expect_valid();
  };
  for (const char* dtype : {"qint8", "quint8", "qint4", "float8_e4m3", "float8_e5m2", "nvfp4", "mxfp4", "mxfp6",
                            "mxfp8", "nf4", "fp4", "bfloat16", "float16", "qint2"}) {
    check("safetensors", formatted(R"(, "dtype": "{}")", dtype));
  }
  for (const char* dtype : {"qint8", "quint8", "qint4", "float8_e4m3", "nvfp4", "mxfp4", "mxfp8"}) {
    check("compressed-tensors", formatted(R"(, "dtype": "{}")", dtype));
  }
  for (const int bits : {4, 5, 8}) check("gguf", formatted(R"(, "bits": {})", bits));
  for (const int bits : {2, 4, 8}) check("mlx", formatted(R"(, "bits": {}, "group_size": 32)", bits));
  for (const int bits : {2, 4, 8}) check("gptq", formatted(R"(, "bits": {}, "group_size": 32)", bits));
  check("awq", R"(, "bits": 4, "group_size": 32)");
  check("fp8", "");
}

// No expert, or none that has outputs or inputs.
TEST_F(Experts, MayBeEmpty) {
  for (const Shape& shape : {Shape{0, 64, 32}, Shape{3, 0, 32}, Shape{3, 64, 0}}) {
    for (const std::string format :
         {"safetensors", "gguf", "compressed-tensors", "gptq", "awq", "fp8", "mlx", "bitsandbytes", "folder"}) {
      const std::vector<NamedTensor> tensors{
          {"mlp.experts.gate_up_proj", tensor_of(DType::kF32, shape, std::vector<float>())},
          {"mlp.experts.down_proj", tensor_of(DType::kF32, shape, std::vector<float>())},
          {"attention.out.weight", tensor_of(DType::kF32, {64, 64}, normal_values(64 * 64, 1))}};
      const std::string more = format == "awq" ? R"(, "group_size": 32)" : "";
      const Json report = quantize_to(format, tensors, "qwen3_moe", R"(, "expert_accuracy": true)" + more);
      EXPECT_EQ(count_of(report, "quantize"), 1u) << format;
      EXPECT_EQ(report.dump().find("nan"), std::string::npos);
      ASSERT_NE(out_->find("mlp.experts.down_proj"), TensorSource::kNone) << format;
      EXPECT_EQ(out_->tensors()[out_->find("mlp.experts.down_proj")].shape, shape) << format;
      expect_valid();
    }
  }
}

// Any piece of one is what the whole has there, whichever way it lies.
TEST_F(Experts, AreReadInAnyPieces) {
  for (const bool is_interleaved : {false, true}) {
    write_model(in_columns("mlp.experts.", is_interleaved), is_interleaved ? "gpt_oss" : "llama4");
    const auto source = open_source(folder_.path("in"));
    const auto apart = take_experts_apart(*source, is_interleaved ? ExpertForm::kStacked : ExpertForm::kApart).experts;
    ASSERT_NE(apart, nullptr);
    for (std::size_t i = 0; i < apart->tensors().size(); ++i) {
      const TensorInfo& info = apart->tensors()[i];
      const std::vector<float> whole = read_values<float>(*apart, info.name);
      for (const std::size_t count : {std::size_t{1}, std::size_t{37}, whole.size() - 40}) {
        std::vector<float> piece(count);
        apart->read(i, 40 * sizeof(float), std::as_writable_bytes(std::span(piece)));
        EXPECT_TRUE(std::ranges::equal(piece, std::span(whole).subspan(40, count))) << info.name << " " << count;
      }
    }
  }
}

}  // namespace
}  // namespace mnq::test
