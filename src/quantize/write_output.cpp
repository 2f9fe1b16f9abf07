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

// The metadata of the output: what the input had, and what our own reader needs.
Metadata output_metadata(const TensorSource& source, const PlanSlice& plan,
                         const std::function<std::optional<double>(std::size_t item)>& sqnr_of) {
  Metadata metadata = source.metadata();
  metadata.erase(std::string(kMetadataKey));
  metadata.erase(std::string(kFolderJobKey));
  metadata.emplace("format", "pt");
  std::vector<QuantizedEntry> entries;
  for (std::size_t item = 0; item < plan.size(); ++item) {
    const PlannedTensor& planned = plan.tensor(item);
    const LogicalTensor& tensor = plan.logical(item);
    add_ties(metadata, planned, tensor);
    if (planned.action == Action::kQuantize || planned.action == Action::kCast) {
      entries.push_back({tensor.name, planned.spec, sqnr_of(item)});
    } else if (planned.action == Action::kCopy && tensor.spec) {
      entries.push_back({tensor.name, *tensor.spec, tensor.sqnr_db});
    }
  }
  if (!entries.empty()) metadata.emplace(kMetadataKey, write_quantized_metadata(entries));
  return metadata;
}

// Room in the header for accuracies that are known at the end: no SQNR has more digits before the point, and where JSON
// does not find the shortest form of a number, it is shorter than this by a few digits.
constexpr double kWidestSqnr = -9999.9999;
constexpr std::size_t kSqnrSlack = 10;

Metadata reserved_metadata(const TensorSource& source, const PlanSlice& plan) {
  Metadata reserved = output_metadata(source, plan, [](std::size_t) { return kWidestSqnr; });
  if (const auto ours = reserved.find(std::string(kMetadataKey)); ours != reserved.end()) {
    ours->second.append(plan.size() * kSqnrSlack, ' ');
  }
  return reserved;
}

// With the accuracies that were measured.
Metadata final_metadata(const TensorSource& source, const PlanSlice& plan, const std::vector<Accuracy>& accuracies) {
  return output_metadata(source, plan, [&](std::size_t item) { return accuracies[item].sqnr_db(); });
}

Outcome write_file(const Work& work) {
  const PlanSlice plan(work.plan);
  PlanRun run(work.source, plan, work.job, work.control);
  run.on_done = work.on_done;
  const std::unique_ptr<TensorSink> sink = work.output.open(plan.outputs(), reserved_metadata(work.source, plan));
  run.run(*sink);
  work.source.require_unchanged();
  Outcome outcome{run.accuracies(), sink->notes(), std::nullopt};
  run.commit([&] { sink->commit(final_metadata(work.source, plan, outcome.accuracies)); });
  return outcome;
}

// Everything but the input that decides the bytes of the shards, and which of them are refused.
std::string describe_job(const Plan& plan, const std::vector<PlanSlice>& shards, const JobSettings& job) {
  std::string text;
  for (const PlanSlice& shard : shards) text += formatted("{} tensors\n", shard.size());
  if (job.accuracy_warning == AccuracyWarning::kError) {
    text += formatted("no layer below {} and {} dB\n", job.sqnr_warning_db, job.sqnr_critical_db);
  }
  std::vector<QuantizedEntry> entries;
  for (const PlannedTensor& planned : plan.tensors) {
    for (const PlannedOutput& output : planned.outputs) {
      text += formatted("{} {} {} {}\n", output.info.name, dtype_name(output.info.dtype), shape_text(output.info.shape),
                        action_name(planned.action));
    }
    if (planned.action == Action::kQuantize || planned.action == Action::kCast) {
      entries.push_back({plan.logical[planned.logical].name, planned.spec, std::nullopt});
    }
  }
  return text + write_quantized_metadata(entries);
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
    auto run = std::make_unique<PlanRun>(work.source, shards[i], work.job, work.control);
    run->on_done = work.on_done;
    total += run->total_bytes();
    pending.push_back({i, shards[i], std::move(run)});
  }
  Committer committer;
  for (PendingShard& shard : pending) {
    const RunControl::Span span(work.control, done, total);
    Metadata reserved = reserved_metadata(work.source, shard.plan);
    reserved.insert(folder.mark(shard.index));
    std::shared_ptr<TensorSink> sink = folder.open_shard(shard.index, shard.plan.outputs(), reserved);
    shard.run->run(*sink);
    work.source.require_unchanged();
    const std::vector<Accuracy> accuracies = shard.run->accuracies();
    std::ranges::copy(accuracies, outcome.accuracies.begin() + static_cast<std::ptrdiff_t>(shard.plan.begin()));
    Metadata metadata = final_metadata(work.source, shard.plan, accuracies);
    metadata.insert(folder.mark(shard.index));
    committer.commit([sink = std::move(sink), metadata = std::move(metadata)] { sink->commit(metadata); });
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
