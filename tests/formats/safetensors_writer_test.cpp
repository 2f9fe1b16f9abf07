// What is written: the layout that loaders expect, and the same tensors when it is read again.
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "formats/choose_format.h"
#include "formats/open_source.h"
#include "formats/safetensors/safetensors.h"
#include "layouts/layouts.h"
#include "support/copied_tensors.h"
#include "support/error_of.h"

namespace mnq::test {
namespace {

// Writes tensors whose bytes are 1, 2, 3...
std::string write_tensors(const std::vector<TensorInfo>& tensors, const Metadata& metadata) {
  std::string bytes;
  const CopiedTensors copied(tensors, metadata);
  const auto sink = open_safetensors_sink(copied.request(), string_bytes(bytes));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    std::vector<std::byte> data(tensors[i].size_bytes);
    for (std::size_t k = 0; k < data.size(); ++k) data[k] = static_cast<std::byte>(i + k + 1);
    sink->write(i, 0, data);
  }
  sink->commit(copied.no_sqnr());
  return bytes;
}

struct Written {
  nlohmann::ordered_json header;
  std::uint64_t header_bytes = 0;
};

Written parse(const std::string& bytes) {
  Written written;
  std::memcpy(&written.header_bytes, bytes.data(), sizeof written.header_bytes);
  written.header = nlohmann::ordered_json::parse(bytes.substr(8, written.header_bytes));
  return written;
}

const std::vector<TensorInfo>& mixed_tensors() {
  static const std::vector<TensorInfo> tensors{{"b.half", DType::kF16, {2}, 4},      {"z.bytes", DType::kU8, {3}, 3},
                                               {"b.weight", DType::kF32, {2, 1}, 8}, {"a.weight", DType::kF32, {1}, 4},
                                               {"steps", DType::kI64, {}, 8},        {"empty", DType::kF32, {0, 5}, 0}};
  return tensors;
}

TEST(Writer, WidestFirstThenByName) {
  const Written written = parse(write_tensors(mixed_tensors(), {{"format", "pt"}}));
  std::vector<std::string> names;
  for (const auto& [name, value] : written.header.items()) names.push_back(name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"__metadata__", "steps", "a.weight", "b.weight", "empty", "b.half", "z.bytes"}));
  EXPECT_EQ(written.header["steps"]["data_offsets"].dump(), "[0,8]");
  EXPECT_EQ(written.header["a.weight"]["data_offsets"].dump(), "[8,12]");
  EXPECT_EQ(written.header["b.weight"]["data_offsets"].dump(), "[12,20]");
  EXPECT_EQ(written.header["empty"]["data_offsets"].dump(), "[20,20]");
  EXPECT_EQ(written.header["b.half"]["data_offsets"].dump(), "[20,24]");
  EXPECT_EQ(written.header["z.bytes"]["data_offsets"].dump(), "[24,27]");
  EXPECT_EQ(written.header["steps"]["shape"].dump(), "[]");
}

TEST(Writer, TheHeaderIsPaddedToEightBytes) {
  for (std::size_t length = 1; length < 20; ++length) {
    const std::string bytes = write_tensors({{std::string(length, 'n'), DType::kU8, {1}, 1}}, {});
    const Written written = parse(bytes);
    EXPECT_EQ(written.header_bytes % 8, 0u);
    EXPECT_EQ(bytes[8], '{');
    EXPECT_EQ(bytes.size(), 8 + written.header_bytes + 1);
  }
}

