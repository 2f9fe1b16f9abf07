#include "formats/format_table.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "base/folder.h"
#include "base/format.h"
#include "base/text.h"
#include "containers/read_text.h"
#include "containers/torchscript/torchscript_archive.h"
#include "containers/zip/zip_archive.h"
#include "formats/compressed_tensors/compressed_tensors.h"
#include "formats/folder/folder_loaders.h"
#include "formats/folder/folder_output.h"
#include "formats/folder/shard_names.h"
#include "formats/folder/sharded_source.h"
#include "formats/gguf/gguf.h"
#include "formats/pytorch/pytorch.h"
#include "formats/safetensors/safetensors.h"
#include "formats/torchscript/torchscript.h"
#include "formats/unknown_file.h"

namespace mnq {
namespace {

// Throws as recognises_pytorch_zip.
bool recognises_torchscript(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes) {
  return is_zip(start) && is_torchscript(ZipArchive(bytes));
}

// What PyTorch wrote before 0.1.10: an archive of these files.
bool recognises_tar(std::span<const std::byte>, const std::shared_ptr<const ByteSource>& bytes) {
  constexpr std::string_view kMagic = "ustar";
  constexpr std::uint64_t kPlace = 257;
  if (bytes->size() < kPlace + kMagic.size()) return false;
  const std::string start = read_text(*bytes, 0, kPlace + kMagic.size());
  const std::string_view first = std::string_view(start).substr(0, start.find('\0'));
  return start.ends_with(kMagic) && std::ranges::any_of(std::array{"sys_info", "pickle", "storages", "tensors"},
                                                        [&](std::string_view name) { return first == name; });
}

// Recognised in this order. safetensors first: the length it starts with can look like the magic of another, as 66176
// does, and nothing else has a length that fits and a brace behind it.
constexpr std::array kFormats{
    Format{"safetensors", ".safetensors", recognises_safetensors, open_safetensors_source, open_safetensors_sink},
    Format{"gguf", ".gguf", recognises_gguf, open_gguf_source, open_gguf_sink, fit_gguf},
    Format{"torchscript", ".pt,.pth,.ts,.jit,.torchscript", recognises_torchscript, open_torchscript_source, nullptr,
           nullptr, true, false, false, nullptr, "a TorchScript file can be written from a TorchScript module only"},
    Format{"pytorch", ".pt,.pth,.bin,.ckpt", recognises_pytorch_zip, open_pytorch_zip_source, open_pytorch_sink,
           nullptr, false, false, true},
    Format{"pytorch pickle", "", recognises_pytorch_pickle, open_pytorch_pickle_source, nullptr, nullptr, false, false,
           false, nullptr, "write the current form: pytorch"},
    Format{"pytorch tar", "", recognises_tar, nullptr, nullptr, nullptr, false, false, false, nullptr,
           "ask its provider for a current one, or load it with a PyTorch of its time and save it again"},
    Format{"safetensors index", "", recognises_index, open_index_source, nullptr, nullptr, false, false, false, nullptr,
           "write a folder: its index comes with it"},
    Format{"compressed-tensors", "", nullptr, nullptr, open_compressed_tensors_sink, fit_compressed_tensors, false,
           true, false, describe_compressed_tensors, ""},
    Format{"folder", "", nullptr, nullptr, open_safetensors_sink, nullptr, false, true, false, describe_plain_folder,
           ""},
};

const Format& format_called(std::string_view name) { return *std::ranges::find(kFormats, name, &Format::name); }

// Null where no format recognises it. Throws kUnsupported for one that is not read.
const Format* find_format(const std::shared_ptr<const ByteSource>& bytes) {
  refuse_part(*bytes);
  std::array<std::byte, 16> buffer{};
  const std::span<std::byte> start = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), bytes->size()));
  bytes->read(0, start);
  const auto found = std::ranges::find_if(
      kFormats, [&](const Format& format) { return format.recognises != nullptr && format.recognises(start, bytes); });
  if (found == kFormats.end()) return nullptr;
  if (found->open_source == nullptr) {
    const std::string title = title_of(bytes->path());
    throw Error(Status::kUnsupported, formatted("{}: is a {} file, which cannot be read", title, found->name),
                std::string(found->advice), title);
  }
  return &*found;
}

std::string readable_formats() {
  std::string names;
  for (const Format& format : kFormats) {
    if (format.open_source != nullptr) names += (names.empty() ? "" : ", ") + std::string(format.name);
  }
  return names;
}

[[noreturn]] void refuse_format(const ByteSource& bytes) {
  refuse_unknown(bytes, "the formats that can be read are: " + readable_formats());
}

// What can only be safetensors goes to its reader, which tells what is damaged.
std::unique_ptr<TensorSource> open_detected(std::shared_ptr<const ByteSource> bytes, const OpenSettings& settings) {
  const Format* found = find_format(bytes);
  if (found == nullptr && !may_be_safetensors(*bytes)) refuse_format(*bytes);
  const Format& format = found == nullptr ? format_called("safetensors") : *found;
  check_settings(settings, format.name, bytes->path());
  return format.open_source(std::move(bytes), settings);
}

