#include "cli/report_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "cli/failure.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

// The place a path names in the end, whether there is a file or not: links stay, what they point to is written.
fs::path resolved(const std::string& path) {
  std::error_code error;
  fs::path place = path;
  constexpr int kMostLinks = 40;
  for (int i = 0; i < kMostLinks && fs::is_symlink(place, error); ++i) {
    place = place.parent_path() / fs::read_symlink(place, error);
  }
  const fs::path whole = fs::weakly_canonical(fs::absolute(place, error), error);
  if (error) return place;
  return whole.has_filename() ? whole : whole.parent_path();  // "out/"
}

bool is_below(const fs::path& path, const fs::path& folder) {
  const auto [in_folder, in_path] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return in_folder == folder.end();
}

// Whether the file is the target, or a link to it. What cannot be looked at is not.
bool is_same(const fs::path& file, const fs::path& target) {
  std::error_code error;
  return resolved(file) == target || fs::equivalent(file, target, error);
}

// Whether a file in the folder, or what a link in it names, is the target.
bool holds(const fs::path& folder, const fs::path& target) {
  std::error_code error;
  if (is_below(target, resolved(folder)) && fs::exists(target, error)) return true;
  constexpr auto kAll = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator entry(folder, kAll, error), end; !error && entry != end;
       entry.increment(error)) {
    if (is_same(entry->path(), target)) return true;
  }
  return false;
}

// Beside a file its model's config may be read, beside an index its shards are.
bool is_read_from(const std::string& input, const fs::path& target) {
  std::error_code error;
  if (fs::is_directory(input, error)) return holds(input, target);
  const fs::path folder = fs::absolute(input, error).parent_path();
  return is_same(input, target) || is_same(folder / "config.json", target) ||
         (input.ends_with(".index.json") && holds(folder, target));
}

bool is_written_to(const std::string& output, const fs::path& target) {
  std::error_code error;
  const bool is_folder = output.ends_with('/') || fs::is_directory(output, error);
  return is_same(output, target) || (is_folder && is_below(target, resolved(output)));
}

bool is_file_of_job(const JobFiles& files, const fs::path& target) {
  const auto is_read = [&](const std::string& input) { return !input.empty() && is_read_from(input, target); };
  return std::ranges::any_of(files.inputs, is_read) || (!files.output.empty() && is_written_to(files.output, target));
}

constexpr std::string_view kStart = ".mnq-report.", kEnding = ".tmp";

// Where all temporaries of a report start.
std::string temporary_start(const fs::path& target) {
  return "." + target.filename().string().substr(0, 200) + std::string(kStart);
}

// What killed runs left: nobody holds its lock.
void remove_leftovers(const fs::path& target) {
  const std::string start = temporary_start(target);
  std::error_code error;
  for (fs::directory_iterator entry(target.parent_path(), error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(start) || !name.ends_with(kEnding)) continue;
    const int file = ::open(entry->path().c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) continue;
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) ::unlink(entry->path().c_str());
    ::close(file);
  }
}

}  // namespace

ReportFile::ReportFile(const std::string& path, const JobFiles& files, bool may_replace)
    : target_(resolved(path)), may_replace_(may_replace) {
  if (is_file_of_job(files, target_)) {
    throw Failure{MNQ_E_INVALID_ARG, path + ": is a file of the job itself", "choose another name for the report",
                  path};
  }
  std::error_code error;
  const fs::file_status status = fs::status(target_, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw Failure{MNQ_E_IO, path + ": is not a regular file and cannot be replaced",
                  "--json writes the report to standard output", path};
  }
  if (fs::exists(status) && !may_replace) fail("is there already", EEXIST);
  remove_leftovers(target_);
  open_temporary();
}

ReportFile::~ReportFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

// With the permissions of what it replaces.
void ReportFile::open_temporary() {
  struct stat old {};
  const bool is_there = ::stat(target_.c_str(), &old) == 0;
  const std::string name = temporary_start(target_) + std::to_string(::getpid()) + std::string(kEnding);
  temporary_ = (fs::path(target_).parent_path() / name).string();
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, is_there ? 0600 : 0666);
  if (descriptor_ < 0) {
    const int error_number = errno;
    temporary_.clear();
    fail("cannot be created", error_number);
  }
  ::flock(descriptor_, LOCK_EX | LOCK_NB);
  if (is_there && ::fchmod(descriptor_, old.st_mode & 0777) != 0) fail("its permissions cannot be kept", errno);
}

void ReportFile::publish(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(descriptor_, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail("cannot be written", count == 0 ? ENOSPC : errno);
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  if (::fsync(descriptor_) != 0) fail("cannot be synced", errno);
  put_in_place();
  temporary_.clear();
}

void ReportFile::put_in_place() const {
  const char *from = temporary_.c_str(), *to = target_.c_str();
  if (may_replace_) {
    if (::rename(from, to) != 0) fail("cannot be put in place", errno);
    return;
  }
  // Not every file system can refuse to replace, and then link() does.
  if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return;
  if ((errno != EINVAL && errno != ENOSYS) || ::link(from, to) != 0) fail("cannot be put in place", errno);
  ::unlink(from);
}

void ReportFile::fail(const char* action, int error_number) const {
  if (error_number != EEXIST) fail_file(target_, action, error_number);
  throw Failure{MNQ_E_IO, target_ + ": is there already",
                "choose another name for the report, or allow it to be replaced (--force)", target_};
}

}  // namespace cli
