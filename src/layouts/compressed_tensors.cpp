// The two layouts of compressed-tensors that hold integers, of matrices [out, in].
//   pack-quantized X_packed I32 [out, ceil(in·bits/32)], X_scale, asymmetric also X_zero_point I32 packed along the
//                    rows, X_shape I64 [2]. Codes are unsigned. With actorder X_g_idx I32 [in] says which group a
//                    column is of
//   int-quantized    X I8 [out, in], X_scale, asymmetric also X_zero_point I8. With actorder X_g_idx likewise
// X is the weight, "model.layers.0.mlp.up_proj.weight". Scales have the weight's dtype.
// Source: compressed_tensors/compressors, 0.20
#include <algorithm>
#include <array>
#include <cstring>

#include "layouts/layouts.h"
#include "layouts/packing/packed_bits.h"
#include "layouts/packing/packed_words.h"
#include "layouts/tables.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::size_t kCodes = 0, kScales = 1, kZeroPoints = 2;
constexpr std::uint64_t kBytesPerWord = 4;

constexpr std::array kByteKinds{
    HeldKind{.scheme = "qint8", .has_channels = true},
    HeldKind{.scheme = "quint8", .has_channels = true},
};
constexpr std::array kPackedKinds{
    kByteKinds[0],
    kByteKinds[1],
    HeldKind{.scheme = "qint7", .has_channels = true},
    HeldKind{.scheme = "qint6", .has_channels = true},
    HeldKind{.scheme = "qint5", .has_channels = true},
    HeldKind{.scheme = "qint4", .has_channels = true},
    HeldKind{.scheme = "qint3", .has_channels = true},
    HeldKind{.scheme = "qint2", .has_channels = true},
};
constexpr std::string_view kScalesText = "is written with a scale for each channel or group",
                           kAxisText = "has its channels on axis 0";

std::size_t shape_part(const QuantizedSpec& spec) { return spec.symmetric ? 2 : 3; }

int bits_of(const QuantizedSpec& spec) { return scheme_of(spec).bits; }

bool holds_integers(const QuantizedSpec& spec) {
  const Scheme& scheme = scheme_of(spec);
  return has_integer_codes(spec) && !scheme.has_minima && spec.group_rows == 1 && spec.shape.size() == 2 &&
         spec.channel_axis == 0;
}

// Words hold unsigned codes, bytes signed ones.
std::uint8_t flip_of(const QuantizedSpec& spec, bool is_unsigned) {
  const bool has_unsigned = scheme_of(spec).rule.code_xor != 0;
  return has_unsigned == is_unsigned ? 0 : 0x80;
}

std::vector<StoredPart> packed_parts(const QuantizedSpec& spec) {
  const int bits = bits_of(spec);
  const ScaleShape scales = scale_shape(spec);
  std::vector<StoredPart> parts{
      {"_packed", DType::kI32, {spec.shape[0], word_count(static_cast<std::uint64_t>(spec.shape[1]), bits)}},
      {"_scale", spec.scale_dtype, scale_matrix(spec)},
  };
  if (!spec.symmetric) {
    parts.push_back(
        {"_zero_point", DType::kI32, {word_count(scales.row_count, bits), static_cast<std::int64_t>(scales.groups)}});
  }
  parts.push_back({"_shape", DType::kI64, {2}});
  return parts;
}

std::vector<StoredPart> byte_parts(const QuantizedSpec& spec) {
  std::vector<StoredPart> parts{{"", DType::kI8, spec.shape}, {"_scale", spec.scale_dtype, scale_matrix(spec)}};
  if (!spec.symmetric) parts.push_back({"_zero_point", DType::kI8, scale_matrix(spec)});
  return parts;
}

std::uint64_t unit(const QuantizedSpec&) { return codes_per_word(kNibbleBits); }

void flip(const std::int8_t* from, std::uint64_t count, std::uint8_t bits, std::byte* to) {
  for (std::uint64_t i = 0; i < count; ++i) to[i] = static_cast<std::byte>(static_cast<std::uint8_t>(from[i]) ^ bits);
}

