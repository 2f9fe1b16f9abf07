// Scales of weights whose codes are values of a book: floats, or any others.
#pragma once

#include <span>
#include <vector>

#include "schemes/coded_piece.h"

namespace mnq {

/// What the scales of a weight of such a range are divided by, where they are stored in two levels: so that the largest
/// of them is the largest float of 8 bits.
float global_scale_of(const Scheme& scheme, const kernels::Range& range);

/// The scale that a group of such a range needs, as it is stored; 1 for a group of zeros. The largest weight becomes the
/// largest value of the book, or is cut by less than half a step, where scales are few. Not finite where it cannot be
/// stored.
float book_scale_of(const QuantizedSpec& spec, const kernels::Range& range, float global_scale);

/// The same for each group of a piece: scales [place's groups], written.
void take_book_scales(const QuantizedSpec& spec, const float* weights, const PiecePlace& place, float global_scale,
                      float* scales);

/// Whether codes are floats whose scales are any, so that a kernel chooses them.
bool has_free_float_scales(const QuantizedSpec& spec);

/// Whether scales are of 8 bits, so that one has neighbours.
bool has_few_scales(const QuantizedSpec& spec);

/// The scale that is so many steps above or below one that can be stored; the last one beyond the ends.
float neighbour_of_scale(const QuantizedSpec& spec, float scale, int steps, float global_scale);

/// Codes of rows with scales that are known. sums [row_count], written where codes are floats; may be null.
void encode_values(const Scheme& scheme, const float* weights, std::uint64_t row_count, std::uint64_t column_count,
                   std::uint64_t group_size, const float* scales, std::int8_t* codes, kernels::ErrorSums* sums);

/// The same of a piece. The sums of each row; none where nobody takes them in passing.
void encode_and_measure(const Scheme& scheme, const float* weights, const PiecePlace& place, std::uint64_t group_size,
                        const float* scales, std::int8_t* codes, std::vector<kernels::ErrorSums>& sums);

}  // namespace mnq
