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

struct Other {
  std::string bytes;
  Status status;
  const char* says;
};

// Neither what a file's name ends in nor how it is asked changes what it is.
TEST(Detection, WhatIsSomethingElse) {
  const TempFolder folder;
  const std::string rest(100, 'z');
  for (const Other& other : {
           Other{"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", Status::kFormat, "is a git-LFS pointer"},
           Other{"<!DOCTYPE html><html>", Status::kFormat, "is an HTML page"},
           Other{"<HTML><body>404", Status::kFormat, "is an HTML page"},
           Other{"\x1f\x8b\x08" + std::string(5, '\0') + rest, Status::kUnsupported, "is compressed by gzip"},
           Other{"\x89HDF\r\n\x1a\n" + rest, Status::kUnsupported, "is an HDF5 file"},
           Other{"\x93NUMPY" + rest, Status::kUnsupported, "is a NumPy array"},
           Other{"\x08\x0a\x12\x07pytorch", Status::kUnsupported, "looks like an ONNX model"},
           Other{"\x89PNG\r\n\x1a\n" + rest, Status::kFormat, "is a PNG image"},
           Other{"{\"model_type\": \"bert\"}", Status::kFormat, "is JSON, but no index"},
           Other{"", Status::kFormat, "is empty"},
       }) {
    for (const char* name : {"x.pt", "x.safetensors", "x"}) {
      const std::string path = folder.path(name);
      write_bytes(path, other.bytes);
      const Error opened = error_of([&] { open_source(path); });
      EXPECT_EQ(opened.status(), other.status) << opened.message();
      EXPECT_TRUE(opened.message().starts_with(path + ": " + other.says)) << opened.message();
      EXPECT_EQ(error_of([&] { detect_format(path); }).message(), opened.message());
      EXPECT_FALSE(opened.suggestion().empty()) << opened.message();
    }
  }
}

TEST(Detection, WhatIsOfNoKnownFormat) {
  const TempFolder folder;
  const std::string path = folder.path("x.pt");
  write_bytes(path, "just some text that nobody meant as a model");
  const Error error = error_of([&] { open_source(path); });
  EXPECT_EQ(error.message(), path + ": 43 bytes of no known format");
  EXPECT_NE(error.suggestion().find("safetensors, gguf, torchscript, pytorch"), std::string::npos);
  EXPECT_EQ(error_of([&] { detect_format(path); }).message(), error.message());
  write_bytes(folder.path("x.safetensors"), "just some text that nobody meant as a model");
  EXPECT_NE(error_of([&] { open_source(folder.path("x.safetensors")); }).message().find("header length"),
            std::string::npos);
}

// What opening refuses is not detected either.
TEST(Detection, AnArchiveOfSomethingElse) {
  for (const char* name : {"other_zip.pt", "exported_program.pt"}) {
    const std::string path = std::string(MNQ_TEST_DATA "/malformed/") + name;
    const Error error = error_of([&] { detect_format(path); });
    EXPECT_EQ(error.status(), Status::kUnsupported);
    EXPECT_EQ(error_of([&] { open_source(path); }).message(), error.message());
  }
}

TEST(Detection, WhatCannotBeOpened) {
  const TempFolder folder;
  EXPECT_EQ(error_of([&] { open_source(folder.path("none.safetensors")); }).status(), Status::kNotFound);
  EXPECT_EQ(error_of([&] { open_source(folder.path()); }).status(), Status::kUnsupported);
}

}  // namespace
}  // namespace mnq::test
