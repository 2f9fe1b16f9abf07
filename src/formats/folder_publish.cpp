#include "formats/folder_publish.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "base/error.h"
#include "base/folder.h"
#include "base/format.h"
#include "formats/folder_output.h"

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

// Of an entry of the old folder. Whether it is where it belongs, or gone.
bool carry_entry(int from, int to, const char* name, bool is_top) noexcept;

// Whether nothing is left of `from`.
bool carry_over(int from_parent, const char* from_name, int to_parent, const char* to_name, bool is_top) noexcept {
  bool is_whole = true;
  {
    FolderReader from(from_parent, from_name);
    const FolderReader to(to_parent, to_name);
    if (!from.is_open() || !to.is_open()) return false;
    while (const char* name = from.next()) is_whole = carry_entry(from.fd(), to.fd(), name, is_top) && is_whole;
  }
  return is_whole && ::unlinkat(from_parent, from_name, AT_REMOVEDIR) == 0;
}

bool carry_entry(int from, int to, const char* name, bool is_top) noexcept {
  const EntryKind old = kind_of(from, name), made = kind_of(to, name);
  if (old == EntryKind::kFolder && made == EntryKind::kFolder) return carry_over(from, name, to, name, false);
  const bool is_superseded = is_top && old != EntryKind::kFolder && is_checkpoint_file(name);
  if (made == EntryKind::kNone && !is_superseded) return ::renameat(from, name, to, name) == 0;
  if (old == EntryKind::kFolder || made == EntryKind::kFolder) return false;
  return ::unlinkat(from, name, 0) == 0;
}

// Puts `work` in the place of `path`. Whether the latter lies in `aside` then, and not in `work`.
bool replace_folder(const std::string& work, const std::string& path, const std::string& aside) {
  if (::renameat2(AT_FDCWD, work.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0) return false;
  // NFS and others cannot exchange.
  if (errno != EINVAL && errno != ENOSYS) fail_to_publish(work, path, errno);
  if (kind_of(AT_FDCWD, aside.c_str()) != EntryKind::kNone) fail_to_publish(work, aside, EEXIST);
  if (::rename(path.c_str(), aside.c_str()) != 0) fail_to_publish(work, path, errno);
  if (::rename(work.c_str(), path.c_str()) == 0) return true;
  const int error_number = errno;
  ::rename(aside.c_str(), path.c_str());
  fail_to_publish(work, path, error_number);
}

}  // namespace

bool is_checkpoint_file(std::string_view name) noexcept {
  constexpr std::string_view kIndexEnding = ".index.json";
  constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kWeights{
      {{"model", ".safetensors"}, {"pytorch_model", ".bin"}}};
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
  // Here, since they need memory: once the folder is in place nothing may fail.
  const std::string around = folder_of(path);
  std::string left, old = work, aside = path + ".replaced";
  sync_folder(work);
  // Takes the place of nothing or of an empty folder, never of anything else.
  if (::rename(work.c_str(), path.c_str()) != 0) {
    if (!overwrite || (errno != ENOTEMPTY && errno != EEXIST)) fail_to_publish(work, path, errno);
    if (replace_folder(work, path, aside)) old = std::move(aside);
    if (!carry_over(AT_FDCWD, old.c_str(), AT_FDCWD, path.c_str(), true)) left = std::move(old);
  }
  sync_folder(path);
  sync_folder(around);
  return left;
}

}  // namespace mnq
