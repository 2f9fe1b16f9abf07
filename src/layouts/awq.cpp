// AWQ's layout, version GEMM, of matrices [out, in] that are stored the other way round. A word has the codes of eight
// rows, which come in one piece:
//   L.qweight  I32 [in, out / 8]: nibble k of a word has output 8 c + (0 2 4 6 1 3 5 7)[k]
//   L.qzeros   I32 [groups, out / 8] likewise, as they are; of symmetric weights all are in the middle
//   L.scales   F16 [groups, out]
// L is the layer, of whose L.weight these are the parts.
// Source: awq/modules/linear/gemm.py
#include <algorithm>
#include <array>
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

// What is added to a word of zeros, or to what is there of it.
std::uint32_t bits_of(std::int8_t code, std::uint64_t output) {
  return static_cast<std::uint32_t>(code + 8) << kShifts[output % kPerWord];
}

std::uint64_t outputs_of(const QuantizedSpec& spec) { return static_cast<std::uint64_t>(spec.shape[0]); }

// Eight rows of more columns are too large a piece.
constexpr std::int64_t kMostColumns = 1 << 17;

constexpr std::array kKinds{
    HeldKind{.scheme = "qint4", .has_channels = true, .scale_dtype = DType::kF16},
    HeldKind{.scheme = "qint4", .has_channels = true, .scale_dtype = DType::kBF16},
};

bool can_hold(const QuantizedSpec& spec) {
  if (spec.scheme != kKinds.front().scheme || spec.granularity == Granularity::kTensor) return false;
  return spec.shape.size() == 2 && spec.channel_axis == 0 && spec.group_rows == 1 && outputs_of(spec) % kPerWord == 0 &&
         spec.shape[1] <= kMostColumns;
}

std::vector<StoredPart> parts(const QuantizedSpec& spec) {
  const auto groups = static_cast<std::int64_t>(scale_shape(spec).groups);
  const std::int64_t outputs = spec.shape[0], words = outputs / static_cast<std::int64_t>(kPerWord);
  return {{".qweight", DType::kI32, {spec.shape[1], words}, {}, true},
          {".qzeros", DType::kI32, {groups, words}, {}, true},
          {".scales", spec.scale_dtype, {groups, outputs}, {}, true}};
}

void store(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, LayoutBuffers& buffers) {
  const PiecePlace& place = piece.place;
  const std::uint64_t words_of_input = outputs_of(spec) / kPerWord, count = place.row_count / kPerWord;
  auto* words = buffers.stored.get<std::uint32_t>(count);
  for (std::uint64_t column = 0; column < place.column_count; ++column) {
    std::fill_n(words, count, 0u);
    for (std::uint64_t row = 0; row < place.row_count; ++row) {
      words[row / kPerWord] |= bits_of(piece.codes[row * place.column_count + column], row);
    }
    const std::uint64_t at = (place.first_column + column) * words_of_input + place.first_row / kPerWord;
    out.write(kCodes, at * sizeof(std::uint32_t), words, count * sizeof(std::uint32_t));
  }
  store_piece_floats_turned(spec, piece, piece.scales, spec.scale_dtype, out, kScales, buffers);
}

void store_tables(const QuantizedSpec& spec, const ScaleTables& tables, const PartWriter& out) {
  const std::uint64_t outputs = outputs_of(spec), groups = scale_shape(spec).groups;
  store_floats(turned(tables.scales, outputs), spec.scale_dtype, out, kScales);
  if (!spec.symmetric && tables.zero_points.empty()) return;
  std::vector<std::uint32_t> words(groups * outputs / kPerWord);
  for (std::uint64_t i = 0; i < groups * outputs; ++i) {
    const std::int8_t zero_point =
        spec.symmetric ? std::int8_t{0} : tables.zero_points[i % outputs * groups + i / outputs];
    words[i / kPerWord] |= bits_of(zero_point, i);
  }
  out.write(kZeroPoints, 0, words.data(), words.size() * sizeof words[0]);
}

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
  ScaleTables tables{.scales = turned(load_floats(in, kScales), groups)};
  if (spec.symmetric) return tables;
  std::vector<std::uint32_t> words(groups * outputs / kPerWord);
  in.read(kZeroPoints, 0, std::as_writable_bytes(std::span(words)));
  tables.zero_points.resize(groups * outputs);
  for (std::uint64_t i = 0; i < groups * outputs; ++i) {
    tables.zero_points[i % outputs * groups + i / outputs] = code_of(words[i / kPerWord], i);
  }
  return tables;
}

}  // namespace

constinit const Layout kAwqLayout{
    .name = "awq",
    .holds = kKinds,
    .scales_text = "has a scale for each channel or group",
    .axis_text = "has its channels on axis 0",
    .has_tables = true,
    .can_hold = can_hold,
    .unit = [](const QuantizedSpec& spec) { return kPerWord * static_cast<std::uint64_t>(spec.shape[1]); },
    .parts = parts,
    .store = store,
    .store_tables = store_tables,
    .load = load,
    .load_tables = load_tables,
};

}  // namespace mnq
