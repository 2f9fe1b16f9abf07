// Bytes by position: files and memory, as what formats read from and write to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/files/file.h"

namespace mnq {

/// Bytes that can be read by position: a file, or the caller's memory.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual std::string path() const = 0;  ///< empty in memory
  virtual std::uint64_t size() const = 0;
  virtual void read(std::uint64_t offset, std::span<std::byte> into) const = 0;
  virtual std::shared_ptr<const std::byte> view(std::uint64_t offset) const = 0;  ///< null where it must be read

  /// Of a file; null in memory.
  virtual const FilePlace* place() const { return nullptr; }
  virtual const FileStamp* stamp() const { return nullptr; }

  /// Throws kIo where it was written to since it was opened.
  virtual void require_unchanged() const {}
};

/// Bytes that are written by position and appear at commit.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual void write(std::uint64_t offset, std::span<const std::byte> bytes) = 0;  ///< from any thread
  virtual void commit() = 0;
};

/// Makes the place to write to once its size is known; 0 where it is not: then it grows, and one thread writes in
/// order.
using OpenByteSink = std::function<std::unique_ptr<ByteSink>(std::uint64_t size_bytes)>;

/// The bytes of a file. Errors: kNotFound, kIo.
std::shared_ptr<const ByteSource> open_bytes(const std::string& path);

/// The caller's memory, kept alive by `owner`; without one it must outlive the source and all that is made from it.
std::shared_ptr<const ByteSource> memory_bytes(std::span<const std::byte> bytes,
                                               std::shared_ptr<const void> owner = nullptr);

/// Where a sink puts its bytes, as OutputFile. is_cancelled is asked while a file is synced.
OpenByteSink file_bytes(const std::string& path, bool overwrite, std::function<bool()> is_cancelled,
                        Claim claim = Claim::kNeeded);
OpenByteSink string_bytes(std::string& out);

}  // namespace mnq
