// ARM's Advanced SIMD: products of 16 bits, which sums of two would leave, so that they are widened first.
#if defined(__aarch64__)
#include "linear/vector128.inc.h"

namespace mnq::linear {
extern const LinearKernel kNeonLinear;
namespace {

struct Neon : Vector128 {
  static I dot(I sums, I weights, I row) {
    const int8x16_t a = vreinterpretq_s8_s32(weights), b = vreinterpretq_s8_s32(row);
    const int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b)), high = vmull_high_s8(a, b);
    return vaddq_s32(sums, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
  }
};

}  // namespace

constinit const LinearKernel kNeonLinear{.isa = "neon",
                                         .kernels = "neon",
                                         .columns = kColumns<Neon>,
                                         .code_bytes = Neon::kCodeBytes,
                                         .arrange = arrange<Neon>,
                                         .multiply = multiply<Neon>};

}  // namespace mnq::linear

#endif  // __aarch64__
