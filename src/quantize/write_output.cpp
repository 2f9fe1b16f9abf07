#include "quantize/write_output.h"

#include <algorithm>
#include <array>
#include <system_error>
#include <thread>

#include "base/format.h"
#include "base/json_text.h"
#include "quantize/input_identity.h"
#include "quantize/plan_run.h"
#include "quantize/shards.h"

namespace mnq {
namespace {

// Tied tensors are stored once. Where the other names point to is written as safetensors' own save_model does it: name to
// name.
void add_ties(Metadata& metadata, const PlannedTensor& planned, const LogicalTensor& tensor) {
  for (const std::string& tie : planned.layer.ties) {
    for (const PlannedOutput& output : planned.outputs) {
      if (output.info.name.starts_with(tensor.name)) {
        metadata.emplace(tie + output.info.name.substr(tensor.name.size()), output.info.name);
      }
    }
  }
}

// What goes along with the tensors: what the input had, and the names of ties.
Metadata output_metadata(const TensorSource& source, const PlanSlice& plan) {
  Metadata metadata = source.metadata();
  metadata.erase(std::string(kFolderJobKey));
  metadata.emplace("format", "pt");
  for (std::size_t item = 0; item < plan.size(); ++item) add_ties(metadata, plan.tensor(item), plan.logical(item));
  return metadata;
}

std::vector<double> sqnr_of(const std::vector<Accuracy>& accuracies) {
  std::vector<double> sqnr_db;
  sqnr_db.reserve(accuracies.size());
  for (const Accuracy& accuracy : accuracies) sqnr_db.push_back(accuracy.sqnr_db());
  return sqnr_db;
}

SinkRequest request_of(const Work& work, const PlanSlice& plan, const Metadata& metadata) {
  return {plan, metadata, work.source.companion(), &work.source,
          [&control = work.control] { return control.is_cancelled(); }};
}

Outcome write_file(const Work& work) {
  const PlanSlice plan(work.plan);
  PlanRun run(work.source, plan, work.job, work.control, work.on_done);
  const Metadata metadata = output_metadata(work.source, plan);
  const std::unique_ptr<TensorSink> sink = work.output.open(request_of(work, plan, metadata));
  run.run(*sink);
  work.source.require_unchanged();
  Outcome outcome{run.accuracies(), sink->notes(), std::nullopt};
  run.commit([&] { sink->commit(sqnr_of(outcome.accuracies)); });
  return outcome;
}

// All of a spec that decides bytes.
std::string spec_text(const PlannedTensor& planned) {
  const QuantizedSpec& spec = planned.spec;
  return formatted("{} {} {} {} {} {} {} {} {} {} {}", scheme_text(spec), planned.layout->name, planned.method->name,
                   spec.has_free_scales, spec.group_rows, spec.channel_axis, spec.stacked_axes,
                   dtype_name(spec.weight_dtype), dtype_name(spec.scale_dtype), spec.activation_bits,
                   shape_text(spec.shape));
}

// Everything but the input that decides the bytes of the shards, and which of them are refused.
std::string describe_job(const Plan& plan, const std::vector<PlanSlice>& shards, const JobSettings& job) {
  std::string text;
  for (const PlanSlice& shard : shards) text += formatted("{} tensors\n", shard.size());
  if (job.accuracy_warning == AccuracyWarning::kError) {
    text += formatted("no layer below {} and {} dB\n", job.sqnr_warning_db, job.sqnr_critical_db);
  }
  for (const PlannedTensor& planned : plan.tensors) {
    for (const PlannedOutput& output : planned.outputs) {
      text += formatted("{} {} {} {}\n", output.info.name, dtype_name(output.info.dtype), shape_text(output.info.shape),
                        action_name(planned.action));
    }
    const bool is_changed = planned.action == Action::kQuantize || planned.action == Action::kCast;
    if (is_changed) text += spec_text(planned) + "\n";
  }
  return text;
}

// What the plan says of quantization, for config.json.
FolderQuantization describe_quantization(const Plan& plan, const FolderOutput& folder) {
  const Format& format = folder.format();
  return format.describe == nullptr ? FolderQuantization() : format.describe(plan, folder.companion());
}

// config.json of the output: that of the source, with what the plan says of quantization.
std::string folder_config(const FolderOutput& folder, const Json& quantization) {
  const std::string text = folder.companion() == nullptr ? std::string() : folder.companion()->config;
  if (text.empty() && quantization.is_null()) return text;
  return with_member(text.empty() ? "{}" : text, "quantization_config", quantization);
}

// Commits shards while the next one is worked on.
class Committer {
 public:
  ~Committer() {
    if (thread_.joinable()) thread_.join();
  }

  void commit(std::function<void()> body) {
    wait();
    body_ = std::move(body);
    try {
      thread_ = std::thread([this] {
        try {
          body_();
        } catch (...) {
          failure_ = std::current_exception();
        }
      });
    } catch (const std::system_error&) {  // no thread is to be had
      body_();
    }
  }

