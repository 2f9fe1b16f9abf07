// nvfp4: floats of 4 bits, E2M1, in groups of 16 with scales that are floats of 8 bits, E4M3, times one float32 for the
// whole tensor. The second level of scales is the layout's to store: here a scale is what both give.
#include <array>

#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::array<float, 16> kValues{0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                        -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

}  // namespace

const Scheme kNvfp4Scheme{
    .name = "nvfp4",
    .text = "nvfp4",
    .bits = 4,
    .may_be_chosen = false,
    .group_size_default = 16,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .book = kValues.data(),
    .widest_step = 2,
};

}  // namespace mnq
