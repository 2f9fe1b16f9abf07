// Blocks of ggml: codes of consecutive elements of a row, and what scales them. Those of one scale, or four, are taken
// apart here:
//   Q8_0    f16 scale, i8 codes [32]
//   Q4_0    f16 scale, u8 [16]: codes j low, j + 16 high, each 8 higher than ours
//   Q4_1    f16 scale, f16 minimum, u8 [16] likewise
//   Q5_0    f16 scale, u32 fifth bits: bit j of code j, u8 [16] as Q4_0, each code 16 higher than ours
//   Q5_1    f16 scale, f16 minimum, u32, u8 [16] likewise
//   IQ4_NL  f16 scale, u8 [16]: codes j low, j + 16 high
//   MXFP4   E8M0 scale, u8 [16] likewise
//   NVFP4   four scales E4M3, without sign, of 16 elements each, u8 [32]: of each 16, codes j low, j + 8 high
// and all others by their scheme alone.
// A weight X is one tensor, X U8 [.., bytes of a row].
// Source: ggml/src/ggml-common.h
#pragma once

#include <span>
#include <string_view>

#include "layouts/layouts.h"

namespace mnq {

struct GgmlBlock {
  std::string_view name;  ///< "Q8_0"
  std::string_view scheme;
  bool symmetric = true;  ///< the only thing that it can be
  std::uint64_t elements = 32;
  std::uint64_t bytes = 0;
  std::uint64_t group = 0;  ///< elements that share a scale; 0: all of them
  DType scale_dtype = DType::kF16;

  /// The codes of a block behind its scales, and back. Null: its scheme alone takes it apart.
  void (*unpack)(const std::uint8_t* from, std::int8_t* codes) = nullptr;
  void (*pack)(const std::int8_t* codes, std::uint8_t* to) = nullptr;

  constexpr std::uint64_t group_size() const { return group == 0 ? elements : group; }
};

std::span<const GgmlBlock> all_ggml_blocks();

/// The kind of that name; null where there is none.
const GgmlBlock* find_ggml_block(std::string_view name);

/// The kind that a weight of this scheme lies in; null where there is none.
const GgmlBlock* ggml_block_of(const QuantizedSpec& spec);

/// The spec of a weight in such blocks.
QuantizedSpec ggml_spec(const GgmlBlock& block, Shape shape);

/// The shape of its tensor.
Shape ggml_stored_shape(const GgmlBlock& block, Shape shape);

}  // namespace mnq
