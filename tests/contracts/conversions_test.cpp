// Every format that is read into every format that is written, on one small model in every way it can be quantized:
// what the format holds as it is has the same codes and scales, what it does not is near the same weights and says so.
#include <gtest/gtest.h>

#include <fstream>
#include <optional>

#include "base/text/format.h"
#include "quantize/job_fixture.h"
#include "quantize/loop/weight_reader.h"
#include "support/error_of.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

// Rows of 32 and columns of 64 suit every format; 36 are no blocks of 32.
std::shared_ptr<const TensorSource> float_model() {
  return model_of({
      {"layers.0.weight", tensor_of(DType::kF32, {32, 64}, normal_values(32 * 64, 1))},
      {"layers.0.bias", tensor_of(DType::kF32, {32}, normal_values(32, 2))},
      {"layers.1.weight", tensor_of(DType::kF32, {9, 36}, normal_values(9 * 36, 3))},
      {"embed.weight", tensor_of(DType::kF32, {10, 64}, normal_values(640, 4))},
      {"conv.weight", tensor_of(DType::kF32, {6, 4, 3, 3}, normal_values(216, 5))},
      {"mlp.experts.gate_up_proj", tensor_of(DType::kF32, {2, 12, 64}, normal_values(1536, 6))},
      {"mlp.experts.down_proj", tensor_of(DType::kF32, {2, 64, 6}, normal_values(768, 7))},
      {"turned.experts.gate_up_proj", tensor_of(DType::kF32, {2, 64, 32}, normal_values(4096, 8))},
      {"turned.experts.down_proj", tensor_of(DType::kF32, {2, 16, 64}, normal_values(2048, 9))},
      {"step", tensor_of(DType::kI64, {}, std::vector<std::int64_t>{7})},
  });
}

struct Target {
  const char* format;
  const char* name;
};
constexpr Target kTargets[] = {{"safetensors", "x.safetensors"},
                               {"pytorch", "x.pt"},
                               {"gguf", "x.gguf"},
                               {"compressed-tensors", "ct/"},
                               {"folder", "folder/"},
                               {"gptq", "gptq/"},
                               {"mlx", "mlx/"},
                               {"awq", "awq/"},
                               {"fp8", "fp8/"},
                               {"comfyui", "comfyui.safetensors"},
                               {"bitsandbytes", "bitsandbytes/"}};

// From one of them to another is no other way than through ours.
bool is_of_other_tool(const Target& target) { return &target - kTargets > 4; }

constexpr const char* kSettings[] = {
    "",
    R"("bits": 8)",
    R"("bits": 8, "symmetric": false)",
    R"("bits": 8, "group_size": 32)",
    R"("bits": 8, "activation_bits": 8)",
    R"("dtype": "quint8")",
    R"("dtype": "quint8", "symmetric": true)",
    R"("bits": 4, "group_size": 32)",
    R"("bits": 4, "group_size": 16, "symmetric": false)",
    R"("bits": 4, "group_size": 0)",
    R"("bits": 2, "group_size": 32, "symmetric": false)",
    R"("bits": 3, "group_size": 32, "symmetric": false)",
    R"("bits": 5, "group_size": 32, "symmetric": false)",
    R"("bits": 6, "group_size": 16, "symmetric": false)",
    R"("bits": 7, "group_size": 32, "symmetric": false)",
    R"("bits": 16)",
    R"("dtype": "float8_e4m3", "block": "128x128")",
    R"("dtype": "mxfp8")",
    R"("dtype": "mxfp6")",
    R"("dtype": "mxfp4")",
    R"("dtype": "nvfp4")",
    R"("dtype": "nf4")",
};

Settings settings_of(const std::string& more, const std::string& format) {
  return parse_settings(R"({"min_parameters": 0, "overwrite": true, "accuracy_warning": "ignore", "format": ")" +
                        format + "\"" + (more.empty() ? "" : ", " + more) + "}");
}

Report write_as(const TensorSource& source, const std::string& path, const Target& target, const std::string& more = "",
                bool quantizes = false) {
  const Settings settings = settings_of(more, target.format);
  const Config config(&settings, nullptr);
  RunControl control;
  const Output output = file_output(source, path, config, control);
  return quantizes ? quantize(source, config, control, output) : convert(source, config, control, output);
}

