#include "layouts/packing/packed_bits.h"

#include <algorithm>
#include <cstring>

#include "layouts/packing/packed_words.h"

namespace mnq {
namespace {

// Eight codes are as many bytes as one has bits.
void unpack_eight(const std::uint8_t* from, int bits, std::uint64_t size, int less, std::int8_t* codes,
                  std::uint64_t count) {
  std::uint64_t string = 0;
  std::memcpy(&string, from, size);
  const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
  for (std::uint64_t i = 0; i < count; ++i, string >>= bits) {
    codes[i] = static_cast<std::int8_t>(static_cast<int>(string & mask) - less);
  }
}

std::uint64_t bytes_of(std::uint64_t count, int bits) { return ceil_div(count * static_cast<std::uint64_t>(bits), 8); }

}  // namespace

void unpack_bits(const std::uint8_t* from, int bits, std::uint64_t count, int less, std::int8_t* codes) {
  for (; count >= kBitUnit; count -= kBitUnit, from += bits, codes += kBitUnit) {
    unpack_eight(from, bits, static_cast<std::uint64_t>(bits), less, codes, kBitUnit);
  }
  if (count > 0) unpack_eight(from, bits, bytes_of(count, bits), less, codes, count);
}

void pack_bits(const std::int8_t* codes, int bits, std::uint64_t count, int more, std::uint8_t* to) {
  const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
  while (count > 0) {
    const std::uint64_t here = std::min(count, kBitUnit), size = bytes_of(here, bits);
    std::uint64_t string = 0;
    for (std::uint64_t i = 0; i < here; ++i) {
      string |= (static_cast<std::uint64_t>(codes[i] + more) & mask) << (i * static_cast<std::uint64_t>(bits));
    }
    std::memcpy(to, &string, size);
    count -= here, codes += here, to += size;
  }
}

BitRows bit_rows(const QuantizedSpec& spec, std::uint64_t padded_to) {
  const Scheme& scheme = scheme_of(spec);
  const std::uint64_t bytes = bytes_of(row_view(spec.shape, spec.channel_axis).row_length, scheme.bits);
  const int lowest = scheme.book == nullptr ? scheme.rule.code_min : 0;
  return {scheme.bits, -lowest, ceil_div(bytes, padded_to) * padded_to};
}

const std::int8_t* load_bit_rows(const BitRows& rows, const PartReader& in, std::size_t part, const PiecePlace& place,
                                 LayoutBuffers& buffers) {
  const std::uint64_t offset = place.first_row * rows.row_bytes + bytes_of(place.first_column, rows.bits);
  const std::uint64_t size = (place.row_count - 1) * rows.row_bytes + bytes_of(place.column_count, rows.bits);
  const std::byte* stored = in.fetch(part, offset, size, buffers.raw);
  auto* codes = buffers.codes.get<std::int8_t>(place.count());
  for (std::uint64_t row = 0; row < place.row_count; ++row) {
    unpack_bits(reinterpret_cast<const std::uint8_t*>(stored + row * rows.row_bytes), rows.bits, place.column_count,
                rows.less, codes + row * place.column_count);
  }
  return codes;
}

void store_bit_rows(const QuantizedSpec& spec, const BitRows& rows, const CodedPiece& piece, const PartWriter& out,
                    std::size_t part, LayoutBuffers& buffers) {
  const PiecePlace& place = piece.place;
  const bool ends_rows = place.first_column + place.column_count == row_view(spec.shape, spec.channel_axis).row_length;
  const std::uint64_t first = bytes_of(place.first_column, rows.bits), used = bytes_of(place.column_count, rows.bits);
  const std::uint64_t width = ends_rows ? rows.row_bytes - first : used;
  auto* stored = buffers.stored.get<std::uint8_t>(place.row_count * width);
  for (std::uint64_t row = 0; row < place.row_count; ++row) {
    std::uint8_t* to = stored + row * width;
    pack_bits(piece.codes + row * place.column_count, rows.bits, place.column_count, rows.less, to);
    std::memset(to + used, 0, width - used);
  }
  out.write(part, place.first_row * rows.row_bytes + first, stored, place.row_count * width);
}

}  // namespace mnq
