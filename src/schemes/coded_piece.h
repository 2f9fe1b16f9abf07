// A piece of a quantized weight between a method that made its codes, or a layout that read them, and a layout that
// stores them or what decodes them: plain arrays in the memory of whoever works on it. Nothing is ever stored like
// this.
#pragma once

#include <cstddef>
#include <cstdint>

#include "schemes/scheme.h"

namespace mnq {

/// Rows, or a piece of one row, of a weight as RowView sees it.
struct PiecePlace {
  std::uint64_t first_row = 0;
  std::uint64_t row_count = 1;
  std::uint64_t first_column = 0;
  std::uint64_t column_count = 0;  ///< the whole row wherever row_count > 1

  std::uint64_t count() const { return row_count * column_count; }
};

struct CodedPiece {
  PiecePlace place;
  std::uint64_t group_size = 0;           ///< columns that share a scale; the last group of a row may be shorter
  const std::int8_t* codes = nullptr;     ///< [row_count, column_count], with the rule's code_xor
  const std::uint8_t* nibbles = nullptr;  ///< in place of codes, of 4 bits, where a layout takes them so: [row_count,
                                          ///< column_count / 2] as KernelTable::pack_int4 has them
  const float* scales = nullptr;          ///< [row_count, groups()]; null where they are stored apart from codes
  float global_scale = 1;  ///< where scales are stored in two levels: they are those of the first divided by this
  const std::int8_t* zero_points = nullptr;  ///< as scales; null: all zero, or stored apart
  const float* minima = nullptr;             ///< as scales; of schemes that have minima
  const std::byte* blocks = nullptr;         ///< in place of all these: of schemes that have blocks of their own

  std::uint64_t groups() const { return (place.column_count + group_size - 1) / group_size; }
  std::uint64_t scale_count() const { return place.row_count * groups(); }
};

/// weights [place.count()], written: what the codes of a piece with its scales stand for.
void decode(const kernels::KernelTable& kernels, const Scheme& scheme, const CodedPiece& piece, float* weights);

}  // namespace mnq
