// Q5_1, as GGUF files have it: weight = code · scale + minimum with codes 0..31, for each group of consecutive
// elements. As of int5, codes are kept 16 lower.
#include "schemes/schemes.h"

namespace mnq {

const Scheme kQ5_1Scheme{
    .name = "q5_1",
    .text = "q5_1",
    .bits = 5,
    .may_be_chosen = false,
    .symmetric_default = false,
    .group_size_default = 32,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .rule = {.code_min = -16, .code_max = 15, .symmetric = false, .code_xor = 0, .symmetric_divisor = 15.5f},
    .has_minima = true,
};

}  // namespace mnq
