#include "formats/folder/folder_format.h"

#include "formats/folder/folder_loaders.h"
#include "formats/safetensors/safetensors.h"

namespace mnq {

namespace {

const QuantizationMethod kPlainMethod{.describe = describe_plain_folder};

}  // namespace

const Format kFolderFormat{
    .name = "folder",
    .open_sink = open_safetensors_sink,
    .has_dicts = true,
    .is_folder = true,
    .quantization = &kPlainMethod,
};

}  // namespace mnq
