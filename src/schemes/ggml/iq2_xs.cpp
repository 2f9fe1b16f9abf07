// IQ2_XS, as GGUF files have it: super-blocks of 256 elements, sixteen groups of 16: two vectors of a book of 512 with
// signs.
//   f16 d, u16 vectors [32]: 9 bits and signs in 7, u8 scales [8]: two of 4 bits
// Source: ggml/src/ggml-quants.c, dequantize_row_iq2_xs
#include "schemes/ggml/iq_grids.h"
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kBytes = 74, kGroups = 16, kVectors = 2, kScalesAt = 66;

float scale_of(const std::byte* block, std::uint64_t group) {
  const int scale = *bytes_at(block, kScalesAt + group / 2) >> (4 * (group % 2)) & 15;
  return half_at(block, 0) * (0.5f + as_float(scale)) * 0.25f;
}

void decode_block(const std::byte* block, float* weights) {
  for (std::uint64_t group = 0; group < kGroups; ++group) {
    const float scale = scale_of(block, group);
    for (std::uint64_t i = 0; i < kVectors; ++i) {
      const auto stored = number_at<std::uint16_t>(block, 2 + 2 * (kVectors * group + i));
      weights = add_vector(iq2_xs_grid() + 8 * (stored & 511), 8, scale, eight_signs(stored >> 9), weights);
    }
  }
}

void list_scales(const std::byte* block, float* scales) {
  for (std::uint64_t group = 0; group < kGroups; ++group) scales[group] = scale_of(block, group);
}

constexpr OwnBlocks kBlocks = own_blocks<kSuperBlock, kBytes, kGroups, decode_block, list_scales>();

}  // namespace

const Scheme kIq2XsScheme{
    .name = "iq2_xs",
    .text = "iq2_xs",
    .bits = 2,
    .may_be_chosen = false,
    .group_size_default = kSuperBlock,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .widest_step = 43,
    .blocks = &kBlocks,
};

}  // namespace mnq
