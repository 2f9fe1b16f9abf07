// Checkpoints that other tools quantized: what those tools make of them, and what is damaged.
// tests/data/make_adapted.py
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "formats/open_source.h"
#include "formats/safetensors/safetensors.h"
#include "quantize/job_fixture.h"
#include "support/error_of.h"
#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

const std::string kFolder = MNQ_TEST_DATA "/adapted/";
constexpr std::string_view kExpected = "expected.";

std::vector<std::string> all_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

std::shared_ptr<const TensorSource> floats_of(const TensorSource& source) {
  Settings settings;
  set_value(settings, "float_dtype", "float32");
  const Config config(&settings, nullptr);
  RunControl control;
  std::shared_ptr<const TensorSource> floats;
  dequantize(source, config, control, memory_output(source, floats));
  return floats;
}

// Where the tool multiplies in another order the last bit may differ.
bool is_rounded_otherwise(const std::string& name) { return name == "bnb_int8"; }

class Adapted : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Folders, Adapted, testing::ValuesIn(all_names()));

TEST_P(Adapted, HasTheValuesOfItsTool) {
  const auto source = open_source(kFolder + GetParam());
  const auto floats = floats_of(*source);
  std::size_t count = 0;
  for (const LogicalTensor& tensor : source->require_weights()) {
    if (!tensor.name.starts_with(kExpected)) continue;
    const std::string name = tensor.name.substr(kExpected.size());
    const auto expected = read_values<float>(*source, tensor.name);
    const std::size_t found = floats->find(name);
    ASSERT_NE(found, TensorSource::kNone) << name;
    EXPECT_EQ(floats->tensors()[found].shape, tensor.shape);
    const auto values = read_values<float>(*floats, name);
    ASSERT_EQ(values.size(), expected.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float slack = is_rounded_otherwise(GetParam()) ? std::abs(expected[i]) * 0x1p-22f : 0;
      ASSERT_NEAR(values[i], expected[i], slack) << name << " " << i;
    }
    ++count;
  }
  EXPECT_EQ(count, 1u);
}

// Nothing is left that only the codes needed, and the values are the same however they are cut.
TEST_P(Adapted, LeavesNoParts) {
  const auto source = open_source(kFolder + GetParam());
  const auto floats = floats_of(*source);
  for (const TensorInfo& info : floats->tensors()) {
    EXPECT_TRUE(is_weight_dtype(info.dtype)) << info.name << " " << dtype_name(info.dtype);
    EXPECT_EQ(info.name.find("scale"), std::string::npos) << info.name;
  }
  RunControl control;
  EXPECT_EQ(compare(*floats, *source, Config(nullptr, nullptr), control).json()["model"]["exact"], true);
  EXPECT_EQ(validate(*source, floats.get(), Config(nullptr, nullptr), control).problems(), std::vector<std::string>());
}

// Into our own layout and into every other one: as codes where it holds them, else as floats.
TEST_P(Adapted, IsConverted) {
  const TempFolder folder;
  const auto source = open_source(kFolder + GetParam());
  const auto floats = floats_of(*source);
  for (const char* name : {"x.safetensors", "x.gguf", "ct/"}) {
    SCOPED_TRACE(name);
    RunControl control;
    Settings settings;
    set_value(settings, "accuracy_warning", "ignore");
    const Config config(&settings, nullptr);
    const std::string path = folder.path(name);
    convert(*source, config, control, file_output(*source, path, config, control));
    const auto converted = open_source(path);
    const Json compared = compare(*floats, *converted, config, control).json()["model"];
    EXPECT_EQ(compared["tensors_skipped"], 0) << compared.dump();
    EXPECT_TRUE(compared["sqnr_db"].is_null() || compared["sqnr_db"].get<double>() > 7) << compared.dump();
  }
}

// Converted to a folder of a format.
struct ConvertedFolder {
  ConvertedFolder(const TensorSource& source, const std::string& format) {
    const Settings settings = parse_settings(R"({"format": ")" + format + "\"}");
    const Config config(&settings, nullptr);
    RunControl control;
    report = convert(source, config, control, file_output(source, folder.path("x/"), config, control)).json();
  }

  Json said() const { return parse_json(read_bytes(folder.path("x/config.json")))["quantization_config"]; }

  TempFolder folder;
  Json report;
};

// A folder that was to be GPTQ's and is none any more is no surprise.
TEST(Adapted, ThatCannotKeepItsCodesIsSaid) {
  const ConvertedFolder made(*open_source(kFolder + "bnb_nf4"), "gptq");
  ASSERT_EQ(made.report["warnings"].size(), 1) << made.report["warnings"];
  EXPECT_EQ(made.report["warnings"][0].text().find("quantized weights that become floats: 1, as a.weight: "), 0u)
      << made.report["warnings"][0];
}

// ---- Columns whose groups do not follow each other: GPTQ's desc_act, compressed-tensors' actorder

class GroupOrder : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Kept, GroupOrder, testing::Values("gptq_desc_act", "ct_actorder_f16"));

