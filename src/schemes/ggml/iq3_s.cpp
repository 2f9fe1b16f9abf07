// IQ3_S, as GGUF files have it: super-blocks of 256 elements, eight groups of 32: eight vectors of 4 of a book of 512,
// with signs.
//   f16 d, u8 vectors [64], u8 [8]: the ninth bit of eight vectors, u8 signs [32], u8 scales [4]: two of 4 bits
// Source: ggml/src/ggml-quants.c, dequantize_row_iq3_s
#include "schemes/ggml/iq_grids.h"
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kBytes = 110, kGroups = 8, kVectors = 8;
constexpr std::uint64_t kVectorsAt = 2, kHighAt = 66, kSignsAt = 74, kScalesAt = 106;

float scale_of(const std::byte* block, std::uint64_t group) {
  const int scale = *bytes_at(block, kScalesAt + group / 2) >> (4 * (group % 2)) & 15;
  return half_at(block, 0) * as_float(1 + 2 * scale);
}

void decode_block(const std::byte* block, float* weights) {
  for (std::uint64_t vector = 0; vector < kGroups * kVectors; ++vector) {
    const int high = *bytes_at(block, kHighAt + vector / 8) >> (vector % 8) & 1;
    const int index = *bytes_at(block, kVectorsAt + vector) | high << 8;
    const int signs = *bytes_at(block, kSignsAt + vector / 2) >> (4 * (vector % 2));
    weights = add_vector(iq3_s_grid() + 4 * index, 4, scale_of(block, vector / kVectors), signs, weights);
  }
}

void list_scales(const std::byte* block, float* scales) {
  for (std::uint64_t group = 0; group < kGroups; ++group) scales[group] = scale_of(block, group);
}

constexpr OwnBlocks kBlocks = own_blocks<kSuperBlock, kBytes, kGroups, decode_block, list_scales>();

}  // namespace

const Scheme kIq3SScheme{
    .name = "iq3_s",
    .text = "iq3_s",
    .bits = 3,
    .may_be_chosen = false,
    .group_size_default = kSuperBlock,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .widest_step = 2,
    .blocks = &kBlocks,
};

}  // namespace mnq
