// compressed-tensors' mxfp4-pack-quantized and mxfp6-pack-quantized: small floats with a power of two for each 32
// columns.
//   X_packed  U8 [.., out, in * bits / 8], one string of bits, the lowest first
//   X_scale   U8 [.., out, in / 32], E8M0
// DeepSeek and MLX have the same bytes under other names and dtypes. Those of 8 bits are float8.cpp's.
// Source: compressed_tensors/compressors/mx, 0.20
#include "layouts/layouts.h"
#include "layouts/packing/packed_bits.h"
#include "layouts/packing/packed_words.h"
#include "layouts/tables.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::size_t kCodes = 0, kScales = 1;
constexpr std::int64_t kGroup = 32;

bool can_hold(const QuantizedSpec& spec, const Scheme& scheme) {
  const auto rank = static_cast<std::int64_t>(spec.shape.size());
  return spec.scheme == scheme.name && spec.granularity == Granularity::kGroup && spec.group_size == kGroup &&
         spec.group_rows == 1 && rank >= 2 && spec.channel_axis == rank - 2 && spec.shape.back() % kGroup == 0;
}

std::vector<StoredPart> parts(const QuantizedSpec& spec) {
  Shape codes = spec.shape, scales = spec.shape;
  codes.back() = codes.back() * scheme_of(spec).bits / kByteBits;
  scales.back() /= kGroup;
  return {{"_packed", DType::kU8, codes}, {"_scale", DType::kU8, scales}};
}

void store(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, LayoutBuffers& buffers) {
  store_bit_rows(spec, bit_rows(spec, 1), piece, out, kCodes, buffers);
  if (piece.scales == nullptr) return;
  const std::uint64_t count = piece.scale_count();
  auto* stored = buffers.stored.get<std::uint8_t>(count);
  for (std::uint64_t i = 0; i < count; ++i) stored[i] = nearest_e8m0(piece.scales[i]);
  out.write(kScales, first_element(spec, piece.place) / kGroup, stored, count);
}

void store_tables(const QuantizedSpec&, const ScaleTables& tables, const PartWriter& out) {
  store_floats(tables.scales, DType::kU8, out, kScales);
}

CodedPiece load(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place, LayoutBuffers& buffers) {
  return {.place = place, .codes = load_bit_rows(bit_rows(spec, 1), in, kCodes, place, buffers)};
}

ScaleTables load_tables(const QuantizedSpec&, const PartReader& in) { return {.scales = load_floats(in, kScales)}; }

}  // namespace

constinit const Layout kMxfp4PackLayout{
    .name = "mxfp4-pack-quantized",
    .has_tables = true,
    .can_hold = [](const QuantizedSpec& spec) { return can_hold(spec, kMxfp4Scheme); },
    .unit = [](const QuantizedSpec&) { return kBitUnit; },
    .parts = parts,
    .store = store,
    .store_tables = store_tables,
    .load = load,
    .load_tables = load_tables,
};

constinit const Layout kMxfp6PackLayout{
    .name = "mxfp6-pack-quantized",
    .has_tables = true,
    .can_hold = [](const QuantizedSpec& spec) { return can_hold(spec, kMxfp6Scheme); },
    .unit = [](const QuantizedSpec&) { return kBitUnit; },
    .parts = parts,
    .store = store,
    .store_tables = store_tables,
    .load = load,
    .load_tables = load_tables,
};

}  // namespace mnq
