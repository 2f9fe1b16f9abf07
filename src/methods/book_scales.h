// Scales of weights whose codes are values of a book: floats, or any others.
#pragma once

#include <span>

#include "schemes/coded_piece.h"

namespace mnq {

/// What the scales of a weight with such a largest magnitude are divided by, where they are stored in two levels: so
/// that the largest of them is the largest float of 8 bits.
float global_scale_for(const Scheme& scheme, float largest);

/// The scale that a group with such a largest magnitude needs, as it is stored; 1 for a group of zeros. The largest
/// weight becomes the largest value of the book, or is cut by less than half a step, where scales are few. Not finite
/// where it cannot be stored.
float scale_for_largest(const QuantizedSpec& spec, float largest, float global_scale);

/// Whether scales are of 8 bits, so that one has neighbours.
bool has_few_scales(const QuantizedSpec& spec);

/// The scale that is so many steps above or below one that can be stored; the last one beyond the ends.
float neighbour_of_scale(const QuantizedSpec& spec, float scale, int steps, float global_scale);

/// Codes of a piece with scales that are known.
void encode_values(const Scheme& scheme, const float* weights, std::uint64_t row_count, std::uint64_t column_count,
                   std::uint64_t group_size, const float* scales, std::int8_t* codes);

}  // namespace mnq
