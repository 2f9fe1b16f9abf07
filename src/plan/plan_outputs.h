// The tensors that an output gets of each planned one: their names, dtypes, shapes and sizes, and where bytes are
// copied from.
#pragma once

#include "plan/plan.h"

namespace mnq {

void add_outputs(PlannedTensor& planned, const LogicalTensor& tensor, const TensorSource& source);

/// Throws kFormat where two outputs would have one name, or one that readers look for beside a weight.
void require_distinct_names(const Plan& plan);

}  // namespace mnq
