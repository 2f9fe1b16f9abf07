// Q4_K, as GGUF files have it: super-blocks of 256 elements, eight groups of 32 with a scale and a minimum of 6 bits
// each, which a scale and a minimum of the super-block make floats of: weight = d * scale * code - dmin * minimum.
//   f16 d, f16 dmin, u8 scales [12], u8 codes [128]: 32 bytes hold two groups, one in the low nibbles and one in the high ones
// Source: ggml/src/ggml-quants.c, dequantize_row_q4_K
#include <cstring>

#include "kernels/scalar_conversions.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kElements = 256, kBytes = 144, kGroups = 8, kGroup = 32;
constexpr std::uint64_t kScalesAt = 4, kCodesAt = 16;

// A scale and a minimum of 6 bits.
struct Sixes {
  std::uint8_t scale;
  std::uint8_t minimum;
};

// The first four groups have them in the low bits of the first eight bytes; the others in four bits of the last four,
// and their upper two above those of the first.
Sixes sixes_of(const std::uint8_t* stored, std::uint64_t group) {
  if (group < 4)
    return {static_cast<std::uint8_t>(stored[group] & 63), static_cast<std::uint8_t>(stored[group + 4] & 63)};
  const std::uint8_t low = stored[group + 4];
  return {static_cast<std::uint8_t>((low & 15) | (stored[group - 4] >> 6) << 4),
          static_cast<std::uint8_t>(low >> 4 | (stored[group] >> 6) << 4)};
}

float half_at(const std::byte* block, std::uint64_t place) {
  std::uint16_t half = 0;
  std::memcpy(&half, block + place, sizeof half);
  return kernels::float_from_f16(half);
}

const std::uint8_t* bytes_at(const std::byte* block, std::uint64_t place) {
  return reinterpret_cast<const std::uint8_t*>(block + place);
}

void decode_block(const std::byte* block, float* weights) {
  const float scale = half_at(block, 0), minimum = half_at(block, 2);
  for (std::uint64_t group = 0; group < kGroups; ++group) {
    const Sixes sixes = sixes_of(bytes_at(block, kScalesAt), group);
    const float step = scale * sixes.scale, below = minimum * sixes.minimum;
    const std::uint8_t* codes = bytes_at(block, kCodesAt + group / 2 * kGroup);
    const int shift = group % 2 == 0 ? 0 : 4;
    float* to = weights + group * kGroup;
    for (std::uint64_t i = 0; i < kGroup; ++i) to[i] = step * static_cast<float>(codes[i] >> shift & 15) - below;
  }
}

void decode(const std::byte* blocks, std::uint64_t block_count, float* weights) {
  for (std::uint64_t i = 0; i < block_count; ++i) decode_block(blocks + i * kBytes, weights + i * kElements);
}

void list_scales(const std::byte* blocks, std::uint64_t block_count, float* scales) {
  for (std::uint64_t i = 0; i < block_count; ++i) {
    const std::byte* block = blocks + i * kBytes;
    for (std::uint64_t group = 0; group < kGroups; ++group) {
      *scales++ = half_at(block, 0) * sixes_of(bytes_at(block, kScalesAt), group).scale;
    }
  }
}

constexpr OwnBlocks kBlocks{
    .elements = kElements,
    .bytes = kBytes,
    .groups = kGroups,
    .decode = decode,
    .scales = list_scales,
};

}  // namespace

const Scheme kQ4KScheme{
    .name = "q4_k",
    .text = "q4_k",
    .bits = 4,
    .may_be_chosen = false,
    .group_size_default = kElements,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .blocks = &kBlocks,
};

}  // namespace mnq
