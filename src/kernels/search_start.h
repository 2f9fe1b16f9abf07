// Where a search for scales starts and how it ends, for one group: plain float32 arithmetic that every instruction set
// shares. Between them stand the sums that search_rows.inc.h and search_generic.cpp take.
//
// A search sees weights times the group's `unit`, the power of two that brings its largest magnitude near 1, so that
// sums and their squares neither overflow nor vanish. A trial is an inverse step: weights times unit times it are codes
// before rounding.
#pragma once

#include <cstddef>

#include "kernels/code_scale.h"

namespace mnq::kernels {
namespace {

constexpr std::size_t kSearchChunk = 1024;  // elements of a group after which its 16 lanes are added

/// What the trials of a group are made from. All zero for a group of zeros, and for search_float_zero for one of equal
/// weights.
struct SearchStart {
  float unit;
  float base;    ///< the inverse step of a trial of 1
  float middle;  ///< of the range, times unit
};

inline float first_of_magnitude(const float* weights, std::size_t count, float magnitude) {
  for (std::size_t i = 0; i < count; ++i) {
    if (magnitude_of(weights[i]) == magnitude) return weights[i];
  }
  return 0;
}

/// The weight of the largest magnitude; of several the first.
inline float extreme_of(const float* weights, std::size_t count, float minimum, float maximum) {
  if (-minimum > maximum) return minimum;
  if (maximum > -minimum) return maximum;
  return first_of_magnitude(weights, count, maximum);
}

inline float unit_of(float minimum, float maximum) {
  return unit_for(bits_from_float(-minimum > maximum ? -minimum : maximum));
}

/// The long side of the codes goes to the side of the extreme weight, unless scales are to be positive.
inline SearchStart symmetric_start(float extreme, const SearchRule& rule) {
  if (extreme == 0) return {1, 0, 0};
  const float unit = unit_for(bits_from_float(magnitude_of(extreme)));
  const float half = 0.5f * static_cast<float>(rule.highest - rule.lowest);
  const float scaled = extreme * unit;
  return {unit, rule.positive_scales ? half / magnitude_of(scaled) : half / -scaled, 0};
}

/// The codes cover the range from minimum to maximum.
inline SearchStart range_start(float minimum, float maximum, const SearchRule& rule) {
  const float unit = unit_of(minimum, maximum);
  const float low = minimum * unit, high = maximum * unit;
  if (!(maximum > minimum)) return {1, 0, minimum};
  return {unit, static_cast<float>(rule.highest - rule.lowest) / (high - low), 0.5f * (low + high)};
}

/// As range_start, the range extended to hold 0.
inline SearchStart zero_point_start(float minimum, float maximum, const SearchRule& rule) {
  return range_start(minimum < 0 ? minimum : 0, maximum > 0 ? maximum : 0, rule);
}

/// Finite, at least FLT_MIN in magnitude, and so that the farthest code gives a finite weight.
inline float finished_scale(float scaled, const SearchStart& start, float farthest) {
  if (start.base == 0) return 1;
  const float scale = magnitude_of(scaled) * (1 / start.unit);
  float magnitude = scale >= FLT_MIN ? scale : FLT_MIN;
  if (!(farthest * magnitude <= FLT_MAX)) magnitude = float_from_bits(bits_from_float(FLT_MAX / farthest) - 1);
  return scaled < 0 ? -magnitude : magnitude;
}

inline float farthest_code(const SearchRule& rule) {
  return static_cast<float>(rule.highest > -rule.lowest ? rule.highest : -rule.lowest);
}

/// The minimum of codes around the middle that a search moved by `offset`, times unit.
inline float finished_minimum(float offset, const SearchStart& start) {
  const float minimum = (start.middle + offset) * (1 / start.unit);
  if (magnitude_of(minimum) <= FLT_MAX) return minimum;
  return minimum < 0 ? -FLT_MAX : FLT_MAX;
}

/// The scale above a minimum: all codes give finite weights.
inline float finished_scale_above(float minimum, float scaled, const SearchStart& start, float top) {
  const float scale = finished_scale(scaled, start, top);
  const float room = minimum > 0 ? FLT_MAX - minimum : FLT_MAX;
  if (top * scale <= room) return scale;
  const float limit = room / top * (1 - 0x1p-22f);
  return limit >= FLT_MIN ? limit : FLT_MIN;
}

}  // namespace
}  // namespace mnq::kernels
