// Opens the files that an index names, or that a folder has, and holds them against the index.
#pragma once

#include "base/files/input_folder.h"
#include "formats/folder/shard_index.h"
#include "formats/folder/sharded_source.h"
#include "formats/format.h"

namespace mnq {

/// Of any format that a shard may have. Errors: kFormat, kUnsupported.
std::unique_ptr<TensorSource> open_shard(std::shared_ptr<const ByteSource> bytes, const OpenSettings& settings);

/// All that the index names. Files beside it and tensors that it does not name are remarks. Errors: kNotFound for a
/// shard that is missing; kFormat for a tensor that is not where the index says.
Shards open_shards(InputFolder& folder, const std::string& index_path, const ShardIndex& index,
                   const OpenSettings& settings, std::vector<std::string>& remarks);

}  // namespace mnq
