// AWQ's layout, version GEMM, of matrices [out, in] that are stored the other way round. It is only read: a word has
// the codes of eight rows, and pieces are stored a row at a time.
//   X_qweight  I32 [in, out / 8]: nibble k of a word has output 8 c + (0 2 4 6 1 3 5 7)[k]
//   X_qzeros   I32 [groups, out / 8] likewise, as they are
//   X_scales   F16 [groups, out]
// In files the parts are the layer's: L.qweight.
// Source: awq/modules/linear/gemm.py
#include <span>

#include "layouts/layouts.h"
#include "layouts/tables.h"

namespace mnq {
namespace {

constexpr std::size_t kCodes = 0, kZeroPoints = 1, kScales = 2;
constexpr std::uint64_t kPerWord = 8;

// Where in a word the output is that has this number of eight.
constexpr int kShifts[] = {0, 16, 4, 20, 8, 24, 12, 28};

std::int8_t code_of(std::uint32_t word, std::uint64_t output) {
  return static_cast<std::int8_t>(static_cast<int>(word >> kShifts[output % kPerWord] & 15) - 8);
}

std::uint64_t outputs_of(const QuantizedSpec& spec) { return static_cast<std::uint64_t>(spec.shape[0]); }

CodedPiece load(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place, LayoutBuffers& buffers) {
  const std::uint64_t first_word = place.first_row / kPerWord, words_of_input = outputs_of(spec) / kPerWord;
  const std::uint64_t count = ceil_div(place.first_row + place.row_count, kPerWord) - first_word;
  auto* codes = buffers.codes.get<std::int8_t>(place.count());
  auto* words = buffers.raw.get<std::uint32_t>(count);
  for (std::uint64_t column = 0; column < place.column_count; ++column) {
    const std::uint64_t at = (place.first_column + column) * words_of_input + first_word;
    in.read(kCodes, at * sizeof(std::uint32_t), std::as_writable_bytes(std::span(words, count)));
    for (std::uint64_t row = 0; row < place.row_count; ++row) {
      const std::uint64_t output = place.first_row + row;
      codes[row * place.column_count + column] = code_of(words[output / kPerWord - first_word], output);
    }
  }
  return {.place = place, .codes = codes};
}

ScaleTables load_tables(const QuantizedSpec& spec, const PartReader& in) {
  const std::uint64_t outputs = outputs_of(spec), groups = scale_shape(spec).groups;
  const std::vector<float> scales = load_floats(in, kScales);
  std::vector<std::uint32_t> words(groups * outputs / kPerWord);
  in.read(kZeroPoints, 0, std::as_writable_bytes(std::span(words)));
  ScaleTables tables;
  tables.scales.resize(scales.size());
  tables.zero_points.resize(scales.size());
  for (std::uint64_t group = 0; group < groups; ++group) {
    for (std::uint64_t output = 0; output < outputs; ++output) {
      const std::uint64_t from = group * outputs + output, to = output * groups + group;
      tables.scales[to] = scales[from];
      tables.zero_points[to] = code_of(words[from / kPerWord], output);
    }
  }
  return tables;
}

}  // namespace

constinit const Layout kAwqLayout{
    .name = "awq",
    .has_tables = true,
    .can_hold = [](const QuantizedSpec&) { return false; },
    .unit = [](const QuantizedSpec&) { return std::uint64_t{1}; },
    .parts = [](const QuantizedSpec&) { return std::vector<StoredPart>(); },
    .load = load,
    .load_tables = load_tables,
};

}  // namespace mnq
