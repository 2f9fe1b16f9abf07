#include "formats/folder/companion_files.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/json_text.h"
#include "containers/archive_error.h"
#include "containers/read_text.h"
#include "formats/folder/folder_loaders.h"
#include "formats/folder/output/folder_output.h"
#include "formats/folder/output/folder_publish.h"

namespace mnq {
namespace {

constexpr int kMostFolderDepth = 4;

// "model_type" of an object and of its parts, in their order.
void add_model_types(const Json& config, std::vector<std::string>& types) {
  const Json* type = config.find("model_type");
  if (type != nullptr && type->is_string()) types.push_back(type->text());
  for (const auto& [key, part] : config.members()) {
    if (part.is_object()) add_model_types(part, types);
  }
}

// The folders of the modules of sentence-transformers, whose weights are part of the checkpoint though they are not
// read.
std::set<std::string> module_folders(InputFolder& folder) {
  std::set<std::string> folders;
  const auto list = folder.open_if_there("modules.json");
  if (list == nullptr) return folders;
  try {
    for (const Json& module : parse_json(read_text_within(*list, kMostSmallFileBytes))) {
      folders.insert(module["path"].text());
    }
  } catch (const Error& error) {
    if (error.status() != Status::kFormat) throw;  // else no list of modules
  }
  return folders;
}

// "model.safetensors", "pytorch_model.bin.index.json"
bool is_weight_file(std::string_view name) {
  constexpr std::array<std::string_view, 12> kEndings{".safetensors", ".bin",       ".pt",         ".pth",
                                                      ".ckpt",        ".gguf",      ".h5",         ".msgpack",
                                                      ".onnx",        ".onnx_data", ".index.json", ".ot"};
  return std::ranges::any_of(kEndings, [&](std::string_view ending) { return name.ends_with(ending); });
}

// Why something of the folder is left out.
enum class Why { kNotNeeded, kLeadsOut, kDangling, kLinkedFolder, kNoFile };
constexpr std::array kWhyTexts{"only the weights that are read and small files are", "they are links out of the folder",
                               "they are links to nothing", "they are links to folders",
                               "they are neither files nor folders"};

// Finds what goes from a folder to the one that is made of it, besides what is read.
class CompanionFiles {
 public:
  CompanionFiles(InputFolder& folder, std::set<std::string> read)
      : folder_(folder), read_(std::move(read)), modules_(module_folders(folder)) {
    read_.insert("config.json");
    add_folder("", 0);
  }

  std::vector<CompanionFile> files;

  /// Says what is left out.
  void remark(std::vector<std::string>& remarks) const {
    for (std::size_t i = 0; i < left_out_.size(); ++i) {
      if (left_out_[i].empty()) continue;
      remarks.push_back(formatted("not carried on, since {}: {}", kWhyTexts[i], some_of(left_out_[i])));
    }
  }

 private:
  static std::string some_of(const std::vector<std::string>& all) {
    constexpr std::size_t kMostNames = 5;
    std::string names;
    for (std::size_t i = 0; i < std::min(all.size(), kMostNames); ++i) names += (i == 0 ? "" : ", ") + all[i];
    return all.size() > kMostNames ? names + formatted(" and {} more", all.size() - kMostNames) : names;
  }

  void leave_out(const std::string& name, Why why) { left_out_[static_cast<std::size_t>(why)].push_back(name); }

  void add_folder(const std::string& below, int depth) {
    for (const FolderEntry& entry : folder_.list(below)) {
      const std::string name = below.empty() ? entry.name : join_path(below, entry.name);
      if (entry.name.starts_with('.') || read_.contains(name)) continue;
      if (entry.is_dangling) {
        leave_out(name, Why::kDangling);
      } else if (entry.is_file) {
        add_file(name, below, entry);
      } else if (!entry.is_folder) {
        leave_out(name, Why::kNoFile);
      } else if (!is_output_in_the_making(name)) {
        if (entry.is_link || depth == kMostFolderDepth) {
          leave_out(name, entry.is_link ? Why::kLinkedFolder : Why::kNotNeeded);
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
    if (!is_of_a_module && !(is_wanted && is_small)) return leave_out(name, Why::kNotNeeded);
    auto bytes = folder_.open_inside(name);
    if (bytes == nullptr) return leave_out(name, Why::kLeadsOut);
    files.push_back({name, std::move(bytes)});
  }

  bool is_output_in_the_making(const std::string& name) const { return folder_.has(join_path(name, kFolderJobFile)); }

  InputFolder& folder_;
  std::set<std::string> read_;
  std::set<std::string> modules_;
  std::array<std::vector<std::string>, kWhyTexts.size()> left_out_;
};

}  // namespace

Json read_config(InputFolder& folder, std::string& text) {
  const auto bytes = folder.open_if_there("config.json");
  if (bytes == nullptr) return nullptr;
  text = read_text_within(*bytes, kMostSmallFileBytes);
  try {
    Json config = parse_python_json(text);
    if (config.is_object()) return config;
    throw Error(Status::kFormat, "is no JSON object");
  } catch (const Error& error) {
    throw Error(Status::kFormat, formatted("{}: {}", bytes->path(), error.message()), "repair or remove it",
                bytes->path());
  }
}

Json read_companion(InputFolder& folder, std::set<std::string> read, Companion& companion,
                    std::vector<std::string>& remarks) {
  CompanionFiles found(folder, std::move(read));
  found.remark(remarks);
  companion.folder = folder.path();
  companion.files = std::move(found.files);
  Json config = read_config(folder, companion.config);
  companion.loader = find_folder_loader(config, companion).name;
  if (config.is_null()) return config;
  add_model_types(config, companion.model_types);
  const Json* architectures = config.find("architectures");
  if (architectures == nullptr || !architectures->is_array()) return config;
  for (const Json& name : *architectures) {
    if (name.is_string()) companion.architectures.push_back(name.text());
  }
  return config;
}

}  // namespace mnq
