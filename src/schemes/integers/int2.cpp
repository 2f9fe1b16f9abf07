// int2: codes -2..1, a scale for each channel or group of consecutive input elements. compressed-tensors and GPTQ have
// such weights.
#include "schemes/schemes.h"

namespace mnq {

const Scheme kInt2Scheme{
    .name = "qint2",
    .text = "int2",
    .bits = 2,
    .is_default_of_bits = true,
    .narrows = "qint8",
    .group_size_default = 128,
    .min_parameters_default = 512,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .skips_sensitive_layers = true,
    .rule = {.code_min = -2, .code_max = 1, .symmetric = true, .code_xor = 0, .symmetric_divisor = 1.5f},
};

}  // namespace mnq
