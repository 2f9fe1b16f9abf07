// Weights that become those of a format with other widths, groups or dtypes of scales: they keep their scales where
// they can, and then their codes.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "quantize/job_fixture.h"
#include "support/error_of.h"
#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

constexpr std::int64_t kRows = 32, kColumns = 64, kGroups = 2;

// What compressed-tensors calls a weight of these bits in groups of 32, and the codes 0, 1, 2 .. of it in words, again
// and again: as they mean it -2, -1, 0, 1 of 2 bits, and -8 .. 7 of 4 bits.
struct Source {
  int bits;
  std::vector<std::uint32_t> words;
  const char* scale_dtype;
  std::string scale;  // its bytes
};

std::string bytes_of(float value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }

Source two_bits(float scale) { return {2, {0xe4e4e4e4, 0xe4e4e4e4}, "F32", bytes_of(scale)}; }
Source four_bits(const char* scale_dtype, const std::string& scale) {
  return {4, {0x76543210, 0xfedcba98, 0x76543210, 0xfedcba98}, scale_dtype, scale};
}

std::string repeated(const std::string& text, std::int64_t count) {
  std::string all;
  for (std::int64_t i = 0; i < count; ++i) all += text;
  return all;
}

std::string file_of(const Source& source) {
  const std::string words(reinterpret_cast<const char*>(source.words.data()), 4 * source.words.size());
  const std::int64_t shape[] = {kRows, kColumns};
  SafetensorsBytes bytes;
  bytes.add_bytes("m.a.weight_packed", "I32", Json(Shape{kRows, 2 * source.bits}).dump(), repeated(words, 2 * kRows));
  bytes.add_bytes("m.a.weight_scale", source.scale_dtype, Json(Shape{kRows, kGroups}).dump(),
                  repeated(source.scale, kRows * kGroups));
  bytes.add_bytes("m.a.weight_shape", "I64", "[2]", std::string(reinterpret_cast<const char*>(shape), sizeof shape));
  return bytes.bytes();
}

std::string config_of(const Source& source, std::size_t group_size) {
  const Json weights{{"num_bits", source.bits},
                     {"type", "int"},
                     {"symmetric", true},
                     {"strategy", "group"},
                     {"group_size", group_size}};
  const Json group{{"targets", std::vector<std::string>{"Linear"}}, {"weights", weights}};
  return Json{{"quantization_config", Json{{"quant_method", "compressed-tensors"},
                                           {"format", "pack-quantized"},
                                           {"config_groups", Json{{"group_0", group}}}}}}
      .dump();
}

struct Converted {
  Json layer;  // of the report
  Json compared;
  std::vector<float> values;
};

class KeptScales : public testing::Test {
 protected:
  Converted convert_to(const char* format, const Source& made, std::size_t group_size = 32) {
    std::filesystem::create_directories(folder_.path("in"));
    write_bytes(folder_.path("in/config.json"), config_of(made, group_size));
    write_bytes(folder_.path("in/model.safetensors"), file_of(made));
    const auto source = open_source(folder_.path("in/"));
    const bool is_file = std::string_view(format) == "gguf";
    const std::string out = folder_.path(is_file ? "out.gguf" : "out/");
    const Settings settings = parse_settings(R"({"overwrite": true, "format": ")" + std::string(format) + "\"}");
    const Config config(&settings, nullptr);
    RunControl control;
    Converted result;
    result.layer = convert(*source, config, control, file_output(*source, out, config, control)).json()["layers"][0];
    const auto converted = open_source(out);
    result.compared = compare(*source, *converted, config, control).json()["model"];
    std::shared_ptr<const TensorSource> floats;
    const Settings wide = parse_settings(R"({"float_dtype": "float32"})");
    dequantize(*converted, Config(&wide, nullptr), control, memory_output(*converted, floats));
    result.values = read_values<float>(*floats, "m.a.weight");
    return result;
  }

 private:
  TempFolder folder_;
};

