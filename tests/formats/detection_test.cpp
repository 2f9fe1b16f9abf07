// Which format a file is of, by its content alone.
#include <gtest/gtest.h>

#include <cstring>

#include "formats/format_table.h"
#include "support/error_of.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// A checkpoint without tensors whose header has this many bytes.
std::string safetensors_of(std::uint64_t header_bytes) {
  std::string bytes(sizeof header_bytes, '\0');
  std::memcpy(bytes.data(), &header_bytes, sizeof header_bytes);
  return bytes + "{" + std::string(header_bytes - 2, ' ') + "}";
}

TEST(Detection, ALengthThatLooksLikeAnothersMagic) {
  // 640 and 66176 begin with the bytes of a pickle, 80 02; the second goes on as a pickle may.
  for (const std::uint64_t header_bytes : {2, 8, 640, 66176, 0x028280}) {
    const std::string bytes = safetensors_of(header_bytes);
    EXPECT_EQ(open_memory(bytes_of(bytes))->format(), "safetensors") << header_bytes;
  }
}

TEST(Detection, WhatIsKnownButNotReadSaysWhatToDo) {
  const TempFolder folder;
  const std::string path = folder.path("model.safetensors");  // the name says nothing
  write_bytes(path, std::string(257, '\1') + "ustar" + std::string(250, '\1'));
  const Error error = error_of([&] { open_source(path); });
  EXPECT_EQ(error.status(), Status::kUnsupported);
  EXPECT_EQ(error.message(), path + ": is a pytorch tar file, which cannot be read");
  EXPECT_EQ(error.suggestion(), "load it with PyTorch and save it again");
  EXPECT_EQ(error.subject(), path);
}

// A ZIP is told by what is in it.
TEST(Detection, ModulesAndStateDicts) {
  const auto format_of = [](const char* name) {
    return detect_format(std::string(MNQ_TEST_DATA "/modules/") + name).name;
  };
  EXPECT_EQ(format_of("scripted.pt"), "torchscript");
  EXPECT_EQ(format_of("traced.pt"), "torchscript");
  EXPECT_EQ(format_of("frozen.pt"), "torchscript");
  EXPECT_EQ(format_of("state_dict.pt"), "pytorch");
  const TempFolder folder;
  write_bytes(folder.path("damaged.pt"), std::string("PK\3\4\0\0\0\0\0\0", 10));
  EXPECT_EQ(error_of([&] { open_source(folder.path("damaged.pt")); }).status(), Status::kFormat);
}

TEST(Detection, WhatIsNothing) {
  for (const std::string& text : {std::string(), std::string("{"), std::string(100, '\0'), std::string(100, 'x')}) {
    const Error error = error_of([&] { open_memory(bytes_of(text)); });
    EXPECT_EQ(error.status(), Status::kFormat) << error.message();
    EXPECT_TRUE(error.message().starts_with("the model in memory: ")) << error.message();
  }
}

TEST(Detection, WhatCannotBeOpened) {
  const TempFolder folder;
  EXPECT_EQ(error_of([&] { open_source(folder.path("none.safetensors")); }).status(), Status::kNotFound);
  EXPECT_EQ(error_of([&] { open_source(folder.path()); }).status(), Status::kUnsupported);
}

}  // namespace
}  // namespace mnq::test
