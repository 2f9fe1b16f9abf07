#include "base/files/file_pool.h"

#include <algorithm>

#include "base/error.h"
#include "base/text/format.h"

namespace mnq {
namespace {

class PooledBytes final : public ByteSource {
 public:
  PooledBytes(const std::string& path, std::shared_ptr<FilePool> pool) : path_(path), pool_(std::move(pool)) {
    auto file = std::make_shared<const InputFile>(path);
    place_ = file->place();
    stamp_ = file->stamp();
    pool_->keep(this, std::move(file));
  }
  ~PooledBytes() override { pool_->forget(this); }
  PooledBytes(const PooledBytes&) = delete;
  PooledBytes& operator=(const PooledBytes&) = delete;

  std::string path() const override { return path_; }
  std::uint64_t size() const override { return stamp_.size_bytes; }
  void read(std::uint64_t offset, std::span<std::byte> into) const override { open()->read_at(offset, into); }
  std::shared_ptr<const std::byte> view(std::uint64_t) const override { return nullptr; }
  const FilePlace* place() const override { return &place_; }
  const FileStamp* stamp() const override { return &stamp_; }
  void require_unchanged() const override { open()->require_unchanged(); }

 private:
  std::shared_ptr<const InputFile> open() const {
    std::shared_ptr<const InputFile> file = pool_->find(this);
    return file == nullptr ? open_again() : file;
  }

  std::shared_ptr<const InputFile> open_again() const {
    auto file = std::make_shared<const InputFile>(place_.real_path());
    if (!file->place().is_same_file(place_) || file->stamp() != stamp_) {
      throw Error(Status::kIo, formatted("{}: was changed, or another file took its place, while it was in use", path_),
                  "keep the file unchanged while it is in use", path_);
    }
    pool_->keep(this, file);
    return file;
  }

  std::string path_;
  std::shared_ptr<FilePool> pool_;
  FilePlace place_;
  FileStamp stamp_;
};

}  // namespace

std::shared_ptr<const InputFile> FilePool::find(const void* owner) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(open_, owner, &Open::owner);
  if (found == open_.end()) return nullptr;
  std::rotate(found, found + 1, open_.end());
  return open_.back().file;
}

void FilePool::keep(const void* owner, std::shared_ptr<const InputFile> file) {
  const std::lock_guard lock(mutex_);
  if (std::ranges::find(open_, owner, &Open::owner) != open_.end()) return;  // another thread was first
  if (open_.size() == kMostOpen) open_.erase(open_.begin());
  open_.push_back({owner, std::move(file)});
}

void FilePool::forget(const void* owner) {
  const std::lock_guard lock(mutex_);
  std::erase_if(open_, [&](const Open& open) { return open.owner == owner; });
}

std::shared_ptr<const ByteSource> open_bytes(const std::string& path, std::shared_ptr<FilePool> pool) {
  return std::make_shared<PooledBytes>(path, std::move(pool));
}

}  // namespace mnq