// 0.1 as float16 is 0.0999755859375: about 72 dB of what float32 has of it.
TEST_F(KeptScales, AreRoundedToTheDtypeOfTheFormat) {
  constexpr float kTenth = 0.0999755859375f;
  for (const char* format : {"gptq", "awq", "gguf"}) {
    SCOPED_TRACE(format);
    const Converted made = convert_to(format, two_bits(0.1f));
    const std::vector<float> expected{-2 * kTenth, -kTenth, 0, kTenth};
    ASSERT_EQ(made.values.size(), kRows * kColumns);
    for (std::size_t i = 0; i < made.values.size(); ++i) ASSERT_EQ(made.values[i], expected[i % 4]) << i;
    EXPECT_EQ(made.layer["action"], "quantize");
    EXPECT_TRUE(made.layer["method"].is_null());
    EXPECT_NEAR(made.layer["sqnr_db"].get<double>(), 20 * std::log10(0.1 / (0.1 - 0.0999755859375)), 0.01);
    EXPECT_NEAR(made.layer["sqnr_db"].get<double>(), made.compared["sqnr_db"].get<double>(), 1e-3);
  }
  EXPECT_EQ(convert_to("gptq", two_bits(0.1f)).layer["reason"],
            "as int2 group 32 with the scales that it has as int2 group 32, in F16");
  EXPECT_EQ(convert_to("gguf", two_bits(0.1f)).layer["reason"],
            "as Q8_0 with the scales that it has as int2 group 32, in F16");
}

// bfloat16 1.0 and 0.5, which float16 has as well.
TEST_F(KeptScales, LoseNothingThatTheFormatCanHold) {
  for (const char* format : {"gptq", "awq", "gguf", "mlx"}) {
    for (const char* scale : {"\x80\x3f", "\x00\x3f"}) {
      const Converted made = convert_to(format, four_bits("BF16", std::string(scale, 2)));
      EXPECT_EQ(made.compared["exact"], true) << format;
      EXPECT_EQ(made.values[0], made.values[15] - 15 * (made.values[1] - made.values[0])) << format;
    }
  }
}

// The smallest float16 is 2^-24. Of a scale of half of that and a little it is the nearest one: codes are made anew.
TEST_F(KeptScales, GetOtherCodesWhereRoundingShows) {
  const Converted made = convert_to("gptq", two_bits(0x1.1p-25f));
  EXPECT_EQ(made.values[0], -0x1p-24f);
  EXPECT_EQ(made.values[1], -0x1p-24f);
  EXPECT_EQ(made.values[2], 0);
  EXPECT_EQ(made.values[3], 0x1p-24f);
}

// Groups of 48 and then of 16 columns become four of 16: 64 columns have no other two groups of the same size.
TEST_F(KeptScales, AreThoseOfShorterGroupsWhereTheLastIsShort) {
  constexpr std::size_t kLong = 48;
  for (const char* format : {"gptq", "compressed-tensors"}) {
    const Converted made = convert_to(format, two_bits(0.5f), kLong);
    EXPECT_EQ(made.compared["exact"], true) << format;
    EXPECT_EQ(made.layer["group_size"], 16);
    EXPECT_EQ(made.layer["reason"], "as int2 group 16 with the scales that it has as int2 group 48, in " +
                                        std::string(std::string_view(format) == "gptq" ? "F16" : "F32"));
  }
}

TEST_F(KeptScales, ThatTheFormatCannotHoldAreAnError) {
  for (const char* format : {"gptq", "gguf"}) {
    const Error error = error_of([&] { convert_to(format, two_bits(1e6f)); });
    EXPECT_EQ(error.status(), Status::kValidation) << format;
    EXPECT_NE(error.message().find("too large for codes with a scale of F16"), std::string::npos) << error.message();
  }
}

}  // namespace
}  // namespace mnq::test
