#include "formats/unknown_file.h"

#include <algorithm>
#include <cstdint>

#include "base/error.h"
#include "base/files/folder.h"
#include "base/tensor_source.h"
#include "base/text/format.h"
#include "containers/read_text.h"
#include "containers/safetensors_header.h"

namespace mnq {
namespace {

using namespace std::string_view_literals;

// How a file starts; '?' is any byte, letters are small or large.
struct Signature {
  std::string_view start;
  Status status;
  std::string_view what, advice;
  std::string_view inside = "";                    // what is found in the first bytes, besides
  bool (*fits)(std::string_view start) = nullptr;  // what no text says
  std::size_t offset = 0;                          // of start
};

constexpr const char* kFetchAgain = "it was saved in place of the file: fetch the file again";
constexpr const char* kUnpack = "unpack it, and pass what is in it";
constexpr const char* kAskFor =
    "pass the safetensors file or PyTorch checkpoint of the model: its provider has one more often than not";
constexpr const char* kWeightsOnly = "pass the file with the weights";
constexpr const char* kExportedFrom = "pass the checkpoint it was exported from";

bool is_printable(char c) { return c >= 0x20 && c < 0x7f; }
std::uint8_t byte_at(std::string_view text, std::size_t at) { return static_cast<std::uint8_t>(text[at]); }

// "\x08 VERSION TAG ...": a message of protobuf that starts with a small number as its field 1.
bool is_versioned_message(std::string_view start) {
  return start.size() > 4 && start[0] == 8 && byte_at(start, 1) >= 1 && byte_at(start, 1) <= 64;
}

// Its field 2 is a text, or is not there: an ONNX ModelProto says who produced it, or not, and then any other field of
// it.
bool is_onnx(std::string_view start) {
  if (!is_versioned_message(start)) return false;
  constexpr std::string_view kTags = "\x1a\x22\x28\x32\x3a\x42\x72\xa2"sv;
  if (start[2] == 0x12) return byte_at(start, 3) < 0x80 && (start[3] == 0 || is_printable(start[4]));
  return kTags.find(start[2]) != kTags.npos;
}

// Its field 2 is a message.
bool is_saved_model(std::string_view start) {
  return is_versioned_message(start) && start[1] == 1 && start[2] == 0x12 && byte_at(start, 3) >= 0x80;
}
bool is_coreml(std::string_view start) { return is_versioned_message(start) && start[2] == 0x12; }

// A small map whose first key is a short name.
bool is_msgpack(std::string_view start) {
  return start.size() > 3 && byte_at(start, 0) > 0x80 && byte_at(start, 0) <= 0x8f && byte_at(start, 1) > 0xa0 &&
         byte_at(start, 1) <= 0xbf && is_printable(start[2]) && is_printable(start[3]);
}

constexpr Signature kSignatures[] = {
    {"version https://git-lfs"sv, Status::kFormat, "is a git-LFS pointer, not the file itself",
     "fetch the file: git lfs pull"},
    {"# xet version"sv, Status::kFormat, "is a Xet pointer, not the file itself",
     "fetch the file: git xet, or hf download"},
    {"/annex/objects/"sv, Status::kFormat, "is a git-annex pointer, not the file itself",
     "fetch the file: git annex get"},
    {"<!doctype"sv, Status::kFormat, "is an HTML page", kFetchAgain},
    {"<html"sv, Status::kFormat, "is an HTML page", kFetchAgain},
    {"<head"sv, Status::kFormat, "is an HTML page", kFetchAgain},
    {"<?xml"sv, Status::kFormat, "is the error of a server, as XML", kFetchAgain, "<Error"},
    {"<?xml"sv, Status::kUnsupported, "is the graph of an OpenVINO model", kExportedFrom, "<net "},
    {"<?xml"sv, Status::kFormat, "is an XML text", kFetchAgain},
    {"entry not found"sv, Status::kFormat, "is the error of a server: Entry not found", kFetchAgain},
    {"repository not found"sv, Status::kFormat, "is the error of a server: Repository not found", kFetchAgain},
    {"access to model"sv, Status::kFormat, "is the error of a server: it wants you to log in",
     "log in, ask for access to the model, and fetch the file again"},
    {"invalid username or password"sv, Status::kFormat, "is the error of a server: it wants you to log in",
     "log in, and fetch the file again"},
    {"{\"error"sv, Status::kFormat, "is the error of a server, as JSON", kFetchAgain},
    {"{"sv, Status::kFormat, "is JSON, but no index of shards", "pass the file or the folder with the weights"},
    {"\x1f\x8b\x08"sv, Status::kUnsupported, "is compressed by gzip", kUnpack},
    {"BZh"sv, Status::kUnsupported, "is compressed by bzip2", kUnpack},
    {"\xfd"
     "7zXZ\0"sv,
     Status::kUnsupported, "is compressed by xz", kUnpack},
    {"\x28\xb5\x2f\xfd"sv, Status::kUnsupported, "is compressed by zstd", kUnpack},
    {"\x04\x22\x4d\x18"sv, Status::kUnsupported, "is compressed by lz4", kUnpack},
    {"\x78\x9c"sv, Status::kUnsupported, "is compressed by zlib, as joblib does it", kUnpack},
    {"7z\xbc\xaf\x27\x1c"sv, Status::kUnsupported, "is a 7z archive", kUnpack},
    {"Rar!\x1a\x07"sv, Status::kUnsupported, "is a RAR archive", kUnpack},
    {"ustar"sv, Status::kUnsupported, "is a tar archive", kUnpack, "", nullptr, 257},
    {"PK\x05\x06"sv, Status::kFormat, "is an empty ZIP archive", kFetchAgain},
    {"\x89HDF\r\n\x1a\n"sv, Status::kUnsupported, "is an HDF5 file, as Keras and TensorFlow write", kAskFor},
    {"\x93NUMPY"sv, Status::kUnsupported, "is a NumPy array", kAskFor},
    {"????TFL3"sv, Status::kUnsupported, "is a TensorFlow Lite model", kExportedFrom},
    {"????ET1"sv, Status::kUnsupported, "is an ExecuTorch program", kExportedFrom},
    {"LITERTLM"sv, Status::kUnsupported, "is a LiteRT-LM model", kExportedFrom},
    {"ftrt"sv, Status::kUnsupported, "is a TensorRT engine, made for one kind of GPU",
     "pass the checkpoint it was built from"},
    {"lmgg"sv, Status::kUnsupported, "is a GGML file, as whisper.cpp has them and llama.cpp had before GGUF",
     "pass the model as GGUF or safetensors: its provider has it; for llama.cpp's, convert_llama_ggml_to_gguf.py makes "
     "GGUF"},
    {"fmgg"sv, Status::kUnsupported, "is a GGML file (ggmf) from before GGUF",
     "pass the model as GGUF or safetensors: its provider has it"},
    {"tjgg"sv, Status::kUnsupported, "is a GGML file (ggjt) from before GGUF",
     "pass the model as GGUF, or make one by llama.cpp's convert_llama_ggml_to_gguf.py"},
    {"algg"sv, Status::kUnsupported, "is a GGML adapter (ggla) from before GGUF", "pass the adapter as safetensors"},
    {"7767517"sv, Status::kUnsupported, "is the graph of an ncnn model", kExportedFrom},
    {"PAR1"sv, Status::kFormat, "is a Parquet table", kWeightsOnly},
    {"ARROW1"sv, Status::kFormat, "is an Arrow table", kWeightsOnly},
    {"SQLite format 3"sv, Status::kFormat, "is a SQLite database", kWeightsOnly},
    {"\x7f"
     "ELF"sv,
     Status::kFormat, "is a program or a library", kWeightsOnly},
    {"MZ"sv, Status::kFormat, "is a program for Windows", kWeightsOnly, "This program"},
    {"%PDF"sv, Status::kFormat, "is a PDF document", kWeightsOnly},
    {"\x89PNG"sv, Status::kFormat, "is a PNG image", kWeightsOnly},
    {"\xff\xd8\xff"sv, Status::kFormat, "is a JPEG image", kWeightsOnly},
    {"GIF8"sv, Status::kFormat, "is a GIF image", kWeightsOnly},
    {"#!"sv, Status::kFormat, "is a script", kWeightsOnly},
    {""sv, Status::kUnsupported, "looks like an ONNX model", kExportedFrom, "", is_onnx},
    {""sv, Status::kUnsupported, "looks like a TensorFlow SavedModel", kAskFor, "", is_saved_model},
    {""sv, Status::kUnsupported, "looks like a Core ML model", kExportedFrom, "", is_coreml},
    {""sv, Status::kUnsupported, "looks like MessagePack, as Flax writes", kAskFor, "", is_msgpack},
};

// What a folder of another kind of checkpoint has in it.
struct FolderMark {
  std::string_view name;  // of an entry; "*.distcp": an ending
  std::string_view what, advice;
};

constexpr FolderMark kFolderMarks[] = {
    {"*.distcp", "is a checkpoint in parts of torch.distributed.checkpoint (DCP, as FSDP writes)",
     "make one file of it, and pass that: python -m torch.distributed.checkpoint.format_utils dcp_to_torch {} OUT.pt"},
    {"zero_to_fp32.py", "is a DeepSpeed checkpoint in parts",
     "make one checkpoint of it, and pass that: zero_to_fp32.py, which lies in it, does so"},
    {"model_index.json", "is a pipeline of diffusers: its models lie in folders of their own",
     "pass one of them: {models}"},
    {"saved_model.pb", "is a TensorFlow SavedModel", kAskFor},
    {"openvino_model.xml", "is an OpenVINO model", kExportedFrom},
    {"*.engine", "is a TensorRT engine, made for one kind of GPU", "pass the checkpoint it was built from"},
    {"*.mlmodel", "is a Core ML package", kExportedFrom},
    {"ndarray-cache.json", "is a model of MLC", "pass the checkpoint it was made from"},
    {"tensor-cache.json", "is a model of MLC", "pass the checkpoint it was made from"},
    {"_CHECKPOINT_METADATA", "is a checkpoint of Orbax (JAX)", kAskFor},
    {"flax_model.msgpack", "has the weights of Flax only", kAskFor},
    {"tf_model.h5", "has the weights of TensorFlow only", kAskFor},
    {"*.onnx", "has ONNX models only", kExportedFrom},
    {"*.gguf", "has GGUF files", "pass the file"},
    {"*.pth", "has .pth files, and nothing that says which is the model's", "pass the file with the weights"},
    {"*.pt", "has .pt files, and nothing that says which is the model's", "pass the file with the weights"},
};

char in_lower_case(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool starts_with(std::string_view text, std::string_view start) {
  return text.size() >= start.size() && std::ranges::equal(start, text.substr(0, start.size()), [](char a, char b) {
           return a == '?' || in_lower_case(a) == in_lower_case(b);
         });
}

// Blanks and a byte order mark come before many a text.
std::string_view trimmed(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  return text.substr(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

bool fits(const Signature& signature, std::string_view start) {
  if (signature.fits != nullptr && !signature.fits(start)) return false;
  if (signature.offset > start.size()) return false;
  const bool is_there = starts_with(start.substr(signature.offset), signature.start) ||
                        (signature.offset == 0 && starts_with(trimmed(start), signature.start));
  return is_there && start.find(signature.inside) != start.npos;
}

const Signature* find_signature(const ByteSource& bytes) {
  const std::string start = read_text(bytes, 0, std::min<std::uint64_t>(bytes.size(), 512));
  const auto* found = std::ranges::find_if(kSignatures, [&](const Signature& each) { return fits(each, start); });
  return found == std::end(kSignatures) ? nullptr : found;
}

bool is_marked(const FolderMark& mark, const FolderEntry& entry) {
  if (!mark.name.starts_with('*')) return entry.name == mark.name;
  return entry.is_file && entry.name.ends_with(mark.name.substr(1));
}

std::string replaced(std::string text, std::string_view place, const std::string& by) {
  const std::size_t at = text.find(place);
  return at == text.npos ? text : text.replace(at, place.size(), by);
}

// The folders in it that have a config of their own.
std::string models_in(const std::string& path, const std::vector<FolderEntry>& entries) {
  std::string names;
  for (const FolderEntry& entry : entries) {
    if (!entry.is_folder || !path_exists(join_path(join_path(path, entry.name), "config.json"))) continue;
    names += (names.empty() ? "" : ", ") + join_path(path, entry.name);
  }
  return names.empty() ? "the folder of one of them" : names;
}

}  // namespace

bool may_be_safetensors(const ByteSource& bytes) {
  constexpr std::uint64_t kLengthBytes = 8;
  if (bytes.size() == 0) return false;
  if (bytes.size() > kLengthBytes && read_text(bytes, kLengthBytes, 1) == "{") return true;
  if (find_signature(bytes) != nullptr) return false;
  if (bytes.path().ends_with(".safetensors")) return true;
  std::uint64_t length = 0;
  if (bytes.size() < kLengthBytes) return false;
  bytes.read(0, std::as_writable_bytes(std::span(&length, 1)));
  return length > 0 && length <= kMaxHeaderBytes;
}

void refuse_unknown(const ByteSource& bytes, const std::string& others) {
  const std::string title = title_of(bytes.path());
  if (bytes.size() == 0) {
    throw Error(Status::kFormat, formatted("{}: is empty", title), "fetch or save it again", title);
  }
  if (const Signature* signature = find_signature(bytes)) {
    throw Error(signature->status, formatted("{}: {}", title, signature->what), std::string(signature->advice), title);
  }
  throw Error(Status::kFormat, formatted("{}: {} bytes of no known format", title, bytes.size()), others, title);
}

void refuse_part(const ByteSource& bytes) {
  const std::string title = title_of(bytes.path());
  if (!bytes.path().ends_with(".distcp")) return;
  const std::string folder = folder_of(bytes.path());
  throw Error(Status::kUnsupported,
              formatted("{}: is a part of a checkpoint of torch.distributed.checkpoint (DCP, as FSDP writes)", title),
              replaced(std::string(kFolderMarks[0].advice), "{}", folder), title);
}

void refuse_folder(const std::string& path, const std::vector<FolderEntry>& entries) {
  for (const FolderMark& mark : kFolderMarks) {
    const auto found = std::ranges::find_if(entries, [&](const FolderEntry& entry) { return is_marked(mark, entry); });
    if (found == entries.end()) continue;
    std::string advice = replaced(std::string(mark.advice), "{models}", models_in(path, entries));
    advice = replaced(std::move(advice), "{}", path);
    throw Error(Status::kUnsupported, formatted("{}: {}", path, mark.what), std::move(advice), path);
  }
  throw Error(Status::kUnsupported,
              formatted("{}: is a folder without model.safetensors or pytorch_model.bin, whole or in shards", path),
              "pass the file with the weights", path);
}

}  // namespace mnq
