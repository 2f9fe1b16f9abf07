#include "cli/report_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

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
  return error ? place : whole;
}

}  // namespace

ReportFile::ReportFile(const std::string& path, const std::vector<std::string>& files_of_job)
    : target_(resolved(path)) {
  for (const std::string& file : files_of_job) {
    if (file.empty()) continue;
    std::error_code error;
    if (target_ == resolved(file) || fs::equivalent(target_, file, error)) {
      throw Failure{MNQ_E_INVALID_ARG, path + ": is a file of the job itself", "choose another name for the report",
                    path};
    }
  }
  std::error_code error;
  const fs::file_status status = fs::status(target_, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw Failure{MNQ_E_IO, path + ": is not a regular file and cannot be replaced",
                  "--json writes the report to standard output", path};
  }
  const fs::path place(target_);
  const std::string name = "." + place.filename().string().substr(0, 200) + "." + std::to_string(::getpid()) + ".tmp";
  temporary_ = (place.parent_path() / name).string();
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    const int error_number = errno;
    temporary_.clear();
    fail("cannot be created", error_number);
  }
}

ReportFile::~ReportFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void ReportFile::publish(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(descriptor_, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("cannot be written", errno);
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  if (::fsync(descriptor_) != 0) fail("cannot be synced", errno);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("cannot be put in place", errno);
  temporary_.clear();
}

void ReportFile::fail(const char* action, int error_number) const { fail_file(target_, action, error_number); }

}  // namespace cli
