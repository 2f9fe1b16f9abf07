// IQ3_XXS, as GGUF files have it: super-blocks of 256 elements, eight groups of 32: eight vectors of 4 of a book of
// 256, with signs.
//   f16 d, u8 vectors [64], u32 [8]: signs of two vectors in 7 bits, four times, and a scale in the last four bits
// Source: ggml/src/ggml-quants.c, dequantize_row_iq3_xxs
#include "schemes/ggml/iq_grids.h"
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kBytes = 98, kGroups = 8, kPairs = 4, kVectorsAt = 2, kScalesAt = 66;

std::uint32_t word_of(const std::byte* block, std::uint64_t group) {
  return number_at<std::uint32_t>(block, kScalesAt + 4 * group);
}

float scale_of(const std::byte* block, std::uint64_t group) {
  return half_at(block, 0) * (0.5f + static_cast<float>(word_of(block, group) >> 28)) * 0.5f;
}

void decode_block(const std::byte* block, float* weights) {
  for (std::uint64_t group = 0; group < kGroups; ++group) {
    const float scale = scale_of(block, group);
    for (std::uint64_t i = 0; i < kPairs; ++i) {
      const std::uint8_t* pair = bytes_at(block, kVectorsAt + 2 * (kPairs * group + i));
      const int signs = eight_signs(word_of(block, group) >> (7 * i));
      weights = add_vector(iq3_xxs_grid() + 4 * pair[0], 4, scale, signs, weights);
      weights = add_vector(iq3_xxs_grid() + 4 * pair[1], 4, scale, signs >> 4, weights);
    }
  }
}

void list_scales(const std::byte* block, float* scales) {
  for (std::uint64_t group = 0; group < kGroups; ++group) scales[group] = scale_of(block, group);
}

constexpr OwnBlocks kBlocks = own_blocks<kSuperBlock, kBytes, kGroups, decode_block, list_scales>();

}  // namespace

const Scheme kIq3XxsScheme{
    .name = "iq3_xxs",
    .text = "iq3_xxs",
    .bits = 3,
    .may_be_chosen = false,
    .group_size_default = kSuperBlock,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .widest_step = 10,
    .blocks = &kBlocks,
};

}  // namespace mnq
