// Codes as tensors hold them: one a byte, as they are; and in words of 32 bits, the lowest code first, each unsigned,
// as compressed-tensors packs them: a string of bits, where codes of 3, 5, 6 and 7 bits reach over the ends of words.
// Rows are padded to whole words with zeros; zero points are packed along the rows of their table.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "layouts/layout.h"

namespace mnq {

inline constexpr int kNibbleBits = 4, kByteBits = 8;

constexpr std::uint64_t codes_per_word(int bits) { return 32 / static_cast<std::uint64_t>(bits); }

inline std::int64_t word_count(std::uint64_t codes, int bits) {
  return static_cast<std::int64_t>(ceil_div(codes * static_cast<std::uint64_t>(bits), 32));
}

/// The flat element that a piece starts with.
inline std::uint64_t first_element(const QuantizedSpec& spec, const PiecePlace& place) {
  return place.first_row * row_view(spec.shape, spec.channel_axis).row_length + place.first_column;
}

/// A byte has room for codes that a scheme of fewer bits has not. Errors: kFormat where it holds some.
void require_code_range(const QuantizedSpec& spec, std::span<const std::int8_t> codes, const PartReader& in,
                        std::size_t part);

/// The codes of a piece that are stored as they are, one a byte. They lie in buffers.raw, or where the source has them.
/// Errors: as require_code_range.
const std::int8_t* load_byte_codes(const QuantizedSpec& spec, const PartReader& in, std::size_t part,
                                   const PiecePlace& place, LayoutBuffers& buffers);

/// Codes -8..7 of a piece, from and to words of 4 bits.
void store_packed_rows(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, std::size_t part,
                       LayoutBuffers& buffers);
const std::int8_t* load_packed_rows(const QuantizedSpec& spec, const PartReader& in, std::size_t part,
                                    const PiecePlace& place, LayoutBuffers& buffers);

/// Zero points [shape], of 2 to 8 bits, packed along the rows, and back.
std::vector<std::byte> pack_along_rows(std::span<const std::int8_t> zero_points, ScaleShape shape, int bits);
std::vector<std::int8_t> unpack_along_rows(std::span<const std::byte> stored, ScaleShape shape, int bits);

}  // namespace mnq
