#include "quantize/write/write_folder.h"

#include <algorithm>

#include "base/files/folder.h"
#include "base/text/format.h"
#include "base/text/json_text.h"
#include "formats/folder/quantization_methods.h"
#include "quantize/loop/plan_run.h"
#include "quantize/write/commit_thread.h"
#include "quantize/write/describe_job.h"
#include "quantize/write/input_identity.h"
#include "quantize/write/shards.h"
#include "quantize/write/sink_request.h"

namespace mnq {
namespace {

// What the plan says of quantization, for config.json.
FolderQuantization describe_quantization(const Plan& plan, const FolderOutput& folder) {
  const QuantizationMethod* method = folder.format().quantization;
  return method == nullptr ? FolderQuantization() : method->describe(plan, folder.companion());
}

// config.json of the output, with what the plan says of quantization.
std::string folder_config(const FolderOutput& folder, const FolderQuantization& quantization) {
  std::string text = folder.config();
  if (text.empty() && quantization.config.is_null()) return text;
  if (!text.empty()) text = without_other_quantization(text);
  text = with_member(text.empty() ? "{}" : text, "quantization_config", quantization.config);
  return quantization.also_as.empty() ? text : with_member(text, quantization.also_as, quantization.config);
}

// A shard that is to be made.
struct PendingShard {
  std::size_t index;
  PlanSlice plan;
  std::unique_ptr<PlanRun> run;
};

// As it is set; else that of the job that is gone on with, else what gives every part a shard.
std::uint64_t shard_size_of(const Work& work, const FolderOutput& folder) {
  const auto begun = work.job.is_shard_size_set ? std::nullopt : folder.begun_shard_size();
  return begun ? *begun : choose_shard_size(work.plan, work.job);
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

// The shards that this run makes, of one job.
class FolderRun {
 public:
  FolderRun(const Work& work, FolderOutput& folder)
      : work_(work),
        folder_(folder),
        shard_size_(shard_size_of(work, folder)),
        shards_(cut_shards(work.plan, shard_size_)) {}

  void start() {
    FolderQuantization quantization = describe_quantization(work_.plan, folder_);
    const auto describe = [&](const WriteText& write) { describe_job(work_.plan, shards_, work_.job, write); };
    folder_.start({identify_input(work_.source), shards_.size(), shard_size_, folder_config(folder_, quantization)},
                  describe);
    outcome_ = {std::vector<Accuracy>(work_.plan.tensors.size()), std::move(quantization.notes), std::nullopt};
  }

  Outcome run() {
    find_pending();
    for (PendingShard& shard : pending_) write(shard);
    thread_.wait();
    for (std::string& note : folder_.finish()) outcome_.notes.push_back(std::move(note));
    note_what_was_there();
    return std::move(outcome_);
  }

 private:
  void find_pending() {
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      if (!folder_.is_mine(i)) continue;
      if (folder_.is_done(i)) {
        ++already_;
        continue;
      }
      auto run = std::make_unique<PlanRun>(work_.source, shards_[i], work_.job, work_.control, work_.on_done);
      total_ += run->total_bytes();
      pending_.push_back({i, shards_[i], std::move(run)});
    }
  }

  void write(PendingShard& shard) {
    const RunControl::Span span(work_.control, done_, total_);
    Metadata metadata = output_metadata(work_.source, shard.plan);
    metadata.insert(folder_.mark(shard.index));
    SinkRequest request = request_of(work_, shard.plan, metadata);
    request.companion = folder_.companion();
    std::shared_ptr<TensorSink> sink = folder_.open_shard(shard.index, request);
    shard.run->run(*sink);
    work_.source.require_unchanged();
    const std::vector<Accuracy> accuracies = shard.run->accuracies();
    std::ranges::copy(accuracies, outcome_.accuracies.begin() + static_cast<std::ptrdiff_t>(shard.plan.begin()));
    thread_.commit([sink = std::move(sink), sqnr_db = sqnr_of(accuracies)] { sink->commit(sqnr_db); });
    done_ += shard.run->total_bytes();
    shard.run.reset();
  }

  void note_what_was_there() {
    if (already_ > 0) {
      outcome_.notes.push_back(formatted("{} of {} shards were there already: their accuracy is not in this report",
                                         already_, shards_.size()));
    }
    if (work_.job.part_count == 0) return;
    outcome_.part = PartOutcome{work_.job.part + 1, work_.job.part_count, shards_.size(), already_ + pending_.size(),
                                pending_.size()};
    outcome_.notes.push_back(part_note(*outcome_.part, work_.job, shard_size_));
  }

  const Work& work_;
  FolderOutput& folder_;
  std::uint64_t shard_size_;
  std::vector<PlanSlice> shards_;
  Outcome outcome_;
  std::vector<PendingShard> pending_;
  std::size_t already_ = 0;
  std::uint64_t done_ = 0, total_ = 0;
  CommitThread thread_;
};

// A job that may be gone on with leaves what is done, whatever ended it. One that was cancelled says otherwise that
// nothing was written.
[[noreturn]] void rethrow_kept(const Error& error, const FolderOutput& folder) {
  if (!folder.is_kept() || !path_exists(folder.work())) throw;
  const std::string kept = formatted("{} holds what is done", folder.work()),
                    advice = "run it again to go on (resume=true)";
  if (error.status() == Status::kCancelled) {
    throw Error(Status::kCancelled, formatted("cancelled: {}", kept), advice, folder.work());
  }
  const std::string before = error.suggestion().empty() ? "" : formatted("{}; ", error.suggestion());
  throw Error(error.status(), error.message(), formatted("{}{}: {}", before, kept, advice), error.subject());
}

}  // namespace

Outcome write_folder(const Work& work) {
  FolderOutput& folder = *work.output.folder;
  FolderRun run(work, folder);
  run.start();
  try {
    return run.run();
  } catch (const Error& error) {
    rethrow_kept(error, folder);
  }
}

}  // namespace mnq
