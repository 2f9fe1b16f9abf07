// Q2_K, as GGUF files have it: super-blocks of 256 elements, sixteen groups of 16 with a scale and a minimum of 4 bits
// each: weight = d * scale * code - dmin * minimum.
//   u8 scales [16]: the scale low, the minimum high, u8 codes [64]: byte i of 32 has four codes, of elements 32 apart,
//   f16 d, f16 dmin
// Source: ggml/src/ggml-quants.c, dequantize_row_q2_K
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kBytes = 84, kGroups = 16, kGroup = 16;
constexpr std::uint64_t kCodesAt = 16, kScaleAt = 80, kMinimumAt = 82;

void decode_block(const std::byte* block, float* weights) {
  const float scale = half_at(block, kScaleAt), minimum = half_at(block, kMinimumAt);
  for (std::uint64_t group = 0; group < kGroups; ++group) {
    const std::uint8_t of_group = *bytes_at(block, group);
    const float step = scale * as_float(of_group & 15), below = minimum * as_float(of_group >> 4);
    const std::uint8_t* codes = bytes_at(block, kCodesAt + group / 8 * 32 + group % 2 * kGroup);
    const int shift = static_cast<int>(group % 8 / 2) * 2;
    float* to = weights + group * kGroup;
    for (std::uint64_t i = 0; i < kGroup; ++i) to[i] = step * as_float(codes[i] >> shift & 3) - below;
  }
}

void list_scales(const std::byte* block, float* scales) {
  for (std::uint64_t group = 0; group < kGroups; ++group) {
    scales[group] = half_at(block, kScaleAt) * as_float(*bytes_at(block, group) & 15);
  }
}

constexpr OwnBlocks kBlocks = own_blocks<kSuperBlock, kBytes, kGroups, decode_block, list_scales>();

}  // namespace

const Scheme kQ2KScheme{
    .name = "q2_k",
    .text = "q2_k",
    .bits = 2,
    .may_be_chosen = false,
    .group_size_default = kSuperBlock,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .blocks = &kBlocks,
};

}  // namespace mnq
