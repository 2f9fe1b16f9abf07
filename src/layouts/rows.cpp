// Our own layout. Codes of 8 bits lie as bytes in the shape of the weight; codes of 2 to 7 bits in 32-bit words, as
// compressed-tensors packs them, in rows of what lies behind one index of the first axis.
//   8 bits   X             I8, U8, F8_E4M3 or F8_E5M2, the weight's shape
//            X_scale F32, and X_zero_point I8 or U8 where there are some, broadcast over X, so that whoever reads them
//                          multiplies: [1] per tensor, [1, channels, 1] where the channels are the middle one of three
//                          axes, [rows, groups] per group. A zero point is stored as the code that means 0
//   4 bits X_packed I32 [rows, ceil(row_length / 8)], code + 8 in each nibble, low nibble first, unused nibbles 0; of b
//                   bits [rows, ceil(row_length * b / 32)], code + 2^(b-1), one string of bits to a row of words
//            X_scale       F32 [rows, groups]
//            X_shape       I64 [rank], the weight's shape
//            X_zero_point  I32 [ceil(rows * b / 32), groups], likewise, packed along the rows
//            X_minimum     F32 [rows, groups], of schemes with minima
//   a book   likewise, but the codes are those of the book
//            X_global_scale  F32 [1], where scales are stored in two levels: what those of X_scale are divided by
// X_scale has fewer bits where the scheme's scales have: U8, exponents of 2 plus 127 (E8M0), or F8_E4M3.
//   a cast   X             the dtype that was cast to
#include <algorithm>
#include <cstring>

#include "base/text/format.h"
#include "layouts/packing/packed_bits.h"
#include "layouts/packing/packed_words.h"
#include "layouts/tables.h"

