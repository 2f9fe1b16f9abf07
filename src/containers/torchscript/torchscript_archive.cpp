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

// The records of an archive, with the folder that all are in.
struct Records {
  const ZipArchive& archive;
  std::string prefix;

  const ZipEntry* find(std::string_view name) const { return archive.find(prefix + std::string(name)); }
  std::string read(const ZipEntry& entry) const { return archive.read(entry, kMostTextBytes); }
  std::string_view short_name(const ZipEntry& entry) const {
    return std::string_view(entry.name).substr(prefix.size());
  }
  [[noreturn]] void fail(const ZipEntry& entry, const std::string& what) const {
    fail_record(archive.title(), entry.name, what);
  }
};

void check_case(const Records& records, const ZipEntry& entry) {
  const std::string_view name = records.short_name(entry);
  if (name.starts_with("extra/")) return;
  const std::string lower = in_lower_case(std::string(name));
  for (const std::string_view each : kKnownParts) {
    if (lower.starts_with(each) == name.starts_with(each) && lower.ends_with(each) == name.ends_with(each)) continue;
    records.fail(entry, formatted("has {} in upper case", each));
  }
}

// LibTorch takes the first record's folder for all, and finds names whatever their case is: one that has a meaning in
// lower case must be in lower case.
void check_names(const Records& records) {
  std::map<std::string, std::string_view> names;
  std::uint64_t inflated = 0;
  for (const ZipEntry& entry : records.archive.entries()) {
    if (!entry.name.starts_with(records.prefix)) {
      records.fail(entry, formatted("is not in the folder {}", shown(records.prefix)));
    }
    const auto [known, is_new] = names.emplace(in_lower_case(entry.name), entry.name);
    if (!is_new) records.fail(entry, formatted("differs from {} by upper and lower case only", shown(known->second)));
    check_case(records, entry);
    if (!entry.is_deflated) continue;
    inflated += std::min(entry.size, kMostInflatedBytes);
    if (inflated > kMostInflatedBytes) records.fail(entry, "and those before inflate to more than 1 GiB");
  }
  for (const char* name : {"data.pkl", "constants.pkl"}) {
    if (records.find(name) == nullptr) fail_record(records.archive.title(), records.prefix + name, "is missing");
  }
  const bool has_code = std::ranges::any_of(records.archive.entries(), [&](const ZipEntry& entry) {
    return entry.name.starts_with(records.prefix + "code/");
  });
  if (!has_code) fail_record(records.archive.title(), records.prefix + "code/", "is missing");
  if (const ZipEntry* old = records.find("model.json")) {
    refuse_record(records.archive.title(), old->name, "is what PyTorch 1.1 and older wrote",
                  "save it by torch.jit.save again");
  }
}

void check_version(const Records& records, const ZipEntry& entry) {
  if (entry.size > 20) records.fail(entry, formatted("{} bytes are no number", entry.size));
  const std::string text = records.read(entry);
  const auto version = parse_int(text.ends_with('\n') ? std::string_view(text).substr(0, text.size() - 1) : text);
  if (!version || text.starts_with('-')) records.fail(entry, formatted("'{}' is no number", shown(text)));
  if (*version >= kLeastVersion && *version <= kMostVersion) return;
  refuse_record(records.archive.title(), entry.name,
                formatted("is {}, but {} to {} can be read", *version, kLeastVersion, kMostVersion),
                "save the module again by PyTorch 2.13");
}

// From version 6 on it stands in the folder .data.
void check_versions(const Records& records) {
  const ZipEntry* old = records.find("version");
  const ZipEntry* now = records.find(".data/version");
  if (old == nullptr && now == nullptr) fail_record(records.archive.title(), records.prefix + "version", "is missing");
  if (old != nullptr) check_version(records, *old);
  if (now != nullptr) check_version(records, *now);
}

