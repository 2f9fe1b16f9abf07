// Q4_K, as GGUF files have it: super-blocks of 256 elements, eight groups of 32 with a scale and a minimum of 6 bits
// each, which a scale and a minimum of the super-block make floats of: weight = d * scale * code - dmin * minimum.
//   f16 d, f16 dmin, u8 scales [12], u8 codes [128]: 32 bytes hold two groups, one in the low nibbles and one in the
//   high ones
// Source: ggml/src/ggml-quants.c, dequantize_row_q4_K
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kBytes = 144, kGroups = 8, kGroup = 32;
constexpr std::uint64_t kScalesAt = 4, kCodesAt = 16;

void decode_block(const std::byte* block, float* weights) {
  const float scale = half_at(block, 0), minimum = half_at(block, 2);
  for (std::uint64_t group = 0; group < kGroups; ++group) {
    const SixBitScale sixes = six_bit_scale(bytes_at(block, kScalesAt), group);
    const float step = scale * sixes.scale, below = minimum * sixes.minimum;
    const std::uint8_t* codes = bytes_at(block, kCodesAt + group / 2 * kGroup);
    const int shift = group % 2 == 0 ? 0 : 4;
    float* to = weights + group * kGroup;
    for (std::uint64_t i = 0; i < kGroup; ++i) to[i] = step * as_float(codes[i] >> shift & 15) - below;
  }
}

void list_scales(const std::byte* block, float* scales) {
  for (std::uint64_t group = 0; group < kGroups; ++group) {
    scales[group] = half_at(block, 0) * six_bit_scale(bytes_at(block, kScalesAt), group).scale;
  }
}

constexpr OwnBlocks kBlocks = own_blocks<kSuperBlock, kBytes, kGroups, decode_block, list_scales>();

}  // namespace

const Scheme kQ4KScheme{
    .name = "q4_k",
    .text = "q4_k",
    .bits = 4,
    .may_be_chosen = false,
    .group_size_default = kSuperBlock,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .blocks = &kBlocks,
};

}  // namespace mnq
