// IQ1_M, as GGUF files have it: as IQ1_S, with groups of 16, each vector of which is moved by itself.
//   u8 vectors [32], u8 [16]: three high bits of two vectors, and which way each is moved, u16 [4]: four scales of 3
//   bits, and a quarter of the float16 that is the scale of the super-block
// Source: ggml/src/ggml-quants.c, dequantize_row_iq1_m
#include "schemes/ggml/iq_grids.h"
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kBytes = 56, kGroups = 16, kVectors = 2, kHighAt = 32, kScalesAt = 48;
constexpr float kMove = 0.125f;

int word_of(const std::byte* block, std::uint64_t index) {
  return number_at<std::uint16_t>(block, kScalesAt + 2 * index);
}

float scale_of_all(const std::byte* block) {
  int half = 0;
  for (std::uint64_t i = 0; i < 4; ++i) half |= word_of(block, i) >> 12 << (4 * i);
  return kernels::float_from_f16(static_cast<std::uint16_t>(half));
}

float scale_of(const std::byte* block, std::uint64_t group) {
  return scale_of_all(block) * as_float(2 * (word_of(block, group / 4) >> (3 * (group % 4)) & 7) + 1);
}

void decode_block(const std::byte* block, float* weights) {
  for (std::uint64_t vector = 0; vector < kGroups * kVectors; ++vector) {
    const int high = *bytes_at(block, kHighAt + vector / 2) >> (4 * (vector % 2)) & 15;
    const int index = *bytes_at(block, vector) | (high & 7) << 8;
    const float move = (high & 8) != 0 ? -kMove : kMove;
    weights = add_shifted_vector(iq1_grid() + 8 * index, scale_of(block, vector / kVectors), move, weights);
  }
}

void list_scales(const std::byte* block, float* scales) {
  for (std::uint64_t group = 0; group < kGroups; ++group) scales[group] = scale_of(block, group);
}

constexpr OwnBlocks kBlocks = own_blocks<kSuperBlock, kBytes, kGroups, decode_block, list_scales>();

}  // namespace

const Scheme kIq1MScheme{
    .name = "iq1_m",
    .text = "iq1_m",
    .bits = 1,
    .may_be_chosen = false,
    .group_size_default = kSuperBlock,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .blocks = &kBlocks,
};

}  // namespace mnq
