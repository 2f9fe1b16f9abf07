// What comes out of a job is what went in: dtypes of every kind, metadata, and what lies beside a checkpoint's tensors.
#include <gtest/gtest.h>

#include "quantize/job_fixture.h"
#include "support/copied_tensors.h"
#include "support/error_of.h"
#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

Report convert_to(const TensorSource& source, const std::string& path) {
  RunControl control;
  const Config config(nullptr, nullptr);
  return convert(source, config, control, file_output(source, path, config, control));
}

std::string data_of(const TensorSource& source, std::size_t tensor) {
  std::string data(source.tensors()[tensor].size_bytes, '\0');
  source.read(tensor, 0, std::as_writable_bytes(std::span(data)));
  return data;
}

TEST(WhatComesOut, EveryDtypeOfSafetensorsByteForByte) {
  struct Row {
    const char* dtype;
    std::size_t bits;
  };
  constexpr Row kRows[] = {{"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},
                           {"I8", 8},      {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
                           {"F8_E8M0", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},        {"BF16", 16},
                           {"I32", 32},    {"U32", 32},    {"F32", 32},    {"C64", 64},        {"F64", 64},
                           {"I64", 64},    {"U64", 64}};
  for (const auto& [dtype, bits] : kRows) {
    const TempFolder folder;
    std::string data(bits, '\0');  // of 8 elements
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i % 2);
    write_bytes(folder.path("in.safetensors"), SafetensorsBytes().add_bytes("a", dtype, "[8]", data).bytes());
    convert_to(*open_source(folder.path("in.safetensors")), folder.path("out.safetensors"));
    const auto copy = open_source(folder.path("out.safetensors"));
    EXPECT_EQ(dtype_name(copy->tensors()[0].dtype), dtype);
    EXPECT_EQ(data_of(*copy, 0), data) << dtype;
  }
}

// An int8 weight [1, 4] that was of float16, by hand, codes 1, 2, 3, 4.
std::string int8_file(float scale) {
  const std::string header =
      R"({"__metadata__":{"mono_quant":"{\"version\":1,\"tensors\":{\"fc.weight\":{\"scheme\":\"qint8\",\"dtype\":\"F16\",)"
      R"(\"shape\":[1,4],\"granularity\":\"channel\",\"symmetric\":true,\"channel_axis\":0}}}"},)"
      R"("fc.weight":{"dtype":"I8","shape":[1,4],"data_offsets":[0,4]},)"
      R"("fc.weight_scale":{"dtype":"F32","shape":[1,1],"data_offsets":[4,8]}})";
  const std::uint64_t length = header.size();
  std::string bytes(sizeof length + sizeof scale, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  std::memcpy(bytes.data() + sizeof length, &scale, sizeof scale);
  return bytes.substr(0, sizeof length) + header + "\x01\x02\x03\x04" + bytes.substr(sizeof length);
}

// What is a little beyond its dtype comes of rounding, and becomes the most that it holds.
TEST(WhatComesOut, NoFloatsFarBeyondTheirDtype) {
  const TempFolder folder;
  const auto dequantized = [&](float scale, const char* json) {
    write_bytes(folder.path("in.safetensors"), int8_file(scale));
    const Settings settings = parse_settings(json);
    const Config config(&settings, nullptr);
    RunControl control;
    const auto source = open_source(folder.path("in.safetensors"));
    dequantize(*source, config, control, file_output(*source, folder.path("out.safetensors"), config, control));
  };
  const Error error = error_of([&] { dequantized(50000, R"({"overwrite": true})"); });
  EXPECT_EQ(error.status(), Status::kValidation);
  EXPECT_EQ(error.message(),
            folder.path("in.safetensors") + ": tensor fc.weight: the value at [0, 1] is 100000, which F16 cannot hold");
  EXPECT_EQ(error.suggestion(), "let floats be float32 (float_dtype=float32)");
  dequantized(50000, R"({"overwrite": true, "float_dtype": "float32"})");
  EXPECT_EQ(read_values<float>(*open_source(folder.path("out.safetensors")), "fc.weight"),
            (std::vector<float>{50000, 100000, 150000, 200000}));
  EXPECT_EQ(error_of([&] { dequantized(20000, R"({"overwrite": true})"); }).status(), Status::kValidation);
  // 65520 would be rounded to infinity; a code of 8 bits may lie by a 255th beyond its weight.
  dequantized(16380, R"({"overwrite": true})");
  EXPECT_EQ(read_values<std::uint16_t>(*open_source(folder.path("out.safetensors")), "fc.weight"),
            (std::vector<std::uint16_t>{0x7400, 0x7800, 0x7a00, 0x7bff}));
}

TEST(WhatComesOut, MetadataOfShardsOrThatItDiffered) {
  const TempFolder folder;
  const auto shard = [&](const std::string& name, const std::string& metadata, const std::string& tensor) {
    const std::string header =
        R"({"__metadata__":)" + metadata + R"(,")" + tensor + R"(":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}})";
    const std::uint64_t length = header.size();
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    write_bytes(folder.path(name), bytes + header + "x");
  };
  shard("model-00001-of-00002.safetensors", R"({"title":"one","same":"s"})", "a");
  shard("model-00002-of-00002.safetensors", R"({"title":"two","same":"s","author":"z"})", "b");
  write_bytes(folder.path("model.safetensors.index.json"),
              R"({"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}})");
  const auto source = open_source(folder.path("model.safetensors.index.json"));
  const Report report = convert_to(*source, folder.path("out.safetensors"));
  const Metadata metadata = open_source(folder.path("out.safetensors"))->metadata();
  EXPECT_EQ(metadata.at("title"), "one");
  EXPECT_EQ(metadata.at("same"), "s");
  EXPECT_EQ(metadata.at("author"), "z");
  ASSERT_EQ(report.warnings().size(), 1u);
  EXPECT_NE(report.warnings()[0].find("differs"), std::string::npos);
  EXPECT_NE(report.warnings()[0].find("title"), std::string::npos);
  EXPECT_EQ(report.warnings()[0].find("same"), std::string::npos);
}

