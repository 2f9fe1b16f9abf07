// fp4, as bitsandbytes has it: a sign, 2 bits of exponent, one of mantissa, and a value for the smallest code that is
// no power of two; all divided by the largest. A scale for each block of 64.
// Source: bitsandbytes/functional.py, get_4bit_type
#include "schemes/floats/book_rule.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr float of_twelve(float value) { return value / 12; }

constexpr float kValues[] = {of_twelve(0),  of_twelve(0.0625f),  of_twelve(8),  of_twelve(12),
                             of_twelve(4),  of_twelve(6),        of_twelve(2),  of_twelve(3),
                             -of_twelve(0), -of_twelve(0.0625f), -of_twelve(8), -of_twelve(12),
                             -of_twelve(4), -of_twelve(6),       -of_twelve(2), -of_twelve(3)};

constexpr kernels::BookRule kRule = book_rule(kValues);

}  // namespace

const Scheme kFp4Scheme{
    .name = "fp4",
    .text = "fp4",
    .bits = 4,
    .group_size_default = 64,
    .min_parameters_default = 512,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .skips_sensitive_layers = true,
    .book = kValues,
    .values = &kRule,
    .widest_step = kValues[3] - kValues[2],
};

}  // namespace mnq