// Rows are padded to whole words with code 0 of the unsigned kind.
void store_packed_bytes(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out,
                        LayoutBuffers& buffers) {
  const auto columns = static_cast<std::uint64_t>(spec.shape[1]);
  const std::uint64_t row_bytes = ceil_div(columns, kBytesPerWord) * kBytesPerWord;
  const bool ends_rows = piece.place.first_column + piece.place.column_count == columns;
  const std::uint64_t count = piece.place.column_count, width = ends_rows ? count + row_bytes - columns : count;
  auto* stored = buffers.stored.get<std::byte>(piece.place.row_count * width);
  for (std::uint64_t row = 0; row < piece.place.row_count; ++row) {
    flip(piece.codes + row * count, count, flip_of(spec, true), stored + row * width);
    std::memset(stored + row * width + count, 0, width - count);
  }
  out.write(kCodes, piece.place.first_row * row_bytes + piece.place.first_column, stored,
            piece.place.row_count * width);
}

void store_packed(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, LayoutBuffers& buffers) {
  if (bits_of(spec) == kNibbleBits) {
    store_packed_rows(spec, piece, out, kCodes, buffers);
  } else if (bits_of(spec) == kByteBits) {
    store_packed_bytes(spec, piece, out, buffers);
  } else {
    store_bit_rows(spec, bit_rows(spec, kBytesPerWord), piece, out, kCodes, buffers);
  }
  store_piece_floats(spec, piece, piece.scales, spec.scale_dtype, out, kScales, buffers);
}

void store_bytes(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, LayoutBuffers& buffers) {
  const std::uint64_t first = first_element(spec, piece.place), count = piece.place.count();
  const void* codes = piece.codes;
  if (const std::uint8_t bits = flip_of(spec, false); bits != 0) {
    auto* flipped = buffers.stored.get<std::byte>(count);
    flip(piece.codes, count, bits, flipped);
    codes = flipped;
  }
  out.write(kCodes, first, codes, count);
  store_piece_floats(spec, piece, piece.scales, spec.scale_dtype, out, kScales, buffers);
}

void store_zero_points(const std::vector<std::byte>& stored, const PartWriter& out) {
  out.write(kZeroPoints, 0, stored.data(), stored.size());
}

void store_packed_tables(const QuantizedSpec& spec, const ScaleTables& tables, const PartWriter& out) {
  store_floats(tables.scales, spec.scale_dtype, out, kScales);
  out.write(shape_part(spec), 0, spec.shape.data(), spec.shape.size() * sizeof(spec.shape[0]));
  if (spec.symmetric || tables.zero_points.empty()) return;
  store_zero_points(pack_along_rows(tables.zero_points, scale_shape(spec), bits_of(spec)), out);
}

void store_byte_tables(const QuantizedSpec& spec, const ScaleTables& tables, const PartWriter& out) {
  store_floats(tables.scales, spec.scale_dtype, out, kScales);
  if (!spec.symmetric && !tables.zero_points.empty()) store_zero_points(to_bytes(tables.zero_points, 0), out);
}

const std::int8_t* load_packed_bytes(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place,
                                     LayoutBuffers& buffers) {
  const auto columns = static_cast<std::uint64_t>(spec.shape[1]);
  const std::uint64_t row_bytes = ceil_div(columns, kBytesPerWord) * kBytesPerWord;
  const std::uint64_t size = (place.row_count - 1) * row_bytes + place.column_count;
  const std::byte* stored = in.fetch(kCodes, place.first_row * row_bytes + place.first_column, size, buffers.raw);
  auto* codes = buffers.codes.get<std::int8_t>(place.count());
  for (std::uint64_t row = 0; row < place.row_count; ++row) {
    flip(reinterpret_cast<const std::int8_t*>(stored + row * row_bytes), place.column_count, flip_of(spec, true),
         reinterpret_cast<std::byte*>(codes + row * place.column_count));
  }
  return codes;
}

CodedPiece load_packed(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place,
                       LayoutBuffers& buffers) {
  CodedPiece piece{.place = place};
  piece.codes = bits_of(spec) == kNibbleBits ? load_packed_rows(spec, in, kCodes, place, buffers)
                : bits_of(spec) == kByteBits ? load_packed_bytes(spec, in, place, buffers)
                                             : load_bit_rows(bit_rows(spec, kBytesPerWord), in, kCodes, place, buffers);
  return piece;
}

CodedPiece load_bytes_of(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place,
                         LayoutBuffers& buffers) {
  return {.place = place, .codes = load_byte_codes(spec, in, kCodes, place, buffers)};
}

