// Q5_K, as GGUF files have it: as Q4_K, with a fifth bit of each code.
//   f16 d, f16 dmin, u8 scales [12], u8 fifth bits [32]: bit g of byte i is that of element i of group g, u8 codes
//   [128]
// Source: ggml/src/ggml-quants.c, dequantize_row_q5_K
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kBytes = 176, kGroups = 8, kGroup = 32;
constexpr std::uint64_t kScalesAt = 4, kHighAt = 16, kCodesAt = 48;

void decode_block(const std::byte* block, float* weights) {
  const float scale = half_at(block, 0), minimum = half_at(block, 2);
  const std::uint8_t* high = bytes_at(block, kHighAt);
  for (std::uint64_t group = 0; group < kGroups; ++group) {
    const SixBitScale sixes = six_bit_scale(bytes_at(block, kScalesAt), group);
    const float step = scale * sixes.scale, below = minimum * sixes.minimum;
    const std::uint8_t* codes = bytes_at(block, kCodesAt + group / 2 * kGroup);
    const int shift = group % 2 == 0 ? 0 : 4;
    float* to = weights + group * kGroup;
    for (std::uint64_t i = 0; i < kGroup; ++i) {
      to[i] = step * as_float((codes[i] >> shift & 15) | (high[i] >> group & 1) << 4) - below;
    }
  }
}

void list_scales(const std::byte* block, float* scales) {
  for (std::uint64_t group = 0; group < kGroups; ++group) {
    scales[group] = half_at(block, 0) * six_bit_scale(bytes_at(block, kScalesAt), group).scale;
  }
}

constexpr OwnBlocks kBlocks = own_blocks<kSuperBlock, kBytes, kGroups, decode_block, list_scales>();

}  // namespace

const Scheme kQ5KScheme{
    .name = "q5_k",
    .text = "q5_k",
    .bits = 5,
    .may_be_chosen = false,
    .group_size_default = kSuperBlock,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .blocks = &kBlocks,
};

}  // namespace mnq
