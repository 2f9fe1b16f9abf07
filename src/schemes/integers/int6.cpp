// int6: codes -32..31, a scale for each channel or group of consecutive input elements. compressed-tensors and GPTQ
// have such weights.
#include "schemes/schemes.h"

namespace mnq {

const Scheme kInt6Scheme{
    .name = "qint6",
    .text = "int6",
    .bits = 6,
    .is_default_of_bits = true,
    .narrows = "qint8",
    .group_size_default = 128,
    .min_parameters_default = 512,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .skips_sensitive_layers = true,
    .rule = {.code_min = -32, .code_max = 31, .symmetric = true, .code_xor = 0, .symmetric_divisor = 31.5f},
};

}  // namespace mnq
