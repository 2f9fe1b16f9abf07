#include "formats/format_table.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "base/format.h"
#include "base/text.h"
#include "formats/safetensors.h"
#include "formats/torchscript.h"
#include "formats/torchscript_archive.h"
#include "formats/zip_archive.h"

namespace mnq {
namespace {

bool starts_with(std::span<const std::byte> start, std::string_view magic) {
  return start.size() >= magic.size() && std::memcmp(start.data(), magic.data(), magic.size()) == 0;
}

// The opcode PROTO with 2 to 5, as torch.save wrote before 1.6 and pickle.dump writes. The header length of a safetensors
// file that was cut off can start so too, but its upper half is zero.
bool recognises_pickle(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>&) {
  if (start.size() < 8 || start[0] != std::byte{0x80}) return false;
  const bool is_protocol = start[1] >= std::byte{2} && start[1] <= std::byte{5};
  return is_protocol && !starts_with(start.subspan(4), std::string_view("\0\0\0\0", 4));
}

bool recognises_zip(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>&) {
  return starts_with(start, "PK\x03\x04");
}

// Throws kFormat for a ZIP that is damaged, so that it is not taken for something else.
bool recognises_torchscript(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes) {
  return recognises_zip(start, bytes) && is_torchscript(ZipArchive(bytes));
}

bool recognises_gguf(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>&) {
  return starts_with(start, "GGUF");
}

constexpr std::string_view kConvertAdvice = "save it as safetensors first";
constexpr std::string_view kStateDictAdvice =
    "it is a state dict or another object that torch.save wrote: save its tensors as safetensors, or pass a "
    "TorchScript "
    "module (torch.jit.save)";

// Recognised in this order. safetensors first: the length it starts with can look like the magic of another, as 66176
// does, and nothing else has a length that fits and a brace behind it.
constexpr std::array kFormats{
    Format{"safetensors", ".safetensors", recognises_safetensors, open_safetensors_source, open_safetensors_sink, false,
           ""},
    Format{"gguf", ".gguf", recognises_gguf, nullptr, nullptr, false, kConvertAdvice},
    Format{"torchscript", ".pt,.pth,.ts,.jit,.torchscript", recognises_torchscript, open_torchscript_source, nullptr,
           true, "a TorchScript file can be written from a TorchScript module only"},
    Format{"pytorch zip", ".pt,.pth,.bin,.ckpt", recognises_zip, nullptr, nullptr, false, kStateDictAdvice},
    Format{"pytorch pickle", "", recognises_pickle, nullptr, nullptr, false, kStateDictAdvice},
};

// Null where no format recognises it. Throws kUnsupported for one that cannot be read yet.
const Format* find_format(const std::shared_ptr<const ByteSource>& bytes) {
  std::array<std::byte, 16> buffer{};
  const std::span<std::byte> start = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), bytes->size()));
  bytes->read(0, start);
  const auto found =
      std::ranges::find_if(kFormats, [&](const Format& format) { return format.recognises(start, bytes); });
  if (found == kFormats.end()) return nullptr;
  if (found->open_source == nullptr) {
    const std::string title = title_of(bytes->path());
    throw Error(Status::kUnsupported, formatted("{}: is a {} file, which cannot be read yet", title, found->name),
                std::string(found->advice), title);
  }
  return &*found;
}

// safetensors has no magic number: what is nothing else goes to its reader, which tells what is damaged.
std::shared_ptr<const TensorSource> open_detected(std::shared_ptr<const ByteSource> bytes) {
  const Format* format = find_format(bytes);
  return format == nullptr ? open_safetensors_source(std::move(bytes)) : format->open_source(std::move(bytes));
}

std::string readable_formats() {
  std::string names;
  for (const Format& format : kFormats) {
    if (format.open_source != nullptr) names += (names.empty() ? "" : ", ") + std::string(format.name);
  }
  return names;
}

}  // namespace

std::span<const Format> all_formats() { return kFormats; }

const Format& detect_format(const std::shared_ptr<const ByteSource>& bytes) {
  if (const Format* format = find_format(bytes)) return *format;
  const std::string title = title_of(bytes->path());
  throw Error(Status::kFormat, formatted("{}: {} bytes of no known format", title, bytes->size()),
              "the formats that can be read are: " + readable_formats(), title);
}

std::shared_ptr<const TensorSource> open_source(const std::string& path) { return open_detected(open_bytes(path)); }

std::shared_ptr<const TensorSource> open_memory(std::span<const std::byte> bytes) {
  return open_detected(memory_bytes(bytes));
}

const Format& output_format(const std::string& path, const TensorSource& source) {
  const std::size_t slash = path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1;
  const std::size_t dot = path.find_last_of('.');
  const std::string extension = dot == std::string::npos || dot < slash ? "" : path.substr(dot);
  const bool is_module = as_module_source(source) != nullptr;
  const Format* found = nullptr;
  for (const Format& format : kFormats) {
    const auto extensions = split_list(format.extensions);
    if (std::ranges::find(extensions, extension) == extensions.end()) continue;
    if (found == nullptr || (found->is_module && !is_module)) found = &format;
  }
  const std::string names = is_module ? ".pt for the module, or in .safetensors for its weights" : ".safetensors";
  if (found == nullptr) {
    throw Error(Status::kInvalidArg, formatted("{}: its extension names no format that can be written", path),
                "end the name in " + names, path);
  }
  if (found->is_module ? !is_module : found->open_sink == nullptr) {
    throw Error(Status::kUnsupported,
                formatted("{}: {} files cannot be written {}", path, found->name,
                          found->is_module ? "from tensors alone" : "yet"),
                "end the name in " + names, path);
  }
  if (source.reads_from(path)) {
    throw Error(Status::kInvalidArg, formatted("{}: is the input; it is never written to", path),
                "choose another name for the output", path);
  }
  return *found;
}

}  // namespace mnq
