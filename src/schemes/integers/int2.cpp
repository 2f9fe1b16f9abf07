// int2: codes -2..1, a scale for each channel or group of consecutive input elements. compressed-tensors and GPTQ have
// such weights.
#include "schemes/schemes.h"

namespace mnq {

const Scheme kInt2Scheme{
    .name = "qint2",
    .text = "int2",
    .bits = 2,
    .may_be_chosen = false,
    .group_size_default = 128,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .rule = {.code_min = -2, .code_max = 1, .symmetric = true, .code_xor = 0, .symmetric_divisor = 1.5f},
};

}  // namespace mnq
