// Q6_K, as GGUF files have it: super-blocks of 256 elements, sixteen groups of 16 with a scale of 8 bits each:
// weight = d * scale * code, codes -32..31.
//   u8 low bits [128]: byte i of 64 has four bits of elements i and i + 64 of a half, u8 high bits [64]: byte i of 32
//   has two bits of four elements 32 apart, i8 scales [16], f16 d
// Source: ggml/src/ggml-quants.c, dequantize_row_q6_K
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kBytes = 210, kGroups = 16, kGroup = 16;
constexpr std::uint64_t kHighAt = 128, kScalesAt = 192, kScaleAt = 208;

float scale_of(const std::byte* block, std::uint64_t group) {
  return half_at(block, kScaleAt) * as_float(number_at<std::int8_t>(block, kScalesAt + group));
}

void decode_block(const std::byte* block, float* weights) {
  for (std::uint64_t group = 0; group < kGroups; ++group) {
    const float step = scale_of(block, group);
    const std::uint64_t half = group / 8, quarter = group % 8 / 2, first = group % 2 * kGroup;
    const std::uint8_t* low = bytes_at(block, 64 * half + quarter % 2 * 32 + first);
    const std::uint8_t* high = bytes_at(block, kHighAt + 32 * half + first);
    const int low_shift = quarter < 2 ? 0 : 4, high_shift = static_cast<int>(quarter) * 2;
    float* to = weights + group * kGroup;
    for (std::uint64_t i = 0; i < kGroup; ++i) {
      to[i] = step * as_float(((low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4) - 32);
    }
  }
}

void list_scales(const std::byte* block, float* scales) {
  for (std::uint64_t group = 0; group < kGroups; ++group) scales[group] = scale_of(block, group);
}

constexpr OwnBlocks kBlocks = own_blocks<kSuperBlock, kBytes, kGroups, decode_block, list_scales>();

}  // namespace

const Scheme kQ6KScheme{
    .name = "q6_k",
    .text = "q6_k",
    .bits = 6,
    .may_be_chosen = false,
    .group_size_default = kSuperBlock,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .blocks = &kBlocks,
};

}  // namespace mnq
