#include "formats/sharded_source.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "base/format.h"
#include "base/json.h"
#include "formats/archive_error.h"
#include "formats/compressed_tensors.h"
#include "plan/logical_tensors.h"

namespace mnq {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostIndexBytes = 256u << 20;
constexpr std::uint64_t kMostSmallFileBytes = 64u << 20;
constexpr int kMostFolderDepth = 4;

std::string read_text(const ByteSource& bytes, std::uint64_t most_bytes) {
  if (bytes.size() > most_bytes) {
    fail_record(title_of(bytes.path()), "", formatted("{} bytes exceed {}", bytes.size(), most_bytes));
  }
  std::string text(bytes.size(), '\0');
  bytes.read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

Json read_json(const ByteSource& bytes) {
  try {
    return parse_json(read_text(bytes, kMostIndexBytes));
  } catch (const Error& error) {
    if (error.status() != Status::kFormat) throw;
    throw Error(Status::kFormat, formatted("{}: {}", title_of(bytes.path()), error.message()),
                "the file is damaged: fetch or save it again", title_of(bytes.path()));
  }
}

// Our own metadata of all shards as one; of any other key the first one.
void merge_metadata(Metadata& into, const Metadata& from) {
  const std::string ours(kMetadataKey);
  for (const auto& [key, value] : from) {
    const auto [place, is_new] = into.emplace(key, value);
    if (is_new || key != ours || place->second == value) continue;
    try {
      Json all = parse_json(place->second);
      const Json more = parse_json(value);
      if (all["version"] != more["version"]) continue;  // what does not fit is found to be missing
      for (const auto& [name, entry] : more["tensors"].members()) {
        if (!all["tensors"].contains(name)) all["tensors"].add(name, entry);
      }
      place->second = all.dump();
    } catch (const Error&) {
      place->second = value;  // its reader says what is wrong with it
    }
  }
}

class ShardedSource final : public TensorSource {
 public:
  ShardedSource(std::string_view format, std::string path, std::vector<std::unique_ptr<TensorSource>> shards,
                std::vector<std::string> remarks, std::optional<Companion> companion)
      : format_(format),
        path_(std::move(path)),
        shards_(std::move(shards)),
        remarks_(std::move(remarks)),
        companion_(std::move(companion)) {
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
      merge_metadata(metadata_, shard.metadata());
      for (std::string& remark : shard.remarks()) {
        remarks_.push_back(shards_.size() == 1
                               ? std::move(remark)
                               : formatted("{}: {}", fs::path(shard.path()).filename().string(), remark));
      }
    }
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
  std::vector<std::string> remarks() const override { return remarks_; }
  bool reads_from(const std::string& path) const override {
    std::error_code error;
    if (fs::equivalent(path, path_, error)) return true;
    return std::ranges::any_of(shards_, [&](const auto& shard) { return shard->reads_from(path); });
  }

 private:
  struct Place {
    std::size_t shard;
    std::size_t index;
  };

  std::string_view format_;
  std::string path_;
  std::vector<std::unique_ptr<TensorSource>> shards_;
  std::vector<Place> places_;
  std::vector<std::string> remarks_;
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
std::unique_ptr<TensorSource> open_shard(const std::string& path, const OpenSettings& settings) {
  auto bytes = open_bytes(path);
  std::array<std::byte, 16> buffer{};
  const std::span<std::byte> start = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), bytes->size()));
  bytes->read(0, start);
  for (const Format& format : all_formats()) {
    const bool is_one = format.name == "safetensors" || format.name.starts_with("pytorch");
    if (!is_one || format.recognises == nullptr || format.open_source == nullptr) continue;
    if (format.open_source != open_index_source && format.recognises(start, bytes)) {
      return format.open_source(std::move(bytes), settings);
    }
  }
  fail_record(path, "", "is neither safetensors nor a PyTorch state dict");
}

// "model-00002-of-00003.safetensors" of a run of shards
bool looks_like_shard(const std::string& name, const std::string& of) {
  const std::size_t dash = of.find("-00");
  const std::size_t dot = of.rfind('.');
  if (dash == of.npos || dot == of.npos || dot < dash) return false;
  return name.size() == of.size() && name.compare(0, dash, of, 0, dash) == 0 && name.substr(dot) == of.substr(dot) &&
         name.find("-of-") != name.npos;
}

std::vector<std::unique_ptr<TensorSource>> open_shards(const std::string& index_path, const Index& index,
                                                       const OpenSettings& settings,
                                                       std::vector<std::string>& remarks) {
  const fs::path folder = fs::path(index_path).parent_path();
  std::vector<std::unique_ptr<TensorSource>> shards;
  std::unordered_map<std::string, std::set<std::string>> names;
  for (const std::string& file : index.files) {
    try {
      shards.push_back(open_shard((folder / file).string(), settings));
    } catch (const Error& error) {
      if (error.status() != Status::kNotFound) throw;
      throw Error(Status::kNotFound, formatted("{}: shard {} is missing", index_path, shown(file)),
                  "fetch the shard, or the whole checkpoint again", shown(file));
    }
    std::set<std::string>& held = names[file];
    for (std::size_t i = 0; i < shards.back()->tensors().size(); ++i) {
      held.insert(shards.back()->tensors()[i].name);
      for (std::string& tie : shards.back()->ties(i)) held.insert(std::move(tie));
    }
    for (auto& [tie, target] : tied_names(shards.back()->metadata(), shards.back()->tensors())) held.insert(tie);
  }
  std::size_t listed = 0, stored = 0;
  for (const auto& [tensor, file] : index.tensors) {
    if (!names[file].contains(tensor)) {
      throw Error(Status::kFormat, formatted("{}: tensor {} is not in {}", index_path, shown(tensor), shown(file)),
                  "index and shards are of different checkpoints: fetch them again", shown(tensor));
    }
    ++listed;
  }
  for (const auto& [file, held] : names) stored += held.size();
  if (stored > listed) remarks.push_back(formatted("{} tensors of the shards are not in the index", stored - listed));
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder.empty() ? "." : folder, error)) {
    const std::string name = entry.path().filename().string();
    if (looks_like_shard(name, index.files.front()) && !names.contains(name)) {
      remarks.push_back(formatted("{} lies beside the index, which does not name it: it was not read", name));
    }
  }
  return shards;
}