std::vector<LogicalTensor> logical_of(const TensorSource& source) { return source.require_weights(); }

const LogicalTensor* find_tensor(const std::vector<LogicalTensor>& tensors, const std::string& name) {
  const auto found = std::ranges::find(tensors, name, &LogicalTensor::name);
  return found == tensors.end() ? nullptr : &*found;
}

std::vector<std::byte> part_bytes(const TensorSource& source, std::size_t part) {
  std::vector<std::byte> bytes(source.tensors()[part].size_bytes);
  source.read(part, 0, bytes);
  return bytes;
}

// A weight as its layout gives it: codes, one a byte, and everything that decodes them.
struct CodesAndScales {
  std::vector<std::int8_t> codes, zero_points;
  std::vector<float> scales, minima;

  bool operator==(const CodesAndScales&) const = default;
};

CodesAndScales codes_of(const TensorSource& source, const LogicalTensor& tensor) {
  const WeightReader reader(source, tensor);
  const RowView rows = row_view(tensor.shape, tensor.spec->channel_axis);
  LayoutBuffers buffers;
  const CodedPiece piece = reader.load({0, rows.row_count, 0, rows.row_length}, buffers);
  CodesAndScales result{{piece.codes, piece.codes + piece.place.count()},
                        reader.tables().zero_points,
                        reader.scales(),
                        reader.tables().minima};
  // Some layouts have zero points of symmetric weights, too.
  if (std::ranges::all_of(result.zero_points, [](std::int8_t each) { return each == 0; })) result.zero_points.clear();
  if (piece.minima != nullptr) result.minima.assign(piece.minima, piece.minima + piece.scale_count());
  return result;
}

// Codes, scales and all else, wherever they lie; floats byte by byte.
void expect_same_values(const TensorSource& a, const LogicalTensor& x, const TensorSource& b, const LogicalTensor& y) {
  if (x.spec && is_coded(*x.spec)) {
    EXPECT_TRUE(codes_of(a, x) == codes_of(b, y)) << x.name;
    return;
  }
  ASSERT_EQ(x.parts.size(), 1u) << x.name;
  ASSERT_EQ(y.parts.size(), 1u) << x.name;
  const TensorInfo& info = a.tensors()[x.parts[0]];
  EXPECT_EQ(info.name, b.tensors()[y.parts[0]].name);
  EXPECT_EQ(info.dtype, b.tensors()[y.parts[0]].dtype) << info.name;
  EXPECT_EQ(info.shape, b.tensors()[y.parts[0]].shape) << info.name;
  EXPECT_EQ(part_bytes(a, x.parts[0]), part_bytes(b, y.parts[0])) << info.name;
}

// A uint8 weight whose zero points are all 128 is the int8 weight of codes 128 lower.
bool is_other_spelling(const QuantizedSpec& from, const QuantizedSpec& to) {
  return from.scheme == "quint8" && to.scheme == "qint8";
}

void expect_converted(const TensorSource& from, const TensorSource& to, const Report& report) {
  const auto before = logical_of(from), after = logical_of(to);
  ASSERT_EQ(before.size(), after.size());
  for (const Json& layer : report.json()["layers"]) {
    const LogicalTensor* x = find_tensor(before, layer["tensor"].text());
    const LogicalTensor* y = find_tensor(after, layer["tensor"].text());
    ASSERT_TRUE(x != nullptr && y != nullptr) << layer["tensor"].text();
    EXPECT_EQ(x->shape, y->shape);
    if (layer["action"] != "copy") {
      EXPECT_FALSE(layer["reason"].text().empty()) << x->name;
      continue;
    }
    const bool is_cast = x->spec && !is_coded(*x->spec);  // some formats have float16 and nothing to say of it
    ASSERT_TRUE(is_cast || x->spec.has_value() == y->spec.has_value()) << x->name;
    if (x->spec && y->spec && is_other_spelling(*x->spec, *y->spec)) continue;
    expect_same_values(from, *x, to, *y);
  }
  // Whatever became of it, the weights are near.
  RunControl control;
  const Report compared = compare(from, to, Config(nullptr, nullptr), control);
  EXPECT_EQ(compared.json()["model"]["tensors_skipped"], 0);
  const Json& sqnr = compared.json()["model"]["sqnr_db"];
  EXPECT_TRUE(sqnr.is_null() || sqnr.get<double>() > 15) << sqnr;
}

