// mxfp6: floats of 6 bits, E2M3 with bias 1, in groups of 32 with scales that are powers of two, E8M0. The largest value is
// 7.5.
// Source: OCP Microscaling Formats (MX) Specification 1.0
#include "schemes/floats/small_floats.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr auto kValues = small_floats<2, 3, 1>();

}  // namespace

const Scheme kMxfp6Scheme{
    .name = "mxfp6",
    .text = "mxfp6",
    .bits = 6,
    .may_be_chosen = false,
    .group_size_default = 32,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .book = kValues.data(),
    .widest_step = 0.5f,
};

}  // namespace mnq