std::optional<std::string> first_file(const fs::path& folder, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (fs::exists(folder / name)) return name;
  }
  return std::nullopt;
}

// The only file with that ending.
std::optional<std::string> only_file(const fs::path& folder, std::string_view extension) {
  std::optional<std::string> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != extension) continue;
    if (found) return std::nullopt;
    found = entry.path().filename().string();
  }
  return found;
}

void add_small_files(const fs::path& folder, const fs::path& below, int depth, Companion& companion,
                     std::vector<std::string>& remarks) {
  std::vector<fs::directory_entry> entries;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder / below)) entries.push_back(entry);
  std::ranges::sort(entries, {}, [](const fs::directory_entry& entry) { return entry.path(); });
  for (const fs::directory_entry& entry : entries) {
    const std::string name = entry.path().filename().string();
    std::error_code error;
    if (name.starts_with('.') || is_weight_file(name)) continue;
    if (entry.is_directory(error) && !entry.is_symlink(error)) {
      if (depth < kMostFolderDepth) add_small_files(folder, below / name, depth + 1, companion, remarks);
      continue;
    }
    if (!entry.is_regular_file(error) || (below.empty() && name == "config.json")) continue;
    if (entry.file_size(error) > kMostSmallFileBytes) {
      remarks.push_back(formatted("{} is not carried on: it is larger than 64 MiB", (below / name).string()));
      continue;
    }
    companion.files.push_back((below / name).string());
  }
}

}  // namespace

bool is_weight_file(std::string_view name) {
  constexpr std::array<std::string_view, 12> kEndings{".safetensors", ".bin",       ".pt",         ".pth",
                                                      ".ckpt",        ".gguf",      ".h5",         ".msgpack",
                                                      ".onnx",        ".onnx_data", ".index.json", ".ot"};
  return std::ranges::any_of(kEndings, [&](std::string_view ending) { return name.ends_with(ending); });
}

bool recognises_index(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes) {
  if (start.empty() || start[0] != std::byte{'{'} || bytes->size() > kMostIndexBytes) return false;
  return read_text(*bytes, kMostIndexBytes).find("\"weight_map\"") != std::string::npos;
}

std::unique_ptr<TensorSource> open_index_source(std::shared_ptr<const ByteSource> bytes, const OpenSettings& settings) {
  const std::string path = bytes->path();
  if (path.empty()) {
    throw Error(Status::kUnsupported, "an index in memory has no shards beside it", "open it by its path");
  }
  std::vector<std::string> remarks;
  auto shards = open_shards(path, read_index(*bytes), settings, remarks);
  const bool is_safetensors = shards.front()->format() == "safetensors";
  return std::make_unique<ShardedSource>(is_safetensors ? "safetensors index" : "pytorch index", path,
                                         std::move(shards), std::move(remarks), std::nullopt);
}

std::unique_ptr<TensorSource> open_folder_source(const std::string& path, const OpenSettings& settings) {
  const fs::path folder(path);
  std::optional<std::string> weights;
  std::vector<std::string> remarks;
  Companion companion;
  companion.folder = path;
  try {
    weights = first_file(folder, {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                  "pytorch_model.bin.index.json"});  // in the order of transformers
    if (!weights) weights = only_file(folder, ".safetensors");
    if (!weights) weights = only_file(folder, ".bin");
    if (weights) add_small_files(folder, "", 0, companion, remarks);
  } catch (const fs::filesystem_error& error) {
    throw Error(Status::kIo, formatted("{}: cannot be read: {}", path, error.code().message()),
                "check the permissions of the folder", path);
  }
  if (!weights) {
    throw Error(Status::kUnsupported,
                formatted("{}: is a folder without model.safetensors or pytorch_model.bin, whole or in shards", path),
                "pass the file with the weights", path);
  }
  if (fs::exists(folder / "config.json")) {
    companion.config = read_text(*open_bytes((folder / "config.json").string()), kMostSmallFileBytes);
  }
  std::vector<std::unique_ptr<TensorSource>> shards;
  const std::string file = (folder / *weights).string();
  if (weights->ends_with(".index.json")) {
    shards = open_shards(file, read_index(*open_bytes(file)), settings, remarks);
  } else {
    shards.push_back(open_shard(file, settings));
  }
  const std::string config = companion.config;
  auto source =
      std::make_unique<ShardedSource>("folder", path, std::move(shards), std::move(remarks), std::move(companion));
  return adapt_compressed_tensors(std::move(source), config);
}

}  // namespace mnq
