#include "formats/folder/output/folder_publish.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <system_error>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "base/files/file.h"
#include "base/files/folder.h"
#include "base/text/format.h"
#include "formats/folder/output/folder_job.h"
#include "formats/folder/output/write_files.h"

namespace mnq {
namespace {

[[noreturn]] void fail_to_publish(const std::string& work, const std::string& path, int error_number) {
  const std::string why = error_number == ENOTEMPTY || error_number == EEXIST
                              ? "it appeared meanwhile"
                              : std::generic_category().message(error_number);
  throw Error(Status::kIo,
              formatted("{}: cannot be put in place: {}; all of it is made and lies in {}", path, why, work),
              "see to the folder around it, then merge", path);
}

// "-00001-of-00003"
bool is_shard_number(std::string_view text) noexcept {
  constexpr std::string_view kShape = "-00000-of-00000";
  return std::ranges::equal(text, kShape, [](char found, char wanted) {
    return wanted == '0' ? found >= '0' && found <= '9' : found == wanted;
  });
}

bool is_same_file(const struct stat& one, const struct stat& other) noexcept {
  return one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

[[noreturn]] void fail(const std::string& path, const char* what, int error_number) {
  throw Error(Status::kIo, formatted("{}: {}: {}", path, what, std::generic_category().message(error_number)), "",
              path);
}

// All 0 where nothing is there. Links are not followed.
struct stat look(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 && errno != ENOENT) fail(path, "cannot be read", errno);
  return status;
}

bool is_there(const struct stat& status) { return status.st_mode != 0; }

// The files that a job made in a folder: known by where they lie, so that looking one up needs no memory.
class OwnFiles {
 public:
  /// Errors: kIo.
  OwnFiles(const std::string& folder, const FolderJobFile& job) {
    for (const std::string& name : names_of_files(job)) {
      const struct stat status = look(join_path(folder, name));
      if (is_there(status)) places_.emplace_back(status.st_dev, status.st_ino);
    }
    std::ranges::sort(places_);
  }

  bool hold(const struct stat& file) const noexcept {
    return std::ranges::binary_search(places_, std::pair(file.st_dev, file.st_ino));
  }

 private:
  std::vector<std::pair<dev_t, ino_t>> places_;
};

// What is the user's own in the old folder, brought into the new one while the old one stays as it is.
class Bringer {
 public:
  Bringer(const std::string& from, const std::string& to, const OwnFiles& own) : from_(from), to_(to), own_(own) {}

  /// Errors: kIo.
  void bring() {
    const struct stat top = look(from_);
    device_ = top.st_dev;
    bring_entries(from_, to_, true);
    for (const FolderEntry& entry : list_folder(to_)) {
      if (is_checkpoint_file(entry.name)) narrow(join_path(to_, entry.name));
    }
  }

 private:
  static struct stat look(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0 && errno != ENOENT) fail(path, "cannot be read", errno);
    return status;
  }

  void bring_entries(const std::string& from, const std::string& to, bool is_top) {
    for (const FolderEntry& entry : list_folder(from)) {
      const std::string old_path = join_path(from, entry.name), new_path = join_path(to, entry.name);
      const struct stat old = look(old_path);
      if (!is_there(old)) continue;
      if (S_ISDIR(old.st_mode)) {
        bring_folder(old_path, new_path, old);
      } else if (is_top && is_checkpoint_file(entry.name)) {
        weights_mode_ &= old.st_mode;
      } else {
        bring_file(old_path, new_path, old);
      }
    }
  }

  // What another file system is mounted on stays where it is.
  void bring_folder(const std::string& from, const std::string& to, const struct stat& old) {
    if (old.st_dev != device_) return;
    const bool is_new = ::mkdir(to.c_str(), 0700) == 0;
    if (!is_new && errno != EEXIST) fail(to, "cannot be created", errno);
    if (!is_new && !S_ISDIR(look(to).st_mode)) return;
    bring_entries(from, to, false);
    if (is_new) {
      keep_attributes(to, old);
    } else {
      keep_mode(to, old.st_mode);
    }
  }

