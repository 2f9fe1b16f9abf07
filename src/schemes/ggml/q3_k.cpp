// Q3_K, as GGUF files have it: super-blocks of 256 elements, sixteen groups of 16 with a scale of 6 bits each:
// weight = d * (scale - 32) * code, codes -4..3.
//   u8 third bits [32]: bit b of byte i is that of element 32 b + i, 1 for codes from 0 on, u8 codes [64]: as of Q2_K,
//   u8 scales [12]: four bits of sixteen scales, then two, f16 d
// Source: ggml/src/ggml-quants.c, dequantize_row_q3_K
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kBytes = 110, kGroups = 16, kGroup = 16;
constexpr std::uint64_t kCodesAt = 32, kScalesAt = 96, kScaleAt = 108;

float scale_of(const std::byte* block, std::uint64_t group) {
  const std::uint8_t* stored = bytes_at(block, kScalesAt);
  const int low = group < 8 ? stored[group] & 15 : stored[group - 8] >> 4;
  const int high = stored[8 + group % 4] >> (2 * (group / 4)) & 3;
  return half_at(block, kScaleAt) * as_float((low | high << 4) - 32);
}

void decode_block(const std::byte* block, float* weights) {
  for (std::uint64_t group = 0; group < kGroups; ++group) {
    const float step = scale_of(block, group);
    const std::uint8_t* high = bytes_at(block, group % 2 * kGroup);
    const std::uint8_t* codes = bytes_at(block, kCodesAt + group / 8 * 32 + group % 2 * kGroup);
    const int shift = static_cast<int>(group % 8 / 2) * 2, bit = static_cast<int>(group / 2);
    float* to = weights + group * kGroup;
    for (std::uint64_t i = 0; i < kGroup; ++i) {
      to[i] = step * as_float((codes[i] >> shift & 3) - ((high[i] >> bit & 1) == 0 ? 4 : 0));
    }
  }
}

void list_scales(const std::byte* block, float* scales) {
  for (std::uint64_t group = 0; group < kGroups; ++group) scales[group] = scale_of(block, group);
}

constexpr OwnBlocks kBlocks = own_blocks<kSuperBlock, kBytes, kGroups, decode_block, list_scales>();

}  // namespace

const Scheme kQ3KScheme{
    .name = "q3_k",
    .text = "q3_k",
    .bits = 3,
    .may_be_chosen = false,
    .group_size_default = kSuperBlock,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .blocks = &kBlocks,
};

}  // namespace mnq