TEST_P(GroupOrder, IsKeptWithTheCodes) {
  const auto source = open_source(kFolder + GetParam());
  const ConvertedFolder made(*source, "gptq");
  EXPECT_EQ(made.report["layers"][0]["action"], "copy") << made.report["layers"][0];
  const auto converted = open_source(made.folder.path("x"));
  EXPECT_TRUE(converted->require_weights().at(0).spec->has_group_order);
  EXPECT_EQ(read_values<float>(*floats_of(*converted), "a.weight"),
            read_values<float>(*source, std::string(kExpected) + "a.weight"));
  EXPECT_EQ(made.said()["desc_act"], true);
}

// Its groups are made anew where there is no list of them.
TEST(GroupOrder, ThatAFormatHasNoPlaceForIsQuantizedAnew) {
  const auto source = open_source(kFolder + "gptq_desc_act");
  for (const char* format : {"awq", "mlx", "compressed-tensors"}) {
    const ConvertedFolder made(*source, format);
    const std::string reason = made.report["layers"][0]["reason"].text();
    EXPECT_EQ(made.report["layers"][0]["action"], "quantize") << format;
    EXPECT_TRUE(reason.starts_with("quantized anew")) << reason;
    EXPECT_GT(made.report["model"]["sqnr_db"].get<double>(), 15) << format;
  }
}

// MLX's minima are whole steps from zero, but for what bfloat16 leaves of them: a search finds those steps.
TEST(Adapted, MinimaBecomeZeroPoints) {
  for (const auto& [name, least_db] : {std::pair("mlx_2", 50.0), {"mlx_4", 45.0}, {"mlx_8", 40.0}}) {
    const ConvertedFolder made(*open_source(kFolder + name), "compressed-tensors");
    const Json& layer = made.report["layers"][0];
    EXPECT_TRUE(layer["exact"] == true || layer["sqnr_db"].get<double>() > least_db) << layer;
  }
}

// Of codes that are made anew, or could be.
TEST(Adapted, FollowsSettingsOnTheWayToAnotherFormat) {
  const auto source = open_source(kFolder + "mlx_4");
  const auto scheme_with = [&](const std::string& more) {
    const TempFolder folder;
    const Settings settings =
        parse_settings(R"({"format": "compressed-tensors", "bits": 4, "accuracy_warning": "ignore")" + more + "}");
    const Config config(&settings, nullptr);
    RunControl control;
    const Json report =
        quantize(*source, config, control, file_output(*source, folder.path("x/"), config, control)).json();
    return report["layers"][0]["scheme"].text();
  };
  EXPECT_EQ(scheme_with(""), "int4 group 64 asymmetric");
  EXPECT_EQ(scheme_with(R"(, "symmetric": true)"), "int4 group 128");
  EXPECT_EQ(scheme_with(R"(, "symmetric": true, "group_size": 32)"), "int4 group 32");
}

// ---- Symmetric weights of GPTQ and AWQ: their zero points are stored, all in the middle

struct MiddleZeroPoints {
  const char* name;
  int bits;
  std::uint32_t words[3];  // of zero points, again and again
  const char* config;
};

std::ostream& operator<<(std::ostream& out, const MiddleZeroPoints& made) { return out << made.name; }

constexpr std::int64_t kOutputs = 32, kGroups = 2;

std::string words_text(std::size_t count, const std::uint32_t (&words)[3]) {
  std::string bytes;
  for (std::size_t i = 0; i < count; ++i) bytes.append(reinterpret_cast<const char*>(&words[i % 3]), sizeof words[0]);
  return bytes;
}

// One layer of 64 columns whose codes are all alike; its first zero point is another one where that is asked for.
std::string file_with(const MiddleZeroPoints& made, bool is_first_other) {
  const bool is_awq = std::string_view(made.name).starts_with("awq");
  const std::int64_t bits = made.bits, words = kOutputs * bits / 32;
  const Shape codes = is_awq ? Shape{64, words} : Shape{64 * bits / 32, kOutputs};
  constexpr std::uint32_t kAlike[3] = {0x12345678, 0x12345678, 0x12345678};
  std::string zero_points = words_text(static_cast<std::size_t>(kGroups * words), made.words);
  if (is_first_other) zero_points.front() ^= 1;
  SafetensorsBytes bytes;
  bytes.add_bytes("a.qweight", "I32", Json(codes).dump(), words_text(element_count(codes), kAlike));
  bytes.add_bytes("a.qzeros", "I32", Json(Shape{kGroups, words}).dump(), zero_points);
  bytes.add("a.scales", "F32", Json(Shape{kGroups, kOutputs}).dump(), std::vector<float>(kGroups * kOutputs, 0.5f));
  return bytes.bytes();
}

class Symmetric : public testing::TestWithParam<MiddleZeroPoints> {};
constexpr const char kFirst[] = R"({"quantization_config": {"quant_method": "gptq", "checkpoint_format": "gptq"}})";
constexpr const char kSecond[] = R"({"quantization_config": {"quant_method": "gptq", "checkpoint_format": "gptq_v2"}})";
constexpr const char kFormat[] =
    R"({"quantization_config": {"quant_method": "gptq", "format": "gptq_v2", "checkpoint_format": "gptq"}})";
constexpr const char kAutoRound[] =
    R"({"quantization_config": {"quant_method": "auto-round", "packing_format": "auto_round:gptqmodel"}})";
