#include "quantize/loop/weight_writer.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/not_finite.h"
#include "methods/book_scales.h"

namespace mnq {
namespace {

using kernels::kernel_table;
using kernels::Range;

Range merge(const Range& a, const Range& b) {
  return {std::min(a.minimum, b.minimum), std::max(a.maximum, b.maximum), std::max(a.max_abs_bits, b.max_abs_bits)};
}

void widen(Range& range, float weight) {
  range.minimum = std::min(range.minimum, weight);
  range.maximum = std::max(range.maximum, weight);
  range.max_abs_bits = std::max(range.max_abs_bits, std::bit_cast<std::uint32_t>(weight) & 0x7fffffff);
}

// [rows, columns] to [columns, rows], in tiles that stay in cache.
template <class Value>
void turn(const Value* from, std::uint64_t row_count, std::uint64_t column_count, Value* to) {
  constexpr std::uint64_t kTile = 16;
  for (std::uint64_t row = 0; row < row_count; row += kTile) {
    const std::uint64_t row_end = std::min(row + kTile, row_count);
    for (std::uint64_t column = 0; column < column_count; column += kTile) {
      const std::uint64_t column_end = std::min(column + kTile, column_count);
      for (std::uint64_t r = row; r < row_end; ++r) {
        for (std::uint64_t c = column; c < column_end; ++c) to[c * row_count + r] = from[r * column_count + c];
      }
    }
  }
}

// Calls of(group, first column in the piece, count) for each group of a row of a piece.
template <class Of>
void for_each_group(const QuantizedSpec& spec, const PiecePlace& place, const Of& of) {
  const std::uint64_t size = group_size_in(spec, place);
  const std::uint64_t first = spec.granularity == Granularity::kGroup ? place.first_column / size : 0;
  for (std::uint64_t column = 0, group = first; column < place.column_count; column += size, ++group) {
    of(group, column, std::min(size, place.column_count - column));
  }
}

}  // namespace

WeightWriter::WeightWriter(const PlannedTensor& planned, const PartWriter& out)
    : spec_(planned.spec),
      layout_(*planned.layout),
      method_(*planned.method),
      out_(out),
      rows_(row_view(spec_.shape, spec_.channel_axis)),
      scale_shape_(scale_shape(spec_)) {
  if (has_zero_points(spec_) && layout_.has_tables) tables_.zero_points.resize(scale_shape_.count());
}

CodedPiece WeightWriter::encode(const float* weights, const PiecePlace& place, Scratch& scratch) {
  scratch.coded.global_scale = tables_.global_scale;
  Coded coded = method_.code(spec_, weights, place, scratch.coded);
  coded.piece.global_scale = tables_.global_scale;
  return hand_on(coded, scratch);
}

CodedPiece WeightWriter::encode_halves(DType dtype, const std::uint16_t* weights, const PiecePlace& place,
                                       Scratch& scratch) {
  return hand_on(method_.code_halves(spec_, dtype, weights, place, scratch.coded), scratch);
}

CodedPiece WeightWriter::hand_on(const Coded& coded, Scratch& scratch) {
  scratch.bad_element = coded.bad_element;
  scratch.sums.assign(scratch.coded.sums.begin(), scratch.coded.sums.end());
  return coded.piece;
}

// Whether the channels are the last axis, so that neighbours have other scales, and the piece is whole runs of them.
bool WeightWriter::has_channels_last(const PiecePlace& place) const {
  return spec_.granularity == Granularity::kChannel && rows_.row_length == 1 && rows_.channel_count > 1 &&
         place.first_row % rows_.channel_count == 0 && place.row_count % rows_.channel_count == 0;
}

// Whether there is one scale for all, or one that all others are divided by.
bool WeightWriter::has_one_range() const {
  return spec_.granularity == Granularity::kTensor || scheme_of(spec_).has_global_scale;
}

void WeightWriter::survey(const float* weights, const PiecePlace& place, Scratch& scratch) const {
  scratch.ranges.clear();
  if (has_one_range()) {
    scratch.ranges.push_back(kernel_table().range(weights, place.count()));
  } else if (has_channels_last(place)) {
    survey_columns(weights, place, scratch);
  } else {
    for (std::uint64_t row = 0; row < place.row_count; ++row) {
      for_each_group(spec_, place, [&](std::uint64_t, std::uint64_t column, std::uint64_t count) {
        scratch.ranges.push_back(kernel_table().range(weights + row * place.column_count + column, count));
      });
    }
  }
}

// A range for each channel of the matrices that the piece is of.
void WeightWriter::survey_columns(const float* weights, const PiecePlace& place, Scratch& scratch) const {
  const std::uint64_t first = scale_shape_.row_of(place.first_row), channels = scale_shape_.channel_count;
  const std::uint64_t last = scale_shape_.row_of(place.first_row + place.row_count - 1);
  scratch.ranges.assign(last - first + 1, Range{0, 0, 0});
  for (std::uint64_t row = 0; row < place.row_count; row += channels) {
    Range* ranges = &scratch.ranges[scale_shape_.row_of(place.first_row + row) - first];
    for (std::uint64_t i = 0; i < channels; ++i) widen(ranges[i], weights[row + i]);
  }
}

void WeightWriter::add_survey(const PiecePlace& place, const Scratch& scratch) {
  if (ranges_.empty()) ranges_.resize(has_one_range() ? 1 : scale_shape_.count(), Range{0, 0, 0});
  const std::uint64_t first = has_one_range() ? 0 : scale_shape_.row_of(place.first_row);
  if (has_one_range() || has_channels_last(place)) {
    for (std::size_t i = 0; i < scratch.ranges.size(); ++i) {
      ranges_[first + i] = merge(ranges_[first + i], scratch.ranges[i]);
    }
    return;
  }
  auto range = scratch.ranges.begin();
  for (std::uint64_t row = 0; row < place.row_count; ++row) {
    const std::uint64_t of_row = scale_shape_.row_of(place.first_row + row) * scale_shape_.groups;
    for_each_group(spec_, place, [&](std::uint64_t group, std::uint64_t, std::uint64_t) {
      ranges_[of_row + group] = merge(ranges_[of_row + group], *range++);
    });
  }
}

std::optional<std::uint64_t> WeightWriter::settle() {
  if (scheme_of(spec_).has_global_scale) {
    tables_.global_scale = global_scale_of(scheme_of(spec_), ranges_.front());
    return std::nullopt;
  }
  tables_.scales.resize(ranges_.size());
  tables_.zero_points.assign(ranges_.size(), 0);
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    const ScaleOfRange result = scale_of_range(spec_, ranges_[i]);
    tables_.scales[i] = result.scale;
    tables_.zero_points[i] = result.zero_point;
    if (std::isfinite(result.scale)) continue;
    const std::uint64_t scale_row = i / scale_shape_.groups, group = i % scale_shape_.groups;
    return scale_shape_.first_row_of(scale_row) * rows_.row_length + group * spec_.group_size;
  }
  return std::nullopt;
}

