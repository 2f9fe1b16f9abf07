// int4: codes -8..7, a scale for each group of consecutive input elements. A symmetric scale is max|w| / 7.5, as in
// compressed-tensors: where the largest is positive it is cut by half a step, and all others gain 0.5 dB over max|w| /
// 7. A row is what lies behind one index of the first axis.
#include "schemes/decode_in_torchscript.h"
#include "schemes/schemes.h"

namespace mnq {

const Scheme kInt4Scheme{
    .name = "qint4",
    .text = "int4",
    .bits = 4,
    .is_default_of_bits = true,
    .narrows = "qint8",
    .group_size_default = 128,
    .min_parameters_default = 512,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .skips_sensitive_layers = true,
    .rule = {.code_min = -8, .code_max = 7, .symmetric = true, .code_xor = 0, .symmetric_divisor = 7.5f},
    .torchscript = &kNibblesScript,
};

}  // namespace mnq
