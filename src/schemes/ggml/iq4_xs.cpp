// IQ4_XS, as GGUF files have it: super-blocks of 256 elements, eight groups of 32 with a scale of 6 bits each:
// weight = d * (scale - 32) * value of the code.
//   f16 d, u16 two high bits of eight scales, u8 [4] their low ones, u8 codes [128]: 16 bytes have a group, its first
//   half low
// Source: ggml/src/ggml-quants.c, dequantize_row_iq4_xs
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kBytes = 136, kGroups = 8, kGroup = 32;
constexpr std::uint64_t kHighAt = 2, kLowAt = 4, kCodesAt = 8;

float scale_of(const std::byte* block, std::uint64_t group) {
  const int low = *bytes_at(block, kLowAt + group / 2) >> (4 * (group % 2)) & 15;
  const int high = number_at<std::uint16_t>(block, kHighAt) >> (2 * group) & 3;
  return half_at(block, 0) * as_float((low | high << 4) - 32);
}

void decode_block(const std::byte* block, float* weights) {
  for (std::uint64_t group = 0; group < kGroups; ++group) {
    const float step = scale_of(block, group);
    const std::uint8_t* codes = bytes_at(block, kCodesAt + group * kGroup / 2);
    float* to = weights + group * kGroup;
    for (std::uint64_t i = 0; i < kGroup / 2; ++i) {
      to[i] = step * kIq4Values[codes[i] & 15];
      to[i + kGroup / 2] = step * kIq4Values[codes[i] >> 4];
    }
  }
}

void list_scales(const std::byte* block, float* scales) {
  for (std::uint64_t group = 0; group < kGroups; ++group) scales[group] = scale_of(block, group);
}

constexpr OwnBlocks kBlocks = own_blocks<kSuperBlock, kBytes, kGroups, decode_block, list_scales>();

}  // namespace

const Scheme kIq4XsScheme{
    .name = "iq4_xs",
    .text = "iq4_xs",
    .bits = 4,
    .may_be_chosen = false,
    .group_size_default = kSuperBlock,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .widest_step = kIq4WidestStep,
    .blocks = &kBlocks,
};

}  // namespace mnq
