// nvfp4: floats of 4 bits, E2M1, in groups of 16 with scales that are floats of 8 bits, E4M3, times one float32 for the
// whole tensor. The second level of scales is the layout's to store: here a scale is what both give.
#include "schemes/floats/e2m1.h"
#include "schemes/schemes.h"

namespace mnq {

const Scheme kNvfp4Scheme{
    .name = "nvfp4",
    .text = "nvfp4",
    .bits = 4,
    .group_size_default = 16,
    .min_parameters_default = 512,
    .has_fixed_groups = true,
    .has_global_scale = true,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .skips_sensitive_layers = true,
    .book = kE2M1Values,
    .floats = &kE2M1Rule,
    .widest_step = kE2M1WidestStep,
};

}  // namespace mnq
