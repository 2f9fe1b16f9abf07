// Rows of codes that PyTorch quantized with float zero points, as it does embeddings: weight = (code - zero point) *
// scale. They are only read:
//   8 bits  X  U8 [rows, columns]
//   4 bits  X  U8 [ceil(rows * columns / 2)], all elements one after the other, the first of two codes low
//   X_scale F32 [rows], X_zero_point F32 [rows]: in its files they are what the tensor says of itself
// A zero point becomes the minimum -zero point * scale, and a value is rounded once more than PyTorch's.
// Source: aten/src/ATen/native/quantized/cpu/kernels/QuantizedOpKernels.cpp
#include "layouts/layouts.h"
#include "layouts/packing/packed_words.h"
#include "layouts/tables.h"

namespace mnq {
namespace {

constexpr std::size_t kCodes = 0, kScales = 1, kZeroPoints = 2;

bool is_packed(const QuantizedSpec& spec) { return scheme_of(spec).bits == kNibbleBits; }

std::vector<StoredPart> parts(const QuantizedSpec& spec) {
  const auto count = static_cast<std::int64_t>(element_count(spec.shape));
  return {{"", DType::kU8, is_packed(spec) ? Shape{(count + 1) / 2} : spec.shape},
          {"_scale", DType::kF32, {spec.shape[0]}},
          {"_zero_point", DType::kF32, {spec.shape[0]}}};
}

// Schemes with minima count their codes from code_min.
std::int8_t shifted(std::uint8_t code, const QuantizedSpec& spec) {
  return static_cast<std::int8_t>(code + scheme_of(spec).rule.code_min);
}

CodedPiece load(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place, LayoutBuffers& buffers) {
  const std::uint64_t first = first_element(spec, place), count = place.count();
  const std::uint64_t in_byte = is_packed(spec) ? 2 : 1, first_byte = first / in_byte;
  const std::uint64_t size = ceil_div(first + count, in_byte) - first_byte;
  const std::byte* stored = in.fetch(kCodes, first_byte, size, buffers.raw);
  auto* codes = buffers.codes.get<std::int8_t>(size * in_byte);
  for (std::uint64_t i = 0; i < size; ++i) {
    const auto byte = std::to_integer<std::uint8_t>(stored[i]);
    if (is_packed(spec)) {
      codes[2 * i] = shifted(byte & 15, spec);
      codes[2 * i + 1] = shifted(byte >> 4, spec);
    } else {
      codes[i] = shifted(byte, spec);
    }
  }
  return {.place = place, .codes = codes + first % in_byte};
}

ScaleTables load_tables(const QuantizedSpec&, const PartReader& in) {
  ScaleTables tables{.scales = load_floats(in, kScales), .minima = load_floats(in, kZeroPoints)};
  for (std::size_t i = 0; i < tables.scales.size(); ++i) tables.minima[i] *= -tables.scales[i];
  return tables;
}

}  // namespace

constinit const Layout kTorchRowsLayout{
    .name = "torch rows",
    .has_tables = true,
    .can_hold = [](const QuantizedSpec&) { return false; },
    .unit = [](const QuantizedSpec&) { return std::uint64_t{1}; },
    .parts = parts,
    .load = load,
    .load_tables = load_tables,
};

}  // namespace mnq
