#include "formats/choose_format.h"

#include <algorithm>

#include "base/error.h"
#include "base/files/folder.h"
#include "base/text/format.h"
#include "base/text/text.h"
#include "formats/compressed_tensors/compressed_tensors.h"
#include "formats/folder/folder_format.h"
#include "formats/folder/folder_loaders.h"
#include "formats/folder/output/folder_output.h"
#include "formats/format_table.h"

namespace mnq {
namespace {

std::string extension_of(const std::string& path) {
  const std::size_t slash = path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1;
  const std::size_t dot = path.find_last_of('.');
  return dot == std::string::npos || dot < slash ? "" : path.substr(dot);
}

// By the extension; of several that have it, the module's where there is one. Null where none has it.
const Format* find_by_extension(const std::string& extension, bool is_module) {
  const Format* found = nullptr;
  for (const Format* format : all_formats()) {
    const auto extensions = split_list(format->extensions);
    if (std::ranges::find(extensions, extension) == extensions.end()) continue;
    if (found == nullptr || (found->is_module && !is_module)) found = format;
  }
  return found;
}

}  // namespace

const Format& default_folder_format(const Companion* companion) {
  return folder_loader(companion).loads_compressed_tensors ? kCompressedTensorsFormat : kFolderFormat;
}

const Format& output_format(const std::string& path, const std::string& wanted, const TensorSource& source) {
  const std::string extension = extension_of(path);
  const bool is_module = source.as_module() != nullptr;
  const Format* named = find_by_extension(extension, is_module);
  const Format* found = wanted == "auto" ? nullptr : find_format(wanted);
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
