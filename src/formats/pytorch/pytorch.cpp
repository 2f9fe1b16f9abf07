#include "formats/pytorch/pytorch.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/json.h"
#include "containers/archive_error.h"
#include "containers/pickle/pickle_fields.h"
#include "containers/read_text.h"
#include "containers/strided_read.h"
#include "containers/torch_save/pytorch_objects.h"
#include "containers/torch_save/pytorch_records.h"
#include "containers/torchscript/torchscript_archive.h"
#include "containers/zip/zip_archive.h"
#include "containers/zip/zip_records.h"
#include "plan/own_metadata.h"

namespace mnq {
namespace {

constexpr std::uint64_t kMostPickleBytes = 256u << 20;

// A storage's bytes, and where they start in the file.
struct StoragePlace {
  std::shared_ptr<const ByteSource> bytes;
  std::uint64_t offset = 0;  // of the storage in those bytes
  std::uint64_t file_offset = 0;
};
using StoragePlaces = std::map<std::string, StoragePlace>;

std::optional<std::string> wanted_key(const std::string& key) {
  return key.empty() ? std::nullopt : std::optional(key);
}

void swap_bytes(std::span<std::byte> bytes, std::uint64_t item_bytes) {
  for (std::size_t at = 0; at + item_bytes <= bytes.size(); at += item_bytes) {
    std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                 bytes.begin() + static_cast<std::ptrdiff_t>(at + item_bytes));
  }
}

class PytorchSource final : public DescribedSource {
 public:
  PytorchSource(std::string_view format, std::shared_ptr<const ByteSource> bytes, PytorchObjects objects,
                const StoragePlaces& places, bool is_big_endian, Metadata metadata)
      : format_(format), bytes_(std::move(bytes)), nowhere_{bytes_, 0, 0}, is_big_endian_(is_big_endian) {
    remarks_ = std::move(objects.remarks);
    inputs_ = {bytes_};
    set_metadata(std::move(metadata));
    for (const std::string& key : objects.carried) {
      const StoragePlace& place = place_of(places, key);
      const PytorchStorage& storage = objects.storages.at(key);
      objects.frame.storages.push_back({place.bytes, place.offset, storage.count * storage.item_bytes});
    }
    companion_.members = std::move(objects.members);
    companion_.pytorch = std::make_shared<const PytorchFrame>(std::move(objects.frame));
    for (const auto& [tensor, place] : in_order_of_data(objects.tensors, places)) add_tensor(*tensor, *place);
  }

  std::string_view format() const override { return format_; }
  std::string path() const override { return bytes_->path(); }
  std::uint64_t size_bytes() const override { return bytes_->size(); }
  const Companion* companion() const override { return &companion_; }
  std::vector<std::string> ties(std::size_t tensor) const override {
    const auto found = ties_.find(tensor);
    return found == ties_.end() ? std::vector<std::string>() : found->second;
  }

  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    const View& view = views_[tensor];
    const std::uint64_t item = item_bytes(view.dtype);
    if (!view.scattered && !is_swapped(view)) return view.storage->read(view.start + offset, into);
    if (offset % item == 0 && into.size() % item == 0) return read_items(tensor, offset / item, into);
    const std::uint64_t first = offset / item;
    std::vector<std::byte> items((offset + into.size() + item - 1) / item * item - first * item);
    read_items(tensor, first, items);
    std::memcpy(into.data(), items.data() + offset % item, into.size());
  }

  std::shared_ptr<const std::byte> view(std::size_t tensor) const override {
    const View& view = views_[tensor];
    return !view.scattered && !is_swapped(view) ? view.storage->view(view.start) : nullptr;
  }

 private:
  // What is read as a tensor: this, and no more, since there may be 100,000 of them.
  struct View {
    std::shared_ptr<const ByteSource> storage;
    std::uint64_t start = 0;         // of the first element in those bytes
    Boxed<StridedLayout> scattered;  // where its elements do not lie one behind the other
    DType dtype = DType::kF32;
  };
  using Placed = std::pair<PytorchTensor*, const StoragePlace*>;

  static std::uint64_t item_bytes(DType dtype) { return dtype_bits(dtype) / 8; }

  static std::uint64_t offset_in_storage(const PytorchTensor& tensor) {
    return (tensor.storage_offset + static_cast<std::uint64_t>(tensor.offset)) * item_bytes(tensor.dtype);
  }

  // An empty storage may have none.
  const StoragePlace& place_of(const StoragePlaces& places, const std::string& storage) const {
    const auto found = places.find(storage);
    return found == places.end() ? nowhere_ : found->second;
  }

  std::vector<Placed> in_order_of_data(std::vector<PytorchTensor>& tensors, const StoragePlaces& places) const {
    std::vector<Placed> placed;
    placed.reserve(tensors.size());
    for (PytorchTensor& tensor : tensors) placed.emplace_back(&tensor, &place_of(places, tensor.storage));
    std::ranges::stable_sort(
        placed, {}, [](const Placed& each) { return each.second->file_offset + offset_in_storage(*each.first); });
    return placed;
  }

