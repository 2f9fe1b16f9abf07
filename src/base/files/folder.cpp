#include "base/files/folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "base/files/file.h"
#include "base/text/format.h"

namespace mnq {
namespace {

[[noreturn]] void fail_to_list(const std::string& path, int error_number) {
  throw Error(error_number == ENOENT ? Status::kNotFound : Status::kIo,
              formatted("{}: cannot be read: {}", path, std::generic_category().message(error_number)),
              "check its permissions, and those of the folder around it", path);
}

bool is_absence(int error_number) { return error_number == ENOENT || error_number == ENOTDIR; }

// Empty where it is gone by now.
std::optional<FolderEntry> describe_entry(const std::string& path, int folder, const char* name) {
  FolderEntry entry{name};
  struct stat status {};
  if (::fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return std::nullopt;
    fail_to_list(join_path(path, name), errno);
  }
  entry.is_link = S_ISLNK(status.st_mode);
  if (entry.is_link && ::fstatat(folder, name, &status, 0) != 0) {
    if (!is_absence(errno) && errno != ELOOP) fail_to_list(join_path(path, name), errno);
    entry.is_dangling = true;
    return entry;
  }
  entry.is_folder = S_ISDIR(status.st_mode);
  entry.is_file = S_ISREG(status.st_mode);
  entry.size_bytes = static_cast<std::uint64_t>(status.st_size);
  return entry;
}

// Whether something is there.
bool look_at(const std::string& path, struct stat& status) {
  if (::stat(path.c_str(), &status) == 0) return true;
  if (is_absence(errno)) return false;
  fail_to_list(path, errno);
}

}  // namespace

std::string join_path(const std::string& folder, const std::string& name) {
  return folder.empty() || folder.ends_with('/') ? folder + name : folder + "/" + name;
}

std::string file_name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool path_exists(const std::string& path) {
  struct stat status {};
  return look_at(path, status);
}

bool is_folder(const std::string& path) {
  struct stat status {};
  return look_at(path, status) && S_ISDIR(status.st_mode);
}

EntryKind kind_of(int folder, const char* name) noexcept {
  struct stat status {};
  if (::fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return EntryKind::kNone;
  if (S_ISDIR(status.st_mode)) return EntryKind::kFolder;
  return S_ISREG(status.st_mode) ? EntryKind::kFile : EntryKind::kOther;
}

FolderReader::FolderReader(int parent, const char* name) noexcept {
  const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return;
  folder_ = ::fdopendir(fd);
  if (folder_ == nullptr) ::close(fd);
}

FolderReader::~FolderReader() {
  if (folder_ != nullptr) ::closedir(folder_);
}

const char* FolderReader::next() noexcept {
  while (folder_ != nullptr) {
    errno = 0;
    const dirent* entry = ::readdir(folder_);
    if (entry == nullptr) {
      error_ = errno;
      return nullptr;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") return entry->d_name;
  }
  return nullptr;
}

std::vector<FolderEntry> list_folder(const std::string& path) {
  const std::string folder = resolve_links(path.empty() ? "." : path);
  FolderReader reader(AT_FDCWD, folder.c_str());
  if (!reader.is_open()) fail_to_list(path, errno);
  std::vector<FolderEntry> entries;
  while (const char* name = reader.next()) {
    if (auto entry = describe_entry(path, reader.fd(), name)) entries.push_back(std::move(*entry));
  }
  if (reader.error() != 0) fail_to_list(path, reader.error());
  std::ranges::sort(entries, {}, &FolderEntry::name);
  return entries;
}

bool remove_tree_at(int folder, const char* name) noexcept {
  if (::unlinkat(folder, name, 0) == 0 || errno == ENOENT) return true;
  if (errno != EISDIR && errno != EPERM) return false;
  {
    FolderReader reader(folder, name);
    if (!reader.is_open()) return false;
    while (const char* inner = reader.next()) {
      if (!remove_tree_at(reader.fd(), inner)) return false;
    }
  }
  return ::unlinkat(folder, name, AT_REMOVEDIR) == 0;
}

bool remove_tree(const std::string& path) noexcept { return remove_tree_at(AT_FDCWD, path.c_str()); }

void sync_folder(const std::string& path) noexcept {
  const FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() >= 0) ::fsync(folder.get());
}

}  // namespace mnq
