// ARM's dot product: 4 elements of 4 columns in one instruction.
#if defined(__aarch64__)
#include <arm_neon.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

#include "linear/vector128.inc.h"

namespace mnq::linear {
extern const LinearKernel kDotprodLinear;
namespace {

struct Dotprod : Vector128 {
  static I dot(I sums, I weights, I row) {
    return vdotq_s32(sums, vreinterpretq_s8_s32(weights), vreinterpretq_s8_s32(row));
  }
};

}  // namespace

constinit const LinearKernel kDotprodLinear{.isa = "dotprod",
                                            .kernels = "dotprod",
                                            .columns = kColumns<Dotprod>,
                                            .code_bytes = Dotprod::kCodeBytes,
                                            .arrange = arrange<Dotprod>,
                                            .multiply = multiply<Dotprod>};

}  // namespace mnq::linear

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // __aarch64__
