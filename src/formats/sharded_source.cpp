#include "formats/sharded_source.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/file_pool.h"
#include "base/folder.h"
#include "base/format.h"
#include "base/json_text.h"
#include "formats/archive_error.h"
#include "formats/compressed_tensors.h"
#include "formats/folder_output.h"
#include "formats/folder_publish.h"
#include "formats/read_text.h"
#include "formats/unknown_file.h"
#include "plan/logical_tensors.h"

namespace mnq {
namespace {

constexpr std::uint64_t kMostIndexBytes = 256u << 20;
constexpr std::uint64_t kMostSmallFileBytes = 64u << 20;
constexpr int kMostFolderDepth = 4;

std::string read_all(const ByteSource& bytes, std::uint64_t most_bytes) {
  if (bytes.size() > most_bytes) {
    fail_record(title_of(bytes.path()), "", formatted("{} bytes exceed {}", bytes.size(), most_bytes));
  }
  return read_text(bytes, 0, bytes.size());
}

Json read_json(const ByteSource& bytes) {
  try {
    return parse_json(read_all(bytes, kMostIndexBytes));
  } catch (const Error& error) {
    if (error.status() != Status::kFormat) throw;
    throw Error(Status::kFormat, formatted("{}: {}", title_of(bytes.path()), error.message()),
                "the file is damaged: fetch or save it again", title_of(bytes.path()));
  }
}

// Our own metadata of all shards as one. Each text is read once and the sum written once: with 1,000 shards of 10 tensors,
// adding one after the other took 38 s.
std::string merge_ours(const std::vector<std::string>& texts) {
  if (texts.size() == 1) return texts.front();
  Json version, tensors = Json::object();
  std::unordered_set<std::string> names;
  for (const std::string& text : texts) {
    try {
      const Json one = parse_json(text);
      if (version.is_null()) version = one["version"];
      if (one["version"] != version) continue;  // what does not fit is found to be missing
      for (const auto& [name, entry] : one["tensors"].members()) {
        if (names.insert(name).second) tensors.add(name, entry);
      }
    } catch (const Error&) {
      return text;  // its reader says what is wrong with it
    }
  }
  return Json{{"version", std::move(version)}, {"tensors", std::move(tensors)}}.dump();
}

// Of any other key the first one; where shards say different things, that is said.
Metadata merge_metadata(const std::vector<std::unique_ptr<TensorSource>>& shards, std::vector<std::string>& remarks) {
  Metadata merged;
  std::vector<std::string> ours;
  std::set<std::string> differing;
  for (const auto& shard : shards) {
    for (const auto& [key, value] : shard->metadata()) {
      if (key == kMetadataKey) {
        ours.push_back(value);
      } else if (merged.emplace(key, value).first->second != value) {
        differing.insert(shown(key));
      }
    }
  }
  if (!differing.empty()) {
    remarks.push_back(formatted("metadata that differs from shard to shard is the first one's: {}",
                                joined({differing.begin(), differing.end()})));
  }
  if (!ours.empty()) merged.emplace(kMetadataKey, merge_ours(ours));
  return merged;
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
      for (std::string& remark : shard.remarks()) {
        remarks_.push_back(shards_.size() == 1 ? std::move(remark)
                                               : formatted("{}: {}", file_name_of(shard.path()), remark));
      }
    }
    metadata_ = merge_metadata(shards_, remarks_);
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
  std::vector<std::string> remarks() const override { return remarks_; }
  bool reads_from(const std::string& path) const override {
    const auto is_there = [&](const std::string& file) { return FilePlace(file).is_at_or_below(path); };
    if (is_there(path_)) return true;
    if (std::ranges::any_of(shards_, [&](const auto& shard) { return shard->reads_from(path); })) return true;
    if (!companion_) return false;
    for (const char* file : {"config.json", "model.safetensors.index.json", "pytorch_model.bin.index.json"}) {
      if (is_there(join_path(companion_->folder, file))) return true;
    }
    return std::ranges::any_of(companion_->files,
                               [&](const auto& file) { return is_there(join_path(companion_->folder, file)); });
  }

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
std::unique_ptr<TensorSource> open_shard(const std::string& path, const std::shared_ptr<FilePool>& pool,
                                         const OpenSettings& settings) {
  auto bytes = open_bytes(path, pool);
  std::array<std::byte, 16> buffer{};
  const std::span<std::byte> start = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), bytes->size()));
  bytes->read(0, start);
  for (const Format& format : all_formats()) {
    const bool is_one = format.name == "safetensors" || format.name.starts_with("pytorch");
    if (!is_one || format.recognises == nullptr || format.open_source == nullptr) continue;
    if (format.open_source != open_index_source && format.recognises(start, bytes)) {
      check_settings(settings, format.name, path);
      return format.open_source(std::move(bytes), settings);
    }
  }
  refuse_unknown(*bytes, "a shard is a safetensors file or a PyTorch state dict: fetch or save it again");
}

