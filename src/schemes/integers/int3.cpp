// int3: codes -4..3, a scale for each channel or group of consecutive input elements. compressed-tensors and GPTQ have
// such weights.
#include "schemes/schemes.h"

namespace mnq {

const Scheme kInt3Scheme{
    .name = "qint3",
    .text = "int3",
    .bits = 3,
    .is_default_of_bits = true,
    .narrows = "qint8",
    .group_size_default = 128,
    .min_parameters_default = 512,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .skips_sensitive_layers = true,
    .rule = {.code_min = -4, .code_max = 3, .symmetric = true, .code_xor = 0, .symmetric_divisor = 3.5f},
};

}  // namespace mnq
