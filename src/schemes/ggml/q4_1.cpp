// Q4_1, as GGUF files have it: weight = code · scale + minimum with codes 0..15, for each group of consecutive
// elements. As of int4, codes are kept 8 lower.
#include "schemes/schemes.h"

namespace mnq {

const Scheme kQ4_1Scheme{
    .name = "q4_1",
    .text = "q4_1",
    .bits = 4,
    .may_be_chosen = false,
    .symmetric_default = false,
    .group_size_default = 32,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .rule = {.code_min = -8, .code_max = 7, .symmetric = false, .code_xor = 0, .symmetric_divisor = 7.5f},
    .has_minima = true,
};

}  // namespace mnq