// "model-00002-of-00003.safetensors" of a run of shards
bool looks_like_shard(const std::string& name, const std::string& of) {
  const std::size_t dash = of.find("-00");
  const std::size_t dot = of.rfind('.');
  if (dash == of.npos || dot == of.npos || dot < dash) return false;
  return name.size() == of.size() && name.compare(0, dash, of, 0, dash) == 0 && name.substr(dot) == of.substr(dot) &&
         name.find("-of-") != name.npos;
}

using Shards = std::vector<std::unique_ptr<TensorSource>>;

std::set<std::string> names_in_shard(const TensorSource& shard) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < shard.tensors().size(); ++i) {
    names.insert(shard.tensors()[i].name);
    for (std::string& tie : shard.ties(i)) names.insert(std::move(tie));
  }
  for (auto& [tie, target] : tied_names(shard.metadata(), shard.tensors())) names.insert(tie);
  return names;
}

void remark_on_unlisted_shards(const std::string& folder, const Index& index, std::vector<std::string>& remarks) {
  std::set<std::string> unlisted;
  FolderReader reader(AT_FDCWD, resolve_links(folder).c_str());
  while (const char* name = reader.next()) {
    if (looks_like_shard(name, index.files.front()) && !std::ranges::binary_search(index.files, std::string(name))) {
      unlisted.insert(name);
    }
  }
  for (const std::string& name : unlisted) {
    remarks.push_back(formatted("{} lies beside the index, which does not name it: it was not read", name));
  }
}

Shards open_shards(const std::string& index_path, const Index& index, const OpenSettings& settings,
                   std::vector<std::string>& remarks) {
  const auto pool = std::make_shared<FilePool>();
  Shards shards;
  std::unordered_map<std::string, std::set<std::string>> names;
  std::size_t stored = 0;
  for (const std::string& file : index.files) {
    const std::string path = join_path(folder_of(index_path), file);
    if (!path_exists(path)) {
      throw Error(Status::kNotFound, formatted("{}: shard {} is missing", index_path, shown(file)),
                  "fetch the shard, or the whole checkpoint again", shown(file));
    }
    shards.push_back(open_shard(path, pool, settings));
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
  remark_on_unlisted_shards(folder_of(index_path), index, remarks);
  return shards;
}

// "model_type" of an object and of its parts, in their order.
void add_model_types(const Json& config, std::vector<std::string>& types) {
  const Json* type = config.find("model_type");
  if (type != nullptr && type->is_string()) types.push_back(type->text());
  for (const auto& [key, part] : config.members()) {
    if (part.is_object()) add_model_types(part, types);
  }
}

// Null where the folder has no config.json.
Json read_config(const std::string& folder, std::string& text) {
  const std::string path = join_path(folder, "config.json");
  if (!path_exists(path)) return nullptr;
  text = read_all(*open_bytes(path), kMostSmallFileBytes);
  try {
    Json config = parse_python_json(text);
    if (config.is_object()) return config;
    throw Error(Status::kFormat, "is no JSON object");
  } catch (const Error& error) {
    throw Error(Status::kFormat, formatted("{}: {}", path, error.message()), "repair or remove it", path);
  }
}

std::optional<std::string> first_file(const std::vector<FolderEntry>& entries,
                                      std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (std::ranges::any_of(entries, [&](const auto& entry) { return entry.is_file && entry.name == name; })) {
      return name;
    }
  }
  return std::nullopt;
}