constexpr const char kAutoGptq[] =
    R"({"quantization_config": {"quant_method": "auto-round", "packing_format": "auto_round:auto_gptq"}})";
constexpr const char kAwq[] = R"({"quantization_config": {"quant_method": "awq"}})";
// 3 bits: 011 and 100 again and again.
INSTANTIATE_TEST_SUITE_P(
    Weights, Symmetric,
    testing::Values(MiddleZeroPoints{"gptq_2", 2, {0x55555555, 0x55555555, 0x55555555}, kFirst},
                    MiddleZeroPoints{"gptq_3", 3, {0xdb6db6db, 0xb6db6db6, 0x6db6db6d}, kFirst},
                    MiddleZeroPoints{"gptq_4", 4, {0x77777777, 0x77777777, 0x77777777}, kFirst},
                    MiddleZeroPoints{"gptq_8", 8, {0x7f7f7f7f, 0x7f7f7f7f, 0x7f7f7f7f}, kFirst},
                    MiddleZeroPoints{"gptq_v2_3", 3, {0x24924924, 0x49249249, 0x92492492}, kSecond},
                    MiddleZeroPoints{"gptq_v2_4", 4, {0x88888888, 0x88888888, 0x88888888}, kSecond},
                    MiddleZeroPoints{"format", 4, {0x88888888, 0x88888888, 0x88888888}, kFormat},
                    MiddleZeroPoints{"auto_round", 4, {0x88888888, 0x88888888, 0x88888888}, kAutoRound},
                    MiddleZeroPoints{"auto_round_less", 4, {0x77777777, 0x77777777, 0x77777777}, kAutoGptq},
                    MiddleZeroPoints{"awq", 4, {0x88888888, 0x88888888, 0x88888888}, kAwq}));

TEST_P(Symmetric, ByTheirZeroPoints) {
  const TempFolder folder;
  write_bytes(folder.path("config.json"), GetParam().config);
  std::vector<std::vector<float>> values;
  for (const bool is_first_other : {false, true}) {
    write_bytes(folder.path("model.safetensors"), file_with(GetParam(), is_first_other));
    const auto source = open_source(folder.path(""));
    EXPECT_EQ(source->require_weights().at(0).spec->symmetric, !is_first_other);
    values.push_back(read_values<float>(*floats_of(*source), "a.weight"));
  }
  // Only the group is another one whose zero point is: whether it is symmetric or not, codes less zero points.
  ASSERT_EQ(values[0].size(), 64u * kOutputs);
  EXPECT_NE(values[0][0], values[1][0]);
  EXPECT_TRUE(std::equal(values[0].begin() + 32, values[0].end(), values[1].begin() + 32));
}

// Floats of 8 bits in groups of 32 with powers of two are mxfp8, whoever made them, and stay it: the bytes are the same
// under compressed-tensors' names and dtypes.
TEST(Adapted, Mxfp8) {
  const TempFolder folder;
  for (const char* name : {"ct_mxfp8", "mlx_mxfp8"}) {
    const auto source = open_source(kFolder + name);
    RunControl control;
    const Settings settings = parse_settings(R"({"overwrite": true, "format": "compressed-tensors"})");
    const Config config(&settings, nullptr);
    convert(*source, config, control, file_output(*source, folder.path("ct/"), config, control));
    const auto converted = open_source(folder.path("ct/"));
    for (const auto& each : {source, converted}) {
      const auto weights = each->require_weights();
      const auto found = std::ranges::find(weights, "a.weight", &LogicalTensor::name);
      ASSERT_NE(found, weights.end());
      EXPECT_EQ(found->spec->scheme, "mxfp8") << name;
      EXPECT_EQ(found->layout->name, "mxfp8-quantized") << name;
    }
    const std::size_t scale = converted->find("a.weight_scale");
    ASSERT_NE(scale, TensorSource::kNone);
    EXPECT_EQ(converted->tensors()[scale].dtype, DType::kU8);
    EXPECT_EQ(compare(*source, *converted, config, control).json()["model"]["exact"], true);
  }
}

// What the output cannot hold is quantized as floats would be.
TEST_P(Adapted, IsQuantizedAnew) {
  const auto source = open_source(kFolder + GetParam());
  const auto floats = floats_of(*source);
  const char* settings = R"({"min_parameters": 0, "only": "*a.weight,*gate_up_proj", "skip": "expected*"})";
  const Result result = quantize_in_memory(*source, settings);
  for (const Json& layer : result.report["layers"]) {
    if (layer["tensor"].text().starts_with("expected") || layer["tensor"] == "norm.weight") continue;
    const std::string action = layer["action"].text();
    if (layer["tensor"] == "a.bias") continue;
    EXPECT_TRUE(action == "copy" || action == "quantize") << layer.dump();
    EXPECT_TRUE(action == "copy" || layer["reason"].text().starts_with("quantized anew: ")) << layer.dump();
  }
  RunControl control;
  const Json compared = compare(*floats, *result.model, Config(nullptr, nullptr), control).json()["model"];
  EXPECT_TRUE(compared["sqnr_db"].is_null() || compared["sqnr_db"].get<double>() > 25) << compared.dump();
}

TEST_P(Adapted, IsFoundByItsFileToo) {
  EXPECT_EQ(open_source(kFolder + GetParam() + "/model.safetensors")->weights().size(),
            open_source(kFolder + GetParam())->weights().size());
}

