#include "formats/pytorch/pytorch.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/json.h"
#include "containers/archive_error.h"
#include "containers/pickle/pickle_fields.h"
#include "containers/read_text.h"
#include "containers/torch_save/pytorch_objects.h"
#include "containers/torch_save/pytorch_records.h"
#include "containers/torchscript/torchscript_archive.h"
#include "containers/zip/zip_archive.h"
#include "formats/pytorch/zip_storages.h"

namespace mnq {
namespace {

std::optional<std::string> wanted_key(const std::string& key) {
  return key.empty() ? std::nullopt : std::optional(key);
}

// ---- The ZIP form

// What else comes as a ZIP archive, by the end of a record's name. The last one is any.
struct ZipKind {
  std::string_view record, what, advice;
};
constexpr ZipKind kZipKinds[] = {
    {"/archive_format", "a program of torch.export",
     "pass the checkpoint it was exported from: its state dict as a .pt or .safetensors file"},
    {"serialized_exported_program.json", "a program of torch.export",
     "pass the checkpoint it was exported from: its state dict as a .pt or .safetensors file"},
    {"model.weights.h5", "a Keras model", "pass a .safetensors file with its weights"},
    {".npy", "a NumPy archive", "pass a .safetensors file with its arrays"},
    {"", "a ZIP archive", "pass a state dict, a safetensors file or a TorchScript module"},
};

[[noreturn]] void refuse_zip(const ZipArchive& archive) {
  const auto* kind = std::ranges::find_if(kZipKinds, [&](const ZipKind& each) {
    return each.record.empty() || std::ranges::any_of(archive.entries(), [&](const ZipEntry& entry) {
             return entry.name.ends_with(each.record);
           });
  });
  throw Error(Status::kUnsupported,
              formatted("{}: is {} without a data.pkl: nothing that torch.save wrote", archive.title(), kind->what),
              std::string(kind->advice), archive.title());
}

// ROOT of ROOT/data.pkl.
std::string find_root(const ZipArchive& archive) {
  constexpr std::string_view kPickle = "/data.pkl";
  std::string root;
  for (const ZipEntry& entry : archive.entries()) {
    if (!entry.name.ends_with(kPickle)) continue;
    const std::string found = entry.name.substr(0, entry.name.size() - kPickle.size());
    if (found.find('/') != found.npos) continue;
    if (!root.empty()) fail_record(archive.title(), entry.name, "is there beside another data.pkl");
    root = found;
  }
  if (root.empty()) refuse_zip(archive);
  return root;
}

// The dict that what we wrote ourselves names as the model's; else the one that is asked for.
std::optional<std::string> read_tensors_key(const ZipArchive& archive, const std::string& root,
                                            const std::string& wanted) {
  const ZipEntry* entry = archive.find(root + std::string(kPytorchTensorsKeyRecord));
  if (!wanted.empty() || entry == nullptr) return wanted_key(wanted);
  return read_whole_record(archive, *entry);
}

// The pickle takes ten times the memory of what is read of it, and is gone before the records are opened.
PytorchObjects read_objects(const ZipArchive& archive, const std::string& root, const PytorchRequest& request) {
  const std::string record = root + "/data.pkl";
  const std::string text = read_whole_record(archive, *archive.find(record));
  const Pickle pickle(text, archive.title(), record, PickleNumbers::kShared);
  return read_pytorch_objects(pickle, archive.title(), record, request);
}

Metadata read_metadata(const ZipArchive& archive, const std::string& root) {
  Metadata metadata;
  const ZipEntry* entry = archive.find(root + std::string(kPytorchMetadataRecord));
  if (entry == nullptr) return metadata;
  try {
    const Json json = parse_json(read_whole_record(archive, *entry));
    for (const auto& [key, value] : json.members()) metadata.emplace(key, value.text());
  } catch (const Error& error) {
    fail_record(archive.title(), entry->name, error.message());
  }
  return metadata;
}

// ---- The form of pickles in a row

constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);  // 0x1950a86a20f9469cfc6c
constexpr std::int64_t kProtocol = 1001;
constexpr const char* kRowRecord = "the pickles at its start";

// The pickles of a file, one after the other, from a buffer that grows as long as they are cut off in it.
class PickleRow {
 public:
  explicit PickleRow(const ByteSource& bytes) : bytes_(bytes), title_(title_of(bytes.path())) { grow(1u << 16); }

