#include "formats/folder/find_weights.h"

#include <algorithm>
#include <utility>

#include "formats/folder/folder_loaders.h"
#include "formats/folder/shard_names.h"
#include "formats/unknown_file.h"

namespace mnq {
namespace {

// The names in a folder that hold weights in one form, without regard to what they lead to.
std::vector<std::string> names_ending_in(const std::vector<FolderEntry>& entries, std::string_view extension) {
  std::vector<std::string> names;
  for (const FolderEntry& entry : entries) {
    if (!entry.is_folder && entry.name.ends_with(extension) && entry.name != extension) names.push_back(entry.name);
  }
  return names;
}

std::vector<std::string> shards_called(const std::vector<FolderEntry>& entries, std::string_view start,
                                       std::string_view extension) {
  std::vector<std::string> names = names_ending_in(entries, extension);
  std::erase_if(names, [&](const std::string& name) {
    const auto shard = parse_shard_name(name);
    return !shard || shard->start != start || shard->extension != extension;
  });
  return names;
}

}  // namespace

// The order is that of transformers.
std::vector<std::string> find_weights(const std::string& path, const std::vector<FolderEntry>& entries) {
  for (const std::string& name : weight_files_in_order()) {
    const auto found = std::ranges::find(entries, name, &FolderEntry::name);
    if (found != entries.end() && !found->is_folder) return {name};
  }
  if (std::ranges::find(entries, "model_index.json", &FolderEntry::name) != entries.end()) refuse_folder(path, entries);
  for (const auto& [start, extension] : {std::pair("model", ".safetensors"), {"pytorch_model", ".bin"}}) {
    const auto shards = require_all_shards(path, shards_called(entries, start, extension));
    if (!shards.empty()) return shards;
  }
  for (const char* extension : {".safetensors", ".bin"}) {
    std::vector<std::string> names = names_ending_in(entries, extension);
    std::erase_if(names,
                  [](const std::string& name) { return name == "openvino_model.bin" || name == "training_args.bin"; });
    const auto shards = require_all_shards(path, names);
    if (!shards.empty()) return shards;
    if (names.size() == 1) return names;
  }
  refuse_folder(path, entries);
}

}  // namespace mnq