// ---- Damage

// The folder with one tensor left out, or of another shape.
struct Damage {
  std::string folder, tensor;
  bool is_missing = true;
};

std::ostream& operator<<(std::ostream& out, const Damage& damage) {
  return out << damage.folder << " " << damage.tensor << (damage.is_missing ? " missing" : " cut");
}

class DamagedParts : public testing::TestWithParam<Damage> {};
INSTANTIATE_TEST_SUITE_P(
    Folders, DamagedParts,
    testing::Values(
        Damage{"ct_w3", "a.weight_scale"}, Damage{"ct_actorder", "a.weight_g_idx", false},
        Damage{"ct_nvfp4", "a.weight_scale"}, Damage{"ct_nvfp4", "a.weight_global_scale", false},
        Damage{"ct_mxfp6", "a.weight_scale", false}, Damage{"deepseek", "a.weight_scale_inv", false},
        Damage{"deepseek_experts", "a.weight_scale_inv", false}, Damage{"modelopt_nvfp4", "a.weight_scale", false},
        Damage{"gpt_oss", "mlp.experts.gate_up_proj_scales", false}, Damage{"gptq_4", "a.scales", false},
        Damage{"gptq_4", "a.qzeros"}, Damage{"gptq_4", "a.qzeros", false}, Damage{"gptq_4", "a.g_idx", false},
        Damage{"awq", "a.qzeros", false}, Damage{"awq", "a.scales", false}, Damage{"bnb_nf4", "a.weight.absmax", false},
        Damage{"bnb_nf4", "a.weight.quant_state.bitsandbytes__nf4"},
        Damage{"bnb_nf4", "a.weight.quant_state.bitsandbytes__nf4", false},
        Damage{"bnb_nested", "a.weight.nested_absmax"}, Damage{"bnb_nested", "a.weight.nested_quant_map", false},
        Damage{"bnb_int8", "a.SCB", false}, Damage{"mlx_4", "a.scales", false}, Damage{"mlx_4", "a.biases", false},
        Damage{"mlx_mxfp4", "a.scales", false}));

// Half of the last dimension.
Shape cut_shape(Shape shape) {
  if (shape.empty()) return {2};
  shape.back() = shape.back() > 1 ? shape.back() / 2 : 2;
  return shape;
}

std::string damaged_bytes(const std::string& file, const Damage& damage) {
  const auto source = open_safetensors_source(memory_bytes(std::as_bytes(std::span(file))), {});
  SafetensorsBytes bytes;
  for (std::size_t i = 0; i < source->tensors().size(); ++i) {
    TensorInfo info = source->tensors()[i];
    if (info.name == damage.tensor && damage.is_missing) continue;
    std::string data(info.size_bytes, '\0');
    source->read(i, 0, std::as_writable_bytes(std::span(data)));
    if (info.name == damage.tensor) {
      info.shape = cut_shape(info.shape);
      data.resize(*checked_size_bytes(info.dtype, info.shape));
    }
    bytes.add_bytes(info.name, std::string(dtype_name(info.dtype)).c_str(), Json(info.shape).dump(), data);
  }
  return bytes.bytes();
}

TEST_P(DamagedParts, SaysWhichTensor) {
  const TempFolder folder;
  const std::string from = kFolder + GetParam().folder;
  write_bytes(folder.path("config.json"), read_bytes(from + "/config.json"));
  write_bytes(folder.path("model.safetensors"), damaged_bytes(read_bytes(from + "/model.safetensors"), GetParam()));
  const Error error = error_of([&] { open_source(folder.path("")); });
  EXPECT_TRUE(error.status() == Status::kFormat || error.status() == Status::kUnsupported) << error.message();
  EXPECT_NE(error.message().find(GetParam().tensor.substr(0, 2)), std::string::npos) << error.message();
}

// ---- Parts that are missing, or of another dtype, in a checkpoint that is whole otherwise

struct Loss {
  const char* folder;
  const char* tensor;
  const char* dtype;    // that it has instead; null: it is missing
  const char* message;  // behind the folder's name; null: nothing is refused
};

std::ostream& operator<<(std::ostream& out, const Loss& loss) {
  return out << loss.folder << " " << loss.tensor << " " << (loss.dtype == nullptr ? "missing" : loss.dtype);
}

