#include "formats/folder/sharded_source.h"

#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/folder.h"
#include "base/format.h"
#include "base/input_folder.h"
#include "containers/archive_error.h"
#include "containers/read_text.h"
#include "formats/compressed_tensors/compressed_tensors.h"
#include "formats/folder/companion_files.h"
#include "formats/folder/folder_loaders.h"
#include "formats/folder/shard_names.h"
#include "formats/format_table.h"
#include "formats/open_source.h"
#include "formats/unknown_file.h"
#include "plan/own_metadata.h"

namespace mnq {
namespace {

constexpr std::uint64_t kMostIndexBytes = 256u << 20;

Json read_json(const ByteSource& bytes) {
  try {
    return parse_json(read_text_within(bytes, kMostIndexBytes));
  } catch (const Error& error) {
    if (error.status() != Status::kFormat) throw;
    throw Error(Status::kFormat, formatted("{}: {}", title_of(bytes.path()), error.message()),
                "the file is damaged: fetch or save it again", title_of(bytes.path()));
  }
}

// Of any key the first one; where shards say different things, that is said.
Metadata merge_metadata(const std::vector<std::unique_ptr<TensorSource>>& shards, std::vector<std::string>& remarks) {
  Metadata merged;
  std::set<std::string> differing;
  for (const auto& shard : shards) {
    for (const auto& [key, value] : shard->metadata()) {
      if (merged.emplace(key, value).first->second != value) differing.insert(shown(key));
    }
  }
  if (!differing.empty()) {
    remarks.push_back(formatted("metadata that differs from shard to shard is the first one's: {}",
                                joined({differing.begin(), differing.end()})));
  }
  return merged;
}

// What all shards say of their weights; of one that several speak of, what the first says.
std::optional<OwnMetadata> merge_own_metadata(const std::vector<std::unique_ptr<TensorSource>>& shards) {
  std::optional<OwnMetadata> merged;
  std::unordered_set<std::string> names;
  for (const auto& shard : shards) {
    const OwnMetadata* own = shard->own_metadata();
    if (own == nullptr) continue;
    if (!merged) merged.emplace();
    for (const QuantizedEntry& entry : own->entries) {
      if (names.insert(entry.name).second) merged->entries.push_back(entry);
    }
    merged->problems.insert(merged->problems.end(), own->problems.begin(), own->problems.end());
  }
  return merged;
}

class ShardedSource final : public DescribedSource {
 public:
  ShardedSource(std::string_view format, std::string path, std::vector<std::unique_ptr<TensorSource>> shards,
                std::vector<std::string> remarks, std::vector<std::shared_ptr<const ByteSource>> inputs,
                std::optional<Companion> companion)
      : format_(format), path_(std::move(path)), shards_(std::move(shards)), companion_(std::move(companion)) {
    remarks_ = std::move(remarks);
    inputs_ = std::move(inputs);
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      const TensorSource& shard = *shards_[i];
      size_bytes_ += shard.size_bytes();
      for (std::size_t k = 0; k < shard.tensors().size(); ++k) {
        const TensorInfo& info = shard.tensors()[k];
        if (!names.insert(info.name).second) {
          throw Error(Status::kFormat,
                      formatted("{}: tensor {} is in another shard too", shard.title(), shown(info.name)),
                      "remove one of the two files, or fetch the checkpoint again", info.name);
        }
        tensors_.push_back(info);
        places_.push_back({i, k});
      }
      for (const std::string& remark : shard.remarks()) {
        remarks_.push_back(shards_.size() == 1 ? remark : formatted("{}: {}", file_name_of(shard.path()), remark));
      }
    }
    metadata_ = merge_metadata(shards_, remarks_);
    own_ = merge_own_metadata(shards_);
    adopt_members();
  }

  std::string_view format() const override { return format_; }
  std::string path() const override { return path_; }
  std::uint64_t size_bytes() const override { return size_bytes_; }
  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    const auto [shard, index] = places_[tensor];
    shards_[shard]->read(index, offset, into);
  }
  std::shared_ptr<const std::byte> view(std::size_t tensor) const override {
    const auto [shard, index] = places_[tensor];
    return shards_[shard]->view(index);
  }
  std::vector<std::string> ties(std::size_t tensor) const override {
    const auto [shard, index] = places_[tensor];
    return shards_[shard]->ties(index);
  }
  const Companion* companion() const override { return companion_ ? &*companion_ : nullptr; }

 private:
  struct Place {
    std::size_t shard;
    std::size_t index;
  };

  // Of one shard its frame, too; of several no file can have them all.
  void adopt_members() {
    for (const auto& shard : shards_) {
      const Companion* of_shard = shard->companion();
      if (of_shard == nullptr) continue;
      if (!companion_) companion_.emplace();
      for (const std::string& member : of_shard->members) {
        companion_->members.push_back(shards_.size() == 1 ? member
                                                          : formatted("{} of {}", member, file_name_of(shard->path())));
      }
      if (shards_.size() == 1) companion_->pytorch = of_shard->pytorch;
    }
  }

  std::string_view format_;
  std::string path_;
  std::vector<std::unique_ptr<TensorSource>> shards_;
  std::vector<Place> places_;
  std::optional<Companion> companion_;
  std::uint64_t size_bytes_ = 0;
};