// A tuple of a number and a dict, made by tests/data/make_malformed.py.
TEST(WhatComesOut, MembersOfAPtOrTheirNames) {
  const TempFolder folder;
  const auto source = open_source(MNQ_TEST_DATA "/malformed/good_tuple.pt");
  EXPECT_EQ(source->companion()->members, std::vector<std::string>{"0"});
  const Report kept = convert_to(*source, folder.path("out.pt"));
  EXPECT_EQ(kept.warnings(), std::vector<std::string>{"the tensors are those under 1"});
  const auto copy = open_source(folder.path("out.pt"));
  EXPECT_EQ(copy->companion()->members, std::vector<std::string>{"0"});
  EXPECT_EQ(copy->remarks(), source->remarks());
  EXPECT_EQ(read_values<float>(*copy, "w"), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  const Report named = convert_to(*source, folder.path("out.safetensors"));
  EXPECT_EQ(named.warnings(),
            (std::vector<std::string>{"the tensors are those under 1", "left out what only a .pt can hold: 0"}));
}

// Which dict is the model's stays what was chosen, though others are left out.
TEST(WhatComesOut, TheDictThatWasChosen) {
  const TempFolder folder;
  const auto source = open_source(MNQ_TEST_DATA "/malformed/good_nested.pt", {"optimizer.state"});
  convert_to(*source, folder.path("out.pt"));
  const auto copy = open_source(folder.path("out.pt"));
  ASSERT_EQ(copy->tensors().size(), 1u);
  EXPECT_EQ(copy->tensors()[0].name, "m");
  EXPECT_EQ(copy->companion()->members, std::vector<std::string>{"step"});
}

// What a list has no room for is an error, not a loss.
TEST(WhatComesOut, ScalesHaveNoPlaceInAListOfTensors) {
  const TempFolder folder;
  const CopiedTensors copied({{"0", DType::kI8, {2, 3}, 6}, {"0_scale", DType::kF32, {2, 1}, 8}});
  const auto source = open_source(MNQ_TEST_DATA "/malformed/good_list.pt");
  RunControl control;
  const Config config(nullptr, nullptr);
  const Output output = file_output(*source, folder.path("out.pt"), config, control);
  const Error error = error_of([&] { output.open(copied.request(source->companion())); });
  EXPECT_EQ(error.status(), Status::kUnsupported);
  EXPECT_EQ(error.subject(), "0_scale");
}

// By which its codes are read, whatever the source holds beside them.
TEST(WhatComesOut, TheShapeOfPackedCodesIsThatOfTheMetadata) {
  for (const char* settings : {R"({"bits": 4, "group_size": 32, "min_parameters": 0})",
                               R"({"bits": 4, "group_size": 0, "min_parameters": 0})"}) {
    const auto sound = quantize_in_memory(*one_weight({4, 64}, normal_values(256, 1)), settings).model;
    std::vector<NamedTensor> tensors = tensors_of(*sound);
    std::ranges::find(tensors, "fc.weight_shape", &NamedTensor::name)->tensor =
        tensor_of(DType::kI64, {2}, std::vector<std::int64_t>{9, 9});
    const TempFolder folder;
    convert_to(*make_memory_source(std::move(tensors), {}, *sound->own_metadata()), folder.path("out.safetensors"));
    const auto copy = open_source(folder.path("out.safetensors"));
    EXPECT_EQ(read_values<std::int64_t>(*copy, "fc.weight_shape"), (std::vector<std::int64_t>{4, 64})) << settings;
  }
}

// An empty dict is not read as one, so that none is written.
TEST(WhatComesOut, ACheckpointWithoutTensors) {
  const TempFolder folder;
  const auto empty = make_memory_source({}, {});
  for (const char* name : {"out.safetensors", "out.gguf", "out/"}) {
    convert_to(*empty, folder.path(name));
    EXPECT_TRUE(open_source(folder.path(name))->tensors().empty()) << name;
  }
  const Error error = error_of([&] { convert_to(*empty, folder.path("out.pt")); });
  EXPECT_EQ(error.status(), Status::kUnsupported) << error.message();
  EXPECT_FALSE(folder.names().contains("out.pt"));
}

}  // namespace
}  // namespace mnq::test
