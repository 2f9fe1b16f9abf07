// nf4: codes of 4 bits for sixteen values that are equally likely where weights are normal, a scale for each block of
// 64. Source: arXiv:2305.14314, appendix E; bitsandbytes/functional.py
#include "schemes/floats/book_rule.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr float kValues[] = {-1.0f,
                             -0.6961928009986877f,
                             -0.5250730514526367f,
                             -0.39491748809814453f,
                             -0.28444138169288635f,
                             -0.18477343022823334f,
                             -0.09105003625154495f,
                             0.0f,
                             0.07958029955625534f,
                             0.16093020141124725f,
                             0.24611230194568634f,
                             0.33791524171829224f,
                             0.44070982933044434f,
                             0.5626170039176941f,
                             0.7229568362236023f,
                             1.0f};

constexpr kernels::BookRule kRule = book_rule(kValues);

}  // namespace

const Scheme kNf4Scheme{
    .name = "nf4",
    .text = "nf4",
    .bits = 4,
    .group_size_default = 64,
    .min_parameters_default = 512,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .skips_sensitive_layers = true,
    .book = kValues,
    .values = &kRule,
    .widest_step = kValues[1] - kValues[0],
};

}  // namespace mnq