void check_byte_order(const Records& records) {
  const ZipEntry* entry = records.find("byteorder");
  if (entry == nullptr) return;
  const std::string text = entry->size <= 20 ? records.read(*entry) : std::string();
  if (text == "little") return;
  refuse_record(records.archive.title(), entry->name, formatted("is '{}', but only little can be read", shown(text)),
                "save the module again on a little-endian machine");
}

// Code comes first: it says what pickles may hold, and why one is unusual.
class ArchiveChecker {
 public:
  explicit ArchiveChecker(const ZipArchive& archive) : records_{archive, root_of(archive) + "/"} {}

  TorchScriptArchive check() {
    check_names(records_);
    check_versions(records_);
    check_byte_order(records_);
    for (const ZipEntry& entry : records_.archive.entries()) check_code(entry);
    check_program();
    for (const ZipEntry& entry : records_.archive.entries()) check_entry(entry);
    check_script_bounds(program_, constant_parts_, records_.archive.bytes().size());
    TorchScriptArchive result{root_of(records_.archive), std::move(extra_files_), 0, {}, {}};
    if (records_.find("bytecode.pkl") != nullptr) {
      result.remarks.emplace_back(kNotKept);
    }
    for (const auto& storages : {data_, constants_}) {
      for (const auto& [key, size] : storages) result.tensor_bytes += size;
    }
    result.program = std::move(program_);
    return result;
  }

 private:
  void check_code(const ZipEntry& entry) {
    const std::string_view name = records_.short_name(entry);
    if (!name.starts_with("code/") || !name.ends_with(".py")) return;
    std::string module(name.substr(5, name.size() - 8));
    std::ranges::replace(module, '/', '.');
    program_.add(module, ScriptCode(records_.read(entry), records_.archive.title(), entry.name));
  }

  void check_program() const {
    program_.check();
    const ScriptProgram::Extent extent = program_.measure();
    if (extent.depth > kMostClassDepth) {
      fail_record(records_.archive.title(), records_.prefix + "code/",
                  formatted("its classes and methods need each other in chains of {}, more than {}", extent.depth,
                            kMostClassDepth));
    }
    if (extent.objects > kMostObjects) {
      fail_record(records_.archive.title(), records_.prefix + "code/",
                  formatted("its classes hold each other in more than {} ways", kMostObjects));
    }
  }

  void check_entry(const ZipEntry& entry) {
    const std::string_view name = records_.short_name(entry);
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
    const std::string bytes = records_.read(entry);
    const Pickle pickle(bytes, records_.archive.title(), entry.name);
    if (!bytes.starts_with("\x80\x02")) records_.fail(entry, "is no pickle of protocol 2");  // LibTorch takes no other
    if (pickle.size_bytes() != bytes.size()) records_.fail(entry, "has bytes after its end");
    TorchScriptRecords records{{}, program_};
    if (!folder.empty()) {
      records.storage_size = [&](const std::string& key) -> const std::uint64_t* {
        const ZipEntry* storage = records_.find(folder + key);
        return storage != nullptr ? &storage->size : nullptr;
      };
    }
    check_torchscript_pickle(pickle, records_.archive.title(), entry.name, records, storages);
    check_torchscript_types(pickle, program_);
    if (folder.empty()) return;
    PickleSizes sizes(pickle);
    for (PickleIndex i = 0; i < pickle.values().size(); ++i) {
      if (sizes.of(i) > kMostSharedValues + 16 * pickle.values().size())
        records_.fail(entry, "holds the same values too often");
    }
    const PickleValue& root = pickle.root();
    if (folder == "data/" && !is_module_object(pickle, root, program_)) records_.fail(entry, "holds no module");
    if (folder != "constants/") return;
    if (root.kind != PickleKind::kTuple) records_.fail(entry, "holds no tuple");
    for (const PickleIndex item : pickle.items(root)) {
      const PickleKind kind = pickle.at(item).kind;
      constant_parts_.push_back(kind == PickleKind::kText || kind == PickleKind::kTuple ? sizes.of(item) : 0);
    }
  }

  const Records records_;
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
