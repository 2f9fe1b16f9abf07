// Blocks of ggml: codes of consecutive elements of a row with their scales in front. Those of 32 are taken apart here:
//   Q8_0  f16 scale, i8 codes [32]
//   Q4_0  f16 scale, u8 [16]: codes j low, j + 16 high, each 8 higher than ours
//   Q4_1  f16 scale, f16 minimum, u8 [16] likewise
// and super-blocks of 256, Q4_K, by their scheme alone.
// A weight X is one tensor, X U8 [.., bytes of a row].
// Source: ggml/src/ggml-common.h
#pragma once

#include <span>
#include <string_view>

#include "layouts/layout.h"

namespace mnq {

struct GgmlBlock {
  std::string_view name;  ///< "Q8_0"
  std::string_view scheme;
  bool symmetric = true;  ///< the only thing that it can be
  std::uint64_t elements = 32;
  std::uint64_t bytes = 0;
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
