#include "formats/unknown_file.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/format.h"
#include "base/tensor_source.h"
#include "formats/read_text.h"
#include "formats/safetensors_header.h"

namespace mnq {
namespace {

// How a file starts; '?' is any byte, letters are small or large.
struct Signature {
  std::string_view start;
  Status status;
  std::string_view what, advice;
};

using namespace std::string_view_literals;
constexpr const char* kFetchAgain = "it was saved in place of the file: fetch the file again";
constexpr const char* kUnpack = "unpack it, and pass what is in it";
constexpr const char* kConvert = "save its weights as safetensors with the framework that wrote it";

constexpr Signature kSignatures[] = {
    {"version https://git-lfs"sv, Status::kFormat, "is a git-LFS pointer, not the file itself",
     "fetch the file: git lfs pull"},
    {"<!doctype"sv, Status::kFormat, "is an HTML page", kFetchAgain},
    {"<html"sv, Status::kFormat, "is an HTML page", kFetchAgain},
    {"<?xml"sv, Status::kFormat, "is an XML text", kFetchAgain},
    {"{"sv, Status::kFormat, "is JSON, but no index of shards", "pass the file or the folder with the weights"},
    {"\x1f\x8b\x08"sv, Status::kUnsupported, "is compressed by gzip", kUnpack},
    {"BZh"sv, Status::kUnsupported, "is compressed by bzip2", kUnpack},
    {"\xfd"
     "7zXZ\0"sv,
     Status::kUnsupported, "is compressed by xz", kUnpack},
    {"\x28\xb5\x2f\xfd"sv, Status::kUnsupported, "is compressed by zstd", kUnpack},
    {"7z\xbc\xaf\x27\x1c"sv, Status::kUnsupported, "is a 7z archive", kUnpack},
    {"PK\x05\x06"sv, Status::kFormat, "is an empty ZIP archive", kFetchAgain},
    {"\x89HDF\r\n\x1a\n"sv, Status::kUnsupported, "is an HDF5 file, as Keras writes", kConvert},
    {"\x93NUMPY"sv, Status::kUnsupported, "is a NumPy array", "save it as safetensors: safetensors.numpy.save_file"},
    {"????TFL3"sv, Status::kUnsupported, "is a TensorFlow Lite model", kConvert},
    {"\x08?\x12"sv, Status::kUnsupported, "looks like an ONNX model", "pass the checkpoint it was exported from"},
    {"\x89PNG"sv, Status::kFormat, "is a PNG image", "pass the file with the weights"},
};

char in_lower_case(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool fits(const Signature& signature, std::string_view start) {
  return start.size() >= signature.start.size() &&
         std::ranges::equal(signature.start, start.substr(0, signature.start.size()),
                            [](char a, char b) { return a == '?' || in_lower_case(a) == in_lower_case(b); });
}

const Signature* find_signature(const ByteSource& bytes) {
  const std::string start = read_text(bytes, 0, std::min<std::uint64_t>(bytes.size(), 32));
  const auto* found = std::ranges::find_if(kSignatures, [&](const Signature& each) { return fits(each, start); });
  return found == std::end(kSignatures) ? nullptr : found;
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

}  // namespace mnq