CodedPiece WeightWriter::encode_settled(const float* weights, const PiecePlace& place, Scratch& scratch) const {
  auto* codes = scratch.coded.codes.get<std::int8_t>(place.count());
  if (has_channels_last(place)) {
    encode_columns(weights, place, codes, scratch);
  } else {
    encode_rows(weights, place, codes, scratch);
  }
  return {.place = place, .group_size = group_size_in(spec_, place), .codes = codes};
}

void WeightWriter::encode_rows(const float* weights, const PiecePlace& place, std::int8_t* codes,
                               Scratch& scratch) const {
  const auto encode_run = [&](std::uint64_t begin, std::uint64_t count, std::uint64_t scale) {
    code_run(spec_, weights + begin, count, tables_.scales[scale], tables_.zero_points[scale], codes + begin,
             scratch.sums);
  };
  scratch.sums.clear();
  if (spec_.granularity == Granularity::kTensor) return encode_run(0, place.count(), 0);
  for (std::uint64_t row = 0; row < place.row_count; ++row) {
    const std::uint64_t of_row = scale_shape_.row_of(place.first_row + row) * scale_shape_.groups;
    for_each_group(spec_, place, [&](std::uint64_t group, std::uint64_t column, std::uint64_t count) {
      encode_run(row * place.column_count + column, count, of_row + group);
    });
  }
}

void WeightWriter::inherit(const QuantizedSpec& from, const ScaleTables& tables) {
  const ScaleShape before = scale_shape(from);
  const Scheme& scheme = scheme_of(spec_);
  tables_.scales.resize(scale_shape_.count());
  zeros_.assign(scale_shape_.count(), static_cast<std::int8_t>(scheme.has_minima ? scheme.rule.code_min : 0));
  if (scheme.has_minima) tables_.minima.resize(scale_shape_.count());
  for (std::uint64_t i = 0; i < scale_shape_.count(); ++i) {
    const std::uint64_t row = scale_shape_.first_row_of(i / scale_shape_.groups), group = i % scale_shape_.groups;
    const std::uint64_t of_row = before.groups > 1 ? group * spec_.group_size / from.group_size : 0;
    inherit_scale(from, tables, before.row_of(row) * before.groups + of_row, i);
    const bool is_held = std::isfinite(tables_.scales[i]) && (!scheme.has_minima || std::isfinite(tables_.minima[i]));
    if (!is_held && !out_of_range_) out_of_range_ = row * rows_.row_length + group * spec_.group_size;
  }
  if (has_zero_points(spec_)) tables_.zero_points = zeros_;
}

