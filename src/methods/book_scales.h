// Scales of weights whose codes are values of a book: floats, or any others.
#pragma once

#include <array>
#include <vector>

#include "schemes/coded_piece.h"

namespace mnq {

/// What the scales of a weight of such a range are divided by, where they are stored in two levels: so that the largest
/// of them is the largest float of 8 bits.
float global_scale_of(const Scheme& scheme, const kernels::Range& range);

/// Whether codes are floats whose scales are any, so that a kernel chooses them.
bool has_free_float_scales(const QuantizedSpec& spec);

/// Whether scales are of 8 bits, so that one has neighbours.
bool has_few_scales(const QuantizedSpec& spec);

/// The scales that groups of a weight may have, as they are stored.
class BookScales {
 public:
  /// spec must outlive it.
  BookScales(const QuantizedSpec& spec, float global_scale);

  /// What a group of such a range needs; 1 for a group of zeros. The largest weight becomes the largest value of the
  /// book, or is cut by less than half a step, where scales are few. Not finite where it cannot be stored.
  float of(const kernels::Range& range) const;

  /// The same for each group of a piece: scales [place's groups], written.
  void take(const float* weights, const PiecePlace& place, float* scales) const;

  /// Where scales are few: the one that is so many steps above or below another; the last one beyond the ends.
  float neighbour(float scale, int steps) const;

 private:
  float two_levels(int code) const;

  const QuantizedSpec& spec_;
  const Scheme& scheme_;
  bool is_free_;
  float largest_value_;
  float global_scale_;
  std::array<float, 127> stored_;  // by their codes, of scales in two levels
};

/// Codes of rows with scales that are known. sums [row_count], written where codes are floats; may be null.
void encode_values(const Scheme& scheme, const float* weights, std::uint64_t row_count, std::uint64_t column_count,
                   std::uint64_t group_size, const float* scales, std::int8_t* codes, kernels::ErrorSums* sums);

/// The same of a piece. The sums of each row; none where nobody takes them in passing.
void encode_and_measure(const Scheme& scheme, const float* weights, const PiecePlace& place, std::uint64_t group_size,
                        const float* scales, std::int8_t* codes, std::vector<kernels::ErrorSums>& sums);

}  // namespace mnq
