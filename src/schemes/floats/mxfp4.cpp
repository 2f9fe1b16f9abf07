// mxfp4: floats of 4 bits, E2M1, in groups of 32 with scales that are powers of two, E8M0.
// Source: OCP Microscaling Formats (MX) Specification 1.0
#include "schemes/floats/e2m1.h"
#include "schemes/schemes.h"

namespace mnq {

const Scheme kMxfp4Scheme{
    .name = "mxfp4",
    .text = "mxfp4",
    .bits = 4,
    .may_be_chosen = false,
    .group_size_default = 32,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .book = kE2M1Values,
    .widest_step = kE2M1WidestStep,
};

}  // namespace mnq
