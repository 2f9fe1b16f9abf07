// int7: codes -64..63, a scale for each channel or group of consecutive input elements. compressed-tensors and GPTQ
// have such weights.
#include "schemes/schemes.h"

namespace mnq {

const Scheme kInt7Scheme{
    .name = "qint7",
    .text = "int7",
    .bits = 7,
    .is_default_of_bits = true,
    .narrows = "qint8",
    .group_size_default = 128,
    .min_parameters_default = 512,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .skips_sensitive_layers = true,
    .rule = {.code_min = -64, .code_max = 63, .symmetric = true, .code_xor = 0, .symmetric_divisor = 63.5f},
};

}  // namespace mnq
