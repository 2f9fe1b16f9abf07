// mxfp8: floats of 8 bits, E4M3, in groups of 32 with scales that are powers of two, E8M0. Files of other tools have it
// as float8_e4m3 with such scales.
// Source: OCP Microscaling Formats (MX) Specification 1.0
#include "schemes/floats/e4m3.h"
#include "schemes/schemes.h"

namespace mnq {

const Scheme kMxfp8Scheme{
    .name = "mxfp8",
    .text = "mxfp8",
    .bits = 8,
    .is_taken_as_floats = true,
    .group_size_default = 32,
    .has_fixed_groups = true,
    .scale_dtype = DType::kF8E8M0,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .code_dtype = DType::kF8E4M3,
    .book = kE4M3Values.data(),
    .floats = &kE4M3Rule,
    .widest_step = kE4M3WidestStep,
};

}  // namespace mnq
