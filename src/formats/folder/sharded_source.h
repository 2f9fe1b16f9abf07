// Several files with the tensors of one checkpoint, as one source.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files/byte_stream.h"
#include "base/tensor_source.h"

namespace mnq {

using Shards = std::vector<std::unique_ptr<TensorSource>>;

/// What is known of shards besides their tensors.
struct ShardsOrigin {
  std::string_view format;  ///< of the source that they become
  std::string path;         ///< of the folder, or of the index
  std::vector<std::string> remarks;
  std::vector<std::shared_ptr<const ByteSource>> inputs;  ///< all files that were read
  std::optional<Companion> companion;
};

/// Errors: kFormat for a tensor that two shards have.
std::unique_ptr<TensorSource> join_shards(Shards shards, ShardsOrigin origin);

}  // namespace mnq
