#include "containers/zip/zip_records.h"

#include <atomic>
#include <mutex>

#include "containers/zip/inflated_chunks.h"
#include "containers/zip/streamed_checksum.h"
#include "kernels/kernel_table.h"

namespace mnq {

struct ZipRecords::Archive {
  const std::shared_ptr<const ByteSource> bytes;
  const std::unique_ptr<InflatedChunks> inflated;
  const std::string title;
};

namespace {

template <class Archive>
class ZipRecordBytes final : public ByteSource {
 public:
  ZipRecordBytes(std::shared_ptr<const Archive> archive, const ZipEntry& entry)
      : archive_(std::move(archive)), entry_(entry) {}

  std::string path() const override { return archive_->bytes->path(); }
  std::uint64_t size() const override { return entry_.size; }
  const FilePlace* place() const override { return archive_->bytes->place(); }
  const FileStamp* stamp() const override { return archive_->bytes->stamp(); }
  void require_unchanged() const override { archive_->bytes->require_unchanged(); }

  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (entry_.is_deflated) {
      return archive_->inflated->read(entry_, offset, into,
                                      [this](std::uint64_t at, std::span<const std::byte> bytes) { check(at, bytes); });
    }
    archive_->bytes->read(entry_.data_offset + offset, into);
    check(offset, into);
  }

  // Whoever gets it reads what they like of it: all is checked first.
  std::shared_ptr<const std::byte> view(std::uint64_t offset) const override {
    if (entry_.is_deflated) return nullptr;
    auto view = archive_->bytes->view(entry_.data_offset + offset);
    if (view != nullptr) check(0, {view.get() - offset, entry_.size});
    return view;
  }

 private:
  // What is read whole needs no pieces to be remembered.
  void check(std::uint64_t offset, std::span<const std::byte> bytes) const {
    if (!entry_.has_checksum() || bytes.empty() || is_sound_.load(std::memory_order_acquire)) return;
    if (bytes.size() == entry_.size) {
      const auto* start = reinterpret_cast<const std::uint8_t*>(bytes.data());
      return require(kernels::kernel_table().crc32(0, start, bytes.size()));
    }
    std::call_once(has_pieces_, [&] { pieces_ = std::make_unique<StreamedChecksum>(entry_.size); });
    if (pieces_->add(offset, bytes)) require(pieces_->crc());
  }

  void require(std::uint32_t crc) const {
    check_crc(archive_->title, entry_, crc);
    is_sound_.store(true, std::memory_order_release);
  }

  const std::shared_ptr<const Archive> archive_;
  const ZipEntry entry_;
  mutable std::unique_ptr<StreamedChecksum> pieces_;
  mutable std::once_flag has_pieces_;
  mutable std::atomic<bool> is_sound_{false};
};

}  // namespace

ZipRecords::ZipRecords(std::shared_ptr<const ByteSource> bytes, const std::string& title)
    : archive_(new Archive{bytes, std::make_unique<InflatedChunks>(bytes, title), title}) {}

std::shared_ptr<const ByteSource> ZipRecords::open(const ZipEntry& entry) const {
  return std::make_shared<ZipRecordBytes<Archive>>(archive_, entry);
}

}  // namespace mnq
