#include "base/files/temporary.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <span>
#include <thread>

#include "base/error.h"
#include "base/files/folder.h"
#include "base/hash.h"
#include "base/text/format.h"

namespace mnq {
namespace {

constexpr std::string_view kEnding = ".tmp", kFolderEnding = ".dir", kRoleStart = "mnq-", kPartStart = "mnq-part-";

std::string host_name() {
  std::array<char, 61> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  std::string host = name.data();
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  for (char& c : host) c = is_plain(c) ? c : '-';
  return host.empty() ? "unknown" : host;
}

// The start of the names of all temporaries of an output; a name that is too long for it is told by its hash.
std::string name_start(const std::string& target) {
  constexpr std::size_t kLongest = 140;
  std::string name = file_name_of(target);
  if (name.size() > kLongest) {
    Hash hash;
    hash.add(std::as_bytes(std::span<const char>(name)));
    name = name.substr(0, kLongest - 17) + "-" + hash.text();
  }
  return "." + name + ".";
}

// What the name of a temporary says, behind its output's.
struct Maker {
  std::string_view role;
  std::string_view host;
  std::string_view process;
};

bool is_number(std::string_view text) noexcept {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// "mnq-file.host.123-4.tmp"
std::optional<Maker> read_maker(std::string_view text) noexcept {
  if (!text.ends_with(kEnding)) return std::nullopt;
  text.remove_suffix(kEnding.size());
  const std::size_t first = text.find('.'), second = text.find('.', std::min(first, text.size() - 1) + 1);
  if (first == text.npos || second == text.npos) return std::nullopt;
  const std::string_view numbers = text.substr(second + 1);
  const std::size_t dash = numbers.find('-');
  if (!text.starts_with(kRoleStart) || dash == numbers.npos) return std::nullopt;
  if (!is_number(numbers.substr(0, dash)) || !is_number(numbers.substr(dash + 1))) return std::nullopt;
  return Maker{text.substr(0, first), text.substr(first + 1, second - first - 1), numbers.substr(0, dash)};
}

bool disturb_each_other(std::string_view one, std::string_view other) {
  return one == other || !one.starts_with(kPartStart) || !other.starts_with(kPartStart);
}

// Of a temporary: the name of its folder, in `buffer`.
const char* folder_name(const char* name, std::array<char, NAME_MAX + 1>& buffer) noexcept {
  const std::size_t size = std::min(std::strlen(name), buffer.size() - 1) - kEnding.size();
  std::memcpy(buffer.data(), name, size);
  std::memcpy(buffer.data() + size, kFolderEnding.data(), kFolderEnding.size());
  buffer[size + kFolderEnding.size()] = '\0';
  return buffer.data();
}

bool is_at(int fd, int folder, const char* name) noexcept {
  struct stat open {
  }, there{};
  return ::fstat(fd, &open) == 0 && ::fstatat(folder, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISREG(open.st_mode) && open.st_ino == there.st_ino && open.st_dev == there.st_dev;
}

// Whether its maker lives. Where it is dead, what it left is removed.
bool is_alive(int folder, const char* name) noexcept {
  const FileDescriptor file(::openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0) return false;
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return errno == EWOULDBLOCK;
  if (!is_at(file.get(), folder, name)) return false;
  std::array<char, NAME_MAX + 1> inner{};
  if (remove_tree_at(folder, folder_name(name, inner))) ::unlinkat(folder, name, 0);
  return false;
}

}  // namespace

std::string makes_part(std::uint32_t part, std::uint32_t part_count) {
  return formatted("{}{}-of-{}", kPartStart, part + 1, part_count);
}

Temporary::Temporary(const std::string& target, std::string_view role, mode_t mode) : target_(target), role_(role) {
  static std::atomic<unsigned> counter{0};
  const std::string start = target.substr(0, target.size() - file_name_of(target).size()) + name_start(target);
  const std::string host = host_name();
  constexpr int kMostAttempts = 100;
  for (int attempt = 0; attempt < kMostAttempts && !is_open(); ++attempt) {
    const std::string base = formatted("{}{}.{}.{}-{}", start, role, host, ::getpid(), counter++);
    std::string path = base + std::string(kEnding);
    folder_ = base + std::string(kFolderEnding);
    FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (fd.get() < 0 && errno != EEXIST) return;
    if (fd.get() < 0) continue;
    path_ = std::move(path);
    // Another run may take it for a dead one's before it is locked.
    const bool is_taken = ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (!is_taken && is_at(fd.get(), AT_FDCWD, path_.c_str())) {
      fd_ = std::move(fd);
    } else {
      ::unlink(path_.c_str());
      path_.clear();
      errno = EEXIST;
    }
  }
}

Temporary::~Temporary() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Temporary::Temporary(Temporary&& other) noexcept { *this = std::move(other); }

Temporary& Temporary::operator=(Temporary&& other) noexcept {
  std::swap(target_, other.target_);
  std::swap(role_, other.role_);
  std::swap(path_, other.path_);
  std::swap(folder_, other.folder_);
  std::swap(fd_, other.fd_);
  return *this;
}

// Two that start at once see each other: the one whose name comes first goes on, once the other has gone.
void Temporary::require_alone() const {
  const std::string start = name_start(target_), own = file_name_of(path_), folder = folder_of(path_);
  constexpr int kMostLooks = 20;
  for (int look = 0;; ++look) {
    std::string other;
    FolderReader reader(AT_FDCWD, folder.c_str());
    while (const char* name = reader.next()) {
      const std::string_view text = name;
      if (text == own || !text.starts_with(start)) continue;
      const auto maker = read_maker(text.substr(start.size()));
      if (maker && is_alive(reader.fd(), name) && disturb_each_other(role_, maker->role)) other = text;
    }
    if (other.empty()) return;
    if (other < own || look == kMostLooks) {
      const Maker maker = *read_maker(std::string_view(other).substr(start.size()));
      throw Error(Status::kState,
                  formatted("{}: process {} on {} is at work on it", target_, maker.process, maker.host),
                  "wait until it has ended, or choose another output", target_);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

bool is_temporary_name(std::string_view name) noexcept {
  const std::size_t role = name.rfind(".mnq-");
  return name.starts_with('.') && role != name.npos && role > 0 && read_maker(name.substr(role + 1)).has_value();
}

void remove_dead_temporaries(int parent, const char* name) noexcept {
  FolderReader folder(parent, name);
  while (folder.is_open()) {
    const char* inner = folder.next();
    if (inner == nullptr) return;
    if (is_temporary_name(inner)) {
      is_alive(folder.fd(), inner);
    } else if (kind_of(folder.fd(), inner) == EntryKind::kFolder) {
      remove_dead_temporaries(folder.fd(), inner);
    }
  }
}

}  // namespace mnq