namespace mnq {
namespace {

constexpr std::size_t kCodes = 0, kScales = 1;

// Channels of other axes are no rows of words.
bool is_packed(const QuantizedSpec& spec) {
  const Scheme& scheme = scheme_of(spec);
  return scheme.needs_first_axis && scheme.bits < kByteBits;
}

bool has_nibbles(const QuantizedSpec& spec) {
  const Scheme& scheme = scheme_of(spec);
  return scheme.bits == kNibbleBits && scheme.book == nullptr;
}

DType stored_scale_dtype(const QuantizedSpec& spec) {
  if (scheme_of(spec).has_global_scale) return DType::kF8E4M3;
  return spec.scale_dtype == DType::kF8E8M0 ? DType::kU8 : DType::kF32;
}

// The parts behind the scales.
std::size_t zero_points_part(const QuantizedSpec& spec) { return is_packed(spec) ? 3 : 2; }
constexpr std::size_t kShapePart = 2, kMinimaPart = 3, kGlobalScalePart = 3;

Shape broadcast_shape(const QuantizedSpec& spec) {
  if (spec.granularity == Granularity::kTensor) return {1};
  if (spec.granularity == Granularity::kGroup) return scale_matrix(spec);
  const auto channel = static_cast<std::size_t>(spec.channel_axis);
  Shape shape(spec.shape.size(), 1);
  shape[channel] = spec.shape[channel];
  std::copy_n(spec.shape.begin(), spec.stacked_axes, shape.begin());
  return shape;
}

// Up to 1.1 scales of channels were a column, whatever the weight's axes.
Shape former_shape(const QuantizedSpec& spec) {
  return spec.granularity == Granularity::kChannel && spec.stacked_axes == 0 ? scale_matrix(spec) : Shape();
}

std::vector<StoredPart> byte_parts(const QuantizedSpec& spec) {
  const DType dtype = scheme_of(spec).code_dtype;
  const Shape scales = broadcast_shape(spec), former = former_shape(spec);
  std::vector<StoredPart> parts{{"", dtype, spec.shape}, {"_scale", stored_scale_dtype(spec), scales, former}};
  if (has_zero_points(spec)) parts.push_back({"_zero_point", dtype, scales, former});
  return parts;
}

std::vector<StoredPart> packed_parts(const QuantizedSpec& spec) {
  const RowView rows = row_view(spec.shape, spec.channel_axis);
  const ScaleShape scales = scale_shape(spec);
  const std::int32_t bits = scheme_of(spec).bits;
  std::vector<StoredPart> parts{
      {"_packed", DType::kI32, {static_cast<std::int64_t>(rows.row_count), word_count(rows.row_length, bits)}},
      {"_scale", stored_scale_dtype(spec), scale_matrix(spec)},
      {"_shape", DType::kI64, {static_cast<std::int64_t>(spec.shape.size())}},
  };
  if (has_zero_points(spec)) {
    parts.push_back(
        {"_zero_point", DType::kI32, {word_count(scales.row_count, bits), static_cast<std::int64_t>(scales.groups)}});
  }
  if (scheme_of(spec).has_minima) parts.push_back({"_minimum", DType::kF32, scale_matrix(spec)});
  if (scheme_of(spec).has_global_scale) parts.push_back({"_global_scale", DType::kF32, {1}});
  return parts;
}

std::vector<StoredPart> parts_of(const QuantizedSpec& spec) {
  if (!is_coded(spec)) return {{"", scheme_of(spec).cast_dtype, spec.shape}};
  return is_packed(spec) ? packed_parts(spec) : byte_parts(spec);
}

// Only what is packed has a place for minima.
bool can_hold(const QuantizedSpec& spec) {
  if (!is_coded(spec)) return true;
  if (spec.has_group_order) return false;
  const Scheme& scheme = scheme_of(spec);
  const bool has_codes = has_integer_codes(spec) || has_book_codes(scheme);
  const bool has_place = is_packed(spec) || !scheme.has_minima;
  return has_codes && has_place && (spec.group_rows == 1 || scheme.may_be_in_blocks);
}

// Codes and scales of a row start where its words do.
std::uint64_t unit(const QuantizedSpec& spec) { return is_packed(spec) ? codes_per_word(kNibbleBits) : 1; }

std::optional<std::size_t> told_part(const QuantizedSpec& spec) {
  return is_coded(spec) && is_packed(spec) ? std::optional(kShapePart) : std::nullopt;
}

void store_codes(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, LayoutBuffers& buffers) {
  if (!is_packed(spec)) {
    out.write(kCodes, first_element(spec, piece.place), piece.codes, piece.place.count());
  } else if (has_nibbles(spec)) {
    store_packed_rows(spec, piece, out, kCodes, buffers);
  } else {
    store_bit_rows(spec, bit_rows(spec, sizeof(std::uint32_t)), piece, out, kCodes, buffers);
  }
}

const std::int8_t* load_codes(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place,
                              LayoutBuffers& buffers) {
  if (!is_packed(spec)) return load_byte_codes(spec, in, kCodes, place, buffers);
  if (has_nibbles(spec)) return load_packed_rows(spec, in, kCodes, place, buffers);
  return load_bit_rows(bit_rows(spec, sizeof(std::uint32_t)), in, kCodes, place, buffers);
}

void store(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, LayoutBuffers& buffers) {
  store_codes(spec, piece, out, buffers);
  if (scheme_of(spec).has_global_scale) {
    return store_two_levels(spec, piece, out, kScales, kGlobalScalePart, buffers);
  }
  store_piece_floats(spec, piece, piece.scales, stored_scale_dtype(spec), out, kScales, buffers);
  store_piece_floats(spec, piece, piece.minima, DType::kF32, out, kMinimaPart, buffers);
}

void store_tables(const QuantizedSpec& spec, const ScaleTables& tables, const PartWriter& out) {
  if (scheme_of(spec).has_global_scale) {
    store_two_levels(tables, tables.global_scale, out, kScales, kGlobalScalePart);
  } else {
    store_floats(tables.scales, stored_scale_dtype(spec), out, kScales);
  }
  store_floats(tables.minima, DType::kF32, out, kMinimaPart);
  if (is_packed(spec)) out.write(kShapePart, 0, spec.shape.data(), spec.shape.size() * sizeof(spec.shape[0]));
  if (!has_zero_points(spec) || tables.zero_points.empty()) return;
  const std::vector<std::byte> stored =
      is_packed(spec) ? pack_along_rows(tables.zero_points, scale_shape(spec), scheme_of(spec).bits)
                      : to_bytes(tables.zero_points, scheme_of(spec).rule.code_xor);
  out.write(zero_points_part(spec), 0, stored.data(), stored.size());
}

CodedPiece load(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place, LayoutBuffers& buffers) {
  return {.place = place, .codes = load_codes(spec, in, place, buffers)};
}

ScaleTables load_tables(const QuantizedSpec& spec, const PartReader& in) {
  ScaleTables tables;
  if (!is_coded(spec)) return tables;
  if (scheme_of(spec).has_global_scale) return load_two_levels(in, kScales, kGlobalScalePart);
  tables.scales = load_floats(in, kScales);
  if (scheme_of(spec).has_minima) tables.minima = load_floats(in, kMinimaPart);
  if (!has_zero_points(spec)) return tables;
  const std::vector<std::byte> stored = load_bytes(in, zero_points_part(spec));
  tables.zero_points = is_packed(spec) ? unpack_along_rows(stored, scale_shape(spec), scheme_of(spec).bits)
                                       : from_bytes(stored, scheme_of(spec).rule.code_xor);
  require_code_range(spec, tables.zero_points, in, zero_points_part(spec));
  return tables;
}

std::string find_problem(const QuantizedSpec& spec, const PartReader& in) {
  if (!is_coded(spec) || !is_packed(spec)) return "";
  Shape stored(spec.shape.size());
  in.read(kShapePart, 0, std::as_writable_bytes(std::span(stored)));
  if (stored == spec.shape) return "";
  return formatted("{} holds {}, but the metadata says {}", in.info(kShapePart).name, shape_text(stored),
                   shape_text(spec.shape));
}

}  // namespace

constinit const Layout kRowsLayout{
    .name = "rows",
    .has_tables = true,
    .can_hold = can_hold,
    .unit = unit,
    .takes_nibbles = [](const QuantizedSpec& spec) { return is_packed(spec) && has_nibbles(spec); },
    .parts = parts_of,
    .told_part = told_part,
    .store = store,
    .store_tables = store_tables,
    .load = load,
    .load_tables = load_tables,
    .find_problem = find_problem,
};

}  // namespace mnq
