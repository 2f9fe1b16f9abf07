// Q2_0, as GGUF files have it: blocks of 64 elements that are -1 to 2 times a scale, two bits each.
//   f16 d, u8 codes [16]: the lowest bits first
// Source: ggml/src/ggml-quants.c, dequantize_row_q2_0
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kElements = 64, kBytes = 18, kCodesAt = 2;

void decode_block(const std::byte* block, float* weights) {
  const float scale = half_at(block, 0);
  const std::uint8_t* codes = bytes_at(block, kCodesAt);
  for (std::uint64_t i = 0; i < kElements; ++i) weights[i] = scale * as_float((codes[i / 4] >> (i % 4 * 2) & 3) - 1);
}

void list_scales(const std::byte* block, float* scales) { *scales = half_at(block, 0); }

constexpr OwnBlocks kBlocks = own_blocks<kElements, kBytes, 1, decode_block, list_scales>();

}  // namespace

const Scheme kQ2Scheme{
    .name = "q2_0",
    .text = "q2_0",
    .bits = 2,
    .may_be_chosen = false,
    .group_size_default = kElements,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .blocks = &kBlocks,
};

}  // namespace mnq
