// IQ2_S, as GGUF files have it: super-blocks of 256 elements, sixteen groups of 16: two vectors of a book of 1024 with
// signs.
//   f16 d, u8 vectors [32], u8 signs [32], u8 [8]: two high bits of four vectors, u8 scales [8]: two of 4 bits
// Source: ggml/src/ggml-quants.c, dequantize_row_iq2_s
#include "schemes/ggml/iq_grids.h"
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kBytes = 82, kGroups = 16, kVectors = 2;
constexpr std::uint64_t kVectorsAt = 2, kSignsAt = 34, kHighAt = 66, kScalesAt = 74;

float scale_of(const std::byte* block, std::uint64_t group) {
  const int scale = *bytes_at(block, kScalesAt + group / 2) >> (4 * (group % 2)) & 15;
  return half_at(block, 0) * (0.5f + as_float(scale)) * 0.25f;
}

void decode_block(const std::byte* block, float* weights) {
  for (std::uint64_t vector = 0; vector < kGroups * kVectors; ++vector) {
    const int high = *bytes_at(block, kHighAt + vector / 4) >> (2 * (vector % 4)) & 3;
    const int index = *bytes_at(block, kVectorsAt + vector) | high << 8;
    const float scale = scale_of(block, vector / kVectors);
    weights = add_vector(iq2_s_grid() + 8 * index, 8, scale, *bytes_at(block, kSignsAt + vector), weights);
  }
}

void list_scales(const std::byte* block, float* scales) {
  for (std::uint64_t group = 0; group < kGroups; ++group) scales[group] = scale_of(block, group);
}

constexpr OwnBlocks kBlocks = own_blocks<kSuperBlock, kBytes, kGroups, decode_block, list_scales>();

}  // namespace

const Scheme kIq2SScheme{
    .name = "iq2_s",
    .text = "iq2_s",
    .bits = 2,
    .may_be_chosen = false,
    .group_size_default = kSuperBlock,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .widest_step = 43,
    .blocks = &kBlocks,
};

}  // namespace mnq
