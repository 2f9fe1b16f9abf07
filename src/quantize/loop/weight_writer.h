// The other end of WeightReader: one weight on its way into a sink, a piece at a time. A method makes codes, a layout
// stores them. Where a scale spans pieces (one for the whole tensor, rows longer than a block, channels on another
// axis), or all scales are divided by one, a survey of ranges comes first.
#pragma once

#include <optional>
#include <vector>

#include "plan/plan.h"
#include "quantize/loop/scratch.h"

namespace mnq {

class WeightWriter {
 public:
  /// planned must outlive it.
  WeightWriter(const PlannedTensor& planned, const PartWriter& out);

  /// Codes weights [place.count()] whose scales lie within the piece. Sets scratch.sums, empty where the method did not
  /// take them, or scratch.bad_element, from the start of the piece. From several threads.
  CodedPiece encode(const float* weights, const PiecePlace& place, Scratch& scratch);

  /// Whether codes may be coded as nibbles, where scratch.coded says so.
  bool takes_nibbles() const { return layout_.takes_nibbles != nullptr && layout_.takes_nibbles(spec_); }

  /// The same of weights as they are stored, where encodes_halves().
  bool encodes_halves() const { return method_.fits_halves != nullptr && method_.fits_halves(spec_); }
  CodedPiece encode_halves(DType dtype, const std::uint16_t* weights, const PiecePlace& place, Scratch& scratch);

  /// Takes ranges of a piece into scratch.ranges, in any order, and adds them up, one after the other.
  void survey(const float* weights, const PiecePlace& place, Scratch& scratch) const;
  void add_survey(const PiecePlace& place, const Scratch& scratch);

  /// The range of all that was surveyed, and in place of a survey one that is known, where there is one for all.
  kernels::Range one_range() const { return ranges_.empty() ? kernels::Range{0, 0, 0} : ranges_.front(); }
  void take_range(const kernels::Range& range) { ranges_.assign(1, range); }

  /// Makes the scales of all ranges, or the one that all others are divided by. Returns an element whose scale cannot
  /// be stored, if there is one.
  std::optional<std::uint64_t> settle();

  /// Codes a piece by those scales. Sets scratch.sums.
  CodedPiece encode_settled(const float* weights, const PiecePlace& place, Scratch& scratch) const;

  /// Takes the scales of a weight that keeps them, with each as it is stored here.
  void inherit(const QuantizedSpec& from, const ScaleTables& tables);

  /// An element whose scale cannot be stored here, if there is one.
  std::optional<std::uint64_t> element_out_of_range() const { return out_of_range_; }

  /// Codes a piece by those scales. Sets scratch.sums, or scratch.bad_element from the start of the piece.
  CodedPiece encode_inherited(const float* weights, const PiecePlace& place, Scratch& scratch) const;

  /// Stores a piece: its codes, its scales where it has them with it, and its zero points at the end.
  void store(const CodedPiece& piece, LayoutBuffers& buffers);

  /// Fills in the scales that a piece was coded by.
  void complete(CodedPiece& piece, Scratch& scratch) const;

  /// Takes tables that are known as a whole: of a weight whose codes stay.
  void adopt(const ScaleTables& tables);

  /// Stores what was kept for the end, after the last piece.
  void finish();

 private:
  bool has_one_range() const;
  static CodedPiece hand_on(const Coded& coded, Scratch& scratch);
  bool has_channels_last(const PiecePlace& place) const;
  void survey_columns(const float* weights, const PiecePlace& place, Scratch& scratch) const;
  void encode_columns(const float* weights, const PiecePlace& place, std::int8_t* codes, Scratch& scratch) const;
  void encode_rows(const float* weights, const PiecePlace& place, std::int8_t* codes, Scratch& scratch) const;
  void keep_zero_points(const CodedPiece& piece);
  void inherit_scale(const QuantizedSpec& from, const ScaleTables& tables, std::uint64_t before, std::uint64_t to);

  const QuantizedSpec& spec_;
  const Layout& layout_;
  const Method& method_;
  PartWriter out_;
  RowView rows_;
  ScaleShape scale_shape_;
  std::vector<kernels::Range> ranges_;  // of each row of scales
  ScaleTables tables_;                  // what is stored at the end
  std::vector<std::int8_t> zeros_;      // of inherited scales: the codes that stand for 0, or for the minimum
  std::optional<std::uint64_t> out_of_range_;
};

}  // namespace mnq