  void bring_file(const std::string& from, const std::string& to, const struct stat& old) {
    const struct stat made = look(to);
    if (is_there(made)) {
      if (S_ISDIR(made.st_mode) || is_same_file(old, made)) return;
      if (own_.hold(made)) return keep_mode(to, old.st_mode);
      if (::unlink(to.c_str()) != 0) fail(to, "cannot be replaced", errno);  // of a run that was killed here
    }
    if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0) == 0) return;
    if (!lacks_links(errno)) fail(from, "cannot be linked", errno);
    copy(from, to, old);
  }

  // What cannot be copied is moved once the new folder has its name.
  static void copy(const std::string& from, const std::string& to, const struct stat& old) {
    if (S_ISLNK(old.st_mode)) {
      std::array<char, PATH_MAX> named{};
      if (::readlink(from.c_str(), named.data(), named.size() - 1) > 0)
        std::ignore = ::symlink(named.data(), to.c_str());
    } else if (S_ISREG(old.st_mode) && ::access(from.c_str(), R_OK) == 0) {
      copy_file(*open_bytes(from), to, [] { return false; });
      keep_attributes(to, old);
    }
  }

  static void keep_mode(const std::string& path, mode_t mode) {
    if (::chmod(path.c_str(), mode & 07777) != 0)
      fail(path, "cannot be given the permissions of what it replaces", errno);
  }

  static void keep_attributes(const std::string& path, const struct stat& old) {
    std::ignore = ::chown(path.c_str(), old.st_uid, old.st_gid);
    keep_mode(path, old.st_mode);
    const timespec times[] = {old.st_atim, old.st_mtim};
    ::utimensat(AT_FDCWD, path.c_str(), times, 0);
  }

  // New weights are nobody's to read who could not read the old ones, whatever both are called.
  void narrow(const std::string& path) {
    const struct stat made = look(path);
    if (S_ISREG(made.st_mode) && (made.st_mode & 0777 & ~weights_mode_) != 0)
      keep_mode(path, made.st_mode & weights_mode_);
  }

  const std::string& from_;
  const std::string& to_;
  const OwnFiles& own_;
  dev_t device_ = 0;
  mode_t weights_mode_ = 07777;
};

// Takes out of the old folder what belongs into the new one, and removes the rest. It needs no memory: the new folder
// has its name, and nothing may fail.
class Carrier {
 public:
  explicit Carrier(const OwnFiles& own) : own_(own) {}

  /// Whether nothing is left of `from`.
  bool carry(int from_parent, const char* from_name, int to_parent, const char* to_name, bool is_top) const noexcept {
    bool is_whole = true;
    {
      FolderReader from(from_parent, from_name);
      const FolderReader to(to_parent, to_name);
      if (!from.is_open() || !to.is_open()) return false;
      while (const char* name = from.next()) is_whole = carry_entry(from.fd(), to.fd(), name, is_top) && is_whole;
    }
    return is_whole && ::unlinkat(from_parent, from_name, AT_REMOVEDIR) == 0;
  }

 private:
  // Whether the entry is where it belongs, or gone. What appeared in the old folder meanwhile is moved, and what
  // changed there takes the place of its copy.
  bool carry_entry(int from, int to, const char* name, bool is_top) const noexcept {
    struct stat old {
    }, made{};
    if (::fstatat(from, name, &old, AT_SYMLINK_NOFOLLOW) != 0) return false;
    const bool has_made = ::fstatat(to, name, &made, AT_SYMLINK_NOFOLLOW) == 0;
    if (!has_made && errno != ENOENT) return false;
    const bool old_is_folder = S_ISDIR(old.st_mode), made_is_folder = has_made && S_ISDIR(made.st_mode);
    if (old_is_folder && made_is_folder) return carry(from, name, to, name, false);
    const bool is_superseded = is_top && !old_is_folder && is_checkpoint_file(name);
    if (!has_made && !is_superseded) return ::renameat(from, name, to, name) == 0;
    if (old_is_folder || made_is_folder) return false;
    if (is_superseded || own_.hold(made) || is_same_file(old, made)) return ::unlinkat(from, name, 0) == 0;
    return ::renameat(from, name, to, name) == 0;
  }

  const OwnFiles& own_;
};

std::string set_aside(const std::string& path) { return path + ".replaced"; }

// Where the body fails, all is made by then: says where.
template <class Body>
auto with_all_made(const std::string& work, Body&& body) {
  try {
    return body();
  } catch (const Error& error) {
    throw Error(error.status(), formatted("{}; all of the new folder is made and lies in {}", error.message(), work),
                "see to it, then merge", error.subject());
  }
}