class Conversions : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Settings, Conversions, testing::ValuesIn(kSettings));

TEST_P(Conversions, OfEveryFormatIntoEveryFormat) {
  const TempFolder folder;
  const std::string more = GetParam();
  const auto model = more.empty() ? float_model() : quantize_in_memory(*float_model(), settings_of(more, "auto")).model;
  for (const Target& first : kTargets) {
    const std::string start = folder.path(std::string("1-") + first.name);
    const Report report = write_as(*model, start, first);
    const auto source = open_source(start);
    EXPECT_EQ(source->format(),
              more.empty() && first.format == std::string("compressed-tensors") ? "folder" : source->format());
    {
      SCOPED_TRACE(std::string("memory to ") + first.format);
      expect_converted(*model, *source, report);
    }
    for (const Target& second : kTargets) {
      if (is_of_other_tool(first) && is_of_other_tool(second)) continue;
      SCOPED_TRACE(std::string(first.format) + " to " + second.format);
      const std::string path = folder.path(std::string("2-") + second.name);
      const Report again = write_as(*source, path, second);
      expect_converted(*source, *open_source(path), again);
    }
  }
}

// What is quantized into a format comes back out of it in memory, and dequantized it is what its report says.
TEST_P(Conversions, QuantizedIntoEveryFormat) {
  const std::string more = GetParam();
  if (more.empty()) GTEST_SKIP();
  const TempFolder folder;
  const auto model = float_model();
  for (const Target& target : kTargets) {
    SCOPED_TRACE(target.format);
    const std::string path = folder.path(target.name);
    std::optional<Report> made;
    const Error refused = error_of([&] { made = write_as(*model, path, target, more, true); });
    // It has groups of its own, or no such codes.
    if (refused.subject() == "group_size" || refused.subject() == "dtype") continue;
    ASSERT_EQ(refused.status(), Status::kOk) << refused.message();
    const Report& report = *made;
    const auto source = open_source(path);
    RunControl control;
    const Report compared = compare(*model, *source, Config(nullptr, nullptr), control);
    std::size_t quantized = 0;
    for (std::size_t i = 0; i < report.json()["layers"].size(); ++i) {
      const Json& layer = report.json()["layers"][i];
      if (layer["action"] == "copy") continue;
      ++quantized;
      // The SQNR of the report is that of what a reader gets.
      const Json& seen = compared.json()["layers"][i];
      ASSERT_EQ(seen["tensor"], layer["tensor"]);
      EXPECT_NEAR(seen["sqnr_db"].get<double>(), layer["sqnr_db"].get<double>(), 1e-6) << layer["tensor"];
    }
    EXPECT_GT(quantized, 0u);
    const Report checked = validate(*source, model.get(), Config(nullptr, nullptr), control);
    EXPECT_EQ(checked.problems(), std::vector<std::string>());
  }
}

TEST(Conversion, KeepsTiesWhereTheFormatHasThem) {
  const TempFolder folder;
  const auto model = make_memory_source({{"embed.weight", tensor_of(DType::kF32, {8, 32}, normal_values(256, 1))}},
                                        {{"lm_head.weight", "embed.weight"}});
  write_as(*model, folder.path("tied.pt"), kTargets[1]);
  const auto source = open_source(folder.path("tied.pt"));
  ASSERT_EQ(source->tensors().size(), 1u);
  EXPECT_EQ(source->ties(0), std::vector<std::string>{"lm_head.weight"});
  write_as(*source, folder.path("tied8.pt"), kTargets[1], R"("bits": 8)", true);
  const auto quantized = logical_of(*open_source(folder.path("tied8.pt")));
  ASSERT_EQ(quantized.size(), 1u);
  EXPECT_TRUE(quantized[0].spec.has_value());
  EXPECT_EQ(quantized[0].ties, std::vector<std::string>{"lm_head.weight"});
}