struct Index {
  std::vector<std::string> files;  // each once, in order
  std::vector<std::pair<std::string, std::string>> tensors;
};

Index read_index(const ByteSource& bytes) {
  const std::string title = title_of(bytes.path());
  const Json json = read_json(bytes);
  const Json* map = json.is_object() ? json.find("weight_map") : nullptr;
  if (map == nullptr || !map->is_object()) fail_record(title, "", "has no weight_map");
  Index index;
  std::set<std::string> files;
  for (const auto& [tensor, file] : map->members()) {
    if (!file.is_string()) fail_record(title, tensor, "is given a file that is no text");
    const std::string& name = file.text();
    const bool is_plain = !name.empty() && name.find('/') == name.npos && name.find('\\') == name.npos &&
                          name.find('\0') == name.npos && name != "." && name != "..";
    if (!is_plain) {
      throw Error(Status::kFormat,
                  formatted("{}: tensor {} is said to be in {}, outside the folder of the index", title, shown(tensor),
                            shown(name)),
                  "shards lie beside their index: repair it", shown(name));
    }
    files.insert(name);
    index.tensors.emplace_back(tensor, name);
  }
  if (files.empty()) fail_record(title, "", "names no tensor");
  index.files.assign(files.begin(), files.end());
  return index;
}

// What a checkpoint's shard may be.
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

using Shards = std::vector<std::unique_ptr<TensorSource>>;

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
void remark_on_unlisted_shards(const InputFolder& folder, const Index& index, std::vector<std::string>& remarks) {
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

Shards open_shards(InputFolder& folder, const std::string& index_path, const Index& index, const OpenSettings& settings,
                   std::vector<std::string>& remarks) {
  Shards shards;
  std::unordered_map<std::string, std::set<std::string>> names;
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
  for (const auto& [tensor, file] : index.tensors) {
    if (!names[file].contains(tensor)) {
      throw Error(Status::kFormat, formatted("{}: tensor {} is not in {}", index_path, shown(tensor), shown(file)),
                  "index and shards are of different checkpoints: fetch them again", shown(tensor));
    }
  }
  if (const std::size_t listed = index.tensors.size(); stored > listed) {
    remarks.push_back(formatted("tensors of the shards that are not in the index: {}", stored - listed));
  }
  remark_on_unlisted_shards(folder, index, remarks);
  return shards;
}

constexpr std::string_view kIndexEnding = ".index.json";

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

// What of a folder is opened: one file, an index, or shards without one. In the order of transformers.
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

// Whether tensors have the names of compressed ones, and no metadata of ours says what they are.
bool looks_compressed(const TensorSource& source) {
  if (source.own_metadata() != nullptr) return false;
  std::set<std::string_view> names;
  for (const TensorInfo& info : source.tensors()) names.insert(info.name);
  return std::ranges::any_of(source.tensors(), [&](const TensorInfo& info) {
    const bool is_codes = info.dtype == DType::kI8 && names.contains(info.name + "_scale");
    return is_codes || (info.dtype == DType::kI32 && info.name.ends_with("_packed"));
  });
}

}  // namespace

bool recognises_index(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes) {
  if (start.empty() || start[0] != std::byte{'{'} || bytes->size() > kMostIndexBytes) return false;
  return read_text_within(*bytes, kMostIndexBytes).find("\"weight_map\"") != std::string::npos;
}

std::unique_ptr<TensorSource> open_index_source(std::shared_ptr<const ByteSource> bytes, const OpenSettings& settings) {
  const std::string path = bytes->path();
  if (path.empty()) {
    throw Error(Status::kUnsupported, "an index in memory has no shards beside it", "open it by its path");
  }
  std::vector<std::string> remarks;
  const Index index = read_index(*bytes);
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
  return adapt_compressed_tensors(
      std::make_unique<ShardedSource>(is_safetensors ? "safetensors index" : "pytorch index", path, std::move(shards),
                                      std::move(remarks), std::move(inputs), std::move(companion)),
      config);
}

std::unique_ptr<TensorSource> open_folder_source(const std::string& path, const OpenSettings& settings) {
  InputFolder folder(path);
  const std::vector<std::string> weights = find_weights(path, folder.list());
  std::vector<std::string> remarks;
  std::set<std::string> read(weights.begin(), weights.end());
  Shards shards;
  if (weights.front().ends_with(kIndexEnding)) {
    const Index index = read_index(*folder.open(weights.front()));
    shards = open_shards(folder, join_path(path, weights.front()), index, settings, remarks);
    read.insert(index.files.begin(), index.files.end());
  } else {
    for (const std::string& file : weights) shards.push_back(open_shard(folder.open(file), settings));
  }
  Companion companion;
  companion.weights_file = weights.front();
  const Json config = read_companion(folder, std::move(read), companion, remarks);
  auto source = std::make_unique<ShardedSource>("folder", path, std::move(shards), std::move(remarks), folder.opened(),
                                                std::move(companion));
  return adapt_compressed_tensors(std::move(source), config);
}

std::unique_ptr<TensorSource> adapt_to_config_beside(std::unique_ptr<TensorSource> source) {
  if (source->format() != "safetensors" || source->path().empty() || !looks_compressed(*source)) return source;
  InputFolder folder(folder_of(source->path()));
  std::string text;
  const Json config = read_config(folder, text);
  source = adapt_compressed_tensors(std::move(source), config);
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
