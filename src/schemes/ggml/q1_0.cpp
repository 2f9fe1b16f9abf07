// Q1_0, as GGUF files have it: blocks of 128 elements that are a scale or its negative, a bit each.
//   f16 d, u8 bits [16]: the lowest bit first, 1 for what is not below 0
// Source: ggml/src/ggml-quants.c, dequantize_row_q1_0
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kElements = 128, kBytes = 18, kBitsAt = 2;

void decode_block(const std::byte* block, float* weights) {
  const float scale = half_at(block, 0);
  const std::uint8_t* bits = bytes_at(block, kBitsAt);
  for (std::uint64_t i = 0; i < kElements; ++i) weights[i] = (bits[i / 8] >> (i % 8) & 1) != 0 ? scale : -scale;
}

void list_scales(const std::byte* block, float* scales) { *scales = half_at(block, 0); }

constexpr OwnBlocks kBlocks = own_blocks<kElements, kBytes, 1, decode_block, list_scales>();

}  // namespace

const Scheme kQ1Scheme{
    .name = "q1_0",
    .text = "q1_0",
    .bits = 1,
    .may_be_chosen = false,
    .group_size_default = kElements,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .widest_step = 2,
    .blocks = &kBlocks,
};

}  // namespace mnq
