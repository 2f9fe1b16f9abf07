// An index of shards: model.safetensors.index.json, which says in which file each tensor lies.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/files/byte_stream.h"

namespace mnq {

struct ShardIndex {
  std::vector<std::string> files;                            ///< each once, in order; they lie beside the index
  std::vector<std::pair<std::string, std::string>> tensors;  ///< names of tensors and files
};

/// A JSON object with a weight_map of texts.
bool recognises_index(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes);

/// Errors: kFormat, naming the index, for one that is damaged or whose paths leave its folder.
ShardIndex read_index(const ByteSource& bytes);

}  // namespace mnq
