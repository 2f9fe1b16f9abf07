#include "formats/folder/open_shards.h"

#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "base/text/format.h"
#include "containers/archive_error.h"
#include "formats/folder/shard_names.h"
#include "formats/format_table.h"
#include "formats/open_source.h"
#include "formats/unknown_file.h"
#include "plan/own_metadata.h"

namespace mnq {
namespace {

std::set<std::string> names_in_shard(const TensorSource& shard) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < shard.tensors().size(); ++i) {
    names.insert(shard.tensors()[i].name);
    for (std::string& tie : shard.ties(i)) names.insert(std::move(tie));
  }
  const auto is_there = [&](std::string_view name) { return names.contains(std::string(name)); };
  for (auto& [tie, target] : tied_names(shard.metadata(), is_there)) names.insert(tie);
  return names;
}

// Shards that lie beside the index, or should by their names, and that it does not name.
void remark_on_unlisted_shards(const InputFolder& folder, const ShardIndex& index, std::vector<std::string>& remarks) {
  const auto first = parse_shard_name(index.files.front());
  if (!first) return;
  std::set<std::uint32_t> numbers;
  for (const std::string& file : index.files) {
    if (const auto shard = parse_shard_name(file)) numbers.insert(shard->number);
  }
  for (const FolderEntry& entry : folder.list()) {
    const auto shard = parse_shard_name(entry.name);
    if (!shard || !shard->is_beside(*first) || std::ranges::binary_search(index.files, entry.name)) continue;
    numbers.insert(shard->number);
    remarks.push_back(formatted("{} lies beside the index, which does not name it: it was not read", entry.name));
  }
  if (numbers.size() < first->count) {
    remarks.push_back(formatted("the index names {} of {} shards, by the name of {}", numbers.size(), first->count,
                                index.files.front()));
  }
}

using NamesInShards = std::unordered_map<std::string, std::set<std::string>>;

void require_listed(const std::string& index_path, const ShardIndex& index, NamesInShards& names) {
  for (const auto& [tensor, file] : index.tensors) {
    if (names[file].contains(tensor)) continue;
    throw Error(Status::kFormat, formatted("{}: tensor {} is not in {}", index_path, shown(tensor), shown(file)),
                "index and shards are of different checkpoints: fetch them again", shown(tensor));
  }
}

}  // namespace

std::unique_ptr<TensorSource> open_shard(std::shared_ptr<const ByteSource> bytes, const OpenSettings& settings) {
  std::array<std::byte, 16> buffer{};
  const std::span<std::byte> start = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), bytes->size()));
  bytes->read(0, start);
  for (const Format* format : all_formats()) {
    if (!format->may_be_shard || !format->recognises(start, bytes)) continue;
    check_settings(settings, *format, bytes->path());
    return format->open_source(std::move(bytes), settings);
  }
  refuse_unknown(*bytes, "a shard is a safetensors file or a PyTorch state dict: fetch or save it again");
}

Shards open_shards(InputFolder& folder, const std::string& index_path, const ShardIndex& index,
                   const OpenSettings& settings, std::vector<std::string>& remarks) {
  Shards shards;
  NamesInShards names;
  std::size_t stored = 0;
  for (const std::string& file : index.files) {
    auto bytes = folder.open_if_there(file);
    if (bytes == nullptr) {
      throw Error(Status::kNotFound, formatted("{}: shard {} is missing", index_path, shown(file)),
                  "fetch the shard, or the whole checkpoint again", shown(file));
    }
    shards.push_back(open_shard(std::move(bytes), settings));
    stored += (names[file] = names_in_shard(*shards.back())).size();
  }
  require_listed(index_path, index, names);
  if (const std::size_t listed = index.tensors.size(); stored > listed) {
    remarks.push_back(formatted("tensors of the shards that are not in the index: {}", stored - listed));
  }
  remark_on_unlisted_shards(folder, index, remarks);
  return shards;
}

}  // namespace mnq