  Pickle next(const char* record) {
    for (;;) {
      try {
        Pickle pickle(std::string_view(buffer_).substr(end_), title_, record);
        end_ += pickle.size_bytes();
        return pickle;
      } catch (const Error&) {
        if (buffer_.size() >= std::min(bytes_.size(), kMostPickleBytes)) throw;
        grow(buffer_.size() * 4);
      }
    }
  }

  // Pickles hold views of the buffer: only the last one may be read again after it.
  std::uint64_t end() const { return end_; }

 private:
  void grow(std::uint64_t size) {
    size = std::min({size, bytes_.size(), kMostPickleBytes});
    buffer_.resize(size);
    bytes_.read(0, std::as_writable_bytes(std::span(buffer_)));
  }

  const ByteSource& bytes_;
  std::string title_;
  std::string buffer_;
  std::uint64_t end_ = 0;
};

// Behind the pickles: for each key the count of items and the items, little-endian whatever the machine was.
StoragePlaces find_legacy_places(const std::shared_ptr<const ByteSource>& file, const std::vector<std::string>& keys,
                                 const PytorchObjects& objects, std::uint64_t at) {
  const ByteSource& bytes = *file;
  const std::string title = title_of(bytes.path());
  StoragePlaces places;
  for (const std::string& key : keys) {
    const std::string record = "storage " + shown(key);
    const auto storage = objects.storages.find(key);
    if (storage == objects.storages.end()) fail_record(title, record, "is listed, but no tensor names it");
    if (bytes.size() - at < 8) fail_record(title, record, "is missing: the file was cut off");
    std::uint64_t count = 0;
    bytes.read(at, std::as_writable_bytes(std::span(&count, 1)));
    at += 8;
    if (count != storage->second.count) {
      fail_record(title, record, formatted("has {} elements, but its tensors say {}", count, storage->second.count));
    }
    const std::uint64_t size = count * storage->second.item_bytes;
    if (size > bytes.size() - at) {
      fail_record(title, record,
                  formatted("needs {} bytes, but {} are left: the file was cut off", size, bytes.size() - at));
    }
    if (!places.emplace(key, StoragePlace{file, at, at}).second) fail_record(title, record, "is listed twice");
    at += size;
  }
  for (const auto& [key, storage] : objects.storages) {
    if (!places.contains(key) && storage.count > 0) fail_record(title, "storage " + shown(key), "is missing");
  }
  return places;
}

std::vector<std::string> read_keys(const Pickle& pickle) {
  std::vector<std::string> keys;
  if (pickle.root().kind != PickleKind::kList) pickle.fail("is no list of storages");
  for (const PickleIndex item : pickle.items(pickle.root())) {
    keys.emplace_back(pickle_text(pickle, item, "a storage's name"));
  }
  return keys;
}

// What PyTorch wrote before 0.1.10: an archive of these files.
bool recognises_tar(std::span<const std::byte>, const std::shared_ptr<const ByteSource>& bytes) {
  constexpr std::string_view kUstar = "ustar";
  constexpr std::uint64_t kPlace = 257;
  if (bytes->size() < kPlace + kUstar.size()) return false;
  const std::string start = read_text(*bytes, 0, kPlace + kUstar.size());
  const std::string_view first = std::string_view(start).substr(0, start.find('\0'));
  return start.ends_with(kUstar) && std::ranges::any_of(std::array{"sys_info", "pickle", "storages", "tensors"},
                                                        [&](std::string_view name) { return first == name; });
}

}  // namespace

bool is_zip(std::span<const std::byte> start) {
  constexpr std::string_view kZip = "PK\x03\x04";
  return start.size() >= kZip.size() && std::memcmp(start.data(), kZip.data(), kZip.size()) == 0;
}

