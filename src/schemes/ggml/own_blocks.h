// What schemes with blocks of their own share: the numbers in a block, and the way through many of them.
#pragma once

#include <cstring>

#include "kernels/scalar_conversions.h"
#include "schemes/scheme.h"

namespace mnq {

/// Elements of the super-blocks of ggml.
inline constexpr std::uint64_t kSuperBlock = 256;

inline const std::uint8_t* bytes_at(const std::byte* block, std::uint64_t place) {
  return reinterpret_cast<const std::uint8_t*>(block + place);
}

/// A number that lies anywhere, little-endian.
template <class Number>
Number number_at(const std::byte* block, std::uint64_t place) {
  Number number;
  std::memcpy(&number, block + place, sizeof number);
  return number;
}

/// A float16, as float32.
inline float half_at(const std::byte* block, std::uint64_t place) {
  return kernels::float_from_f16(number_at<std::uint16_t>(block, place));
}

inline float as_float(int value) { return static_cast<float>(value); }

/// The two functions of a scheme see one block each: decode_block writes its elements, list_scales its scales.
template <std::uint64_t elements, std::uint64_t bytes, std::uint64_t groups, auto decode_block, auto list_scales>
constexpr OwnBlocks own_blocks() {
  return {.elements = elements,
          .bytes = bytes,
          .groups = groups,
          .decode =
              [](const std::byte* blocks, std::uint64_t count, float* weights) {
                for (std::uint64_t i = 0; i < count; ++i) decode_block(blocks + i * bytes, weights + i * elements);
              },
          .scales =
              [](const std::byte* blocks, std::uint64_t count, float* scales) {
                for (std::uint64_t i = 0; i < count; ++i) list_scales(blocks + i * bytes, scales + i * groups);
              }};
}

/// Scales and minima of 6 bits, as Q4_K and Q5_K pack them into twelve bytes: the first four groups have theirs in the
/// low bits of the first eight bytes; the others have four bits in the last four, and their upper two above those of
/// the first.
struct SixBitScale {
  std::uint8_t scale;
  std::uint8_t minimum;
};
inline SixBitScale six_bit_scale(const std::uint8_t* stored, std::uint64_t group) {
  if (group < 4)
    return {static_cast<std::uint8_t>(stored[group] & 63), static_cast<std::uint8_t>(stored[group + 4] & 63)};
  const std::uint8_t low = stored[group + 4];
  return {static_cast<std::uint8_t>((low & 15) | (stored[group - 4] >> 6) << 4),
          static_cast<std::uint8_t>(low >> 4 | (stored[group] >> 6) << 4)};
}

/// The values of the codes of IQ4_NL and IQ4_XS.
inline constexpr float kIq4Values[] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
inline constexpr float kIq4WidestStep = 24;

}  // namespace mnq
