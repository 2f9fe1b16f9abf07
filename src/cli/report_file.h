// The file of --report: there as a whole, and only after success.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cli {

/// A file that is written under a temporary name beside its place, so that a place that cannot be written is known before
/// the job starts. Replaces what was there.
class ReportFile {
 public:
  /// Throws Failure: IO or NOT_FOUND as the system says; INVALID_ARG where path names one of the job's own files (empty
  /// names are none).
  ReportFile(const std::string& path, const std::vector<std::string>& files_of_job);

  /// Removes what was not published.
  ~ReportFile();
  ReportFile(const ReportFile&) = delete;
  ReportFile& operator=(const ReportFile&) = delete;

  /// Writes, syncs and renames. Throws Failure (IO).
  void publish(std::string_view text);

 private:
  [[noreturn]] void fail(const char* action, int error_number) const;

  std::string target_;     // behind symbolic links
  std::string temporary_;  // empty once it is published
  int descriptor_ = -1;
};

}  // namespace cli