// The only file with that ending.
std::optional<std::string> only_file(const std::vector<FolderEntry>& entries, std::string_view extension) {
  std::optional<std::string> found;
  for (const FolderEntry& entry : entries) {
    if (!entry.name.ends_with(extension) || entry.name == extension) continue;
    if (found) return std::nullopt;
    found = entry.name;
  }
  return found;
}

// The folders of the modules of sentence-transformers, whose weights are part of the checkpoint though they are not read.
std::set<std::string> module_folders(const std::string& folder) {
  std::set<std::string> folders;
  const std::string list = join_path(folder, "modules.json");
  if (!path_exists(list)) return folders;
  try {
    for (const Json& module : parse_json(read_all(*open_bytes(list), kMostSmallFileBytes))) {
      folders.insert(module["path"].text());
    }
  } catch (const Error&) {  // no list of modules
  }
  return folders;
}

// Finds what goes from a folder to the one that is made of it, besides what is read.
class CompanionFiles {
 public:
  /// read: the files with the weights, and their index.
  CompanionFiles(const std::string& folder, std::set<std::string> read)
      : folder_(folder), read_(std::move(read)), modules_(module_folders(folder)) {
    read_.insert("config.json");
    add_folder("", 0);
  }

  std::vector<std::string> files;

  /// Says what is left out.
  void remark(std::vector<std::string>& remarks) const {
    constexpr std::size_t kMostNames = 5;
    if (left_out_.empty()) return;
    std::string names;
    for (std::size_t i = 0; i < std::min(left_out_.size(), kMostNames); ++i) {
      names += (i == 0 ? "" : ", ") + left_out_[i];
    }
    if (left_out_.size() > kMostNames) names += formatted(" and {} more", left_out_.size() - kMostNames);
    remarks.push_back("not carried on, since only the weights that are read and small files are: " + names);
  }

 private:
  void add_folder(const std::string& below, int depth) {
    for (const FolderEntry& entry : list_folder(below.empty() ? folder_ : join_path(folder_, below))) {
      const std::string name = below.empty() ? entry.name : join_path(below, entry.name);
      if (entry.name.starts_with('.') || read_.contains(name)) continue;
      if (entry.is_file) {
        add_file(name, below, entry);
      } else if (entry.is_folder && !is_output_in_the_making(name)) {
        if (entry.is_link || depth == kMostFolderDepth) {
          left_out_.push_back(name);
        } else {
          add_folder(name, depth + 1);
        }
      }
    }
  }

  // Weights in a folder below are those of another module, or of a copy in another form, by their names.
  void add_file(const std::string& name, const std::string& below, const FolderEntry& entry) {
    const bool is_of_a_module = !below.empty() && modules_.contains(below);
    const bool is_wanted = !is_weight_file(entry.name) || (!below.empty() && is_checkpoint_file(entry.name));
    const bool is_small = entry.size_bytes <= kMostSmallFileBytes;
    (is_of_a_module || (is_wanted && is_small) ? files : left_out_).push_back(name);
  }

  bool is_output_in_the_making(const std::string& name) const {
    return path_exists(join_path(join_path(folder_, name), kFolderJobFile));
  }

  const std::string& folder_;
  std::set<std::string> read_;
  std::set<std::string> modules_;
  std::vector<std::string> left_out_;
};

// The file of a folder that is opened.
std::string find_weights(const std::string& path, const std::vector<FolderEntry>& entries) {
  auto found = first_file(entries, {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                    "pytorch_model.bin.index.json"});  // in the order of transformers
  if (!found) found = only_file(entries, ".safetensors");
  if (!found) found = only_file(entries, ".bin");
  if (found) return *found;
  throw Error(Status::kUnsupported,
              formatted("{}: is a folder without model.safetensors or pytorch_model.bin, whole or in shards", path),
              "pass the file with the weights", path);
}

