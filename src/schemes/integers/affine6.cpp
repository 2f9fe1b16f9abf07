// affine6: weight = code · scale + minimum with codes 0..63, for each group of consecutive elements, as MLX has them.
// Codes are kept 32 lower.
#include "schemes/schemes.h"

namespace mnq {

const Scheme kAffine6Scheme{
    .name = "affine6",
    .text = "affine6",
    .bits = 6,
    .may_be_chosen = false,
    .symmetric_default = false,
    .group_size_default = 64,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .rule = {.code_min = -32, .code_max = 31, .symmetric = false, .code_xor = 0, .symmetric_divisor = 31.5f},
    .has_minima = true,
};

}  // namespace mnq
