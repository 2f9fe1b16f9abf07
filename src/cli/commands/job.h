// What the commands that read weights have in common: settings of the call, progress, Ctrl-C, where the report goes.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/commands/options.h"
#include "cli/handles.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/report_file.h"
#include "cli/terminal/progress.h"

namespace cli {

class Job {
 public:
  /// Takes the settings of the call. Throws Failure for one that cannot be.
  explicit Job(const Options& options);

  mnq_run* run() const { return run_.get(); }

  /// From here on there is progress (verb: "quantizing"), and Ctrl-C cancels. output: the file the job writes; empty:
  /// none. Throws Failure for a report that cannot be written.
  void start(const std::string& verb, const std::string& output);

  /// After success: puts the report file in place and shows the report as the options ask; `text` makes it readable.
  void finish(const Report& report, const std::function<std::string(const Json&, const Screen&)>& text);

 private:
  bool may_replace() const;  // --force, or what it stands for

  const Options& options_;
  Run run_ = make<Run>(mnq_run_create);
  std::unique_ptr<ReportFile> report_file_;
  std::unique_ptr<Progress> progress_;
  std::unique_ptr<CancelOnSignal> interrupt_;
};

}  // namespace cli