// A file that was named by itself may be a part of a checkpoint.
void remark_on_shard(TensorSource& source, const std::string& name) {
  const auto shard = parse_shard_name(name);
  if (!shard || shard->count == 1) return;
  source.add_remark(
      formatted("by its name it is shard {} of {}: the others were not read", shard->number, shard->count));
}

std::string extension_of(const std::string& path) {
  const std::size_t slash = path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1;
  const std::size_t dot = path.find_last_of('.');
  return dot == std::string::npos || dot < slash ? "" : path.substr(dot);
}

// By the extension; of several that have it, the module's where there is one. Null where none has it.
const Format* find_by_extension(const std::string& extension, bool is_module) {
  const Format* found = nullptr;
  for (const Format& format : kFormats) {
    const auto extensions = split_list(format.extensions);
    if (std::ranges::find(extensions, extension) == extensions.end()) continue;
    if (found == nullptr || (found->is_module && !is_module)) found = &format;
  }
  return found;
}

}  // namespace

const Format& default_folder_format(const Companion* companion) {
  return format_called(folder_loader(companion).loads_compressed_tensors ? "compressed-tensors" : "folder");
}

std::span<const Format> all_formats() { return kFormats; }

void check_settings(const OpenSettings& settings, std::string_view format, const std::string& path) {
  const bool has_keys = format.starts_with("pytorch") || format == "folder" || format.ends_with("index");
  if (settings.tensors_key.empty() || has_keys) return;
  throw Error(Status::kConfig, formatted("{}: tensors_key has no meaning for {}", title_of(path), format),
              "leave it unset: only what torch.save wrote has dicts to choose from", "tensors_key");
}

const Format& detect_format(const std::string& path) {
  if (is_folder(path)) return format_called(open_folder_source(path, {})->format());
  const auto bytes = open_bytes(path);
  if (const Format* format = find_format(bytes)) return *format;
  refuse_format(*bytes);
}

std::shared_ptr<const TensorSource> open_source(const std::string& path, const OpenSettings& settings) {
  std::unique_ptr<TensorSource> source;
  if (is_folder(path)) {
    source = open_folder_source(path, settings);
  } else {
    source = adapt_to_config_beside(open_detected(open_bytes(path), settings));
    remark_on_shard(*source, file_name_of(path));
  }
  source->require_unchanged();
  return source;
}

SourcePair open_sources(const std::string& first, const char* second, const OpenSettings& settings) {
  if (second == nullptr) return {open_source(first, settings), nullptr};
  std::optional<Error> without_dicts;
  const auto open = [&](const std::string& path) {
    try {
      return open_source(path, settings);
    } catch (const Error& error) {
      if (without_dicts || error.status() != Status::kConfig || error.subject() != "tensors_key") throw;
      without_dicts = error;
    }
    return open_source(path);
  };
  SourcePair pair;
  pair.first = open(first);
  pair.second = open(second);
  return pair;
}

std::shared_ptr<const TensorSource> open_memory(std::span<const std::byte> bytes, const OpenSettings& settings) {
  return open_detected(memory_bytes(bytes), settings);
}

const Format& output_format(const std::string& path, const std::string& wanted, const TensorSource& source) {
  const std::string extension = extension_of(path);
  const bool is_module = as_module_source(source) != nullptr;
  const Format* named = find_by_extension(extension, is_module);
  const Format* found = wanted == "auto" ? nullptr : &format_called(wanted);
  // A folder's name may have dots in it.
  const bool is_from_folder = source.companion() != nullptr && !source.companion()->folder.empty();
  const bool may_be_folder = found != nullptr ? found->is_folder : is_from_folder || source.format().ends_with("index");
  const bool wants_folder = path.ends_with('/') || is_folder(path) || (named == nullptr && may_be_folder);
  if (found == nullptr) found = wants_folder ? &default_folder_format(source.companion()) : named;
  if (found == nullptr) {
    throw Error(Status::kInvalidArg, formatted("{}: its extension names no format that can be written", path),
                "end the name in .safetensors, .pt or .gguf, or in / for a folder, or set format", path);
  }
  if (found->is_module && !is_module) {
    throw Error(Status::kUnsupported, formatted("{}: {}", path, found->advice), "set format=pytorch for a state dict",
                path);
  }
  if (found->is_folder && !wants_folder) {
    throw Error(Status::kInvalidArg, formatted("{}: {} is written as a folder", path, found->name), "end the name in /",
                path);
  }
  if (!found->is_folder && is_folder(path)) {
    throw Error(Status::kInvalidArg, formatted("{}: is a folder, but {} is one file", path, found->name),
                "name a file in it", path);
  }
  if (source.reads_from(path) || (found->is_folder && source.reads_from(work_folder(path)))) {
    throw Error(Status::kInvalidArg, formatted("{}: is the input; it is never written to", path),
                "choose another name for the output", path);
  }
  return *found;
}

}  // namespace mnq