// What lies in a folder beside what is read of it. Null where there is no config.json.
Json read_companion(const std::string& folder, std::set<std::string> read, Companion& companion,
                    std::vector<std::string>& remarks) {
  CompanionFiles found(folder, std::move(read));
  found.remark(remarks);
  companion.folder = folder;
  companion.files = std::move(found.files);
  Json config = read_config(folder, companion.config);
  if (config.is_null()) return config;
  add_model_types(config, companion.model_types);
  const Json* architectures = config.find("architectures");
  if (architectures == nullptr || !architectures->is_array()) return config;
  for (const Json& name : *architectures) {
    if (name.is_string()) companion.architectures.push_back(name.text());
  }
  return config;
}

// Whether tensors have the names of compressed ones, and no metadata of ours says what they are.
bool looks_compressed(const TensorSource& source) {
  if (source.metadata().contains(std::string(kMetadataKey))) return false;
  std::set<std::string_view> names;
  for (const TensorInfo& info : source.tensors()) names.insert(info.name);
  return std::ranges::any_of(source.tensors(), [&](const TensorInfo& info) {
    const bool is_codes = info.dtype == DType::kI8 && names.contains(info.name + "_scale");
    return is_codes || (info.dtype == DType::kI32 && info.name.ends_with("_packed"));
  });
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
  return read_all(*bytes, kMostIndexBytes).find("\"weight_map\"") != std::string::npos;
}

std::unique_ptr<TensorSource> open_index_source(std::shared_ptr<const ByteSource> bytes, const OpenSettings& settings) {
  const std::string path = bytes->path();
  if (path.empty()) {
    throw Error(Status::kUnsupported, "an index in memory has no shards beside it", "open it by its path");
  }
  std::vector<std::string> remarks;
  const Index index = read_index(*bytes);
  auto shards = open_shards(path, index, settings, remarks);
  const bool is_safetensors = shards.front()->format() == "safetensors";
  const std::string folder = folder_of(path);
  std::optional<Companion> companion;
  Json config;
  if (path_exists(join_path(folder, "config.json"))) {
    std::set<std::string> read(index.files.begin(), index.files.end());
    read.insert(file_name_of(path));
    config = read_companion(folder, std::move(read), companion.emplace(), remarks);
  }
  return adapt_compressed_tensors(
      std::make_unique<ShardedSource>(is_safetensors ? "safetensors index" : "pytorch index", path, std::move(shards),
                                      std::move(remarks), std::move(companion)),
      config);
}

std::unique_ptr<TensorSource> open_folder_source(const std::string& path, const OpenSettings& settings) {
  const std::string weights = find_weights(path, list_folder(path));
  const std::string file = join_path(path, weights);
  std::vector<std::string> remarks;
  std::set<std::string> read{weights};
  Shards shards;
  if (weights.ends_with(".index.json")) {
    const Index index = read_index(*open_bytes(file));
    shards = open_shards(file, index, settings, remarks);
    read.insert(index.files.begin(), index.files.end());
  } else {
    shards.push_back(open_shard(file, std::make_shared<FilePool>(), settings));
  }
  Companion companion;
  const Json config = read_companion(path, std::move(read), companion, remarks);
  auto source =
      std::make_unique<ShardedSource>("folder", path, std::move(shards), std::move(remarks), std::move(companion));
  return adapt_compressed_tensors(std::move(source), config);
}

std::unique_ptr<TensorSource> adapt_to_config_beside(std::unique_ptr<TensorSource> source) {
  if (source->format() != "safetensors" || source->path().empty() || !looks_compressed(*source)) return source;
  std::string text;
  const Json config = read_config(folder_of(source->path()), text);
  return adapt_compressed_tensors(std::move(source), config);
}

}  // namespace mnq
