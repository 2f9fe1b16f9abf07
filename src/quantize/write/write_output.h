// Where a plan becomes a file, a model in memory, or the shards of a folder.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "quantize/jobs.h"

namespace mnq {

struct Work {
  const TensorSource& source;
  const Plan& plan;
  const JobSettings& job;
  RunControl& control;
  const Output& output;
  std::function<void(const PlannedTensor&, const Accuracy&)> on_done;  ///< a tensor is done; in order
};

/// What a run that makes one part of a folder had to do.
struct PartOutcome {
  std::uint32_t number;  ///< from 1
  std::uint32_t count;
  std::size_t shards;       ///< of the folder
  std::size_t shards_own;   ///< of this part
  std::size_t shards_made;  ///< of those, by this run; the others were there
};

struct Outcome {
  std::vector<Accuracy> accuracies;  ///< for each tensor of the plan, in order
  std::vector<std::string> notes;    ///< for the report's warnings
  std::optional<PartOutcome> part;
};

/// Runs the plan and makes its output real. Errors: as the jobs; UnfitFound.
Outcome write_output(const Work& work);

}  // namespace mnq
