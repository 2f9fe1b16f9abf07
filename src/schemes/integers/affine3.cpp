// affine3: weight = code · scale + minimum with codes 0..7, for each group of consecutive elements, as MLX has them.
// Codes are kept 4 lower.
#include "schemes/schemes.h"

namespace mnq {

const Scheme kAffine3Scheme{
    .name = "affine3",
    .text = "affine3",
    .bits = 3,
    .may_be_chosen = false,
    .symmetric_default = false,
    .group_size_default = 64,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .rule = {.code_min = -4, .code_max = 3, .symmetric = false, .code_xor = 0, .symmetric_divisor = 3.5f},
    .has_minima = true,
};

}  // namespace mnq