  void wait() {
    if (thread_.joinable()) thread_.join();
    body_ = nullptr;
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

 private:
  std::function<void()> body_;
  std::exception_ptr failure_;
  std::thread thread_;
};

// A shard that is to be made.
struct PendingShard {
  std::size_t index;
  PlanSlice plan;
  std::unique_ptr<PlanRun> run;
};

// As it is set; else that of the job that is gone on with, else what gives every part a shard.
std::uint64_t choose_shard_size(const Work& work, const FolderOutput& folder) {
  const JobSettings& job = work.job;
  if (job.is_shard_size_set) return job.max_shard_size;
  if (const auto begun = folder.begun_shard_size()) return *begun;
  return job.part_count > 0 ? even_shard_size(work.plan, job.part_count, job.max_shard_size) : job.max_shard_size;
}

// What a run of one part made, and what it is a part of.
std::string part_note(const PartOutcome& part, const JobSettings& job, std::uint64_t shard_size) {
  const std::string name = formatted("part {} of {}", part.number, part.count);
  const std::string shards = formatted("{} {}", part.shards, part.shards == 1 ? "shard" : "shards");
  if (part.shards_own == 0) {
    return formatted("{}: nothing to make, since the folder has only {}: let fewer parts make it{}", name, shards,
                     job.is_shard_size_set ? ", or leave max_shard_size unset" : "");
  }
  const bool is_idle = part.shards_made == 0;
  return formatted(
      "{}: {}{} of {} of up to {} bytes (max_shard_size){}; merge makes the folder once all parts are there", name,
      is_idle ? "nothing left to make: " : "", part.shards_own, shards, shard_size,
      is_idle ? " are there already" : "");
}

Outcome write_folder(const Work& work) {
  FolderOutput& folder = *work.output.folder;
  const std::uint64_t shard_size = choose_shard_size(work, folder);
  const std::vector<PlanSlice> shards = cut_shards(work.plan, shard_size);
  FolderQuantization quantization = describe_quantization(work.plan, folder);
  folder.start({describe_job(work.plan, shards, work.job), identify_input(work.source), shards.size(), shard_size,
                folder_config(folder, quantization.config)});
  Outcome outcome{std::vector<Accuracy>(work.plan.tensors.size()), std::move(quantization.notes), std::nullopt};
  std::vector<PendingShard> pending;
  std::size_t already = 0;
  std::uint64_t done = 0, total = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    if (!folder.is_mine(i)) continue;
    if (folder.is_done(i)) {
      ++already;
      continue;
    }
    auto run = std::make_unique<PlanRun>(work.source, shards[i], work.job, work.control, work.on_done);
    total += run->total_bytes();
    pending.push_back({i, shards[i], std::move(run)});
  }
  Committer committer;
  for (PendingShard& shard : pending) {
    const RunControl::Span span(work.control, done, total);
    Metadata metadata = output_metadata(work.source, shard.plan);
    metadata.insert(folder.mark(shard.index));
    SinkRequest request = request_of(work, shard.plan, metadata);
    request.companion = folder.companion();
    std::shared_ptr<TensorSink> sink = folder.open_shard(shard.index, request);
    shard.run->run(*sink);
    work.source.require_unchanged();
    const std::vector<Accuracy> accuracies = shard.run->accuracies();
    std::ranges::copy(accuracies, outcome.accuracies.begin() + static_cast<std::ptrdiff_t>(shard.plan.begin()));
    committer.commit([sink = std::move(sink), sqnr_db = sqnr_of(accuracies)] { sink->commit(sqnr_db); });
    done += shard.run->total_bytes();
    shard.run.reset();
  }
  committer.wait();
  if (std::string note = folder.finish(); !note.empty()) outcome.notes.push_back(std::move(note));
  if (already > 0) {
    outcome.notes.push_back(
        formatted("{} of {} shards were there already: their accuracy is not in this report", already, shards.size()));
  }
  if (work.job.part_count > 0) {
    outcome.part =
        PartOutcome{work.job.part + 1, work.job.part_count, shards.size(), already + pending.size(), pending.size()};
    outcome.notes.push_back(part_note(*outcome.part, work.job, shard_size));
  }
  return outcome;
}

// A cancelled run says that nothing was written: not so where what is done stays.
[[noreturn]] void rethrow_cancelled(const Error& error, const FolderOutput& folder) {
  if (error.status() != Status::kCancelled || !folder.is_kept()) throw;
  throw Error(Status::kCancelled, formatted("cancelled: {} holds what is done", folder.work()),
              "run it again to go on (resume=true)", folder.work());
}

}  // namespace

Outcome write_output(const Work& work) {
  if (work.output.folder == nullptr) return write_file(work);
  try {
    return write_folder(work);
  } catch (const Error& error) {
    rethrow_cancelled(error, *work.output.folder);
  }
}

}  // namespace mnq
