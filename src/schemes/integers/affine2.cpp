// affine2: weight = code · scale + minimum with codes 0..3, for each group of consecutive elements, as MLX has them.
// Codes are kept 2 lower.
#include "schemes/schemes.h"

namespace mnq {

const Scheme kAffine2Scheme{
    .name = "affine2",
    .text = "affine2",
    .bits = 2,
    .may_be_chosen = false,
    .symmetric_default = false,
    .group_size_default = 64,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .rule = {.code_min = -2, .code_max = 1, .symmetric = false, .code_xor = 0, .symmetric_divisor = 1.5f},
    .has_minima = true,
};

}  // namespace mnq
