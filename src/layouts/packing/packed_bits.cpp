#include "layouts/packing/packed_bits.h"

#include <algorithm>
#include <cstring>

#include "layouts/packing/packed_words.h"

namespace mnq {
namespace {

constexpr std::uint64_t kOnes = 0x0101010101010101;

// The lowest `bits` bits of each byte, 16 bits or 32 bits of a word.
std::uint64_t low_bits(int bits, std::uint64_t ones) { return ((std::uint64_t{1} << bits) - 1) * ones; }

// The same number to each byte, of which none carries into the next.
std::uint64_t add_to_bytes(std::uint64_t bytes, int number) {
  constexpr std::uint64_t kTop = 0x80 * kOnes;
  const std::uint64_t numbers = static_cast<std::uint8_t>(number) * kOnes;
  return ((bytes & ~kTop) + (numbers & ~kTop)) ^ ((bytes ^ numbers) & kTop);
}

// Eight codes, a byte each, to a string of bits: neighbours are moved together, then pairs, then fours.
std::uint64_t join_eight(std::uint64_t bytes, int bits) {
  constexpr std::uint64_t kPairs = 0x0001000100010001, kFours = 0x0000000100000001;
  const std::uint64_t pairs = (bytes & 0xff * kPairs) | (bytes & (0xff * kPairs) << 8) >> (8 - bits);
  const std::uint64_t fours = (pairs & 0xffff * kFours) | (pairs & (0xffff * kFours) << 16) >> (16 - 2 * bits);
  return (fours & 0xffffffff) | fours >> 32 << 4 * bits;
}

std::uint64_t part_eight(std::uint64_t string, int bits) {
  constexpr std::uint64_t kPairs = 0x0001000100010001, kFours = 0x0000000100000001;
  const std::uint64_t fours = (string & low_bits(4 * bits, 1)) | string >> 4 * bits << 32;
  const std::uint64_t pairs = (fours & low_bits(2 * bits, kFours)) | (fours >> 2 * bits & low_bits(2 * bits, kFours))
                                                                         << 16;
  return (pairs & low_bits(bits, kPairs)) | (pairs >> bits & low_bits(bits, kPairs)) << 8;
}

// Eight codes are as many bytes as one has bits.
void unpack_eight(const std::uint8_t* from, int bits, std::uint64_t size, int less, std::int8_t* codes,
                  std::uint64_t count) {
  std::uint64_t string = 0;
  std::memcpy(&string, from, size);
  const std::uint64_t bytes = add_to_bytes(part_eight(string, bits), -less);
  std::memcpy(codes, &bytes, count);
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
  const std::uint64_t mask = low_bits(bits, kOnes);
  while (count > 0) {
    const std::uint64_t here = std::min(count, kBitUnit), size = bytes_of(here, bits);
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, codes, here);
    bytes = add_to_bytes(bytes, more) & mask;
    if (here < kBitUnit) bytes &= low_bits(static_cast<int>(here) * 8, 1);
    const std::uint64_t string = join_eight(bytes, bits);
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
