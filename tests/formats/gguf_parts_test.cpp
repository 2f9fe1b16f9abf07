// Models that llama-gguf-split has cut into parts: any part opens the whole.
#include <gtest/gtest.h>

#include "base/text/format.h"
#include "formats/open_source.h"
#include "quantize/job_fixture.h"
#include "support/error_of.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

// What is in one part: tensors of 8 float32 each, all of one value.
struct Part {
  std::uint16_t number = 0, count = 1;
  std::int32_t tensor_count = 0;
  std::vector<std::pair<std::string, float>> tensors;
};

class Bytes {
 public:
  template <class Number>
  Bytes& add(Number number) {
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
    return *this;
  }
  Bytes& text(const std::string& text) {
    add<std::uint64_t>(text.size());
    bytes_ += text;
    return *this;
  }
  void pad() { bytes_.resize((bytes_.size() + 31) / 32 * 32); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

std::string gguf_of(const Part& part) {
  constexpr std::uint32_t kUInt16 = 2, kInt32 = 5, kText = 8;
  Bytes out;
  out.add(std::uint32_t{0x46554747}).add(std::uint32_t{3});
  out.add<std::uint64_t>(part.tensors.size()).add(std::uint64_t{4});
  out.text("general.name").add(kText).text(part.number == 0 ? "whole" : "later");
  out.text("split.no").add(kUInt16).add(part.number);
  out.text("split.count").add(kUInt16).add(part.count);
  out.text("split.tensors.count").add(kInt32).add(part.tensor_count);
  for (std::size_t i = 0; i < part.tensors.size(); ++i) {
    out.text(part.tensors[i].first).add(std::uint32_t{2}).add(std::uint64_t{4}).add(std::uint64_t{2});
    out.add(std::uint32_t{0}).add<std::uint64_t>(32 * i);
  }
  out.pad();
  for (const auto& [name, value] : part.tensors) {
    for (int i = 0; i < 8; ++i) out.add(value);
  }
  return out.bytes();
}

struct Folder {
  explicit Folder(const std::vector<Part>& parts) {
    for (std::size_t i = 0; i < parts.size(); ++i) write_bytes(path(i, parts.size()), gguf_of(parts[i]));
  }
  std::string path(std::size_t index, std::size_t count) const {
    return folder.path(formatted("m-{:05}-of-{:05}.gguf", index + 1, count));
  }
  TempFolder folder;
};

std::vector<Part> three_parts() {
  return {{0, 3, 3, {{"a", 1.0f}}}, {1, 3, 3, {{"b", 2.0f}}}, {2, 3, 3, {{"c", 3.0f}}}};
}

TEST(GgufParts, AnyOpensTheWhole) {
  const Folder folder(three_parts());
  for (std::size_t opened = 0; opened < 3; ++opened) {
    const auto source = open_source(folder.path(opened, 3));
    EXPECT_EQ(source->path(), folder.path(opened, 3));
    ASSERT_EQ(source->tensors().size(), 3u);
    EXPECT_EQ(read_values<float>(*source, "a"), std::vector<float>(8, 1));
    EXPECT_EQ(read_values<float>(*source, "c"), std::vector<float>(8, 3));
    EXPECT_EQ(source->metadata(), (Metadata{{"general.name", "whole"}}));
    EXPECT_EQ(source->remarks(), std::vector<std::string>());
    EXPECT_EQ(source->inputs().size(), 3u);
  }
}

// In one file, which says nothing of parts.
TEST(GgufParts, BecomeOneFile) {
  const Folder folder(three_parts());
  const auto source = open_source(folder.path(1, 3));
  RunControl control;
  Settings settings;
  set_value(settings, "format", "gguf");
  const Config config(&settings, nullptr);
  std::string bytes;
  convert(*source, config, control, bytes_output(*source, config, bytes));
  const auto whole = open_memory(std::as_bytes(std::span(bytes)));
  EXPECT_EQ(read_values<float>(*whole, "b"), std::vector<float>(8, 2));
  EXPECT_EQ(whole->metadata().at("general.name"), "whole");
  EXPECT_FALSE(whole->metadata().contains("split.count"));
}

Error error_of_parts(const std::vector<Part>& parts, std::size_t missing = 99) {
  const Folder folder(parts);
  if (missing < parts.size()) std::remove(folder.path(missing, parts.size()).c_str());
  return error_of([&] { open_source(folder.path(0, parts.size())); });
}

TEST(GgufParts, ThatDoNotBelongTogether) {
  EXPECT_EQ(error_of_parts(three_parts(), 2).status(), Status::kNotFound);
  EXPECT_EQ(error_of_parts(three_parts(), 2).subject(), "m-00003-of-00003.gguf");
  auto parts = three_parts();
  parts[1].number = 2;
  EXPECT_NE(error_of_parts(parts).message().find("is part 2 of 3 by its name, and part 3 of 3 by its keys"),
            std::string::npos);
  parts = three_parts();
  parts[0].tensor_count = 4;
  EXPECT_NE(error_of_parts(parts).message().find("have 3 tensors, but must have 4"), std::string::npos);
  parts = three_parts();
  parts[2].tensors[0].first = "a";
  EXPECT_EQ(error_of_parts(parts).subject(), "a");
  EXPECT_EQ(error_of_parts(parts).status(), Status::kFormat);
}

TEST(GgufParts, WhoseNamesDoNotSayWhereTheyAre) {
  const TempFolder folder;
  const std::string bytes = gguf_of(three_parts()[1]);
  write_bytes(folder.path("model.gguf"), bytes);
  EXPECT_EQ(error_of([&] { open_source(folder.path("model.gguf")); }).status(), Status::kUnsupported);
  const Error error = error_of([&] { open_memory(std::as_bytes(std::span(bytes))); });
  EXPECT_EQ(error.status(), Status::kUnsupported);
  EXPECT_EQ(error.suggestion(), "call it NAME-00002-of-00003.gguf, and put the other parts beside it");
}

}  // namespace
}  // namespace mnq::test
