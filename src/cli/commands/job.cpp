#include "cli/commands/job.h"

#include <unistd.h>

#include "cli/terminal/format.h"
#include "cli/terminal/human.h"

namespace cli {
namespace {

int32_t update_progress(void* progress, uint64_t done_bytes, uint64_t total_bytes) {
  static_cast<Progress*>(progress)->update(done_bytes, total_bytes);
  return 0;
}

void apply(mnq_run* run, const Setting& setting) {
  if (setting.layer_glob) {
    call(mnq_run_set_for_layers, run, setting.layer_glob->c_str(), setting.key.c_str(), setting.value.c_str());
  } else {
    call(mnq_run_set, run, setting.key.c_str(), setting.value.c_str());
  }
}

double number_in(const Report& report, const char* name, double otherwise) {
  double value = otherwise;
  return mnq_report_number(report.get(), name, &value, nullptr) == MNQ_OK ? value : otherwise;
}

// A part that made nothing says so, whatever else is printed: who starts the parts may have meant another number of
// them.
void tell_idle_part(const Report& report) {
  if (number_in(report, "shards_made", 1) > 0) return;
  const double own = number_in(report, "shards_own", 0);
  const std::string why = own > 0 ? "it was made before, " + counted(own, "shard")
                                  : "the folder has only " + counted(number_in(report, "shards", 0), "shard");
  write_stderr(formatted("monoquant: part {:.0f} of {:.0f}: nothing to make: {}\n", number_in(report, "part", 0),
                         number_in(report, "parts", 0), why));
}

}  // namespace

Job::Job(const Options& options) : options_(options) {
  for (const Setting& setting : options.settings) apply(run(), setting);
}

bool Job::may_replace() const {
  const Config none = make<Config>(mnq_config_create, static_cast<const char*>(nullptr));
  mnq_buffer* value = nullptr;
  call(mnq_config_resolve, none.get(), run(), static_cast<const char*>(nullptr), "overwrite", &value,
       static_cast<const char**>(nullptr));
  return text_of(Buffer(value)) == "true";
}

void Job::start(const std::string& verb, const std::string& output) {
  interrupt_ = std::make_unique<CancelOnSignal>(run());
  if (!options_.report.empty()) {
    const JobFiles files{{options_.input, options_.other, options_.config}, output};
    report_file_ = std::make_unique<ReportFile>(options_.report, files, may_replace());
  }
  progress_ = std::make_unique<Progress>(verb, !options_.quiet);
  call(mnq_run_set_progress, run(), update_progress, static_cast<void*>(progress_.get()));
}

void Job::finish(const Report& report, const std::function<std::string(const Json&, const Screen&)>& text) {
  progress_.reset();
  if (report_file_) report_file_->publish(mnq_report_json(report.get()) + std::string("\n"));
  interrupt_.reset();
  tell_idle_part(report);
  if (options_.json) {
    write_stdout(mnq_report_json(report.get()) + std::string("\n"));
  } else if (!options_.quiet) {
    write_stdout(text(parse_json(mnq_report_json(report.get())), screen_of(STDOUT_FILENO)));
  }
}

}  // namespace cli
