// Files, read and written by position so that any number of threads can work on one file at once. Reads go through
// pread, not a mapping: a file that shrinks or a disk that fails is then an error and not a SIGBUS, and what was read
// does not count as ours in the process's memory.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/files/file_descriptor.h"
#include "base/files/temporary.h"

namespace mnq {

/// The file a path names in the end, there or not, so that writing it leaves symbolic links in place. Of a circle of
/// links one is returned: the system refuses it.
std::string resolve_links(const std::string& path);

/// Whether link() failed since the file system has no hard links, or not of such a file.
bool lacks_links(int error_number);

/// Gives an open file or folder the owner, group and permissions of the one at `path`, which it is to replace. Where
/// the group or the access list cannot be kept, the group gets nothing. False where it fails; errno says why.
bool take_permissions(int fd, const std::string& path, const struct stat& old);

/// Where a file or folder lies: to know it again under any name, later and from any working folder. Errors of all: kIo
/// where the system does not say it.
class FilePlace {
 public:
  FilePlace() = default;

  /// Of nothing where the path names nothing.
  explicit FilePlace(const std::string& path);

  /// Of a file that was opened by that path and still is.
  FilePlace(const std::string& path, int fd, dev_t device, ino_t inode);

  /// Without symbolic links.
  const std::string& real_path() const { return real_path_; }

  bool is_same_file(const FilePlace& other) const { return inode_ == other.inode_ && device_ == other.device_; }

  /// Whether what replaces this path replaces it: the path names it, through any link, or a folder that holds it or the
  /// link it was named by.
  bool is_at_or_below(const std::string& path) const;

 private:
  std::string real_path_;
  std::string named_path_;  // the name it was given, in the real path of its folder
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

/// What a write to a file, or a change of its name, changes.
struct FileStamp {
  std::uint64_t size_bytes = 0;
  std::int64_t modified_ns = 0;  ///< when its bytes were written, as it says; since 1970
  std::int64_t changed_ns = 0;   ///< when anything of it was changed; no program sets this

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

/// A regular file held open for reading. read_at may be called from several threads. What is no regular file is not
/// opened at all: a FIFO would wait, and a device may do something.
class InputFile {
 public:
  /// Errors: kNotFound (a link to nothing, too), kIo (permissions, not a regular file), kUnsupported (a folder); each
  /// names the path.
  explicit InputFile(std::string path);

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return stamp_.size_bytes; }

  /// As it was opened.
  const FileStamp& stamp() const { return stamp_; }

  /// Throws kIo where it was written to since it was opened: what was read may be half of the old and half of the new.
  void require_unchanged() const;

  /// Fills `into` from offset. Errors: kIo, also where the file ends before.
  void read_at(std::uint64_t offset, std::span<std::byte> into) const;

  const FilePlace& place() const { return place_; }

 private:
  std::string path_;
  void read_ahead(std::uint64_t offset, std::uint64_t size) const;

  FileDescriptor fd_;
  FileStamp stamp_;
  FilePlace place_;
  mutable std::atomic<std::uint64_t> ahead_{0};  // up to where the system was asked to read
};

/// Whether a run has to claim its output: not what lies in a folder that it has claimed.
enum class Claim { kNeeded, kHeld };

/// A file that appears whole or not at all: a temporary name in the target's folder, then fsync and rename. A target
/// that is a symbolic link stays one; the file it names is made or replaced. What replaces a file has that one's
/// permissions, from the start.
class OutputFile {
 public:
  /// overwrite: whether an existing file may be replaced. The size is reserved at once, so that a full disk is known
  /// before the work and not after; 0 where it is not known yet. Errors: kIo (exists, no such folder, permissions, full
  /// disk); kState where another run is at work on it.
  OutputFile(const std::string& path, bool overwrite, std::uint64_t size_bytes, Claim claim = Claim::kNeeded);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// From any thread. Errors: kIo.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);

  /// Syncs piece by piece, calling is_cancelled between the pieces: true stops and throws kCancelled. Then the file
  /// gets its name. Errors: kIo; kCancelled.
  template <class IsCancelled>
  void commit(IsCancelled&& is_cancelled) {
    for (std::uint64_t offset = 0; offset < end_.load(); offset += kSyncBytes) {
      if (is_cancelled()) throw_cancelled();
      sync_range(offset);
    }
    if (is_cancelled()) throw_cancelled();
    publish();
  }

 private:
  static constexpr std::uint64_t kSyncBytes = 8u << 20;  // 8 MiB: a slow disk takes below 0.2 s for it

  [[noreturn]] static void throw_cancelled();
  void reserve(std::uint64_t size);
  void start_writing(std::uint64_t size);
  void sync_range(std::uint64_t offset);
  void publish();
  void publish_new();
  [[noreturn]] void fail(const char* what, int error_number) const;

  std::string target_;
  bool overwrite_;
  Temporary temporary_;
  std::atomic<std::uint64_t> end_;         // of what is reserved or written
  std::atomic<std::uint64_t> written_{0};  // bytes
};

}  // namespace mnq
