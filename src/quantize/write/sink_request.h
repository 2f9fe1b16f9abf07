// What a sink is told of the tensors that it gets, whether it is a file's or a shard's.
#pragma once

#include <vector>

#include "quantize/write/write_output.h"

namespace mnq {

/// The metadata of the input, and the names of ties.
Metadata output_metadata(const TensorSource& source, const PlanSlice& plan);

/// Both must outlive it.
SinkRequest request_of(const Work& work, const PlanSlice& plan, const Metadata& metadata);

std::vector<double> sqnr_of(const std::vector<Accuracy>& accuracies);

}  // namespace mnq
