// Where a plan becomes a file, a model in memory, or the shards of a folder.
#pragma once

#include <functional>
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

struct Outcome {
  std::vector<Accuracy> accuracies;  ///< for each tensor of the plan, in order
  std::vector<std::string> notes;    ///< for the report's warnings
};

/// Runs the plan and makes its output real. Errors: as the jobs; UnfitFound.
Outcome write_output(const Work& work);

}  // namespace mnq