class Lost : public testing::TestWithParam<Loss> {};
INSTANTIATE_TEST_SUITE_P(
    Parts, Lost,
    testing::Values(
        // Scales, where config.json or metadata say that the codes are some.
        Loss{"ct_fp8_channel", "a.weight_scale", nullptr,
             "tensor a.weight_scale: is missing, though config.json says that a.weight is quantized"},
        Loss{"ct_fp8_block", "a.weight_scale", nullptr,
             "tensor a.weight_scale: is missing, though config.json says that a.weight is quantized"},
        Loss{"ct_mxfp8", "a.weight_scale", nullptr,
             "tensor a.weight_scale: is missing, though config.json says that a.weight is quantized"},
        Loss{"deepseek", "a.weight_scale_inv", nullptr,
             "tensor a.weight_scale_inv: is missing, though config.json says that a.weight is quantized"},
        Loss{"modelopt_fp8", "a.weight_scale", nullptr,
             "tensor a.weight_scale: is missing, though config.json says that a.weight is quantized"},
        Loss{"comfyui", "a.weight_scale", nullptr,
             "tensor a.weight_scale: is missing, though the metadata says that a.weight is quantized"},
        Loss{"gpt_oss", "mlp.experts.gate_up_proj_scales", nullptr,
             "tensor mlp.experts.gate_up_proj_scales: is missing"},
        Loss{"gptq_4", "a.scales", nullptr, "tensor a.scales: is missing"},
        Loss{"bnb_int8", "a.SCB", nullptr, "tensor a.weight: is I8, and its scales are missing"},
        Loss{"modelopt_nvfp4", "a.weight_scale_2", nullptr, "tensor a.weight: is U8, and its scales are missing"},
        Loss{"deepseek_v4", "a.scale", nullptr, "tensor a.weight: is I8, and its scales are missing"},
        // Files that say nothing of quantization: floats of 8 bits may be values.
        Loss{"scaled_fp8", "a.scale_weight", nullptr, nullptr}, Loss{"mistral", "a.qscale_weight", nullptr, nullptr},
        Loss{"deepseek_experts", "a.weight_scale_inv", nullptr, nullptr},
        // Codes.
        Loss{"ct_w4", "a.weight_packed", nullptr,
             "tensor a.weight: is missing, also as a.weight_packed, though a.weight_scale is there"},
        Loss{"ct_w8", "a.weight_packed", nullptr,
             "tensor a.weight: is missing, also as a.weight_packed, though a.weight_scale is there"},
        Loss{"ct_fp8_channel", "a.weight", nullptr,
             "tensor a.weight: is missing, also as a.weight_packed, though a.weight_scale is there"},
        Loss{"ct_mxfp4", "a.weight_packed", nullptr,
             "tensor a.weight: is missing, also as a.weight_packed, though a.weight_scale is there"},
        Loss{"ct_mxfp6", "a.weight_packed", nullptr,
             "tensor a.weight: is missing, also as a.weight_packed, though a.weight_scale is there"},
        Loss{"ct_mxfp8", "a.weight", nullptr,
             "tensor a.weight: is missing, also as a.weight_packed, though a.weight_scale is there"},
        Loss{"ct_nvfp4", "a.weight_packed", nullptr,
             "tensor a.weight: is missing, also as a.weight_packed, though a.weight_global_scale is there"},
        Loss{"comfyui", "a.weight", nullptr, "tensor a.weight: is missing, though a.weight_scale is there"},
        Loss{"deepseek", "a.weight", nullptr,
             "tensor a.weight: is missing, also as a.weight_packed, though a.weight_scale_inv is there"},
        Loss{"deepseek_v4", "a.weight", nullptr, "tensor a.weight: is missing, though a.scale is there"},
        Loss{"modelopt_nvfp4", "a.weight", nullptr,
             "tensor a.weight: is missing, also as a.weight_packed, though a.weight_scale is there"},
        Loss{"gpt_oss", "mlp.experts.gate_up_proj_blocks", nullptr,
             "tensor mlp.experts.gate_up_proj_blocks: is missing, though mlp.experts.gate_up_proj_scales is there"},
        Loss{"gptq_4", "a.qweight", nullptr, "tensor a.qweight: is missing, though a.g_idx is there"},
        Loss{"awq", "a.qweight", nullptr, "tensor a.qweight: is missing, though a.qzeros is there"},
        Loss{"bnb_nf4", "a.weight", nullptr, "tensor a.weight: is missing, though a.weight.absmax is there"},
        Loss{"bnb_int8", "a.weight", nullptr, "tensor a.weight: is missing, though a.SCB is there"},
        Loss{"mlx_4", "a.weight", nullptr, "tensor a.weight: is missing, also as a.qweight, though a.scales is there"},
        // What running the model alone needs.
        Loss{"deepseek", "a.input_scale", nullptr, nullptr}, Loss{"modelopt_fp8", "a.input_scale", nullptr, nullptr},
        // The order of columns, and zero points.
        Loss{"gptq_desc_act", "a.g_idx", nullptr, "tensor a.g_idx: is missing, though config.json says desc_act"},
        Loss{"gptq_4", "a.g_idx", nullptr, nullptr}, Loss{"ct_actorder", "a.weight_g_idx", nullptr, nullptr},
        Loss{"ct_w4_asymmetric", "a.weight_zero_point", nullptr,
             "tensor a.weight_zero_point: is missing, though config.json says that codes are not symmetric"},
        // Other dtypes.
        Loss{"ct_mxfp4", "a.weight_packed", "I8", "tensor a.weight_packed: is I8, which is no dtype for it"},
        Loss{"ct_mxfp6", "a.weight_packed", "I8", "tensor a.weight_packed: is I8, which is no dtype for it"},
        Loss{"ct_fp8_channel", "a.weight", "I8",
             "tensor a.weight: is I8, but config.json says that its codes are floats"},
        Loss{"deepseek", "a.weight", "I8",
             "tensor a.weight: is I8 [130, 140], which are no codes with a.weight_scale_inv"},
        Loss{"gpt_oss", "mlp.experts.gate_up_proj_blocks", "I8",
             "tensor mlp.experts.gate_up_proj_blocks: is I8 [3, 40, 2, 16], which are no codes with "
             "mlp.experts.gate_up_proj_scales"}));

