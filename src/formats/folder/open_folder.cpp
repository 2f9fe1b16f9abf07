#include "formats/folder/open_folder.h"

#include <set>

#include "base/error.h"
#include "base/files/folder.h"
#include "base/files/input_folder.h"
#include "formats/folder/companion_files.h"
#include "formats/folder/find_weights.h"
#include "formats/folder/open_shards.h"
#include "formats/folder/quantization_methods.h"
#include "formats/folder/shard_index.h"
#include "formats/folder/shard_names.h"
#include "formats/safetensors/safetensors.h"

namespace mnq {

std::unique_ptr<TensorSource> open_index_source(std::shared_ptr<const ByteSource> bytes, const OpenSettings& settings) {
  const std::string path = bytes->path();
  if (path.empty()) {
    throw Error(Status::kUnsupported, "an index in memory has no shards beside it", "open it by its path");
  }
  std::vector<std::string> remarks;
  const ShardIndex index = read_index(*bytes);
  InputFolder folder(folder_of(path));
  auto shards = open_shards(folder, path, index, settings, remarks);
  const bool is_safetensors = shards.front()->format() == "safetensors";
  std::optional<Companion> companion;
  Json config;
  if (folder.has("config.json")) {
    std::set<std::string> read(index.files.begin(), index.files.end());
    read.insert(file_name_of(path));
    companion.emplace().weights_file = file_name_of(path);
    config = read_companion(folder, std::move(read), *companion, remarks);
  }
  auto inputs = folder.opened();
  inputs.push_back(std::move(bytes));
  return adapt_quantized_folder(
      join_shards(std::move(shards), {is_safetensors ? "safetensors index" : "pytorch index", path, std::move(remarks),
                                      std::move(inputs), std::move(companion)}),
      config);
}

std::unique_ptr<TensorSource> open_folder_source(const std::string& path, const OpenSettings& settings) {
  InputFolder folder(path);
  const std::vector<std::string> weights = find_weights(path, folder.list());
  std::vector<std::string> remarks;
  std::set<std::string> read(weights.begin(), weights.end());
  Shards shards;
  if (weights.front().ends_with(kIndexEnding)) {
    const ShardIndex index = read_index(*folder.open(weights.front()));
    shards = open_shards(folder, join_path(path, weights.front()), index, settings, remarks);
    read.insert(index.files.begin(), index.files.end());
  } else {
    for (const std::string& file : weights) shards.push_back(open_shard(folder.open(file), settings));
  }
  Companion companion;
  companion.weights_file = weights.front();
  const Json config = read_companion(folder, std::move(read), companion, remarks);
  auto source =
      join_shards(std::move(shards), {"folder", path, std::move(remarks), folder.opened(), std::move(companion)});
  return adapt_quantized_folder(std::move(source), config);
}

namespace {

// Whether a file is one of several, by its name or by an index beside it.
bool is_one_of_several(const InputFolder& folder, const std::string& path) {
  const std::string name = file_name_of(path);
  const auto shard = parse_shard_name(name);
  return (shard && shard->count > 1) || folder.has("model.safetensors" + std::string(kIndexEnding));
}

}  // namespace

std::unique_ptr<TensorSource> adapt_to_config_beside(std::unique_ptr<TensorSource> source) {
  if (source->format() != kSafetensorsFormat.name || !may_be_of_quantized_folder(*source)) return source;
  if (source->path().empty()) return adapt_quantized_folder(std::move(source), nullptr);
  InputFolder folder(folder_of(source->path()));
  std::string text;
  const Json config = read_config(folder, text);
  const bool is_part = is_one_of_several(folder, source->path());
  source = adapt_quantized_folder(std::move(source), config, is_part);
  for (const auto& bytes : folder.opened()) source->add_input(bytes);
  return source;
}

const Format kIndexFormat{
    .name = "safetensors index",
    .recognises = recognises_index,
    .open_source = open_index_source,
    .has_dicts = true,
    .advice = "write a folder: its index comes with it",
};

}  // namespace mnq
