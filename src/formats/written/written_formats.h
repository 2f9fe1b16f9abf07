// Folders, and files, as other tools quantize them, written: what their config.json says of a plan, and what of a
// weight their layout's rows cannot say. How they are read: src/adapted.
#pragma once

#include "formats/format.h"

namespace mnq {

extern const Format kGptqFormat;          // gptq_folder.cpp
extern const Format kMlxFormat;           // mlx_folder.cpp
extern const Format kAwqFormat;           // awq_folder.cpp
extern const Format kFloat8Format;        // float8_folder.cpp
extern const Format kBitsandbytesFormat;  // bitsandbytes_folder.cpp
extern const Format kComfyFormat;         // comfyui_file.cpp, a file

/// One shard: a safetensors file without our metadata, which the config.json stands for.
std::unique_ptr<TensorSink> open_foreign_shard(const SinkRequest& request, const OpenByteSink& open);

}  // namespace mnq