// Only zero points of channels and groups are packed, and only in words.
ScaleTables load_tables(const QuantizedSpec& spec, const PartReader& in) {
  ScaleTables tables;
  tables.scales = load_floats(in, kScales);
  tables.group_of_column = load_group_order(spec, in, in.count() - 1);  // the last part, of those that have one
  if (spec.symmetric) return tables;
  const std::vector<std::byte> stored = load_bytes(in, kZeroPoints);
  const bool is_packed = in.info(kZeroPoints).dtype == DType::kI32;
  tables.zero_points = is_packed ? unpack_along_rows(stored, scale_shape(spec), bits_of(spec)) : from_bytes(stored, 0);
  require_code_range(spec, tables.zero_points, in, kZeroPoints);
  return tables;
}

std::string_view strategy_of(const QuantizedSpec& spec) {
  if (spec.group_rows > 1) return "block";
  if (scheme_of(spec).has_global_scale) return "tensor_group";
  if (spec.granularity == Granularity::kGroup) return "group";
  return spec.granularity == Granularity::kTensor ? "tensor" : "channel";
}

std::string_view scale_dtype_of(const QuantizedSpec& spec) {
  if (scheme_of(spec).has_global_scale) return "torch.float8_e4m3fn";
  return spec.scale_dtype == DType::kF8E8M0 ? "torch.uint8" : "";
}

}  // namespace

// Of floats of 8 bits its readers know E4M3 alone.
const Layout& compressed_layout(const QuantizedSpec& spec, bool needs_plain_weights) {
  for (const Layout* small : {&kNvfp4PackLayout, &kMxfp4PackLayout, &kMxfp6PackLayout, &kMxfp8Layout}) {
    if (small->can_hold(spec)) return *small;
  }
  if (spec.scheme == kFloat8E4M3Scheme.name) return kFloatQuantizedLayout;
  const bool is_packed = spec.activation_bits == 0 && (scheme_of(spec).bits != kByteBits || !needs_plain_weights);
  return is_packed ? kPackQuantizedLayout : kIntQuantizedLayout;
}

bool may_run_in_integers(const QuantizedSpec& spec) {
  const Scheme& scheme = scheme_of(spec);
  return scheme.bits == kByteBits && scheme.rule.code_xor == 0 && spec.symmetric &&
         spec.granularity == Granularity::kChannel;
}

CodeNumbers code_numbers(const QuantizedSpec& spec) {
  const Scheme& scheme = scheme_of(spec);
  return {scheme.bits, scheme.floats == nullptr ? "int" : "float", strategy_of(spec), scale_dtype_of(spec)};
}

const Scheme* find_integer_scheme(std::int64_t width) {
  const auto is_of_width = [width](const Scheme* scheme) {
    const bool is_integer = !scheme->is_cast && scheme->book == nullptr && scheme->blocks == nullptr;
    return is_integer && !scheme->has_minima && scheme->bits == width && !scheme->always_has_zero_points;
  };
  const auto found = std::ranges::find_if(all_schemes(), is_of_width);
  return found == all_schemes().end() ? nullptr : *found;
}

constinit const Layout kPackQuantizedLayout{
    .name = "pack-quantized",
    .holds = kPackedKinds,
    .scales_text = kScalesText,
    .axis_text = kAxisText,
    .may_run_in_integers = may_run_in_integers,
    .has_tables = true,
    .can_hold = holds_integers,
    .unit = unit,
    .takes_nibbles = [](const QuantizedSpec& spec) { return bits_of(spec) == kNibbleBits; },
    .parts = packed_parts,
    .told_part = [](const QuantizedSpec& spec) { return std::optional(shape_part(spec)); },
    .store = store_packed,
    .store_tables = store_packed_tables,
    .load = load_packed,
    .load_tables = load_tables,
};

constinit const Layout kIntQuantizedLayout{
    .name = "int-quantized",
    .holds = kByteKinds,
    .scales_text = kScalesText,
    .axis_text = kAxisText,
    .may_run_in_integers = may_run_in_integers,
    .has_tables = true,
    .can_hold = [](const QuantizedSpec& spec) { return holds_integers(spec) && bits_of(spec) == kByteBits; },
    .unit = unit,
    .parts = byte_parts,
    .store = store_bytes,
    .store_tables = store_byte_tables,
    .load = load_bytes_of,
    .load_tables = load_tables,
};

}  // namespace mnq
