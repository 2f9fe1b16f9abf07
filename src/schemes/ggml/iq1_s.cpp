// IQ1_S, as GGUF files have it: super-blocks of 256 elements, eight groups of 32: four vectors of a book of 2048, whose
// numbers are -1, 0 or 1, all moved by an eighth.
//   f16 d, u8 vectors [32], u16 [8]: three high bits of four vectors, a scale of 3 bits, and which way the group is
//   moved
// Source: ggml/src/ggml-quants.c, dequantize_row_iq1_s
#include "schemes/ggml/iq_grids.h"
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kBytes = 50, kGroups = 8, kVectors = 4, kVectorsAt = 2, kHighAt = 34;
constexpr float kMove = 0.125f;

int word_of(const std::byte* block, std::uint64_t group) {
  return number_at<std::uint16_t>(block, kHighAt + 2 * group);
}

float scale_of(const std::byte* block, std::uint64_t group) {
  return half_at(block, 0) * as_float(2 * (word_of(block, group) >> 12 & 7) + 1);
}

void decode_block(const std::byte* block, float* weights) {
  for (std::uint64_t vector = 0; vector < kGroups * kVectors; ++vector) {
    const std::uint64_t group = vector / kVectors;
    const int word = word_of(block, group);
    const int index = *bytes_at(block, kVectorsAt + vector) | (word >> (3 * (vector % kVectors)) & 7) << 8;
    const float move = (word & 0x8000) != 0 ? -kMove : kMove;
    weights = add_shifted_vector(iq1_grid() + 8 * index, scale_of(block, group), move, weights);
  }
}

void list_scales(const std::byte* block, float* scales) {
  for (std::uint64_t group = 0; group < kGroups; ++group) scales[group] = scale_of(block, group);
}

constexpr OwnBlocks kBlocks = own_blocks<kSuperBlock, kBytes, kGroups, decode_block, list_scales>();

}  // namespace

const Scheme kIq1SScheme{
    .name = "iq1_s",
    .text = "iq1_s",
    .bits = 1,
    .may_be_chosen = false,
    .group_size_default = kSuperBlock,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .blocks = &kBlocks,
};

}  // namespace mnq
