// How compressed-tensors lays 8-bit codes and zero points out in words: what its source and its sink share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mnq::compressed_tensors {

inline constexpr std::string_view kPackedSuffix = "_packed", kScaleSuffix = "_scale", kShapeSuffix = "_shape",
                                  kZeroPointSuffix = "_zero_point";
inline constexpr std::uint64_t kBytesPerWord = 4;

/// In the metadata of a shard whose scales are those of ggml's blocks.
inline constexpr std::string_view kGgmlScalesKey = "mono_quant.ggml_scales";
inline constexpr std::int64_t kGgmlBlockColumns = 32;

/// Codes in words are unsigned: the top bit of each byte turned over.
inline void turn_over(std::span<std::byte> codes) {
  for (std::byte& code : codes) code ^= std::byte{0x80};
}

/// Zero points of 8 bits: ours are [rows, groups], there four rows share a word, [ceil(rows / 4), groups].
inline std::uint64_t packed_zero_point_place(std::uint64_t row, std::uint64_t group, std::uint64_t groups) {
  return (row / kBytesPerWord * groups + group) * kBytesPerWord + row % kBytesPerWord;
}

}  // namespace mnq::compressed_tensors
