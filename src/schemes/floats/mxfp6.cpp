// mxfp6: floats of 6 bits, E2M3 with bias 1, in groups of 32 with scales that are powers of two, E8M0. The largest
// value is 7.5.
// Source: OCP Microscaling Formats (MX) Specification 1.0
#include "schemes/floats/small_floats.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr auto kValues = small_floats<2, 3, 1>();
constexpr kernels::FloatRule kRule{.exponent_bits = 2, .mantissa_bits = 3, .bias = 1, .largest = 7.5f};

}  // namespace

const Scheme kMxfp6Scheme{
    .name = "mxfp6",
    .text = "mxfp6",
    .bits = 6,
    .group_size_default = 32,
    .min_parameters_default = 512,
    .has_fixed_groups = true,
    .scale_dtype = DType::kF8E8M0,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .book = kValues.data(),
    .floats = &kRule,
    .widest_step = 0.5f,
};

}  // namespace mnq
