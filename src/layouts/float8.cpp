// Floats of 8 bits: X F8_E4M3 or F8_E5M2 in the weight's shape, and scales beside it, floats or powers of two: one, one
// a row, one a group of columns, or one for each block of rows and columns, [ceil(out / 128), ceil(in / 128)]. What
// they are called says whose they are:
//   X_scale_inv   DeepSeek, quant_method fp8. Source: transformers/integrations/finegrained_fp8.py
//   X_scale       compressed-tensors, float-quantized and naive-quantized. Source: compressed_tensors/compressors,
//                 0.20; mxfp8-quantized has them as U8, exponents of two;
//                 ComfyUI: F32 [], of the whole weight. Source: ComfyUI/QUANTIZATION.md
#include <array>

#include "layouts/layouts.h"
#include "layouts/packing/packed_words.h"
#include "layouts/tables.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::size_t kCodes = 0, kScales = 1;

// Channels are the rows of each matrix.
bool can_hold(const QuantizedSpec& spec) {
  const bool has_rows = spec.granularity == Granularity::kTensor || spec.channel_axis == spec.stacked_axes;
  return (spec.scheme == kFloat8E4M3Scheme.name || spec.scheme == kFloat8E5M2Scheme.name) && has_rows;
}

DType dtype_of(const QuantizedSpec& spec) {
  return spec.scheme == kFloat8E5M2Scheme.name ? DType::kF8E5M2 : DType::kF8E4M3;
}

// A stack has a matrix of scales for each of its matrices.
Shape stored_scales(const QuantizedSpec& spec) {
  if (spec.granularity == Granularity::kTensor) return {1};
  const ScaleShape scales = scale_shape(spec);
  Shape shape(spec.shape.begin(), spec.shape.begin() + spec.stacked_axes);
  shape.push_back(static_cast<std::int64_t>(scales.channel_count));
  shape.push_back(static_cast<std::int64_t>(scales.groups));
  return shape;
}

std::vector<StoredPart> parts_with(const QuantizedSpec& spec, std::string_view suffix) {
  return {{"", dtype_of(spec), spec.shape}, {suffix, spec.scale_dtype, stored_scales(spec)}};
}

void store(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, LayoutBuffers& buffers) {
  out.write(kCodes, first_element(spec, piece.place), piece.codes, piece.place.count());
  store_piece_floats(spec, piece, piece.scales, spec.scale_dtype, out, kScales, buffers);
}

void store_tables(const QuantizedSpec& spec, const ScaleTables& tables, const PartWriter& out) {
  store_floats(tables.scales, spec.scale_dtype, out, kScales);
}

CodedPiece load(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place, LayoutBuffers& buffers) {
  return {.place = place, .codes = load_byte_codes(spec, in, kCodes, place, buffers)};
}

// What newer models of DeepSeek's kind have, and what ComfyUI documents.
constexpr std::array kBlockKinds{HeldKind{.scheme = "float8_e4m3",
                                          .name = "float8_e4m3 in blocks of 128x128",
                                          .group_size = 128,
                                          .group_rows = 128,
                                          .symmetric = true,
                                          .scale_dtype = DType::kF32}};
constexpr std::array kTensorKinds{HeldKind{.scheme = "float8_e4m3",
                                           .name = "float8_e4m3 per tensor",
                                           .is_per_tensor = true,
                                           .symmetric = true,
                                           .scale_dtype = DType::kF32},
                                  HeldKind{.scheme = "float8_e5m2",
                                           .name = "float8_e5m2 per tensor",
                                           .is_per_tensor = true,
                                           .symmetric = true,
                                           .scale_dtype = DType::kF32}};

bool can_hold_mxfp8(const QuantizedSpec& spec) {
  const auto group = static_cast<std::int64_t>(kMxfp8Scheme.group_size_default);
  return spec.scheme == kMxfp8Scheme.name && spec.shape.size() >= 2 && spec.channel_axis == spec.stacked_axes &&
         spec.granularity == Granularity::kGroup && spec.group_rows == 1 &&
         spec.group_size == kMxfp8Scheme.group_size_default && spec.shape.back() % group == 0;
}

void store_mxfp8(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, LayoutBuffers& buffers) {
  out.write(kCodes, first_element(spec, piece.place), piece.codes, piece.place.count());
  store_piece_floats(spec, piece, piece.scales, DType::kU8, out, kScales, buffers);
}

ScaleTables load_tables(const QuantizedSpec&, const PartReader& in) { return {.scales = load_floats(in, kScales)}; }

}  // namespace

constinit const Layout kFloat8InverseLayout{
    .name = "float8-inverse",
    .holds = kBlockKinds,
    .scales_text = "has a scale for each block of 128 x 128",
    .axis_text = "has its blocks on both axes",
    .has_tables = true,
    .can_hold = [](const QuantizedSpec& spec) { return can_hold(spec) && spec.scheme == kFloat8E4M3Scheme.name; },
    .unit = [](const QuantizedSpec&) { return std::uint64_t{1}; },
    .parts = [](const QuantizedSpec& spec) { return parts_with(spec, "_scale_inv"); },
    .store = store,
    .store_tables = store_tables,
    .load = load,
    .load_tables = load_tables,
};

constinit const Layout kComfyLayout{
    .name = "comfyui",
    .holds = kTensorKinds,
    .scales_text = "has one scale for a weight",
    .axis_text = "has no channels",
    .has_tables = true,
    .can_hold = [](const QuantizedSpec& spec) { return can_hold(spec) && spec.granularity == Granularity::kTensor; },
    .unit = [](const QuantizedSpec&) { return std::uint64_t{1}; },
    .parts =
        [](const QuantizedSpec& spec) {
          return std::vector<StoredPart>{{"", dtype_of(spec), spec.shape}, {"_scale", spec.scale_dtype, {}}};
        },
    .store = store,
    .store_tables = store_tables,
    .load = load,
    .load_tables = load_tables,
};

constinit const Layout kMxfp8Layout{
    .name = "mxfp8-quantized",
    .has_tables = true,
    .can_hold = can_hold_mxfp8,
    .unit = [](const QuantizedSpec&) { return std::uint64_t{1}; },
    .parts =
        [](const QuantizedSpec& spec) {
          return std::vector<StoredPart>{{"", dtype_of(spec), spec.shape}, {"_scale", DType::kU8, stored_scales(spec)}};
        },
    .store = store_mxfp8,
    .store_tables = [](const QuantizedSpec&, const ScaleTables& tables,
                       const PartWriter& out) { store_floats(tables.scales, DType::kU8, out, kScales); },
    .load = load,
    .load_tables = load_tables,
};

constinit const Layout kFloatQuantizedLayout{
    .name = "float-quantized",
    .has_tables = true,
    .can_hold = can_hold,
    .unit = [](const QuantizedSpec&) { return std::uint64_t{1}; },
    .parts = [](const QuantizedSpec& spec) { return parts_with(spec, "_scale"); },
    .store = store,
    .store_tables = store_tables,
    .load = load,
    .load_tables = load_tables,
};

}  // namespace mnq
