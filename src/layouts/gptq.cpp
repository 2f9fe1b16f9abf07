// GPTQ's layout, of matrices [out, in] that are stored the other way round:
//   L.qweight  I32 [in * bits / 32, out]: of each output a string of bits along the inputs, the lowest first
//   L.qzeros   I32 [groups, out * bits / 32]: of each group a string of bits along the outputs
//   L.scales   F16 [groups, out]
//   L.g_idx    I32 [in]: which group an input is of; with desc_act they do not follow each other
// L is the layer, of whose L.weight these are the parts. Format gptq stores zero points less by one, gptq_v2 as they
// are. What wrote the first one took the one from whole words, so that a zero point of 0 borrows from the next one of
// its word; those of 3 bits, which reach over the ends of words, are less by one each. Readers disagree of a zero point
// of 0: the first form is written of symmetric weights, whose zero points are all in the middle, and the other one of
// all else.
// Source: gptqmodel/nn_modules/qlinear/__init__.py; utils/model.py, convert_gptq_v2_to_v1_format_module, 7.7
#include <algorithm>
#include <array>
#include <cstring>

#include "layouts/layouts.h"
#include "layouts/packing/packed_bits.h"
#include "layouts/tables.h"

namespace mnq {
namespace {

constexpr std::size_t kCodes = 0, kZeroPoints = 1, kScales = 2, kGroups = 3;
constexpr std::uint64_t kWord = sizeof(std::uint32_t), kWordBits = 32;
using Words = std::vector<std::uint32_t>;

// Codes that lie in whole words whatever their bits: in as many as one code has bits.
constexpr std::uint64_t kRun = 32;

int bits_of(const QuantizedSpec& spec) { return scheme_of(spec).bits; }

int half_of(const QuantizedSpec& spec) { return 1 << (bits_of(spec) - 1); }

std::uint64_t outputs_of(const QuantizedSpec& spec) { return static_cast<std::uint64_t>(spec.shape[0]); }

bool can_hold(const QuantizedSpec& spec) {
  const Scheme& scheme = scheme_of(spec);
  const bool has_bits = scheme.bits == 2 || scheme.bits == 3 || scheme.bits == 4 || scheme.bits == 8;
  if (!has_bits || !has_integer_codes(spec) || scheme.has_minima || scheme.rule.code_xor != 0) {
    return false;
  }
  const bool is_matrix = spec.shape.size() == 2 && spec.channel_axis == 0 && spec.group_rows == 1;
  return is_matrix && spec.granularity != Granularity::kTensor && outputs_of(spec) % kRun == 0 &&
         static_cast<std::uint64_t>(spec.shape[1]) % kRun == 0;
}

std::vector<StoredPart> parts(const QuantizedSpec& spec) {
  const auto groups = static_cast<std::int64_t>(scale_shape(spec).groups);
  const std::int64_t outputs = spec.shape[0], inputs = spec.shape[1], bits = bits_of(spec);
  return {{".qweight", DType::kI32, {inputs * bits / 32, outputs}, {}, true},
          {".qzeros", DType::kI32, {groups, outputs * bits / 32}, {}, true},
          {".scales", spec.scale_dtype, {groups, outputs}, {}, true},
          {".g_idx", DType::kI32, {inputs}, {}, true}};
}

// The words of all rows of a piece, a run of columns each; run [bits, row_count].
std::uint64_t place_of(const QuantizedSpec& spec, const PiecePlace& place, std::uint64_t run, std::uint64_t word) {
  const auto row_of_words = run * static_cast<std::uint64_t>(bits_of(spec)) + word;
  return (row_of_words * outputs_of(spec) + place.first_row) * kWord;
}

void unpack_run(const std::uint32_t* words, std::uint64_t row_count, std::uint64_t row, const QuantizedSpec& spec,
                std::int8_t* codes) {
  std::uint32_t string[8] = {};
  const int bits = bits_of(spec);
  for (int word = 0; word < bits; ++word) string[word] = words[static_cast<std::uint64_t>(word) * row_count + row];
  unpack_bits(reinterpret_cast<const std::uint8_t*>(string), bits, kRun, half_of(spec), codes);
}

CodedPiece load(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place, LayoutBuffers& buffers) {
  const std::uint64_t rows = place.row_count, columns = place.column_count, end = place.first_column + columns;
  const auto bits = static_cast<std::uint64_t>(bits_of(spec));
  auto* codes = buffers.codes.get<std::int8_t>(place.count());
  auto* words = buffers.raw.get<std::uint32_t>(bits * rows);
  for (std::uint64_t run = place.first_column / kRun; run * kRun < end; ++run) {
    for (std::uint64_t word = 0; word < bits; ++word) {
      in.read(kCodes, place_of(spec, place, run, word), std::as_writable_bytes(std::span(words + word * rows, rows)));
    }
    const std::uint64_t first = std::max(run * kRun, place.first_column), last = std::min((run + 1) * kRun, end);
    for (std::uint64_t row = 0; row < rows; ++row) {
      std::int8_t of_run[kRun];
      unpack_run(words, rows, row, spec, of_run);
      std::copy(of_run + first % kRun, of_run + (first % kRun + last - first),
                codes + row * columns + (first - place.first_column));
    }
  }
  return {.place = place, .codes = codes};
}

void store(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, LayoutBuffers& buffers) {
  const PiecePlace& place = piece.place;
  const std::uint64_t rows = place.row_count, columns = place.column_count;
  const auto bits = static_cast<std::uint64_t>(bits_of(spec));
  auto* words = buffers.stored.get<std::uint32_t>(bits * rows);
  for (std::uint64_t run = 0; run * kRun < columns; ++run) {
    for (std::uint64_t row = 0; row < rows; ++row) {
      std::uint32_t string[8] = {};
      pack_bits(piece.codes + row * columns + run * kRun, bits_of(spec), kRun, half_of(spec),
                reinterpret_cast<std::uint8_t*>(string));
      for (std::uint64_t word = 0; word < bits; ++word) words[word * rows + row] = string[word];
    }
    for (std::uint64_t word = 0; word < bits; ++word) {
      out.write(kCodes, place_of(spec, place, place.first_column / kRun + run, word), words + word * rows,
                rows * kWord);
    }
  }
  store_piece_floats_turned(spec, piece, piece.scales, spec.scale_dtype, out, kScales, buffers);
}

// Zero points in whole words, of which they then move all at once.
bool fill_words(const QuantizedSpec& spec) { return kWordBits % static_cast<std::uint64_t>(bits_of(spec)) == 0; }

// [groups, words], as they are stored.
Words empty_words(const QuantizedSpec& spec) {
  const std::uint64_t bits = outputs_of(spec) * static_cast<std::uint64_t>(bits_of(spec));
  return Words(scale_shape(spec).groups * bits / kWordBits);
}

void move_words(Words& words, int by, const QuantizedSpec& spec) {
  std::uint32_t ones = 0;
  for (int at = 0; at < static_cast<int>(kWordBits); at += bits_of(spec)) ones |= std::uint32_t{1} << at;
  for (std::uint32_t& word : words) word += ones * static_cast<std::uint32_t>(by);
}

// Each by itself, within its bits.
void move_each(std::vector<std::int8_t>& zero_points, int by, const QuantizedSpec& spec) {
  const int half = half_of(spec), mask = (1 << bits_of(spec)) - 1;
  for (std::int8_t& zero_point : zero_points) {
    zero_point = static_cast<std::int8_t>(((zero_point + half + by) & mask) - half);
  }
}

// zero_points [groups, outputs]
Words packed(const std::vector<std::int8_t>& zero_points, const QuantizedSpec& spec) {
  Words words = empty_words(spec);
  const std::uint64_t outputs = outputs_of(spec), groups = scale_shape(spec).groups;
  for (std::uint64_t group = 0; group < groups; ++group) {
    pack_bits(zero_points.data() + group * outputs, bits_of(spec), outputs, half_of(spec),
              reinterpret_cast<std::uint8_t*>(words.data() + group * words.size() / groups));
  }
  return words;
}

std::vector<std::int8_t> unpacked(const Words& words, const QuantizedSpec& spec) {
  const std::uint64_t outputs = outputs_of(spec), groups = scale_shape(spec).groups;
  std::vector<std::int8_t> zero_points(groups * outputs);
  for (std::uint64_t group = 0; group < groups; ++group) {
    unpack_bits(reinterpret_cast<const std::uint8_t*>(words.data() + group * words.size() / groups), bits_of(spec),
                outputs, half_of(spec), zero_points.data() + group * outputs);
  }
  return zero_points;
}

// Symmetric weights have them all the same.
void store_zero_points(const QuantizedSpec& spec, const ScaleTables& tables, int moved_by, const PartWriter& out) {
  const std::uint64_t outputs = outputs_of(spec), groups = scale_shape(spec).groups;
  std::vector<std::int8_t> zero_points = turned(tables.zero_points, outputs);
  if (spec.symmetric) zero_points.assign(groups * outputs, 0);
  if (zero_points.empty()) return;
  if (!fill_words(spec)) move_each(zero_points, -moved_by, spec);
  Words words = packed(zero_points, spec);
  if (fill_words(spec)) move_words(words, -moved_by, spec);
  out.write(kZeroPoints, 0, words.data(), words.size() * kWord);
}

std::vector<std::int8_t> load_zero_points(const QuantizedSpec& spec, int moved_by, const PartReader& in) {
  Words words = empty_words(spec);
  in.read(kZeroPoints, 0, std::as_writable_bytes(std::span(words)));
  if (fill_words(spec)) move_words(words, moved_by, spec);
  std::vector<std::int8_t> zero_points = unpacked(words, spec);
  if (!fill_words(spec)) move_each(zero_points, moved_by, spec);
  return zero_points;
}

template <int moved_by>
void store_tables(const QuantizedSpec& spec, const ScaleTables& tables, const PartWriter& out) {
  store_floats(turned(tables.scales, outputs_of(spec)), spec.scale_dtype, out, kScales);
  store_zero_points(spec, tables, moved_by, out);
  store_group_order(spec, tables, out, kGroups);
}

template <int moved_by>
ScaleTables load_tables(const QuantizedSpec& spec, const PartReader& in) {
  const std::uint64_t groups = scale_shape(spec).groups;
  ScaleTables tables;
  tables.scales = turned(load_floats(in, kScales), groups);
  if (!spec.symmetric) tables.zero_points = turned(load_zero_points(spec, moved_by, in), groups);
  tables.group_of_column = load_group_order(spec, in, kGroups);
  return tables;
}

// Scales are float16 there; where a model is bfloat16 they may be that, too.
constexpr std::array kKinds{
    HeldKind{.scheme = "qint8", .has_channels = true, .scale_dtype = DType::kF16},
    HeldKind{.scheme = "qint8", .has_channels = true, .scale_dtype = DType::kBF16},
    HeldKind{.scheme = "qint4", .has_channels = true, .scale_dtype = DType::kF16},
    HeldKind{.scheme = "qint4", .has_channels = true, .scale_dtype = DType::kBF16},
    HeldKind{.scheme = "qint3", .has_channels = true, .scale_dtype = DType::kF16},
    HeldKind{.scheme = "qint3", .has_channels = true, .scale_dtype = DType::kBF16},
    HeldKind{.scheme = "qint2", .has_channels = true, .scale_dtype = DType::kF16},
    HeldKind{.scheme = "qint2", .has_channels = true, .scale_dtype = DType::kBF16},
};

template <int moved_by>
constexpr Layout layout(std::string_view name) {
  return {
      .name = name,
      .holds = kKinds,
      .scales_text = "has a scale for each channel or group",
      .axis_text = "has its channels on axis 0",
      .holds_group_order = true,
      .has_tables = true,
      .can_hold = can_hold,
      .unit = [](const QuantizedSpec&) { return kRun; },
      .parts = parts,
      .store = store,
      .store_tables = store_tables<moved_by>,
      .load = load,
      .load_tables = load_tables<moved_by>,
  };
}

}  // namespace

constinit const Layout kGptqLayout = layout<1>("gptq");
constinit const Layout kGptqV2Layout = layout<0>("gptq_v2");

}  // namespace mnq
