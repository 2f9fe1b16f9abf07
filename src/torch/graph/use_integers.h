// The code of a module that runs in integers: layers whose weights are decoded from integers call our own operators,
// and what the file holds stands beside them, for whatever those do not take.
#pragma once

#include "torch/libtorch.h"

namespace mnq::libtorch {

/// All calls in the graph must be of methods that are there already.
void use_integers(jit::Graph& graph);

}  // namespace mnq::libtorch
