// Which format a file is of, by its content alone.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "formats/open_source.h"
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
  write_bytes(path, "sys_info" + std::string(249, '\0') + "ustar" + std::string(250, '\1'));
  const Error error = error_of([&] { open_source(path); });
  EXPECT_EQ(error.status(), Status::kUnsupported);
  EXPECT_EQ(error.message(), path + ": is a pytorch tar file, which cannot be read");
  EXPECT_EQ(error.suggestion(),
            "ask its provider for a current one, or load it with a PyTorch of its time and save it again");
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
           Other{" \n{\"error\": \"not found\"}", Status::kFormat, "is the error of a server, as JSON"},
           Other{"Entry not found", Status::kFormat, "is the error of a server"},
           Other{"\xef\xbb\xbf\n <!DOCTYPE html>", Status::kFormat, "is an HTML page"},
           Other{"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", Status::kFormat, "is the error of a server"},
           Other{"<?xml version='1.0'?><net name='m' version='11'>", Status::kUnsupported,
                 "is the graph of an OpenVINO"},
           Other{"# xet version 0\nfilesize = 1\n", Status::kFormat, "is a Xet pointer"},
           Other{"/annex/objects/SHA256E-s1--0\n", Status::kFormat, "is a git-annex pointer"},
           Other{"7z\xbc\xaf\x27\x1c" + rest, Status::kUnsupported, "is a 7z archive"},
           Other{"Rar!\x1a\x07\x01" + rest, Status::kUnsupported, "is a RAR archive"},
           Other{"\x28\xb5\x2f\xfd" + rest, Status::kUnsupported, "is compressed by zstd"},
           Other{"\x78\x9c" + rest, Status::kUnsupported, "is compressed by zlib, as joblib does it"},
           Other{"model_weights.ckpt" + std::string(239, '\0') + "ustar" + rest, Status::kUnsupported,
                 "is a tar archive"},
           Other{std::string("\x1c\0\0\0TFL3", 8) + rest, Status::kUnsupported, "is a TensorFlow Lite model"},
           Other{std::string("\x1c\0\0\0ET12", 8) + rest, Status::kUnsupported, "is an ExecuTorch program"},
           Other{"ftrt" + rest, Status::kUnsupported, "is a TensorRT engine"},
           Other{"lmgg" + rest, Status::kUnsupported, "is a GGML file"},
           Other{"tjgg" + rest, Status::kUnsupported, "is a GGML file (ggjt)"},
           Other{std::string("\x08\x0a\x3a\x20\x0a\x12\x0a\x05", 8) + rest, Status::kUnsupported,
                 "looks like an ONNX model"},
           Other{std::string("\x08\x07\x12\x00\x3a\x20", 6) + rest, Status::kUnsupported, "looks like an ONNX model"},
           Other{"\x08\x01\x12\xb4\x91\x03\x0a" + rest, Status::kUnsupported, "looks like a TensorFlow SavedModel"},
           Other{"\x08\x04\x12\x20\x0a\x10" + rest, Status::kUnsupported, "looks like a Core ML model"},
           Other{"\x81\xa6params\x82\xa5" + rest, Status::kUnsupported, "looks like MessagePack, as Flax writes"},
           Other{"\x7f"
                 "ELF" +
                     rest,
                 Status::kFormat, "is a program or a library"},
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

// Its start is that of a checkpoint from before 1.6: only reading it tells.
TEST(Detection, APickleOfSomethingElseSaysWhatItHolds) {
  const std::string bytes(
      "\x80\x02"
      "csklearn.svm\nSVC\n)R.");
  const Error error = error_of([&] { open_memory(bytes_of(bytes)); });
  EXPECT_EQ(error.status(), Status::kUnsupported);
  EXPECT_NE(error.message().find("it holds an object of sklearn.svm.SVC"), std::string::npos) << error.message();
}

// A part of a DCP checkpoint is archives of PyTorch, one after the other: to its reader a damaged one.
TEST(Detection, AFolderOrPartOfAnotherKind) {
  const TempFolder folder;
  const auto refused = [&](const std::string& name, const std::string& path) {
    std::filesystem::create_directories(folder.path("model"));
    write_bytes(folder.path("model/" + name), std::string("PK\3\4\0\0\0\0\0\0", 10));
    const Error error = error_of([&] { open_source(path); });
    EXPECT_EQ(error.status(), Status::kUnsupported) << error.message();
    std::filesystem::remove_all(folder.path("model"));
    return error.message() + " / " + error.suggestion();
  };
  const std::string model = folder.path("model");
  const std::string command = "python -m torch.distributed.checkpoint.format_utils dcp_to_torch " + model + " OUT.pt";
  for (const std::string& path : {model, model + "/__0_0.distcp"}) {
    const std::string text = refused("__0_0.distcp", path);
    EXPECT_NE(text.find("torch.distributed.checkpoint (DCP, as FSDP writes)"), std::string::npos) << text;
    EXPECT_NE(text.find(command), std::string::npos) << text;
  }
  EXPECT_NE(refused("zero_to_fp32.py", model).find("is a DeepSpeed checkpoint in parts"), std::string::npos);
  EXPECT_NE(refused("saved_model.pb", model).find("is a TensorFlow SavedModel"), std::string::npos);
  EXPECT_NE(refused("model.onnx", model).find("has ONNX models only"), std::string::npos);
  EXPECT_NE(refused("rank0.engine", model).find("is a TensorRT engine"), std::string::npos);
  EXPECT_NE(refused("flax_model.msgpack", model).find("has the weights of Flax only"), std::string::npos);
  EXPECT_NE(refused("training_args.bin", model).find("is a folder without model.safetensors"), std::string::npos);
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
