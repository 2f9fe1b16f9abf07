// affine8: weight = code · scale + minimum with codes 0..255, for each group of consecutive elements, as MLX has them.
// Codes are kept 128 lower.
#include "schemes/schemes.h"

namespace mnq {

const Scheme kAffine8Scheme{
    .name = "affine8",
    .text = "affine8",
    .bits = 8,
    .may_be_chosen = false,
    .symmetric_default = false,
    .group_size_default = 64,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .rule = {.code_min = -128, .code_max = 127, .symmetric = false, .code_xor = 0, .symmetric_divisor = 127.5f},
    .has_minima = true,
};

}  // namespace mnq
