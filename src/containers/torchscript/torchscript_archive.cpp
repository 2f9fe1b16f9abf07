#include "containers/torchscript/torchscript_archive.h"

#include <algorithm>
#include <map>

#include "base/text/format.h"
#include "base/text/text.h"
#include "containers/archive_error.h"
#include "containers/torchscript/torchscript_bounds.h"
#include "containers/torchscript/torchscript_pickle.h"
#include "containers/torchscript/torchscript_program.h"
#include "containers/torchscript/torchscript_types.h"

namespace mnq {
namespace {

constexpr const char* kNotKept =
    "bytecode.pkl: not kept: what is written loads in LibTorch, not in the lite interpreter of mobile devices";

constexpr std::uint64_t kMostTextBytes = std::uint64_t{256} << 20;  // of one record of code or pickle
constexpr std::uint64_t kMostInflatedBytes = std::uint64_t{1} << 30;
constexpr std::uint64_t kMostSharedValues = 10'000;  // and 16 for each: LibTorch goes over what is shared again
constexpr std::int64_t kLeastVersion = 1,
                       kMostVersion = 10;  // kMin- and kMaxSupportedFileFormatVersion of LibTorch 2.13

// The starts and ends of names that LibTorch looks for.
constexpr std::string_view kKnownParts[] = {"code/",  "data/",     "constants/", ".data/",
                                            "extra/", ".py",       "data.pkl",   "constants.pkl",
                                            "pkl",    "byteorder", "model.json", "version"};

std::string in_lower_case(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

std::string root_of(const ZipArchive& archive) {
  if (archive.entries().empty()) return {};
  const std::string& name = archive.entries().front().name;
  return name.substr(0, std::min(name.find('/'), name.size()));
}

class ArchiveChecker {
 public:
  explicit ArchiveChecker(const ZipArchive& archive) : archive_(archive), prefix_(root_of(archive) + "/") {}

  TorchScriptArchive check() {
    check_names();
    check_versions();
    check_byte_order();
    for (const ZipEntry& entry : archive_.entries()) check_code(entry);  // first: it says why a pickle is unusual
    check_program();
    for (const ZipEntry& entry : archive_.entries()) check_entry(entry);
    check_script_bounds(program_, constant_parts_, archive_.bytes().size());
    TorchScriptArchive result{root_of(archive_), std::move(extra_files_), 0, {}, {}};
    if (find("bytecode.pkl") != nullptr) {
      result.remarks.emplace_back(kNotKept);
    }
    for (const auto& storages : {data_, constants_}) {
      for (const auto& [key, size] : storages) result.tensor_bytes += size;
    }
    result.program = std::move(program_);
    return result;
  }

 private:
  const ZipEntry* find(std::string_view name) const { return archive_.find(prefix_ + std::string(name)); }
  std::string read(const ZipEntry& entry) const { return archive_.read(entry, kMostTextBytes); }

  // LibTorch takes the first record's folder for all, and finds names whatever their case is: one that has a meaning in
  // lower case must be in lower case.
  void check_names() const {
    std::map<std::string, std::string_view> names;
    std::uint64_t inflated = 0;
    for (const ZipEntry& entry : archive_.entries()) {
      if (!entry.name.starts_with(prefix_)) fail(entry, formatted("is not in the folder {}", shown(prefix_)));
      const auto [known, is_new] = names.emplace(in_lower_case(entry.name), entry.name);
      if (!is_new) fail(entry, formatted("differs from {} by upper and lower case only", shown(known->second)));
      check_case(entry);
      if (!entry.is_deflated) continue;
      inflated += std::min(entry.size, kMostInflatedBytes);
      if (inflated > kMostInflatedBytes) fail(entry, "and those before inflate to more than 1 GiB");
    }
    for (const char* name : {"data.pkl", "constants.pkl"}) {
      if (find(name) == nullptr) fail_record(archive_.title(), prefix_ + name, "is missing");
    }
    const bool has_code = std::ranges::any_of(
        archive_.entries(), [&](const ZipEntry& entry) { return entry.name.starts_with(prefix_ + "code/"); });
    if (!has_code) fail_record(archive_.title(), prefix_ + "code/", "is missing");
    if (const ZipEntry* old = find("model.json")) {
      refuse_record(archive_.title(), old->name, "is what PyTorch 1.1 and older wrote",
                    "save it by torch.jit.save again");
    }
  }

  void check_case(const ZipEntry& entry) const {
    const std::string_view name = short_name(entry);
    if (name.starts_with("extra/")) return;
    const std::string lower = in_lower_case(std::string(name));
    for (const std::string_view each : kKnownParts) {
      if (lower.starts_with(each) == name.starts_with(each) && lower.ends_with(each) == name.ends_with(each)) continue;
      fail(entry, formatted("has {} in upper case", each));
    }
  }

  [[noreturn]] void fail(const ZipEntry& entry, const std::string& what) const {
    fail_record(archive_.title(), entry.name, what);
  }

  // From version 6 on it stands in the folder .data.
  void check_versions() const {
    const ZipEntry* old = find("version");
    const ZipEntry* now = find(".data/version");
    if (old == nullptr && now == nullptr) fail_record(archive_.title(), prefix_ + "version", "is missing");
    if (old != nullptr) check_version(*old);
    if (now != nullptr) check_version(*now);
  }

  void check_version(const ZipEntry& entry) const {
    if (entry.size > 20) fail(entry, formatted("{} bytes are no number", entry.size));
    const std::string text = read(entry);
    const auto version = parse_int(text.ends_with('\n') ? std::string_view(text).substr(0, text.size() - 1) : text);
    if (!version || text.starts_with('-')) fail(entry, formatted("'{}' is no number", shown(text)));
    if (*version >= kLeastVersion && *version <= kMostVersion) return;
    refuse_record(archive_.title(), entry.name,
                  formatted("is {}, but {} to {} can be read", *version, kLeastVersion, kMostVersion),
                  "save the module again by PyTorch 2.13");
  }

  void check_byte_order() const {
    const ZipEntry* entry = find("byteorder");
    if (entry == nullptr) return;
    const std::string text = entry->size <= 20 ? read(*entry) : std::string();
    if (text == "little") return;
    refuse_record(archive_.title(), entry->name, formatted("is '{}', but only little can be read", shown(text)),
                  "save the module again on a little-endian machine");
  }

  std::string_view short_name(const ZipEntry& entry) const {
    return std::string_view(entry.name).substr(prefix_.size());
  }

  void check_code(const ZipEntry& entry) {
    const std::string_view name = short_name(entry);
    if (!name.starts_with("code/") || !name.ends_with(".py")) return;
    std::string module(name.substr(5, name.size() - 8));
    std::ranges::replace(module, '/', '.');
    program_.add(module, ScriptCode(read(entry), archive_.title(), entry.name));
  }

  void check_program() const {
    program_.check();
    const ScriptProgram::Extent extent = program_.measure();
    if (extent.depth > kMostClassDepth) {
      fail_record(archive_.title(), prefix_ + "code/",
                  formatted("its classes and methods need each other in chains of {}, more than {}", extent.depth,
                            kMostClassDepth));
    }
    if (extent.objects > kMostObjects) {
      fail_record(archive_.title(), prefix_ + "code/",
                  formatted("its classes hold each other in more than {} ways", kMostObjects));
    }
  }

  void check_entry(const ZipEntry& entry) {
    const std::string_view name = short_name(entry);
    if (name.starts_with("extra/")) {
      extra_files_.emplace_back(name.substr(6));
    } else if (name == "data.pkl") {
      check_pickle(entry, "data/", data_);
    } else if (name == "constants.pkl") {
      check_pickle(entry, "constants/", constants_);
    } else if (name.ends_with("pkl")) {
      std::map<std::string, std::uint64_t> ignored;
      check_pickle(entry, {}, ignored);
    }
  }

  // Without a folder storages are not looked at: LibTorch loads those of two pickles only, and writes traced_inputs.pkl
  // with empty ones.
  void check_pickle(const ZipEntry& entry, const std::string& folder, std::map<std::string, std::uint64_t>& storages) {
    const std::string bytes = read(entry);
    const Pickle pickle(bytes, archive_.title(), entry.name);
    if (!bytes.starts_with("\x80\x02")) fail(entry, "is no pickle of protocol 2");  // LibTorch takes no other
    if (pickle.size_bytes() != bytes.size()) fail(entry, "has bytes after its end");
    TorchScriptRecords records{{}, program_};
    if (!folder.empty()) {
      records.storage_size = [&](const std::string& key) -> const std::uint64_t* {
        const ZipEntry* storage = find(folder + key);
        return storage != nullptr ? &storage->size : nullptr;
      };
    }
    check_torchscript_pickle(pickle, archive_.title(), entry.name, records, storages);
    check_torchscript_types(pickle, program_);
    if (folder.empty()) return;
    PickleSizes sizes(pickle);
    for (PickleIndex i = 0; i < pickle.values().size(); ++i) {
      if (sizes.of(i) > kMostSharedValues + 16 * pickle.values().size()) fail(entry, "holds the same values too often");
    }
    const PickleValue& root = pickle.root();
    if (folder == "data/" && !is_module_object(pickle, root, program_)) fail(entry, "holds no module");
    if (folder != "constants/") return;
    if (root.kind != PickleKind::kTuple) fail(entry, "holds no tuple");
    for (const PickleIndex item : pickle.items(root)) {
      const PickleKind kind = pickle.at(item).kind;
      constant_parts_.push_back(kind == PickleKind::kText || kind == PickleKind::kTuple ? sizes.of(item) : 0);
    }
  }

  const ZipArchive& archive_;
  const std::string prefix_;
  std::map<std::string, std::uint64_t> data_, constants_;  // storages by their keys
  ScriptProgram program_;
  std::vector<std::uint64_t> constant_parts_;
  std::vector<std::string> extra_files_;
};

}  // namespace

bool is_torchscript(const ZipArchive& archive) {
  const std::string prefix = root_of(archive) + "/";
  return archive.find(prefix + "constants.pkl") != nullptr &&
         std::ranges::any_of(archive.entries(),
                             [&](const ZipEntry& entry) { return entry.name.starts_with(prefix + "code/"); });
}

TorchScriptArchive check_torchscript(const ZipArchive& archive) { return ArchiveChecker(archive).check(); }

}  // namespace mnq
