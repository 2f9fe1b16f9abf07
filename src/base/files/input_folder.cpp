#include "base/files/input_folder.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

#include "base/error.h"
#include "base/files/file.h"
#include "base/files/file_pool.h"
#include "base/text/format.h"

namespace mnq {
namespace {

// Of the Hugging Face cache that a folder, or one above it, is a snapshot in; empty where it is in none.
std::string find_blobs(std::string folder) {
  for (; folder.size() > 1; folder = folder_of(folder)) {
    const std::string above = folder_of(folder);
    if (file_name_of(above) != "snapshots") continue;
    const FilePlace blobs(join_path(folder_of(above), "blobs"));
    if (!blobs.real_path().empty()) return blobs.real_path();
  }
  return {};
}

bool is_in(const std::string& path, const std::string& folder) {
  return !folder.empty() && path.starts_with(join_path(folder, ""));
}

}  // namespace

InputFolder::InputFolder(std::string path) : path_(std::move(path)), pool_(std::make_shared<FilePool>()) {
  real_path_ = FilePlace(path_).real_path();
  if (real_path_.empty()) {
    throw Error(Status::kNotFound, formatted("{}: is not there", path_), "check the path", path_);
  }
  blobs_ = find_blobs(real_path_);
}

std::vector<FolderEntry> InputFolder::list(const std::string& below) const {
  return list_folder(below.empty() ? path_ : join_path(path_, below));
}

bool InputFolder::has(const std::string& name) const {
  const std::string path = join_path(path_, name);
  struct stat status {};
  if (::fstatat(AT_FDCWD, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  throw Error(Status::kIo, formatted("{}: cannot be found: {}", path, std::generic_category().message(errno)),
              "check the permissions of the folder", path);
}

std::shared_ptr<const ByteSource> InputFolder::open_inside(const std::string& name) {
  auto bytes = open_bytes(join_path(path_, name), pool_);
  const std::string& real = bytes->place()->real_path();
  if (!is_in(real, real_path_) && !is_in(real, blobs_)) return nullptr;
  opened_.push_back(bytes);
  return bytes;
}

std::shared_ptr<const ByteSource> InputFolder::open(const std::string& name) {
  if (auto bytes = open_inside(name)) return bytes;
  const std::string path = join_path(path_, name);
  throw Error(Status::kIo, formatted("{}: is a link out of the folder, to {}", path, FilePlace(path).real_path()),
              "put the file itself into the folder, if it is yours to read", path);
}

std::shared_ptr<const ByteSource> InputFolder::open_if_there(const std::string& name) {
  return has(name) ? open(name) : nullptr;
}

}  // namespace mnq
