// Codes as one string of bits, the lowest first, each unsigned: rows of them, each padded to whole bytes or words.
// Codes of 3, 5, 6 and 7 bits reach over the ends of bytes and words.
#pragma once

#include <cstdint>
#include <span>

#include "layouts/layout.h"

namespace mnq {

/// `count` codes from a byte on that starts one, each less by `less`, and back, with zeros behind the last one.
void unpack_bits(const std::uint8_t* from, int bits, std::uint64_t count, int less, std::int8_t* codes);
void pack_bits(const std::int8_t* codes, int bits, std::uint64_t count, int more, std::uint8_t* to);

/// Rows of codes: how wide one is in bytes, and what is taken from each code.
struct BitRows {
  int bits = 4;
  int less = 0;
  std::uint64_t row_bytes = 0;
};

/// Rows that are padded to whole bytes, or to words of 4 bytes; codes of the scheme's bits, from its lowest one on.
BitRows bit_rows(const QuantizedSpec& spec, std::uint64_t padded_to);

/// The codes of a piece that starts at a multiple of 8 columns, in buffers.codes; and what stores them, with the zeros
/// that end a row.
const std::int8_t* load_bit_rows(const BitRows& rows, const PartReader& in, std::size_t part, const PiecePlace& place,
                                 LayoutBuffers& buffers);
void store_bit_rows(const QuantizedSpec& spec, const BitRows& rows, const CodedPiece& piece, const PartWriter& out,
                    std::size_t part, LayoutBuffers& buffers);

/// Columns that start at a whole byte, whatever the bits.
inline constexpr std::uint64_t kBitUnit = 8;

}  // namespace mnq