TEST(Writer, WhatWasWrittenIsRead) {
  const Metadata metadata{{"format", "pt"}, {"a \"quoted\" key", "line\nbreak, ü"}};
  const std::string bytes = write_tensors(mixed_tensors(), metadata);
  const auto source = open_memory(std::as_bytes(std::span(bytes)));
  EXPECT_EQ(source->metadata(), metadata);
  ASSERT_EQ(source->tensors().size(), mixed_tensors().size());
  for (std::size_t i = 0; i < mixed_tensors().size(); ++i) {
    const TensorInfo& expected = mixed_tensors()[i];
    const std::size_t index = source->find(expected.name);
    ASSERT_NE(index, TensorSource::kNone);
    const TensorInfo& info = source->tensors()[index];
    EXPECT_EQ(info.dtype, expected.dtype);
    EXPECT_EQ(info.shape, expected.shape);
    std::vector<std::byte> data(info.size_bytes);
    source->read(index, 0, data);
    for (std::size_t k = 0; k < data.size(); ++k) EXPECT_EQ(data[k], static_cast<std::byte>(i + k + 1)) << info.name;
  }
}

// The header has room for any accuracy, and says the one that came out.
TEST(Writer, AccuraciesAreKnownAtCommit) {
  std::string bytes;
  QuantizedSpec spec;
  spec.scheme = "qint8";
  spec.shape = {2, 3};
  const CopiedTensors copied(std::vector<CopiedWeight>{{"w", spec, &kRowsLayout, 41.25}});
  const auto sink = open_safetensors_sink(copied.request(), string_bytes(bytes));
  sink->write(0, 0, std::vector<std::byte>(6));
  sink->write(1, 0, std::vector<std::byte>(8));
  sink->commit(copied.no_sqnr());
  const auto source = open_memory(std::as_bytes(std::span(bytes)));
  EXPECT_EQ(source->require_weights().at(0).sqnr_db, 41.25);
  EXPECT_EQ(parse(bytes).header["__metadata__"].size(), 1u);
}

TEST(Writer, NamesOfEveryKind) {
  const std::string name = "a\"b\\c\n\t\x01 ü 漢";
  const std::string bytes = write_tensors({{name, DType::kU8, {1}, 1}}, {});
  EXPECT_EQ(open_memory(std::as_bytes(std::span(bytes)))->tensors().front().name, name);
}

// The header's own key: readers would take the tensor for metadata.
TEST(Writer, NoTensorHasTheNameOfTheMetadata) {
  const Error error = error_of([] { write_tensors({{"__metadata__", DType::kU8, {1}, 1}}, {}); });
  EXPECT_EQ(error.status(), Status::kUnsupported);
  EXPECT_NE(error.message().find("tensor __metadata__"), std::string::npos) << error.message();
  EXPECT_EQ(error.suggestion(), "rename the tensor, or write .pt");
}

TEST(Writer, TenThousandTensors) {
  std::vector<TensorInfo> tensors;
  for (int i = 0; i < 10000; ++i)
    tensors.push_back({"layers." + std::to_string(i) + ".weight", DType::kF32, {1, 2}, 8});
  const std::string bytes = write_tensors(tensors, {{"format", "pt"}});
  const auto source = open_memory(std::as_bytes(std::span(bytes)));
  EXPECT_EQ(source->tensors().size(), 10000u);
}

TEST(Formats, OutputNames) {
  const std::string bytes = write_tensors(mixed_tensors(), {});
  const auto source = open_memory(std::as_bytes(std::span(bytes)));
  EXPECT_EQ(output_format("a.b/model.safetensors", "auto", *source).name, "safetensors");
  const auto status_of = [&](const char* path) {
    try {
      output_format(path, "auto", *source);
      return Status::kOk;
    } catch (const Error& error) {
      return error.status();
    }
  };
  EXPECT_EQ(output_format("model.gguf", "auto", *source).name, "gguf");
  EXPECT_EQ(output_format("model.pt", "auto", *source).name, "pytorch");
  EXPECT_EQ(output_format("v1.5/", "auto", *source).name, "compressed-tensors");
  EXPECT_EQ(output_format("model.pt", "safetensors", *source).name, "safetensors");
  EXPECT_EQ(output_format("model", "folder", *source).name, "folder");
  EXPECT_EQ(status_of("model.xyz"), Status::kInvalidArg);
  EXPECT_EQ(status_of("model"), Status::kInvalidArg);
  EXPECT_EQ(status_of("folder.safetensors/model"), Status::kInvalidArg);
}

}  // namespace
}  // namespace mnq::test