// With a second layer, which is whole: what is lost is not all there is.
std::string bytes_with(const std::string& file, const Loss& loss) {
  const auto source = open_safetensors_source(memory_bytes(std::as_bytes(std::span(file))), {});
  SafetensorsBytes bytes;
  Json metadata = Json::object();
  for (const auto& [key, value] : source->metadata()) metadata.add(key, value);
  bytes.add_metadata(metadata.dump());
  for (std::size_t i = 0; i < source->tensors().size(); ++i) {
    const TensorInfo& info = source->tensors()[i];
    if (info.name.starts_with(kExpected)) continue;
    std::string data(info.size_bytes, '\0');
    source->read(i, 0, std::as_writable_bytes(std::span(data)));
    const std::string dtype(dtype_name(info.dtype)), shape = Json(info.shape).dump();
    bytes.add_bytes("whole." + info.name, dtype.c_str(), shape, data);
    if (info.name != loss.tensor) {
      bytes.add_bytes(info.name, dtype.c_str(), shape, data);
    } else if (loss.dtype != nullptr) {
      bytes.add_bytes(info.name, loss.dtype, shape, data);
    }
  }
  return bytes.bytes();
}

class LostFolder {
 public:
  explicit LostFolder(const Loss& loss, const std::string& file = "model.safetensors") {
    const std::string from = kFolder + loss.folder;
    write_bytes(path("config.json"), read_bytes(from + "/config.json"));
    write_bytes(path(file), bytes_with(read_bytes(from + "/model.safetensors"), loss));
  }
  std::string path(const std::string& name) const { return folder_.path(name); }

 private:
  TempFolder folder_;
};

// The file with a tensor more.
std::string bytes_beside(const std::string& file, const char* tensor) {
  const auto source = open_safetensors_source(memory_bytes(std::as_bytes(std::span(file))), {});
  SafetensorsBytes bytes;
  for (std::size_t i = 0; i < source->tensors().size(); ++i) {
    const TensorInfo& info = source->tensors()[i];
    std::string data(info.size_bytes, '\0');
    source->read(i, 0, std::as_writable_bytes(std::span(data)));
    bytes.add_bytes(info.name, std::string(dtype_name(info.dtype)).c_str(), Json(info.shape).dump(), data);
  }
  bytes.add(tensor, "F32", "[1]", std::vector<float>{1});
  return bytes.bytes();
}

TEST_P(Lost, IsNamed) {
  const Loss& loss = GetParam();
  const LostFolder folder(loss);
  if (loss.message == nullptr) {
    EXPECT_FALSE(open_source(folder.path(""))->require_weights().empty());
    return;
  }
  const Error error = error_of([&] { open_source(folder.path("")); });
  EXPECT_EQ(error.status(), Status::kFormat);
  EXPECT_EQ(error.message(), folder.path("") + ": " + loss.message);
}

// What is not there may lie in the other files.
TEST_P(Lost, MayBeInAnotherShard) {
  if (GetParam().dtype != nullptr) return;
  const std::string name = "model-00001-of-00002.safetensors";
  const LostFolder folder(GetParam(), name);
  EXPECT_FALSE(open_source(folder.path(name))->weights().empty());
}

// ---- What is said of weights, and would change them

struct Refusal {
  const char* folder;
  const char *said, *instead;  // in config.json
  const char* tensor;          // that is added
  const char* message;         // a part of it
};

std::ostream& operator<<(std::ostream& out, const Refusal& refusal) { return out << refusal.message; }

class Refused : public testing::TestWithParam<Refusal> {};
INSTANTIATE_TEST_SUITE_P(
    Folders, Refused,
    testing::Values(
        Refusal{"mlx_8", "\"bits\": 8", "\"bits\": \"8\"", "b", "a.weight: has a bits in config.json that is no whole"},
        Refusal{"mlx_8", "\"group_size\": 64", "\"group_size\": 64.0", "b",
                "a.weight: has a group_size in config.json"},
        Refusal{"mlx_8", "\"bits\": 8", "\"bits\": 8, \"a\": 3", "b", "a.weight: has no object of its own"},
        Refusal{"ct_w4", "\"format\"", "\"transform_config\": {\"config_groups\": {\"R1\": {}}}, \"format\"", "b",
                "its weights are rotated (transform_config), which is not undone"},
        Refusal{"ct_w4", "\"group_size\": 32", "\"group_size\": 16", "b", "groups a row, unlike what config.json says"},
        Refusal{"deepseek", "128,", "64,", "b", "a.weight_scale_inv: its shape"},
        Refusal{"modelopt_nvfp4", "", "", "a.pre_quant_scale", "a.pre_quant_scale: scales the inputs of its layer"},
        Refusal{"modelopt_nvfp4", "", "", "a.comfy_quant", "a.weight: ComfyUI's scales of groups are in an order"},
        Refusal{"mxfp8", "", "", "a.comfy_quant", "a.weight: ComfyUI's scales of groups are in an order"}));

