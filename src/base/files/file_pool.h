// Files of which few are open at a time: a checkpoint of a thousand shards must not need a thousand descriptors, of
// which a process commonly has 1024.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/files/byte_stream.h"
#include "base/files/file.h"

namespace mnq {

class FilePool {
 public:
  /// The open file of an owner, or null. Any thread; what is returned stays open while it is held.
  std::shared_ptr<const InputFile> find(const void* owner);

  /// Keeps it open until kMostOpen others were used since.
  void keep(const void* owner, std::shared_ptr<const InputFile> file);
  void forget(const void* owner);

 private:
  static constexpr std::size_t kMostOpen = 32;

  struct Open {
    const void* owner;
    std::shared_ptr<const InputFile> file;
  };

  std::mutex mutex_;
  std::vector<Open> open_;  // the one used last at the end
};

/// As open_bytes; where the pool has closed it, it is opened again by its real path. Errors of read then also:
/// kNotFound, and kIo where another file lies there.
std::shared_ptr<const ByteSource> open_bytes(const std::string& path, std::shared_ptr<FilePool> pool);

}  // namespace mnq
