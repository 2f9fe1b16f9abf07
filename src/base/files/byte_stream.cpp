// Files and memory as byte sources and sinks.
#include "base/files/byte_stream.h"

#include <cstring>

namespace mnq {
namespace {

class FileBytes final : public ByteSource {
 public:
  explicit FileBytes(const std::string& path) : file_(path) {}
  std::string path() const override { return file_.path(); }
  std::uint64_t size() const override { return file_.size(); }
  void read(std::uint64_t offset, std::span<std::byte> into) const override { file_.read_at(offset, into); }
  std::shared_ptr<const std::byte> view(std::uint64_t) const override { return nullptr; }
  const FilePlace* place() const override { return &file_.place(); }
  const FileStamp* stamp() const override { return &file_.stamp(); }
  void require_unchanged() const override { file_.require_unchanged(); }

 private:
  InputFile file_;
};

class MemoryBytes final : public ByteSource {
 public:
  MemoryBytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner)
      : bytes_(bytes), owner_(std::move(owner)) {}
  std::string path() const override { return {}; }
  std::uint64_t size() const override { return bytes_.size(); }
  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (!into.empty()) std::memcpy(into.data(), bytes_.data() + offset, into.size());
  }
  std::shared_ptr<const std::byte> view(std::uint64_t offset) const override {
    return {owner_, bytes_.data() + offset};
  }

 private:
  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
};

class FileByteSink final : public ByteSink {
 public:
  FileByteSink(const std::string& path, bool overwrite, std::uint64_t size, std::function<bool()> is_cancelled,
               Claim claim)
      : file_(path, overwrite, size, claim), is_cancelled_(std::move(is_cancelled)) {}
  void write(std::uint64_t offset, std::span<const std::byte> bytes) override { file_.write_at(offset, bytes); }
  void commit() override { file_.commit(is_cancelled_); }

 private:
  OutputFile file_;
  std::function<bool()> is_cancelled_;
};

class StringByteSink final : public ByteSink {
 public:
  StringByteSink(std::string& out, std::uint64_t size) : out_(out) { bytes_.resize(size); }
  void write(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (offset + bytes.size() > bytes_.size()) bytes_.resize(offset + bytes.size());
    if (!bytes.empty()) std::memcpy(bytes_.data() + offset, bytes.data(), bytes.size());
  }
  void commit() override { out_ = std::move(bytes_); }

 private:
  std::string& out_;
  std::string bytes_;
};

}  // namespace

std::shared_ptr<const ByteSource> open_bytes(const std::string& path) { return std::make_shared<FileBytes>(path); }

std::shared_ptr<const ByteSource> memory_bytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  return std::make_shared<MemoryBytes>(bytes, std::move(owner));
}

OpenByteSink file_bytes(const std::string& path, bool overwrite, std::function<bool()> is_cancelled, Claim claim) {
  return [path, overwrite, is_cancelled = std::move(is_cancelled),
          claim](std::uint64_t size) -> std::unique_ptr<ByteSink> {
    return std::make_unique<FileByteSink>(path, overwrite, size, is_cancelled, claim);
  };
}

OpenByteSink string_bytes(std::string& out) {
  return
      [&out](std::uint64_t size) -> std::unique_ptr<ByteSink> { return std::make_unique<StringByteSink>(out, size); };
}

}  // namespace mnq
