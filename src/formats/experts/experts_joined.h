// A checkpoint whose experts lie one by one, seen as MLX has them: the weights of all experts of a layer in one tensor,
// [experts, out, in]. Nothing is copied, and what is quantized keeps its codes.
#pragma once

#include <memory>
#include <vector>

#include "formats/experts/experts_apart.h"

namespace mnq {

/// What is not joined: experts that differ from each other, or whose model has no stacks in mlx-lm (expert_models.h).
/// The source must outlive it. Errors: kFormat where it is not sound.
Rearranged join_experts(const TensorSource& source, ExpertChoice choice = ExpertChoice::kAll);

/// The same of those that `other` has so, and not one by one.
Rearranged join_experts_as_in(const TensorSource& source, const TensorSource& other);

}  // namespace mnq
