#include "base/files/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <system_error>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/files/folder.h"
#include "base/text/format.h"
#include "base/text/text.h"

namespace mnq {
namespace {

std::string errno_text(int error_number) { return std::generic_category().message(error_number); }

std::string suggestion_for(int error_number) {
  switch (error_number) {
    case ENOENT:
      return "check the path";
    case EACCES:
    case EPERM:
    case EROFS:
      return "check the permissions of the file and its folder";
    case EFBIG:
      return "allow larger files (ulimit -f unlimited), or write to another disk";
    case ENOSPC:
    case EDQUOT:
      return "free some space, or write to another disk";
    case EMFILE:
    case ENFILE:
      return "allow more open files: ulimit -n 4096";
    default:
      return "";
  }
}

[[noreturn]] void fail_input(const std::string& path, const char* what, int error_number) {
  const Status status = error_number == ENOENT || error_number == ENOTDIR ? Status::kNotFound : Status::kIo;
  throw Error(status, formatted("{}: {}: {}", path, what, errno_text(error_number)), suggestion_for(error_number),
              path);
}

// Empty where nothing is there.
std::string real_path_of(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  if (real == nullptr && errno != ENOENT && errno != ENOTDIR) fail_input(path, "cannot be found", errno);
  return real == nullptr ? std::string() : real.get();
}

// Access lists: with one, what looks like the group's permissions is the most that anyone on the list has.
bool take_access_list(int fd, const std::string& path) {
  constexpr const char* kName = "system.posix_acl_access";
  std::array<char, 4096> list{};
  const ssize_t size = ::getxattr(path.c_str(), kName, list.data(), list.size());
  if (size < 0) return errno == ENODATA || errno == EOPNOTSUPP;
  return ::fsetxattr(fd, kName, list.data(), static_cast<std::size_t>(size), 0) == 0;
}

// What a link says; empty where the path is no link or not there.
std::string read_link(const std::string& path) {
  std::array<char, PATH_MAX> named{};
  const ssize_t length = ::readlink(path.c_str(), named.data(), named.size());
  if (length < 0 && errno != EINVAL && errno != ENOENT && errno != ENOTDIR) fail_input(path, "cannot be read", errno);
  return {named.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0))};
}

std::string descriptor_path(int fd) { return formatted("/proc/self/fd/{}", fd); }

// Where an open file lies: that of the descriptor, not what the path leads to by now.
std::string real_path_of(const std::string& path, int fd) {
  std::string real = read_link(descriptor_path(fd));
  return real.starts_with('/') ? real : real_path_of(path);  // without /proc
}

std::int64_t nanoseconds(const struct timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}

FileStamp stamp_of(const struct stat& status) {
  return {static_cast<std::uint64_t>(status.st_size), nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
}

struct stat require_regular(const std::string& path, int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) fail_input(path, "cannot be read", errno);
  if (S_ISDIR(status.st_mode)) {
    throw Error(Status::kUnsupported, formatted("{}: is a folder, where a file is needed", path),
                "pass a file inside it", path);
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(Status::kIo, formatted("{}: is not a regular file", path),
                "a checkpoint is read by position: save the stream to a file first", path);
  }
  return status;
}

[[noreturn]] void refuse_existing(const std::string& path, const char* what) {
  throw Error(Status::kIo, formatted("{}: {}", path, what),
              "choose another name, or allow it to be replaced (overwrite=true)", path);
}

[[noreturn]] void fail_to_open(const std::string& path, int error_number) {
  if (error_number == ENOENT) {
    if (const std::string target = read_link(path); !target.empty()) {
      throw Error(Status::kNotFound, formatted("{}: is a link to {}, where nothing is", path, target),
                  "fetch or restore what it names, or remove the link", path);
    }
  }
  fail_input(path, "cannot be opened", error_number);
}

