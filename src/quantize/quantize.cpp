// The jobs that write: a plan, its output, its report.
#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/text/format.h"
#include "config/config_table.h"
#include "formats/experts/expert_models.h"
#include "quantize/experts_view.h"
#include "quantize/job_parts.h"
#include "quantize/jobs.h"
#include "quantize/loop/plan_run.h"
#include "quantize/write/output_size.h"
#include "quantize/write/write_output.h"

namespace mnq {
namespace {

// Judges a layer's accuracy: the text of a warning, empty where it is fine.
std::string accuracy_warning(const PlannedTensor& tensor, const Accuracy& accuracy, const JobSettings& job) {
  const double sqnr_db = accuracy.sqnr_db();
  const bool critical = sqnr_db < job.sqnr_critical_db;
  if (!(sqnr_db < job.sqnr_warning_db)) return "";
  // Rounded down, so that what is below 20 never reads as 20.
  return formatted("{}: {:.2f} dB is below {} dB{}", tensor.layer.name.name, std::floor(sqnr_db * 100) / 100,
                   critical ? job.sqnr_critical_db : job.sqnr_warning_db, critical ? ": critical" : "");
}

// What most of the float bytes are that nobody asked to leave out, where they are most of all: the model is hardly
// smaller then. Empty else.
std::string floats_text(const Plan& plan) {
  struct Left {
    std::uint64_t bytes = 0;
    std::size_t count = 0;
    std::string_view first;
  };
  std::map<std::string_view, Left> by_reason;
  std::uint64_t all = 0, left = 0;
  for (const PlannedTensor& planned : plan.tensors) {
    const LogicalTensor& tensor = plan.logical[planned.logical];
    if (planned.action == Action::kCast) return "";
    if (!is_weight_dtype(tensor.dtype)) continue;
    const std::uint64_t bytes = checked_size_bytes(tensor.dtype, tensor.shape).value_or(0);
    all += bytes;
    if (planned.action != Action::kCopy || tensor.spec || planned.is_deselected) continue;
    Left& of_reason = by_reason[planned.reason];
    if (of_reason.count++ == 0) of_reason.first = tensor.name;
    of_reason.bytes += bytes;
    left += bytes;
  }
  if (left <= all / 2) return "";
  const auto& [reason, most] =
      *std::ranges::max_element(by_reason, {}, [](const auto& row) { return row.second.bytes; });
  return formatted("{:.0f} % of the weights' bytes stayed float: {}{}: {}",
                   100 * static_cast<double>(left) / static_cast<double>(all), most.first,
                   most.count == 1 ? "" : formatted(" and {} more", most.count - 1), reason);
}

// What is to be said of a plan that changed nothing, little or everything.
struct Extreme {
  std::string warning, remark;
};

Extreme find_extreme(const Plan& plan) {
  std::size_t layers = 0, changed = 0, already = 0;
  for (const PlannedTensor& tensor : plan.tensors) {
    if (tensor.layer.kind != nullptr) ++layers;
    if (tensor.action != Action::kCopy) ++changed;
    if (plan.logical[tensor.logical].spec) ++already;
  }
  if (changed == 0) {
    return {already > 0 ? "no layer was quantized: the input is quantized already" : "no layer was quantized", ""};
  }
  if (std::string floats = floats_text(plan); !floats.empty()) return {std::move(floats), ""};
  const bool is_all = changed == layers && layers > 1;
  return {"", is_all ? "every layer was quantized, the first and the last included" : ""};
}

void tell(Report& report, const Extreme& extreme) {
  if (!extreme.warning.empty()) report.add_warning(extreme.warning);
  if (!extreme.remark.empty()) report.add_remark(extreme.remark);
}

// Of what was quantized or cast, but by no other run.
void fill_accuracy(Report& report, const std::vector<Accuracy>& accuracies) {
  Accuracy model;
  for (std::size_t item = 0; item < accuracies.size(); ++item) {
    if (!accuracies[item].is_measured) continue;
    report.layers()[item].accuracy = accuracies[item];
    model.add(accuracies[item].sums());
  }
  if (model.is_measured) Report::set_accuracy(report.json()["model"], model);
}

void log_warnings(const Report& report, const RunControl& control) {
  for (const std::string& warning : report.warnings()) control.log(LogLevel::kWarning, warning);
}

void add_outcome(Report& report, const Outcome& outcome) {
  for (const std::string& note : outcome.notes) report.add_warning(note);
  if (const auto& part = outcome.part) {
    Json& model = report.json()["model"];
    model["part"] = part->number;
    model["parts"] = part->count;
    model["shards"] = part->shards;
    model["shards_own"] = part->shards_own;
    model["shards_made"] = part->shards_made;
  }
}

// Settings of how weights are quantized, in a job that does not choose that. A run that quantized has had a use for
// them.
void warn_of_idle_keys(Report& report, const RunControl& control, const Config& config) {
  if (control.has_quantized()) return;
  for (const ConfigKey& key : all_config_keys()) {
    if (!key.is_of_quantizing || config.find(key.name).source == ValueSource::kDefault) continue;
    report.add_warning(formatted("{} has no effect here: only quantizing follows it", key.name));
  }
  if (!config.layer_globs().empty()) {
    report.add_warning("settings for layers have no effect here: only quantizing follows them");
  }
}

Report run_plan(const char* kind, const ExpertsView& planned, Plan plan, const Config& config, RunControl& control,
                const Output& output, const std::string& warning = "") {
  const Stopwatch stopwatch;
  const TensorSource& source = planned.get();
  const JobSettings job = resolve_job(config);
  control.start_job(plan.tensors.size());
  Outcome outcome = write_output({source, plan, job, control, output, nullptr});
  Report report = make_plan_report(kind, std::move(plan), source, output.path, job.threads);
  warn_of_members(report, source, output.carries_members);
  fill_accuracy(report, outcome.accuracies);
  add_outcome(report, outcome);
  warn_of_idle_keys(report, control, config);
  if (!warning.empty()) report.add_warning(warning);
  planned.add_remarks(report);
  report.finish(stopwatch.seconds());
  log_warnings(report, control);
  return report;
}

// What is named another tool's would not be loaded as that, and says nothing of what was asked for.
void require_place_for_floats(const Config& config, const Output& output) {
  if (!output.is_for_codes) return;
  throw Error(Status::kConfig,
              formatted("format={} is for quantized weights, and dequantize makes floats", config.find("format").value),
              "leave format unset, or convert to it", "format");
}

}  // namespace

Report quantize(const TensorSource& given, const Config& config, RunControl& control, const Output& output) {
  const Stopwatch stopwatch;
  const ExpertsView planned(planned_source(given, output.is_module), output.storage.experts);
  const TensorSource& source = planned.get();
  const JobSettings job = resolve_job(config);
  control.set_has_quantized();
  control.start_job(source.require_weights().size());
  UnfitWeights unfit;
  for (;;) {
    Plan plan = make_plan(source, config, output.storage, unfit);
    std::vector<std::string> warnings;
    const auto judge = [&](const PlannedTensor& tensor, const Accuracy& accuracy) {
      std::string warning = accuracy_warning(tensor, accuracy, job);
      if (warning.empty() || job.accuracy_warning == AccuracyWarning::kIgnore) return;
      if (job.accuracy_warning == AccuracyWarning::kError) {
        throw Error(Status::kValidation, formatted("layer {}", warning),
                    "give this layer more bits or smaller groups, skip it, or set accuracy_warning=warn",
                    std::string(tensor.layer.name.name));
      }
      warnings.push_back(std::move(warning));
    };
    Outcome outcome;
    try {
      outcome = write_output({source, plan, job, control, output, judge});
    } catch (const UnfitFound&) {
      if (job.part_count > 0 || job.is_resumed) {
        throw Error(Status::kConfig, "nonfinite=copy found a weight that must be copied, and cannot be had in parts",
                    "leave shard and resume unset, or name the tensor in skip", "nonfinite");
      }
      unfit.merge(PlanRun(source, PlanSlice(plan), job, control).find_unfit());
      continue;
    }
    const bool warns = job.accuracy_warning != AccuracyWarning::kIgnore;
    const Extreme extreme = warns ? find_extreme(plan) : Extreme();
    Report report = make_plan_report("quantize", std::move(plan), source, output.path, job.threads);
    warn_of_members(report, source, output.carries_members);
    fill_accuracy(report, outcome.accuracies);
    add_outcome(report, outcome);
    for (const std::string& warning : warnings) report.add_warning(warning);
    for (const auto& [name, why] : unfit) report.add_warning(formatted("{}: kept as it was: {}", name, why));
    tell(report, extreme);
    planned.add_remarks(report);
    report.finish(stopwatch.seconds());
    log_warnings(report, control);
    return report;
  }
}

Report plan_quantize(const TensorSource& given, const Config& config) {
  const JobSettings job = resolve_job(config);
  const OutputForm output = output_form(config, given);
  const ExpertsView planned(planned_source(given, output.is_module), output.storage.experts);
  const TensorSource& source = planned.get();
  Plan plan = make_plan(source, config, output.storage);
  const Extreme extreme = find_extreme(plan);
  const auto size = output.format == nullptr ? std::nullopt : output_size(source, plan, *output.format, job);
  Report report = make_plan_report("quantize", std::move(plan), source, "", job.threads);
  report.json()["dry_run"] = true;
  if (size) report.json()["model"]["file_bytes"] = *size;
  warn_of_members(report, source, planned_to_carry(config));
  tell(report, extreme);
  planned.add_remarks(report);
  report.finish(0);
  return report;
}

// MLX alone has experts in stacks: a folder of floats is for other loaders.
Report dequantize(const TensorSource& given, const Config& config, RunControl& control, const Output& output) {
  require_place_for_floats(config, output);
  const ExpertForm form = output.folder != nullptr ? ExpertForm::kApart : ExpertForm::kTogether;
  const ExpertsView planned(planned_source(given, output.is_module), form, ExpertChoice::kStacks);
  Plan plan = make_dequantize_plan(planned.get(), find_float_dtype(config.find("float_dtype").value));
  const std::string note = output.folder != nullptr ? note_on_float_experts(planned.get()) : "";
  return run_plan("dequantize", planned, std::move(plan), config, control, output, note);
}

// Floats stay as they are, but where a stack is all that loaders take.
Report convert(const TensorSource& given, const Config& config, RunControl& control, const Output& output) {
  const ExpertForm form = output.storage.experts;
  const ExpertChoice choice = form == ExpertForm::kStacked ? ExpertChoice::kAll : ExpertChoice::kCodes;
  const ExpertsView planned(planned_source(given, output.is_module), form, choice);
  Plan plan = make_convert_plan(planned.get(), config, output.storage);
  return run_plan("convert", planned, std::move(plan), config, control, output);
}

}  // namespace mnq