  void add_tensor(PytorchTensor& tensor, const StoragePlace& place) {
    if (!tensor.ties.empty()) ties_.emplace(tensors_.size(), std::move(tensor.ties));
    StridedLayout layout{tensor.shape, std::move(tensor.strides), item_bytes(tensor.dtype)};
    View& view = views_.emplace_back(View{place.bytes, place.offset + offset_in_storage(tensor), {}, tensor.dtype});
    if (!is_contiguous(layout)) view.scattered = std::move(layout);
    const std::uint64_t size = *checked_size_bytes(tensor.dtype, tensor.shape);
    tensors_.push_back({std::move(tensor.name), tensor.dtype, std::move(tensor.shape), size});
  }

  bool is_swapped(const View& view) const { return is_big_endian_ && item_bytes(view.dtype) > 1; }

  void read_items(std::size_t tensor, std::uint64_t first, std::span<std::byte> into) const {
    const View& view = views_[tensor];
    const std::uint64_t item = item_bytes(view.dtype);
    if (!view.scattered) {
      view.storage->read(view.start + first * item, into);
    } else {
      strips_.read(tensor, *view.scattered, first, into, [&](std::uint64_t offset, std::span<std::byte> piece) {
        view.storage->read(view.start + offset, piece);
      });
    }
    // A complex number is two numbers.
    if (is_swapped(view)) swap_bytes(into, view.dtype == DType::kC64 ? 4 : item);
  }

  std::string_view format_;
  std::shared_ptr<const ByteSource> bytes_;
  StoragePlace nowhere_;  // of what is empty
  std::vector<View> views_;
  std::unordered_map<std::size_t, std::vector<std::string>> ties_;  // of the few tensors that have any
  Companion companion_;
  bool is_big_endian_;
  mutable StridedStrips strips_;
};

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

// Of a record that is read whole. A deflated one could be a thousand times what it takes in the file; pickles of real
// checkpoints deflate to a tenth.
std::string read_whole(const ZipArchive& archive, const ZipEntry& entry) {
  constexpr std::uint64_t kSmall = 64u << 10, kMostTimes = 32;
  if (entry.is_deflated && entry.size > kSmall + kMostTimes * entry.stored_size) {
    refuse_record(archive.title(), entry.name,
                  formatted("inflates {} bytes to {}, as no checkpoint does", entry.stored_size, entry.size),
                  "save the model's state dict alone");
  }
  return archive.read(entry, kMostPickleBytes);
}

bool read_byte_order(const ZipArchive& archive, const std::string& root) {
  const ZipEntry* entry = archive.find(root + "/byteorder");
  if (entry == nullptr) return false;
  const std::string order = archive.read(*entry, 64);
  if (order != "little" && order != "big") {
    fail_record(archive.title(), entry->name, "is neither little nor big");
  }
  return order == "big";
}

StoragePlaces find_places(const ZipArchive& archive, const std::shared_ptr<const ByteSource>& bytes,
                          const std::string& root, const PytorchObjects& objects) {
  const ZipRecords records(bytes, archive.title());
  StoragePlaces places;
  for (const auto& [key, storage] : objects.storages) {
    const std::string name = formatted("{}/data/{}", root, key);
    const ZipEntry* entry = archive.find(name);
    const std::uint64_t size = storage.count * storage.item_bytes;
    if (entry == nullptr) {
      if (size == 0) continue;
      fail_record(archive.title(), name, "is missing, though data.pkl names it");
    }
    if (entry->size != size) {
      fail_record(archive.title(), name, formatted("has {} bytes, but data.pkl says {}", entry->size, size));
    }
    places.emplace(key, StoragePlace{records.open(*entry), 0, entry->data_offset});
  }
  return places;
}

// The dict that what we wrote ourselves names as the model's; else the one that is asked for.
std::optional<std::string> read_tensors_key(const ZipArchive& archive, const std::string& root,
                                            const std::string& wanted) {
  const ZipEntry* entry = archive.find(root + std::string(kPytorchTensorsKeyRecord));
  if (!wanted.empty() || entry == nullptr) return wanted_key(wanted);
  return read_whole(archive, *entry);
}

// The pickle takes ten times the memory of what is read of it, and is gone before the records are opened.
PytorchObjects read_objects(const ZipArchive& archive, const std::string& root, const PytorchRequest& request) {
  const std::string record = root + "/data.pkl";
  const std::string text = read_whole(archive, *archive.find(record));
  const Pickle pickle(text, archive.title(), record, PickleNumbers::kShared);
  return read_pytorch_objects(pickle, archive.title(), record, request);
}

Metadata read_metadata(const ZipArchive& archive, const std::string& root) {
  Metadata metadata;
  const ZipEntry* entry = archive.find(root + std::string(kPytorchMetadataRecord));
  if (entry == nullptr) return metadata;
  try {
    const Json json = parse_json(read_whole(archive, *entry));
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
  const bool is_big_endian = read_byte_order(archive, root);
  PytorchObjects objects =
      read_objects(archive, root, {read_tensors_key(archive, root, settings.tensors_key), !is_big_endian});
  const StoragePlaces places = find_places(archive, bytes, root, objects);
  Metadata metadata = read_metadata(archive, root);
  return std::make_unique<PytorchSource>("pytorch", std::move(bytes), std::move(objects), places, is_big_endian,
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
  return std::make_unique<PytorchSource>("pytorch pickle", std::move(bytes), std::move(objects), places, false,
                                         Metadata());
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
