// What becomes of one tensor, and why: its action, its spec, its layout and its method. Its outputs follow from these
// (plan_outputs.h).
#pragma once

#include "plan/plan.h"
#include "plan/selection.h"

namespace mnq {

/// As the settings and the storage say; a weight that is quantized already as plan_stored says.
void plan_tensor(PlannedTensor& planned, const LogicalTensor& tensor, const TensorSource& source, const Config& config,
                 const Selection& selection, const Storage& storage, const UnfitWeights& unfit);

/// A weight that is quantized already stays so where the storage holds it; else it is quantized anew, or becomes
/// floats.
void plan_stored(PlannedTensor& planned, const LogicalTensor& tensor, const TensorSource& source, const Config& config,
                 const Storage& storage);

}  // namespace mnq
