// mxfp4: floats of 4 bits, E2M1, in groups of 32 with scales that are powers of two, E8M0.
// Source: OCP Microscaling Formats (MX) Specification 1.0
#include "schemes/floats/e2m1.h"
#include "schemes/schemes.h"

namespace mnq {

const Scheme kMxfp4Scheme{
    .name = "mxfp4",
    .text = "mxfp4",
    .bits = 4,
    .group_size_default = 32,
    .min_parameters_default = 512,
    .has_fixed_groups = true,
    .scale_dtype = DType::kF8E8M0,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .skips_sensitive_layers = true,
    .book = kE2M1Values,
    .floats = &kE2M1Rule,
    .widest_step = kE2M1WidestStep,
};

}  // namespace mnq
