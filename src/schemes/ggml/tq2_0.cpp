// TQ2_0, as GGUF files have it: super-blocks of 256 elements that are -1 to 2 times one scale, two bits each.
//   u8 codes [64]: byte i of 32 has four codes, of elements 32 apart, f16 d
// Source: ggml/src/ggml-quants.c, dequantize_row_tq2_0
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kBytes = 66, kScaleAt = 64, kRun = 32;

void decode_block(const std::byte* block, float* weights) {
  const float scale = half_at(block, kScaleAt);
  for (std::uint64_t run = 0; run < kSuperBlock / kRun; ++run) {
    const std::uint8_t* codes = bytes_at(block, run / 4 * kRun);
    const int shift = static_cast<int>(run % 4) * 2;
    for (std::uint64_t i = 0; i < kRun; ++i) weights[run * kRun + i] = scale * as_float((codes[i] >> shift & 3) - 1);
  }
}

void list_scales(const std::byte* block, float* scales) { *scales = half_at(block, kScaleAt); }

constexpr OwnBlocks kBlocks = own_blocks<kSuperBlock, kBytes, 1, decode_block, list_scales>();

}  // namespace

const Scheme kTq2Scheme{
    .name = "tq2_0",
    .text = "tq2_0",
    .bits = 2,
    .may_be_chosen = false,
    .group_size_default = kSuperBlock,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .blocks = &kBlocks,
};

}  // namespace mnq
