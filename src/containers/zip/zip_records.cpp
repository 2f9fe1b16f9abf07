#include "containers/zip/zip_records.h"

#include "containers/zip/streamed_checksum.h"

namespace mnq {
namespace {

class ZipRecordBytes final : public ByteSource {
 public:
  ZipRecordBytes(std::shared_ptr<const ByteSource> archive, std::shared_ptr<InflatedChunks> inflated,
                 const std::string& title, const ZipEntry& entry)
      : archive_(std::move(archive)),
        inflated_(std::move(inflated)),
        title_(title),
        entry_(entry),
        checksum_(entry.size) {}

  std::string path() const override { return archive_->path(); }
  std::uint64_t size() const override { return entry_.size; }
  const FilePlace* place() const override { return archive_->place(); }
  const FileStamp* stamp() const override { return archive_->stamp(); }
  void require_unchanged() const override { archive_->require_unchanged(); }

  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (entry_.is_deflated) {
      return inflated_->read(entry_, offset, into,
                             [this](std::uint64_t at, std::span<const std::byte> bytes) { check(at, bytes); });
    }
    archive_->read(entry_.data_offset + offset, into);
    check(offset, into);
  }

  // Whoever gets it reads what they like of it: all is checked first.
  std::shared_ptr<const std::byte> view(std::uint64_t offset) const override {
    if (entry_.is_deflated) return nullptr;
    auto view = archive_->view(entry_.data_offset + offset);
    if (view == nullptr) return nullptr;
    std::call_once(is_checked_, [&] { check(0, {view.get() - offset, entry_.size}); });
    return view;
  }

 private:
  void check(std::uint64_t offset, std::span<const std::byte> bytes) const {
    if (entry_.has_checksum() && checksum_.add(offset, bytes)) check_crc(title_, entry_, checksum_.crc());
  }

  const std::shared_ptr<const ByteSource> archive_;
  const std::shared_ptr<InflatedChunks> inflated_;
  const std::string title_;
  const ZipEntry entry_;
  mutable StreamedChecksum checksum_;
  mutable std::once_flag is_checked_;
};

}  // namespace

std::shared_ptr<const ByteSource> ZipRecords::open(const ZipEntry& entry) const {
  return std::make_shared<ZipRecordBytes>(bytes_, inflated_, title_, entry);
}

}  // namespace mnq