FileDescriptor open_regular(const std::string& path) {
  const FileDescriptor found(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (found.get() < 0) fail_to_open(path, errno);
  require_regular(path, found.get());
  FileDescriptor file(::open(descriptor_path(found.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 && errno == ENOENT) {  // without /proc
    file = FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  }
  if (file.get() < 0) fail_to_open(path, errno);
  return file;
}

bool is_below(const std::string& path, const std::string& folder) {
  return folder == "/" || (path.starts_with(folder) && path.substr(folder.size()).starts_with('/'));
}

// Writing beyond RLIMIT_FSIZE is an error, and not the end of the process, while this lives: SIGXFSZ, which the system
// sends to the thread that writes, is held back there and taken. What the host does with signals stays as it is.
class FileSizeSignalBlocked {
 public:
  FileSizeSignalBlocked() noexcept {
    ::sigemptyset(&signal_);
    ::sigaddset(&signal_, SIGXFSZ);
    ::pthread_sigmask(SIG_BLOCK, &signal_, &before_);
    sigset_t pending;
    ::sigpending(&pending);
    was_pending_ = ::sigismember(&pending, SIGXFSZ) == 1;
  }
  ~FileSizeSignalBlocked() {
    const timespec at_once{};
    while (!was_pending_ && ::sigtimedwait(&signal_, nullptr, &at_once) < 0 && errno == EINTR) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  FileSizeSignalBlocked(const FileSizeSignalBlocked&) = delete;
  FileSizeSignalBlocked& operator=(const FileSizeSignalBlocked&) = delete;

 private:
  sigset_t signal_, before_;
  bool was_pending_ = false;
};

}  // namespace

bool take_permissions(int fd, const std::string& path, const struct stat& old) {
  struct stat made {};
  if (::fstat(fd, &made) != 0) return false;
  const bool is_other = made.st_uid != old.st_uid || made.st_gid != old.st_gid;
  const bool keeps_group = made.st_gid == old.st_gid || ::fchown(fd, static_cast<uid_t>(-1), old.st_gid) == 0;
  const bool keeps_list = take_access_list(fd, path);
  const mode_t kept = S_ISDIR(old.st_mode) ? 07777u : 0777u;
  const mode_t mode = old.st_mode & kept & (keeps_group && keeps_list ? ~0u : ~0070u);
  if (::fchmod(fd, mode) != 0 && (::fstat(fd, &made) != 0 || (made.st_mode & kept) != mode)) return false;
  if (is_other) std::ignore = ::fchown(fd, old.st_uid, static_cast<gid_t>(-1));
  return true;
}

bool lacks_links(int error_number) {
  return error_number == EPERM || error_number == EOPNOTSUPP || error_number == ENOSYS || error_number == EMLINK ||
         error_number == EXDEV;
}

std::string resolve_links(const std::string& path) {
  std::string resolved = path;
  constexpr int kMaxLinks = 40;  // as many as Linux follows
  for (int links = 0; links < kMaxLinks; ++links) {
    const std::string target = read_link(resolved);
    if (target.empty()) return resolved;
    resolved = target.starts_with('/') ? target : join_path(folder_of(resolved), target);
  }
  return resolved;
}

FilePlace::FilePlace(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return;
    fail_input(path, "cannot be found", errno);
  }
  real_path_ = real_path_of(path);
  named_path_ = join_path(real_path_of(folder_of(path)), file_name_of(path));
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

FilePlace::FilePlace(const std::string& path, int fd, dev_t device, ino_t inode)
    : real_path_(real_path_of(path, fd)),
      named_path_(join_path(real_path_of(folder_of(path)), file_name_of(path))),
      device_(device),
      inode_(inode) {}

bool FilePlace::is_at_or_below(const std::string& path) const {
  const FilePlace other(path);
  if (inode_ == 0 || other.inode_ == 0) return false;
  return is_same_file(other) || is_below(real_path_, other.real_path_) || is_below(named_path_, other.real_path_);
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

InputFile::InputFile(std::string path) : path_(std::move(path)), fd_(open_regular(path_)) {
  const struct stat status = require_regular(path_, fd_.get());
  stamp_ = stamp_of(status);
  place_ = FilePlace(path_, fd_.get(), status.st_dev, status.st_ino);
}

void InputFile::require_unchanged() const {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) fail_input(path_, "cannot be read", errno);
  if (stamp_of(status) == stamp_) return;
  throw Error(Status::kIo, formatted("{}: was changed while it was in use", path_),
              "keep the file unchanged while it is in use", path_);
}

// Threads that take pieces of a file in turn look to the kernel like random reads, for which it reads little ahead: two
// of them got 80 % of what dd gets from a cold disk. So the way ahead is asked for here.
void InputFile::read_ahead(std::uint64_t offset, std::uint64_t size) const {
  constexpr std::uint64_t kLeastSize = 128u << 10;  // smaller reads are no stream
  constexpr std::uint64_t kAhead = 64u << 20, kStep = 8u << 20;
  if (size < kLeastSize) return;
  const std::uint64_t end = offset + size;
  std::uint64_t ahead = ahead_.load(std::memory_order_relaxed);
  const bool is_near = ahead >= offset && ahead <= end + 2 * kAhead;
  const std::uint64_t from = is_near ? std::max(ahead, end) : end;
  const std::uint64_t to = std::min(stamp_.size_bytes, end + kAhead);
  if (to < from + kStep && (is_near || to <= from)) return;
  if (ahead_.compare_exchange_strong(ahead, to, std::memory_order_relaxed)) {
    ::posix_fadvise(fd_.get(), static_cast<off_t>(from), static_cast<off_t>(to - from), POSIX_FADV_WILLNEED);
  }
}

void InputFile::read_at(std::uint64_t offset, std::span<std::byte> into) const {
  read_ahead(offset, into.size());
  while (!into.empty()) {
    const ssize_t count = ::pread(fd_.get(), into.data(), into.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_input(path_, "cannot be read", errno);
    if (count == 0) {
      throw Error(Status::kIo, formatted("{}: ends at byte {}, it became shorter while it was read", path_, offset),
                  "keep the file unchanged while it is in use", path_);
    }
    into = into.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
}

OutputFile::OutputFile(const std::string& path, bool overwrite, std::uint64_t size_bytes, Claim claim)
    : target_(resolve_links(path)), overwrite_(overwrite), end_(size_bytes) {
  struct stat old {};
  const bool is_there = ::stat(target_.c_str(), &old) == 0;
  if (!is_there && errno != ENOENT) fail("cannot be created", errno);
  if (is_there && !S_ISREG(old.st_mode)) {
    throw Error(Status::kIo, formatted("{}: is not a regular file and cannot be replaced", path),
                "choose another name for the output", path);
  }
  if (is_there && !overwrite) refuse_existing(target_, "is there already");
  temporary_ = Temporary(target_, kMakesFile, is_there ? 0600 : 0666);
  if (!temporary_.is_open()) fail("cannot be created", errno);
  if (claim == Claim::kNeeded) temporary_.require_alone();
  if (is_there && !take_permissions(temporary_.fd(), target_, old)) fail("its permissions cannot be kept", errno);
  if (size_bytes > 0) reserve(size_bytes);
}

// EOPNOTSUPP and the like only mean that this file system cannot reserve.
void OutputFile::reserve(std::uint64_t size) {
  const FileSizeSignalBlocked blocked;
  if (::fallocate(temporary_.fd(), 0, 0, static_cast<off_t>(size)) == 0) return;
  const int error_number = errno;
  if (error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG) {
    fail(formatted("cannot be written: it needs {}", size_text(size)).c_str(), error_number);
  }
}

void OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  const FileSizeSignalBlocked blocked;
  const std::uint64_t size = bytes.size();
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(temporary_.fd(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail("cannot be written", count == 0 ? ENOSPC : errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  for (std::uint64_t end = end_.load(); end < offset && !end_.compare_exchange_weak(end, offset);) {
  }
  start_writing(size);
}

// Asks the system to write to the disk what it holds, every now and then, and does not wait: else all of it would be
// left for the end.
void OutputFile::start_writing(std::uint64_t size) {
  constexpr std::uint64_t kEvery = 8u << 20;
  const std::uint64_t before = written_.fetch_add(size, std::memory_order_relaxed);
  if (before / kEvery != (before + size) / kEvery) ::sync_file_range(temporary_.fd(), 0, 0, SYNC_FILE_RANGE_WRITE);
}

void OutputFile::throw_cancelled() { throw Error(Status::kCancelled, "cancelled while the output was being synced"); }

// What a file system does not support here, the fsync of publish() does all the same, only without a pause for cancel.
void OutputFile::sync_range(std::uint64_t offset) {
  ::sync_file_range(temporary_.fd(), static_cast<off_t>(offset), static_cast<off_t>(kSyncBytes),
                    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

void OutputFile::publish() {
  // First, since it needs memory: after the rename nothing may fail.
  const std::string folder = folder_of(target_);
  if (::fsync(temporary_.fd()) != 0) fail("cannot be synced", errno);
  if (!overwrite_) {
    publish_new();
  } else if (::rename(temporary_.path().c_str(), target_.c_str()) != 0) {
    fail("cannot be put in place", errno);
  }
  temporary_.release();
  sync_folder(folder);
}

// Never over another file: not every file system can rename so, and not every one of those has hard links. What is left
// there is to look right before. To take the name with an empty file would leave that where the run is killed.
void OutputFile::publish_new() {
  const char *from = temporary_.path().c_str(), *to = target_.c_str();
  if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return;
  if (errno != EINVAL && errno != ENOSYS) fail("cannot be put in place", errno);
  if (::link(from, to) == 0) {
    ::unlink(from);
    return;
  }
  if (!lacks_links(errno)) fail("cannot be put in place", errno);
  struct stat appeared {};
  if (::lstat(to, &appeared) == 0) fail("cannot be put in place", EEXIST);
  if (errno != ENOENT || ::rename(from, to) != 0) fail("cannot be put in place", errno);
}

void OutputFile::fail(const char* what, int error_number) const {
  const std::string& path = target_;
  if (error_number == EEXIST) refuse_existing(path, "appeared meanwhile");
  throw Error(Status::kIo, formatted("{}: {}: {}", path, what, errno_text(error_number)),
              error_number == ENOENT ? "create the folder first" : suggestion_for(error_number), path);
}

}  // namespace mnq
