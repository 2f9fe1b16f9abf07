// int5: codes -16..15, a scale for each group of consecutive input elements. GGUF's Q5_0 is this.
#include "schemes/schemes.h"

namespace mnq {

const Scheme kInt5Scheme{
    .name = "qint5",
    .text = "int5",
    .bits = 5,
    .may_be_chosen = false,
    .group_size_default = 32,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .rule = {.code_min = -16, .code_max = 15, .symmetric = true, .code_xor = 0, .symmetric_divisor = 15.5f},
};

}  // namespace mnq
