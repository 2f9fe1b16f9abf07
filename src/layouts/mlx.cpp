// MLX's affine weights: weight = code * scale + bias.
//   L.weight  U32 [.., out, in * bits / 32], one string of bits, the lowest first
//   L.scales  the weight's dtype [.., out, in / group], L.biases likewise
// Source: mlx/backend/cpu/quantized.cpp
#include <array>

#include "layouts/layouts.h"
#include "layouts/packing/packed_bits.h"
#include "layouts/tables.h"

namespace mnq {
namespace {

constexpr std::size_t kCodes = 0, kScales = 1, kMinima = 2;
constexpr std::int64_t kWordBits = 32;
constexpr std::uint64_t kWordBytes = 4;

// What MLX's own tools make comes first of each width.
constexpr std::array<std::uint64_t, 3> kGroupSizes{64, 32, 128};
struct Width {
  std::string_view scheme, name;
};
constexpr std::array kWidths{Width{"affine8", "affine8"}, Width{"affine6", "affine6"}, Width{"q5_1", "affine5"},
                             Width{"q4_1", "affine4"},    Width{"affine3", "affine3"}, Width{"affine2", "affine2"}};

constexpr auto kKinds = [] {
  std::array<HeldKind, kWidths.size() * kGroupSizes.size()> kinds{};
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const Width& width = kWidths[i / kGroupSizes.size()];
    kinds[i].scheme = width.scheme;
    kinds[i].name = width.name;
    kinds[i].group_size = kGroupSizes[i % kGroupSizes.size()];
    kinds[i].symmetric = false;
  }
  return kinds;
}();

bool can_hold(const QuantizedSpec& spec) {
  if (!is_coded(spec) || !scheme_of(spec).has_minima || spec.granularity != Granularity::kGroup) return false;
  const auto rank = static_cast<std::int64_t>(spec.shape.size());
  const bool is_matrix = rank >= 2 && spec.group_rows == 1 && spec.channel_axis == rank - 2;
  return is_matrix && spec.shape.back() % static_cast<std::int64_t>(spec.group_size) == 0 &&
         spec.shape.back() % kWordBits == 0;
}

std::vector<StoredPart> parts(const QuantizedSpec& spec) {
  Shape codes = spec.shape, scales = spec.shape;
  codes.back() = codes.back() * scheme_of(spec).bits / kWordBits;
  scales.back() /= static_cast<std::int64_t>(spec.group_size);
  return {{"", DType::kU32, codes},
          {".scales", spec.scale_dtype, scales, {}, true},
          {".biases", spec.scale_dtype, scales, {}, true}};
}

void store(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, LayoutBuffers& buffers) {
  store_bit_rows(spec, bit_rows(spec, kWordBytes), piece, out, kCodes, buffers);
  store_piece_floats(spec, piece, piece.scales, spec.scale_dtype, out, kScales, buffers);
  store_piece_floats(spec, piece, piece.minima, spec.scale_dtype, out, kMinima, buffers);
}

void store_tables(const QuantizedSpec& spec, const ScaleTables& tables, const PartWriter& out) {
  store_floats(tables.scales, spec.scale_dtype, out, kScales);
  store_floats(tables.minima, spec.scale_dtype, out, kMinima);
}

CodedPiece load(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place, LayoutBuffers& buffers) {
  return {.place = place, .codes = load_bit_rows(bit_rows(spec, kWordBytes), in, kCodes, place, buffers)};
}

ScaleTables load_tables(const QuantizedSpec&, const PartReader& in) {
  ScaleTables tables;
  tables.scales = load_floats(in, kScales);
  tables.minima = load_floats(in, kMinima);
  return tables;
}

}  // namespace

constinit const Layout kMlxLayout{
    .name = "mlx",
    .holds = kKinds,
    .scales_text = "has a scale and a minimum for each group of 32, 64 or 128",
    .axis_text = "has its groups on the last axis",
    .has_tables = true,
    .can_hold = can_hold,
    .unit = [](const QuantizedSpec&) { return kBitUnit; },
    .parts = parts,
    .store = store,
    .store_tables = store_tables,
    .load = load,
    .load_tables = load_tables,
};

}  // namespace mnq
