// IQ2_XXS, as GGUF files have it: super-blocks of 256 elements, eight groups of 32: four vectors of a book of 256 with
// signs.
//   f16 d, then for each group u8 vectors [4], u32: signs of four vectors in 7 bits each, a scale in the last four bits
// Source: ggml/src/ggml-quants.c, dequantize_row_iq2_xxs
#include "schemes/ggml/iq_grids.h"
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kBytes = 66, kGroups = 8, kVectors = 4;

std::uint32_t word_of(const std::byte* block, std::uint64_t group) {
  return number_at<std::uint32_t>(block, 2 + 8 * group + 4);
}

float scale_of(const std::byte* block, std::uint64_t group) {
  return half_at(block, 0) * (0.5f + static_cast<float>(word_of(block, group) >> 28)) * 0.25f;
}

void decode_block(const std::byte* block, float* weights) {
  for (std::uint64_t group = 0; group < kGroups; ++group) {
    const float scale = scale_of(block, group);
    const std::uint32_t signs = word_of(block, group);
    const std::uint8_t* vectors = bytes_at(block, 2 + 8 * group);
    for (std::uint64_t i = 0; i < kVectors; ++i) {
      weights = add_vector(iq2_xxs_grid() + 8 * vectors[i], 8, scale, eight_signs(signs >> (7 * i)), weights);
    }
  }
}

void list_scales(const std::byte* block, float* scales) {
  for (std::uint64_t group = 0; group < kGroups; ++group) scales[group] = scale_of(block, group);
}

constexpr OwnBlocks kBlocks = own_blocks<kSuperBlock, kBytes, kGroups, decode_block, list_scales>();

}  // namespace

const Scheme kIq2XxsScheme{
    .name = "iq2_xxs",
    .text = "iq2_xxs",
    .bits = 2,
    .may_be_chosen = false,
    .group_size_default = kSuperBlock,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .widest_step = 43,
    .blocks = &kBlocks,
};

}  // namespace mnq
