#include "formats/format_table.h"

#include <algorithm>
#include <array>

#include "formats/compressed_tensors/compressed_tensors.h"
#include "formats/folder/folder_format.h"
#include "formats/folder/open_folder.h"
#include "formats/gguf/gguf.h"
#include "formats/pytorch/pytorch.h"
#include "formats/safetensors/safetensors.h"
#include "formats/torchscript/torchscript.h"
#include "formats/written/written_formats.h"

namespace mnq {
namespace {

// Recognised in this order. safetensors first: the length it starts with can look like the magic of another, as 66176
// does, and nothing else has a length that fits and a brace behind it.
constexpr std::array kFormats{
    &kSafetensorsFormat,   &kGgufFormat,       &kTorchscriptFormat,  &kPytorchFormat,
    &kPytorchPickleFormat, &kPytorchTarFormat, &kIndexFormat,        &kCompressedTensorsFormat,
    &kFolderFormat,        &kGptqFormat,       &kMlxFormat,          &kAwqFormat,
    &kFloat8Format,        &kComfyFormat,      &kBitsandbytesFormat,
};

}  // namespace

std::span<const Format* const> all_formats() { return kFormats; }

const Format* find_format(std::string_view name) {
  const auto found = std::ranges::find(kFormats, name, &Format::name);
  return found == kFormats.end() ? nullptr : *found;
}

}  // namespace mnq
