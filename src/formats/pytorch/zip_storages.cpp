#include "formats/pytorch/zip_storages.h"

#include "base/text/format.h"
#include "containers/archive_error.h"
#include "containers/zip/zip_records.h"

namespace mnq {

// Of a record that is read whole. A deflated one could be a thousand times what it takes in the file; pickles of real
// checkpoints deflate to a tenth.
std::string read_whole_record(const ZipArchive& archive, const ZipEntry& entry) {
  constexpr std::uint64_t kSmall = 64u << 10, kMostTimes = 32;
  if (entry.is_deflated && entry.size > kSmall + kMostTimes * entry.stored_size) {
    refuse_record(archive.title(), entry.name,
                  formatted("inflates {} bytes to {}, as no checkpoint does", entry.stored_size, entry.size),
                  "save the model's state dict alone");
  }
  return archive.read(entry, kMostPickleBytes);
}

bool read_is_big_endian(const ZipArchive& archive, const std::string& root) {
  const ZipEntry* entry = archive.find(root + "/byteorder");
  if (entry == nullptr) return false;
  const std::string order = archive.read(*entry, 64);
  if (order != "little" && order != "big") {
    fail_record(archive.title(), entry->name, "is neither little nor big");
  }
  return order == "big";
}

StoragePlaces find_places(const ZipArchive& archive, const std::shared_ptr<const ByteSource>& bytes,
                          const std::string& folder, const PytorchObjects& objects) {
  const ZipRecords records(bytes, archive.title());
  StoragePlaces places;
  for (const auto& [key, storage] : objects.storages) {
    const std::string name = formatted("{}/{}", folder, key);
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

}  // namespace mnq
