// Opens a checkpoint in several files: what an index names, or the weights of a Hugging Face folder.
#pragma once

#include "formats/format.h"

namespace mnq {

extern const Format kIndexFormat;

/// The shards beside an index, and what else lies there where that is a Hugging Face folder. Errors: kFormat naming the
/// index and the shard or tensor (a shard that is missing, a path that leaves the folder, a tensor that is not where
/// the index says); kUnsupported for an index in memory.
std::unique_ptr<TensorSource> open_index_source(std::shared_ptr<const ByteSource> bytes, const OpenSettings& settings);

/// A Hugging Face folder: model.safetensors or pytorch_model.bin, whole or in shards, with config.json and what else
/// lies there. Weights that are quantized by a method of quantization_methods.h come as ours. Errors: as
/// open_index_source; kUnsupported for a folder without weights, or quantized by another method.
std::unique_ptr<TensorSource> open_folder_source(const std::string& path, const OpenSettings& settings);

/// A single safetensors file of a quantized folder, by the config.json beside it, or by its tensors alone; any other
/// source as it is. Errors: as open_folder_source.
std::unique_ptr<TensorSource> adapt_to_config_beside(std::unique_ptr<TensorSource> source);

}  // namespace mnq