// A code without a minimum is as far from the lowest one as with it.
void WeightWriter::inherit_scale(const QuantizedSpec& from, const ScaleTables& tables, std::uint64_t before,
                                 std::uint64_t to) {
  const float scale = tables.scales[before];
  const std::int8_t zero_point = tables.zero_points.empty() ? std::int8_t{0} : tables.zero_points[before];
  tables_.scales[to] = round_scale(spec_, scale);
  if (tables_.minima.empty()) {
    zeros_[to] = has_zero_points(spec_) ? zero_point : std::int8_t{0};
  } else {
    const int steps = scheme_of(from).rule.code_min - zero_point;
    const float minimum = tables.minima.empty() ? static_cast<float>(steps) * scale : tables.minima[before];
    tables_.minima[to] = round_to(spec_.scale_dtype, minimum);
  }
}

CodedPiece WeightWriter::encode_inherited(const float* weights, const PiecePlace& place, Scratch& scratch) const {
  auto* codes = scratch.coded.codes.get<std::int8_t>(place.count());
  CodedPiece piece{.place = place, .group_size = group_size_in(spec_, place), .codes = codes};
  kernels::CodeRule rule = code_rule(scheme_of(spec_), spec_);
  rule.symmetric_divisor = static_cast<float>(rule.code_max) + 0.5f;  // all codes are used
  scratch.sums.resize(place.row_count);
  const std::uint64_t group = spec_.granularity == Granularity::kGroup ? place.first_column / piece.group_size : 0;
  for (std::uint64_t row = 0; row < place.row_count; ++row) {
    const std::uint64_t scale = scale_shape_.row_of(place.first_row + row) * scale_shape_.groups + group;
    const std::uint64_t begin = row * place.column_count;
    const float* minima = tables_.minima.empty() ? nullptr : &tables_.minima[scale];
    const auto done =
        kernel_table().encode_rows(weights + begin, 1, place.column_count, piece.group_size, rule,
                                   &tables_.scales[scale], &zeros_[scale], minima, codes + begin, &scratch.sums[row]);
    if (done == 0) scratch.bad_element = begin + find_not_finite(weights + begin, place.column_count).value_or(0);
    if (row > 0 || layout_.has_tables) continue;
    piece.scales = &tables_.scales[scale];
    piece.minima = minima;
  }
  return piece;
}

// Turned around, so that each channel of a matrix is a run.
void WeightWriter::encode_columns(const float* weights, const PiecePlace& place, std::int8_t* codes,
                                  Scratch& scratch) const {
  const std::uint64_t channels = scale_shape_.channel_count, matrix_rows = scale_shape_.matrix_rows;
  auto* turned = scratch.decoded.get<float>(place.row_count);
  auto* turned_codes = scratch.stored.get<std::int8_t>(place.row_count);
  scratch.sums.clear();
  for (std::uint64_t done = 0; done < place.row_count;) {
    const std::uint64_t row = place.first_row + done;
    const std::uint64_t count = std::min(matrix_rows - row % matrix_rows, place.row_count - done);
    const std::uint64_t length = count / channels, first_scale = scale_shape_.row_of(row);
    turn(weights + done, length, channels, turned);
    for (std::uint64_t i = 0; i < channels; ++i) {
      code_run(spec_, turned + i * length, length, tables_.scales[first_scale + i],
               tables_.zero_points[first_scale + i], turned_codes + i * length, scratch.sums);
    }
    turn(turned_codes, channels, length, codes + done);
    done += count;
  }
}

void WeightWriter::complete(CodedPiece& piece, Scratch& scratch) const {
  if (piece.scales != nullptr) return;
  const std::uint64_t groups = piece.groups();
  auto* scales = scratch.coded.scales.get<float>(piece.scale_count());
  auto* zero_points = scratch.coded.zero_points.get<std::int8_t>(piece.scale_count());
  for (std::uint64_t row = 0; row < piece.place.row_count; ++row) {
    const std::uint64_t of_row = scale_shape_.row_of(piece.place.first_row + row) * scale_shape_.groups;
    for_each_group(spec_, piece.place, [&](std::uint64_t group, std::uint64_t column, std::uint64_t) {
      const std::uint64_t to = row * groups + column / piece.group_size;
      scales[to] = tables_.scales[of_row + group];
      zero_points[to] = tables_.zero_points[of_row + group];
    });
  }
  piece.scales = scales;
  piece.zero_points = zero_points;
}

void WeightWriter::store(const CodedPiece& piece, LayoutBuffers& buffers) {
  layout_.store(spec_, piece, out_, buffers);
  keep_zero_points(piece);
}

// Pieces have theirs apart from each other's.
void WeightWriter::keep_zero_points(const CodedPiece& piece) {
  if (piece.zero_points == nullptr || tables_.zero_points.empty()) return;
  const std::uint64_t first = piece.place.first_row * scale_shape_.groups + piece.place.first_column / piece.group_size;
  std::copy_n(piece.zero_points, piece.scale_count(), tables_.zero_points.begin() + static_cast<std::ptrdiff_t>(first));
}

void WeightWriter::adopt(const ScaleTables& tables) {
  if (layout_.has_tables) tables_ = tables;
}

void WeightWriter::finish() {
  if (layout_.has_tables) layout_.store_tables(spec_, tables_, out_);
}

}  // namespace mnq
