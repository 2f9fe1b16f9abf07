// Floats of 4 bits with two levels of scales. compressed-tensors' nvfp4-pack-quantized:
//   X_packed        U8 [.., out, in / 2], the code of the even column low
//   X_scale         F8_E4M3 [.., out, in / 16]
//   X_global_scale  F32 [1]: a group's scale is what X_scale says, divided by this
// ModelOpt's, and MLX's, which has no second level and other names:
//   X               U8 [.., out, in / 2] likewise
//   X_scale         F8_E4M3 [.., out, in / 16]
//   X_scale_2       F32 [1]: a group's scale is what X_scale says, times this
// Source: compressed_tensors/compressors/nvfp4, 0.20; modelopt/torch/export; mlx/backend/cpu/quantized.cpp
#include "layouts/layouts.h"
#include "layouts/packing/packed_words.h"
#include "layouts/tables.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::size_t kCodes = 0, kScales = 1, kGlobalScale = 2;
constexpr std::int64_t kGroup = 16;

bool can_hold(const QuantizedSpec& spec) {
  const auto rank = static_cast<std::int64_t>(spec.shape.size());
  return spec.scheme == kNvfp4Scheme.name && spec.granularity == Granularity::kGroup && spec.group_size == kGroup &&
         spec.group_rows == 1 && rank >= 2 && spec.channel_axis == rank - 2 && spec.shape.back() % kGroup == 0;
}

Shape with_columns_by(const Shape& shape, std::int64_t divisor) {
  Shape stored = shape;
  stored.back() /= divisor;
  return stored;
}

std::vector<StoredPart> parts(const QuantizedSpec& spec) {
  return {{"_packed", DType::kU8, with_columns_by(spec.shape, 2)},
          {"_scale", DType::kF8E4M3, with_columns_by(spec.shape, kGroup)},
          {"_global_scale", DType::kF32, {1}}};
}

std::vector<StoredPart> modelopt_parts(const QuantizedSpec& spec) {
  return {{"", DType::kU8, with_columns_by(spec.shape, 2)},
          {"_scale", DType::kF8E4M3, with_columns_by(spec.shape, kGroup)},
          {"_scale_2", DType::kF32, {1}}};
}

// Rows have whole bytes, so that the weight is one run of nibbles.
void store(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, LayoutBuffers& buffers) {
  const std::uint64_t size = piece.place.count() / 2;
  auto* stored = buffers.stored.get<std::uint8_t>(size);
  for (std::uint64_t i = 0; i < size; ++i) {
    stored[i] = static_cast<std::uint8_t>(piece.codes[2 * i] | piece.codes[2 * i + 1] << 4);
  }
  out.write(kCodes, first_element(spec, piece.place) / 2, stored, size);
}

void store_with_scales(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out,
                       LayoutBuffers& buffers) {
  store(spec, piece, out, buffers);
  store_two_levels(spec, piece, out, kScales, kGlobalScale, buffers);
}

void store_tables(const QuantizedSpec&, const ScaleTables& tables, const PartWriter& out) {
  store_two_levels(tables, tables.global_scale, out, kScales, kGlobalScale);
}

void store_modelopt_tables(const QuantizedSpec&, const ScaleTables& tables, const PartWriter& out) {
  store_two_levels(tables, 1 / tables.global_scale, out, kScales, kGlobalScale);
}

CodedPiece load(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place, LayoutBuffers& buffers) {
  const std::uint64_t first = first_element(spec, place), count = place.count(), end = first + count;
  const std::uint64_t first_byte = first / 2, size = ceil_div(end, 2) - first_byte;
  const auto* stored = reinterpret_cast<const std::uint8_t*>(in.fetch(kCodes, first_byte, size, buffers.raw));
  auto* codes = buffers.codes.get<std::int8_t>(2 * size);
  for (std::uint64_t i = 0; i < size; ++i) {
    codes[2 * i] = static_cast<std::int8_t>(stored[i] & 15);
    codes[2 * i + 1] = static_cast<std::int8_t>(stored[i] >> 4);
  }
  return {.place = place, .codes = codes + first % 2};
}

ScaleTables load_tables(const QuantizedSpec&, const PartReader& in) {
  return load_two_levels(in, kScales, kGlobalScale);
}

ScaleTables load_modelopt_tables(const QuantizedSpec&, const PartReader& in) {
  const float factor = in.count() > kGlobalScale ? load_floats(in, kGlobalScale).front() : 1;
  ScaleTables tables{.global_scale = 1 / factor};
  for (const std::byte code : load_bytes(in, kScales)) {
    tables.scales.push_back(value_of_e4m3(std::to_integer<std::uint8_t>(code)) * factor);
  }
  return tables;
}

}  // namespace

constinit const Layout kNvfp4PackLayout{
    .name = "nvfp4-pack-quantized",
    .has_tables = true,
    .can_hold = can_hold,
    .unit = [](const QuantizedSpec&) { return std::uint64_t{2}; },
    .parts = parts,
    .store = store_with_scales,
    .store_tables = store_tables,
    .load = load,
    .load_tables = load_tables,
};

constinit const Layout kModelOptNvfp4Layout{
    .name = "nvfp4",
    .has_tables = true,
    .can_hold = can_hold,
    .unit = [](const QuantizedSpec&) { return std::uint64_t{2}; },
    .parts = modelopt_parts,
    .store = store,
    .store_tables = store_modelopt_tables,
    .load = load,
    .load_tables = load_modelopt_tables,
};

}  // namespace mnq