// Puts `work` in the place of `path`. Returns where the latter lies then.
std::string replace_folder(const std::string& work, const std::string& path, FolderJobFile& job) {
  std::string in_work = work, aside = set_aside(path);
  if (::renameat2(AT_FDCWD, work.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0) return in_work;
  // NFS and others cannot exchange.
  if (errno != EINVAL && errno != ENOSYS) fail_to_publish(work, path, errno);
  if (kind_of(AT_FDCWD, aside.c_str()) != EntryKind::kNone) fail_to_publish(work, aside, EEXIST);
  job.state = FolderState::kSetAside;
  with_all_made(work, [&] { write_folder_job(work, job); });
  if (::rename(path.c_str(), aside.c_str()) != 0) fail_to_publish(work, path, errno);
  if (::rename(work.c_str(), path.c_str()) == 0) return aside;
  const int error_number = errno;
  ::rename(aside.c_str(), path.c_str());
  fail_to_publish(work, path, error_number);
}

// As it was, for the owner's eyes only if that is what it was.
void take_folder_permissions(const std::string& work, const std::string& path) {
  struct stat old {};
  if (::stat(path.c_str(), &old) != 0) {
    if (errno == ENOENT) return;
    fail_to_publish(work, path, errno);
  }
  const FileDescriptor folder(::open(work.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || !take_permissions(folder.get(), path, old)) fail_to_publish(work, path, errno);
}

// Whether the old folder is gone. Where it is not, the job file stays, too, so that the next run tries again.
bool end_publishing(const std::string& old, const std::string& path, const OwnFiles& own,
                    const std::string& job_file) noexcept {
  const bool is_gone = old.empty() || Carrier(own).carry(AT_FDCWD, old.c_str(), AT_FDCWD, path.c_str(), true);
  if (is_gone) ::unlink(job_file.c_str());
  sync_folder(path);
  return is_gone;
}

std::string note_on(const std::string& left) {
  return formatted("{} holds what could not be moved out of the folder that was replaced: see to it, and remove it",
                   left);
}

}  // namespace

bool is_checkpoint_file(std::string_view name) noexcept {
  constexpr std::string_view kIndexEnding = ".index.json";
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kWeights{
      {{"model", ".safetensors"},
       {"pytorch_model", ".bin"},
       {"diffusion_pytorch_model", ".safetensors"},
       {"diffusion_pytorch_model", ".bin"}}};
  if (name == kFolderJobFile) return true;
  if (name.ends_with(kIndexEnding)) name.remove_suffix(kIndexEnding.size());
  return std::ranges::any_of(kWeights, [&](const auto& weights) {
    const auto& [start, ending] = weights;
    if (!name.starts_with(start) || !name.ends_with(ending)) return false;
    const std::string_view number = name.substr(start.size(), name.size() - start.size() - ending.size());
    return number.empty() || is_shard_number(number);
  });
}

std::string publish_folder(const std::string& work, const std::string& path, bool overwrite) {
  FolderJobFile job = read_folder_job(work);
  const OwnFiles own = with_all_made(work, [&] { return OwnFiles(work, job); });
  // Here, since they need memory: once the folder is in place nothing may fail.
  const std::string around = folder_of(path), job_file = join_path(path, kFolderJobFile);
  std::string note_on_work = note_on(work), note_on_aside = note_on(set_aside(path)), old;
  with_all_made(work, [&] {
    if (overwrite && is_folder(path)) Bringer(path, work, own).bring();
  });
  take_folder_permissions(work, path);
  sync_folder(work);
  // Takes the place of nothing or of an empty folder, never of anything else.
  if (::rename(work.c_str(), path.c_str()) != 0) {
    if (!overwrite || (errno != ENOTEMPTY && errno != EEXIST)) fail_to_publish(work, path, errno);
    old = replace_folder(work, path, job);
  }
  const bool is_gone = end_publishing(old, path, own, job_file);
  sync_folder(around);
  if (is_gone) return "";
  return job.state == FolderState::kSetAside ? note_on_aside : note_on_work;
}

std::string finish_publishing(const std::string& work, const std::string& path) {
  std::optional<FolderJobFile> job = find_folder_job(path);
  std::string old = job && job->state == FolderState::kSetAside ? set_aside(path) : work;
  if (!job && !path_exists(path)) {
    job = find_folder_job(work);
    old = set_aside(path);
    if (!job || job->state != FolderState::kSetAside || !is_folder(old)) return "";
    if (::rename(work.c_str(), path.c_str()) != 0) fail_to_publish(work, path, errno);
  }
  if (!job || job->state == FolderState::kMaking) return "";
  if (!is_folder(old) || path_exists(join_path(old, kFolderJobFile))) old.clear();
  const bool is_gone = end_publishing(old, path, OwnFiles(path, *job), join_path(path, kFolderJobFile));
  return is_gone ? "" : note_on(old);
}

}  // namespace mnq
