// int5: codes -16..15, a scale for each group of consecutive input elements. GGUF's Q5_0 is this.
#include "schemes/schemes.h"

namespace mnq {

const Scheme kInt5Scheme{
    .name = "qint5",
    .text = "int5",
    .bits = 5,
    .is_default_of_bits = true,
    .narrows = "qint8",
    .group_size_default = 128,
    .min_parameters_default = 512,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .skips_sensitive_layers = true,
    .rule = {.code_min = -16, .code_max = 15, .symmetric = true, .code_xor = 0, .symmetric_divisor = 15.5f},
};

}  // namespace mnq