bool recognises_pytorch_zip(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes) {
  if (!is_zip(start)) return false;
  find_root(ZipArchive(bytes));
  return true;
}

// The header length of a safetensors file that was cut off can start so too, but its upper half is zero, and a brace
// stands behind it. From protocol 4 on a frame may come first, whose length has a zero there.
bool recognises_pytorch_pickle(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>&) {
  constexpr std::byte kFrame{0x95}, kZero{0};
  if (start.size() < 9 || start[0] != std::byte{0x80}) return false;
  if (start[1] < std::byte{2} || start[1] > std::byte{5}) return false;
  const bool is_framed = start[1] >= std::byte{4} && start[2] == kFrame && start[8] == kZero;
  return is_framed || std::ranges::any_of(start.subspan(4, 4), [&](std::byte byte) { return byte != kZero; });
}

std::unique_ptr<TensorSource> open_pytorch_zip_source(std::shared_ptr<const ByteSource> bytes,
                                                      const OpenSettings& settings) {
  const ZipArchive archive(bytes);
  const std::string root = find_root(archive);
  const bool is_big_endian = read_is_big_endian(archive, root);
  PytorchObjects objects =
      read_objects(archive, root, {read_tensors_key(archive, root, settings.tensors_key), !is_big_endian});
  const StoragePlaces places = find_places(archive, bytes, root + "/data", objects);
  Metadata metadata = read_metadata(archive, root);
  return make_pytorch_source("pytorch", std::move(bytes), std::move(objects), places, is_big_endian,
                             std::move(metadata));
}

std::unique_ptr<TensorSource> open_pytorch_pickle_source(std::shared_ptr<const ByteSource> bytes,
                                                         const OpenSettings& settings) {
  const std::string title = title_of(bytes->path());
  PickleRow row(*bytes);
  {
    const Pickle magic = row.next("its magic number");
    if (magic.root().kind != PickleKind::kLong || magic.root().text != kMagic) {
      throw Error(
          Status::kUnsupported,
          formatted("{}: is a pickle, but nothing that torch.save wrote: it holds {}", title,
                    PytorchDicts(magic).described(magic.root_index())),
          "pass a PyTorch state dict or a safetensors file: other pickles, as scikit-learn's, hold no checkpoint",
          title);
    }
  }
  {
    const Pickle protocol = row.next("its protocol version");
    if (protocol.root().kind != PickleKind::kInt || protocol.root().integer != kProtocol) {
      throw Error(Status::kUnsupported, formatted("{}: has an unknown version of PyTorch's old format", title),
                  "load and save it again with a current PyTorch", title);
    }
  }
  row.next("its system information");
  PytorchObjects objects =
      read_pytorch_objects(row.next(kRowRecord), title, kRowRecord, {wanted_key(settings.tensors_key), true});
  const std::vector<std::string> keys = read_keys(row.next("its list of storages"));
  const StoragePlaces places = find_legacy_places(bytes, keys, objects, row.end());
  return make_pytorch_source("pytorch pickle", std::move(bytes), std::move(objects), places, false, Metadata());
}

const Format kPytorchFormat{
    .name = "pytorch",
    .extensions = ".pt,.pth,.bin,.ckpt",
    .recognises = recognises_pytorch_zip,
    .open_source = open_pytorch_zip_source,
    .open_sink = open_pytorch_sink,
    .has_dicts = true,
    .may_be_shard = true,
    .carries_members = true,
};

const Format kPytorchPickleFormat{
    .name = "pytorch pickle",
    .recognises = recognises_pytorch_pickle,
    .open_source = open_pytorch_pickle_source,
    .has_dicts = true,
    .may_be_shard = true,
    .advice = "write the current form: pytorch",
};

const Format kPytorchTarFormat{
    .name = "pytorch tar",
    .recognises = recognises_tar,
    .has_dicts = true,
    .advice = "ask its provider for a current one, or load it with a PyTorch of its time and save it again",
};

}  // namespace mnq
