// "model-00002-of-00003.safetensors": the files of a checkpoint in shards, by their names.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mnq {

struct ShardName {
  std::string_view start;    ///< "model"
  std::uint32_t number = 0;  ///< from 1 to count
  std::uint32_t count = 0;
  std::string_view extension;  ///< ".safetensors"

  bool is_beside(const ShardName& other) const { return start == other.start && extension == other.extension; }
};

/// Empty for another name. Views of the name.
std::optional<ShardName> parse_shard_name(std::string_view name) noexcept;

/// Of these names, each once, all files of the one checkpoint in shards that they are, in order; empty where they are
/// not one. folder: for the message. Errors: kFormat where some are missing, or are of another count.
std::vector<std::string> require_all_shards(const std::string& folder, const std::vector<std::string>& names);

}  // namespace mnq