TEST_P(Refused, BeforeItIsRead) {
  const Refusal& refusal = GetParam();
  const LostFolder folder({refusal.folder, "", nullptr, nullptr});
  std::string config = read_bytes(folder.path("config.json"));
  const std::size_t place = config.find(refusal.said);
  ASSERT_NE(place, std::string::npos);
  write_bytes(folder.path("config.json"), config.replace(place, std::strlen(refusal.said), refusal.instead));
  const std::string from = kFolder + refusal.folder + "/model.safetensors";
  write_bytes(folder.path("model.safetensors"), bytes_beside(read_bytes(from), refusal.tensor));
  const Error error = error_of([&] { open_source(folder.path("")); });
  EXPECT_NE(error.message().find(refusal.message), std::string::npos) << error.message();
}

// Multimodal models have it in the part that their text is, and older ones under another name. What is made of them
// does not have it any more.
TEST(Config, MayNestWhatItSaysOfQuantization) {
  for (const char* key : {"text_config", "compression_config"}) {
    const TempFolder folder;
    const std::string from = kFolder + "ct_w4_asymmetric/";
    const Json said = parse_json(read_bytes(from + "config.json"))["quantization_config"];
    const bool is_nested = std::string_view(key) == "text_config";
    std::filesystem::create_directories(folder.path("in"));
    write_bytes(folder.path("in/config.json"),
                Json{{key, is_nested ? Json{{"quantization_config", said}, {"hidden_size", 8}} : said}}.dump());
    write_bytes(folder.path("in/model.safetensors"), read_bytes(from + "model.safetensors"));
    const auto source = open_source(folder.path("in"));
    EXPECT_EQ(read_values<float>(*floats_of(*source), "a.weight"),
              read_values<float>(*source, std::string(kExpected) + "a.weight"));
    RunControl control;
    const Config config(nullptr, nullptr);
    dequantize(*source, config, control, file_output(*source, folder.path("out/"), config, control));
    EXPECT_EQ(parse_json(read_bytes(folder.path("out/config.json"))),
              is_nested ? (Json{{key, Json{{"hidden_size", 8}}}}) : Json::object());
  }
}

// Floats of 8 bits in a layer that config.json leaves are values.
TEST(LostScales, OfLayersThatAreLeftAreNotMissed) {
  for (const std::string pattern : {"a", "re:a$", "re:.*\\\\ba$", "re:^(a|b)$"}) {
    const Loss losses[] = {{"ct_fp8_channel", "a.weight_scale", nullptr, nullptr},
                           {"deepseek", "a.weight_scale_inv", nullptr, nullptr}};
    for (const Loss& loss : losses) {
      const LostFolder folder(loss);
      Json config = parse_json(read_bytes(folder.path("config.json")));
      const char* key = std::string_view(loss.folder) == "deepseek" ? "modules_to_not_convert" : "ignore";
      config["quantization_config"][key] = std::vector<std::string>{parse_json("\"" + pattern + "\"").text()};
      write_bytes(folder.path("config.json"), config.dump());
      const auto source = open_source(folder.path(""));
      const std::size_t plain = source->find("a.weight");
      ASSERT_NE(plain, TensorSource::kNone);
      EXPECT_EQ(source->tensors()[plain].dtype, DType::kF8E4M3) << loss << " " << pattern;
    }
  }
}

// compressed-tensors leaves the order out where a weight has none.
TEST(LostOrder, IsSaid) {
  const LostFolder folder({"ct_actorder", "a.weight_g_idx", nullptr, nullptr});
  const auto remarks = open_source(folder.path(""))->remarks();
  const char* text =
      "weights whose columns are taken as they lie, since they have no g_idx, though config.json says "
      "actorder group: 1";
  EXPECT_NE(std::ranges::find(remarks, text), remarks.end());
}