TEST(Conversion, EmptyTensorsAreTiedAsOthersAre) {
  const TempFolder folder;
  const auto model = make_memory_source({{"a.weight", tensor_of(DType::kF32, {0, 4}, std::vector<float>())}},
                                        {{"b.weight", "a.weight"}});
  write_as(*model, folder.path("tied.pt"), kTargets[1]);
  const auto source = open_source(folder.path("tied.pt"));
  ASSERT_EQ(source->tensors().size(), 1u);
  EXPECT_EQ(source->ties(0), std::vector<std::string>{"b.weight"});
}

// Every file of safetensors from PyTorch says "format": "pt".
TEST(Conversion, ATensorMayHaveTheNameOfAFormat) {
  const TempFolder folder;
  const auto model =
      make_memory_source({{"pt", tensor_of(DType::kF32, {2}, std::vector<float>{1, 2})}}, {{"format", "pt"}});
  write_as(*model, folder.path("pt.pt"), kTargets[1]);
  EXPECT_TRUE(open_source(folder.path("pt.pt"))->ties(0).empty());
}

TEST(Conversion, ScalesHaveTheDTypeOfTheModel) {
  const TempFolder folder;
  std::vector<std::uint16_t> values;
  for (const float value : normal_values(16 * 64, 7)) {
    values.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
  }
  const auto model = model_of({{"layer.weight", tensor_of(DType::kBF16, {16, 64}, values)}});
  for (const char* settings : {R"("bits": 8)", R"("bits": 4, "group_size": 32)", R"("bits": 8, "symmetric": false)"}) {
    const Report report = write_as(*model, folder.path("ct/"), kTargets[3], settings, true);
    const std::string bytes = read_bytes(folder.path("ct/model.safetensors"));
    const auto file = open_memory(std::as_bytes(std::span(bytes)));
    const std::size_t scale = file->find("layer.weight_scale");
    ASSERT_NE(scale, TensorSource::kNone);
    EXPECT_EQ(file->tensors()[scale].dtype, DType::kBF16);
    RunControl control;
    const Report compared = compare(*model, *open_source(folder.path("ct/")), Config(nullptr, nullptr), control);
    EXPECT_NEAR(compared.json()["model"]["sqnr_db"].get<double>(), report.json()["model"]["sqnr_db"].get<double>(),
                1e-6)
        << "codes were made with other scales than are stored";
  }
}

// ggml's scales may be 0 and negative, wherever they go; no one else's may.
TEST(Conversion, KeepsWhatIsKnownOfScales) {
  const TempFolder folder;
  for (const std::int64_t columns : {64, 32}) {  // two blocks a row, and one
    auto values = normal_values(static_cast<std::size_t>(16 * columns), 9);
    std::fill_n(values.begin(), columns, 0.0f);
    write_as(*model_of({{"layer.weight", tensor_of(DType::kF32, {16, columns}, values)}}), folder.path("x.gguf"),
             kTargets[2], R"("bits": 4)", true);
    const auto gguf = open_source(folder.path("x.gguf"));
    for (const Target& target : kTargets) {
      SCOPED_TRACE(formatted("{}, {} columns", target.format, columns));
      const std::string path = folder.path(formatted("{}-{}", columns, target.name));
      write_as(*gguf, path, target);
      RunControl control;
      EXPECT_EQ(validate(*open_source(path), gguf.get(), Config(nullptr, nullptr), control).problems(),
                std::vector<std::string>());
    }
  }
}

TEST(Conversion, SettingsThatAFormatCannotFollow) {
  const TempFolder folder;
  const auto model = float_model();
  const auto refusal = [&](const Target& target, const char* settings) {
    const Error error = error_of([&] { write_as(*model, folder.path(target.name), target, settings, true); });
    EXPECT_EQ(error.status(), Status::kConfig) << error.message();
    return error.subject();
  };
  EXPECT_EQ(refusal(kTargets[2], R"("bits": 4, "group_size": 64)"), "group_size");
  EXPECT_EQ(refusal(kTargets[2], R"("per_channel": false)"), "per_channel");
  EXPECT_EQ(refusal(kTargets[3], R"("per_channel": false)"), "per_channel");
  EXPECT_EQ(refusal(kTargets[3], R"("bits": 4, "activation_bits": 8)"), "activation_bits");
  EXPECT_EQ(refusal(kTargets[0], R"("shard": "1/2")"), "shard");
  EXPECT_TRUE(folder.names().empty()) << "something was left behind";
}

}  // namespace
}  // namespace mnq::test
