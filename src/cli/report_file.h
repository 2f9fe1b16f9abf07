// The file of --report: there as a whole, and only after success.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cli {

/// What a report must not touch, by the paths of the command line. Empty ones are none.
struct JobFiles {
  std::vector<std::string> inputs;  ///< of a folder or an index all that lies in its folder is one
  std::string output;               ///< of a folder all that lies in it is one
};

/// A file that is written under a temporary name beside its place, so that a place that cannot be written is known
/// before the job starts. That one is locked, so that the next run knows and removes what a killed one left.
class ReportFile {
 public:
  /// may_replace: whether a file that is there already is replaced; it then keeps its permissions. Throws Failure: IO
  /// or NOT_FOUND as the system says; INVALID_ARG where path names one of the job's own files.
  ReportFile(const std::string& path, const JobFiles& files, bool may_replace);

  /// Removes what was not published.
  ~ReportFile();
  ReportFile(const ReportFile&) = delete;
  ReportFile& operator=(const ReportFile&) = delete;

  /// Writes, syncs and renames. Throws Failure (IO).
  void publish(std::string_view text);

 private:
  void open_temporary();
  void put_in_place() const;
  [[noreturn]] void fail(const char* action, int error_number) const;

  std::string target_;  // behind symbolic links
  bool may_replace_;
  std::string temporary_;  // empty once it is published
  int descriptor_ = -1;
};

}  // namespace cli