// Two blocks of 48 of 96 rows and columns are not two of 64, nor are two groups of 48.
TEST(Blocks, AreThoseOfTheConfig) {
  struct Case {
    const char *strategy, *scale_shape;
    std::vector<float> scales;
    std::vector<std::pair<std::size_t, float>> expected;  // by element
  };
  std::vector<float> of_rows(96 * 2);
  for (std::size_t i = 0; i < of_rows.size(); ++i) of_rows[i] = static_cast<float>(i);
  const Case cases[] = {
      {R"("strategy": "block", "block_structure": [48, 48])",
       "[2,2]",
       {1, 2, 3, 4},
       {{47, 1}, {48, 2}, {47 * 96, 1}, {48 * 96, 3}, {48 * 96 + 48, 4}}},
      {R"("strategy": "group", "group_size": 48)", "[96,2]", of_rows, {{47, 0}, {48, 1}, {96 + 47, 2}, {96 + 48, 3}}},
  };
  const TempFolder folder;
  for (const auto& [strategy, scale_shape, scales, expected] : cases) {
    write_bytes(folder.path("config.json"),
                R"({"quantization_config": {"quant_method": "compressed-tensors", "format": "float-quantized",
                    "config_groups": {"group_0": {"targets": ["re:.*b$"], "weights": {"num_bits": 8, "type": "float",
                    "strategy": "channel"}}, "group_1": {"targets": ["Linear"], "weights": {"num_bits": 8,
                    "type": "float", )" +
                    std::string(strategy) + "}}}}}");
    SafetensorsBytes bytes;
    bytes.add_bytes("a.weight", "F8_E4M3", "[96,96]", std::string(96 * 96, '\x38'));
    bytes.add("a.weight_scale", "F32", scale_shape, scales);
    write_bytes(folder.path("model.safetensors"), bytes.bytes());
    const auto values = read_values<float>(*floats_of(*open_source(folder.path(""))), "a.weight");
    ASSERT_EQ(values.size(), 96u * 96u);
    for (const auto& [element, value] : expected) EXPECT_EQ(values[element], value) << strategy << " " << element;
  }
}

// Rows of 8 codes of 2 or 3 bits are a word each.
TEST(Widths, AreThoseOfTheGroupThatNamesALayer) {
  const TempFolder folder;
  write_bytes(folder.path("config.json"),
              R"({"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized",
                  "config_groups": {
                  "group_0": {"targets": ["re:.*a$"], "weights": {"num_bits": 2, "strategy": "channel"}},
                  "group_1": {"targets": ["re:.*b$"], "weights": {"num_bits": 3, "strategy": "channel"}}}}})");
  SafetensorsBytes bytes;
  const std::int64_t shape[] = {1, 8};
  const std::pair<std::string, std::uint32_t> layers[] = {{"a", 0xe4e4}, {"b", 0xfac688}};  // 0 to 3 twice, 0 to 7
  for (const auto& [name, word] : layers) {
    bytes.add_bytes(name + ".weight_packed", "I32", "[1,1]",
                    std::string(reinterpret_cast<const char*>(&word), sizeof word));
    bytes.add(name + ".weight_scale", "F32", "[1,1]", std::vector<float>{1});
    bytes.add_bytes(name + ".weight_shape", "I64", "[2]",
                    std::string(reinterpret_cast<const char*>(shape), sizeof shape));
  }
  write_bytes(folder.path("model.safetensors"), bytes.bytes());
  const auto floats = floats_of(*open_source(folder.path("")));
  EXPECT_EQ(read_values<float>(*floats, "a.weight"), (std::vector<float>{-2, -1, 0, 1, -2, -1, 0, 1}));
  EXPECT_EQ(read_values<float>(*floats, "b.weight"), (std::vector<float>{-4, -3, -2, -1, 0, 1, 2, 3}));
}

// bitsandbytes' kernels of old had orders of their own.
TEST(OrderOfBytes, IsThatOfRows) {
  const TempFolder folder;
  write_bytes(folder.path("config.json"), R"({"quantization_config": {"quant_method": "bitsandbytes"}})");
  for (const char format : {0, 1, 2, 3}) {
    SafetensorsBytes bytes;
    bytes.add_bytes("a.weight", "I8", "[2,4]", std::string(8, 'x'));
    bytes.add("a.SCB", "F32", "[2]", std::vector<float>{1, 2});
    bytes.add_bytes("a.weight_format", "U8", "[]", std::string(1, format));
    write_bytes(folder.path("model.safetensors"), bytes.bytes());
    if (format == 0) {
      EXPECT_EQ(open_source(folder.path(""))->require_weights().size(), 1u);
      continue;
    }
    const Error error = error_of([&] { open_source(folder.path("")); });
    EXPECT_EQ(error.status(), Status::kUnsupported);
    EXPECT_NE(error.message().find("a.weight_format"), std::string::npos) << error.message();
  }
}

// Floats of 8 bits in two groups of 32 columns, and which group each column is of.
std::string floats_in_order(const std::array<std::int32_t, 64>& groups) {
  SafetensorsBytes bytes;
  bytes.add_bytes("a.weight", "F8_E4M3", "[2,64]", std::string(128, '\x38'));
  bytes.add("a.weight_scale", "F32", "[2,2]", std::vector<float>{1, 2, 3, 4});
  bytes.add_bytes("a.weight_g_idx", "I32", "[64]",
                  std::string(reinterpret_cast<const char*>(groups.data()), sizeof groups));
  return bytes.bytes();
}

TEST(FloatsInAnOrder, AreReadOnlyWhereItIsTheUsualOne) {
  const TempFolder folder;
  write_bytes(folder.path("config.json"),
              R"({"quantization_config": {"quant_method": "compressed-tensors", "format": "float-quantized",
                  "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float",
                  "strategy": "group", "group_size": 32, "actorder": "group"}}}}})");
  std::array<std::int32_t, 64> groups{};
  for (std::size_t i = 0; i < groups.size(); ++i) groups[i] = i < 32 ? 0 : 1;
  write_bytes(folder.path("model.safetensors"), floats_in_order(groups));
  const auto floats = floats_of(*open_source(folder.path("")));
  EXPECT_EQ(floats->tensors().size(), 1u);
  const auto values = read_values<float>(*floats, "a.weight");
  EXPECT_EQ(values[31], 1);
  EXPECT_EQ(values[32], 2);
  std::swap(groups[0], groups[63]);
  write_bytes(folder.path("model.safetensors"), floats_in_order(groups));
  const Error error = error_of([&] { open_source(folder.path("")); });
  EXPECT_EQ(error.status(), Status::kUnsupported);
  EXPECT_NE(error.message().find("a.weight_g_idx"), std::string::npos) << error.message();
}

}  // namespace
}  // namespace mnq::test
