// Quantization as ggml's reference quantizers do it, bit for bit, for what goes into GGUF files: groups of 32, a scale
// in float16 and, of Q4_1 and Q5_1, a minimum; floats of 4 bits in groups of 32 and 16 with scales of 8 bits.
// Source: ggml/src/ggml-quants.c, quantize_row_{q8_0,q4_0,q4_1,q5_0,q5_1,mxfp4,nvfp4}_ref; gguf-py/gguf/quants.py
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

namespace mnq {

inline constexpr std::uint64_t kGgmlGroup = 32, kNvfp4Group = 16;

/// weights [count], count a multiple of 32, finite; codes [count], as our schemes have them: -127..127, or of 4 or 5
/// bits around 0; scales and minima [count / 32], values of float16. Infinite where float16 cannot hold them.
void quantize_as_q8_0(const kernels::KernelTable& kernels, const float* weights, std::size_t count, float* scales,
                      std::int8_t* codes);
void quantize_as_qx_0(const kernels::KernelTable& kernels, int bits, const float* weights, std::size_t count,
                      float* scales, std::int8_t* codes);
void quantize_as_qx_1(const kernels::KernelTable& kernels, int bits, const float* weights, std::size_t count,
                      float* scales, float* minima, std::int8_t* codes);

/// weights [count], count a multiple of 32, and of 16 for nvfp4; codes of E2M1 [count]; scales [count / 32], powers of
/// two, and [count / 16], values of E4M3 of which one may be 0. Values beyond 448 * 6 are cut in nvfp4.
void quantize_as_mxfp4(const float* weights, std::size_t count, float* scales, std::int8_t* codes);
void quantize_as_nvfp4(const float* weights, std::size_t count, float* scales, std::int8_t* codes);

}  // namespace mnq
