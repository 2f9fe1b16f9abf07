#include "layouts/packing/packed_words.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/text/format.h"

namespace mnq {
namespace {

std::uint64_t packed_bytes(std::uint64_t count) {
  return static_cast<std::uint64_t>(word_count(count, kNibbleBits)) * sizeof(std::uint32_t);
}

// Where the codes of a piece lie, and how many bytes of a row they are.
struct PackedPlace {
  std::uint64_t offset;
  std::uint64_t row_bytes;
};
PackedPlace packed_place(const QuantizedSpec& spec, const PiecePlace& place) {
  const std::uint64_t row_length = row_view(spec.shape, spec.channel_axis).row_length;
  return {place.first_row * packed_bytes(row_length) + packed_bytes(place.first_column),
          packed_bytes(place.column_count)};
}

// Byte and shift of one bit of the zero point of (row, group): words are little-endian.
struct BitPlace {
  std::uint64_t byte;
  int shift;
};
BitPlace zero_point_place(std::uint64_t groups, std::uint64_t row, std::uint64_t group, int bits, int bit) {
  const std::uint64_t at = row * static_cast<std::uint64_t>(bits) + static_cast<std::uint64_t>(bit);
  const std::uint64_t word = at / 32 * groups + group;
  return {word * sizeof(std::uint32_t) + at % 32 / 8, static_cast<int>(at % 8)};
}

}  // namespace

void store_packed_rows(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, std::size_t part,
                       LayoutBuffers& buffers) {
  const auto [offset, row_bytes] = packed_place(spec, piece.place);
  if (piece.nibbles != nullptr) return out.write(part, offset, piece.nibbles, piece.place.row_count * row_bytes);
  const std::uint64_t count = piece.place.column_count, used_bytes = ceil_div(count, 2);
  auto* stored = buffers.stored.get<std::byte>(piece.place.row_count * row_bytes);
  for (std::uint64_t row = 0; row < piece.place.row_count; ++row) {
    std::byte* to = stored + row * row_bytes;
    kernels::kernel_table().pack_int4(piece.codes + row * count, count, reinterpret_cast<std::uint8_t*>(to));
    std::memset(to + used_bytes, 0, row_bytes - used_bytes);
  }
  out.write(part, offset, stored, piece.place.row_count * row_bytes);
}

const std::int8_t* load_byte_codes(const QuantizedSpec& spec, const PartReader& in, std::size_t part,
                                   const PiecePlace& place, LayoutBuffers& buffers) {
  const std::byte* stored = in.fetch(part, first_element(spec, place), place.count(), buffers.raw);
  const auto* codes = reinterpret_cast<const std::int8_t*>(stored);
  require_code_range(spec, {codes, place.count()}, in, part);
  return codes;
}

void require_code_range(const QuantizedSpec& spec, std::span<const std::int8_t> codes, const PartReader& in,
                        std::size_t part) {
  const Scheme& scheme = scheme_of(spec);
  if (scheme.bits == kByteBits || scheme.book != nullptr || codes.empty()) return;
  const int least = -(1 << (scheme.bits - 1)), most = -least - 1;
  const auto [low, high] = std::ranges::minmax(codes);
  if (low >= least && high <= most) return;
  throw Error(Status::kFormat,
              formatted("{} has the code {}, but those of {} are {} to {}", in.info(part).name,
                        low < least ? low : high, scheme.text, least, most),
              "make the file again: whatever wrote it left codes of more bits in it", in.info(part).name);
}

const std::int8_t* load_packed_rows(const QuantizedSpec& spec, const PartReader& in, std::size_t part,
                                    const PiecePlace& place, LayoutBuffers& buffers) {
  const auto [offset, row_bytes] = packed_place(spec, place);
  const std::byte* stored = in.fetch(part, offset, place.row_count * row_bytes, buffers.raw);
  auto* codes = buffers.codes.get<std::int8_t>(place.count());
  for (std::uint64_t row = 0; row < place.row_count; ++row) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(stored + row * row_bytes);
    kernels::kernel_table().unpack_int4(from, place.column_count, codes + row * place.column_count);
  }
  return codes;
}

std::vector<std::byte> pack_along_rows(std::span<const std::int8_t> zero_points, ScaleShape shape, int bits) {
  const int offset = 1 << (bits - 1);
  const auto words = static_cast<std::uint64_t>(word_count(shape.row_count, bits)) * shape.groups;
  std::vector<std::byte> stored(words * sizeof(std::uint32_t));
  for (std::uint64_t i = 0; i < shape.count(); ++i) {
    const int code = zero_points[i] + offset;
    for (int bit = 0; bit < bits; ++bit) {
      const BitPlace place = zero_point_place(shape.groups, i / shape.groups, i % shape.groups, bits, bit);
      stored[place.byte] |= static_cast<std::byte>((code >> bit & 1) << place.shift);
    }
  }
  return stored;
}

std::vector<std::int8_t> unpack_along_rows(std::span<const std::byte> stored, ScaleShape shape, int bits) {
  const int offset = 1 << (bits - 1);
  std::vector<std::int8_t> zero_points(shape.count());
  for (std::uint64_t i = 0; i < shape.count(); ++i) {
    int code = 0;
    for (int bit = 0; bit < bits; ++bit) {
      const BitPlace place = zero_point_place(shape.groups, i / shape.groups, i % shape.groups, bits, bit);
      code |= (std::to_integer<int>(stored[place.byte]) >> place.shift & 1) << bit;
    }
    zero_points[i] = static_cast<std::int8_t>(code - offset);
  }
  return zero_points;
}

}  // namespace mnq
