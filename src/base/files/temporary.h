// What a run makes beside its output before that is there. Its name says who makes it, and it is locked for as long as
// the maker lives: so what a killed run left is known from what another one is at work on. The first is removed, the
// second is a reason to leave the output alone.
//
// A name is ".OUTPUT.ROLE.HOST.PROCESS-NUMBER.tmp". The lock is flock()'s, which ends with the process. Where a file
// system has no locks nothing is removed and nobody is seen.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/files/file_descriptor.h"

namespace mnq {

/// What a run does at an output, as names say it: makes a file, a folder, or a part of a folder.
inline constexpr std::string_view kMakesFile = "mnq-file";
inline constexpr std::string_view kMakesFolder = "mnq-folder";
std::string makes_part(std::uint32_t part, std::uint32_t part_count);

/// An empty file beside an output, locked; gone with the object.
class Temporary {
 public:
  Temporary() = default;

  /// Beside `target`, with these permissions but what the umask takes. Where it cannot be made, is_open() is false and
  /// errno says why.
  Temporary(const std::string& target, std::string_view role, mode_t mode);
  ~Temporary();
  Temporary(Temporary&& other) noexcept;
  Temporary& operator=(Temporary&& other) noexcept;

  bool is_open() const { return fd_.get() >= 0; }
  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

  /// A folder of its own: what dead runs left there goes with their temporary. Not made here.
  const std::string& folder() const { return folder_; }

  /// Removes what dead runs left beside this output. Errors: kState where a live one is at work on it; parts of a
  /// folder do not disturb each other.
  void require_alone() const;

  /// The file has its final name: it stays.
  void release() noexcept { path_.clear(); }

 private:
  std::string target_;
  std::string role_;
  std::string path_;  // empty once it is released
  std::string folder_;
  FileDescriptor fd_;
};

/// Whether a file of that name is a temporary of any output.
bool is_temporary_name(std::string_view name) noexcept;

/// Removes the temporaries of dead runs in an open folder's entry and below.
void remove_dead_temporaries(int parent, const char* name) noexcept;

}  // namespace mnq
