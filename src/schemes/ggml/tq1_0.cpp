// TQ1_0, as GGUF files have it: super-blocks of 256 elements that are -1, 0 or 1 times one scale. Five of them are the
// digits of a number in base 3, stored as ceil(256 / 243 of it), so that multiplying makes one digit after the other
// the carry.
//   u8 [32]: five elements 32 apart each, u8 [16]: five elements 16 apart, u8 [4]: four elements 4 apart, f16 d
// Source: ggml/src/ggml-quants.c, dequantize_row_tq1_0
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kBytes = 54, kScaleAt = 52;
constexpr std::uint8_t kPowers[] = {1, 3, 9, 27, 81};

float value_of(std::uint8_t stored, int digit) {
  const auto shifted = static_cast<std::uint8_t>(stored * kPowers[digit]);
  return as_float((shifted * 3 >> 8) - 1);
}

// `width` bytes with some digits each; the elements of a digit follow each other.
float* decode_digits(const std::uint8_t* stored, int width, int digits, float scale, float* weights) {
  for (int digit = 0; digit < digits; ++digit) {
    for (int i = 0; i < width; ++i) *weights++ = scale * value_of(stored[i], digit);
  }
  return weights;
}

void decode_block(const std::byte* block, float* weights) {
  const float scale = half_at(block, kScaleAt);
  weights = decode_digits(bytes_at(block, 0), 32, 5, scale, weights);
  weights = decode_digits(bytes_at(block, 32), 16, 5, scale, weights);
  decode_digits(bytes_at(block, 48), 4, 4, scale, weights);
}

void list_scales(const std::byte* block, float* scales) { *scales = half_at(block, kScaleAt); }

constexpr OwnBlocks kBlocks = own_blocks<kSuperBlock, kBytes, 1, decode_block, list_scales>();

}  // namespace

const Scheme kTq1Scheme{
    .name = "tq1_0",
    .text = "tq1_0",
    .bits = 2,
    .may_be_chosen = false,
    .group_size_default = kSuperBlock,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .blocks = &kBlocks,
};

}  // namespace mnq
