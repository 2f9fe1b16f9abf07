// The slow obvious version of the searches: the oracle that the others must equal bit for bit.
#include <cmath>

#include "kernels/kernel_tables.h"
#include "kernels/search_start.h"

namespace mnq::kernels {
namespace {

constexpr std::size_t kLanes = 16;

struct Group {
  const float* weights;
  std::size_t count;
};

// A sum over the elements of a group in the order that kernel_table.h fixes for searches.
class LaneSum {
 public:
  /// Adds a * b. i: of the element in its group.
  void add_product(std::size_t i, float a, float b) {
    if (i != 0 && i % kSearchChunk == 0) flush();
    lanes_[i % kLanes] = std::fma(a, b, lanes_[i % kLanes]);
  }

  float finish() {
    flush();
    return sum_;
  }

 private:
  void flush() {
    for (std::size_t width = kLanes / 2; width > 0; width /= 2) {
      for (std::size_t i = 0; i < width; ++i) lanes_[i] += lanes_[i + width];
    }
    sum_ += lanes_[0];
    for (float& lane : lanes_) lane = 0;
  }

  float lanes_[kLanes] = {};
  float sum_ = 0;
};

float clamp(float value, float low, float high) {
  const float raised = value > low ? value : low;
  return raised < high ? raised : high;
}

// One choice of scale and zero point: weight * unit * inverse, rounded, is a code without its zero point.
struct Trial {
  float inverse;
  float low;
  float high;
  float zero_point;
};

// What the codes of a trial explain: the scale times unit that suits them best is with_weights / squares.
struct Explained {
  float with_weights;
  float squares;

  float energy() const { return with_weights * with_weights / (squares > 1 ? squares : 1); }
};

Explained explain(const Group& group, float unit, const Trial& trial) {
  LaneSum with_weights, squares;
  for (std::size_t i = 0; i < group.count; ++i) {
    const float weight = group.weights[i] * unit;
    const float nearest = std::fma(weight, trial.inverse, kRoundingMagic) - kRoundingMagic;
    const float code = clamp(nearest, trial.low, trial.high);
    with_weights.add_product(i, weight, code);
    squares.add_product(i, code, code);
  }
  return {with_weights.finish(), squares.finish()};
}

Trial symmetric_trial(const SearchStart& start, const SearchRule& rule, std::size_t index) {
  return {start.base * rule.candidates[index], static_cast<float>(rule.lowest), static_cast<float>(rule.highest), 0};
}

Trial zero_point_trial(const SearchStart& start, const SearchRule& rule, std::size_t index) {
  const auto lowest = static_cast<float>(rule.lowest), highest = static_cast<float>(rule.highest);
  const auto reach = static_cast<std::size_t>(rule.zero_point_reach);
  const float inverse = start.base / rule.candidates[index / (2 * reach + 1)];
  const float step = static_cast<float>(index % (2 * reach + 1)) - static_cast<float>(reach);
  const float central = std::nearbyintf(0.5f * (lowest + highest) - start.middle * inverse);
  const float zero_point = clamp(central + step, lowest, highest);
  return {inverse, lowest - zero_point, highest - zero_point, zero_point};
}

struct Chosen {
  float scale;
  float zero_point;
};

// The best of the trials, then one round from its codes to their scale.
template <Trial (*kTrial)(const SearchStart&, const SearchRule&, std::size_t)>
Chosen search(const Group& group, const SearchStart& start, const SearchRule& rule, std::size_t trial_count) {
  Trial best{1, 0, 0, 0};
  float scale = 1, energy = 0;
  for (std::size_t i = 0; i < trial_count; ++i) {
    const Trial trial = kTrial(start, rule, i);
    const Explained explained = explain(group, start.unit, trial);
    if (!(explained.energy() > energy)) continue;
    energy = explained.energy();
    scale = explained.with_weights / explained.squares;
    best = trial;
  }
  best.inverse = 1 / scale;
  const Explained explained = explain(group, start.unit, best);
  if (explained.squares > 0) scale = explained.with_weights / explained.squares;
  return {finished_scale(scale, start, farthest_code(rule)), best.zero_point};
}

void search_symmetric_group(const Group& group, const Range& range, const SearchRule& rule, float* scale) {
  const float extreme = extreme_of(group.weights, group.count, range.minimum, range.maximum);
  *scale = search<symmetric_trial>(group, symmetric_start(extreme, rule), rule, rule.candidate_count).scale;
}

void search_zero_point_group(const Group& group, const Range& range, const SearchRule& rule, float* scale,
                             std::int8_t* zero_point) {
  const SearchStart start = zero_point_start(range.minimum, range.maximum, rule);
  const std::size_t trial_count = rule.candidate_count * (2 * static_cast<std::size_t>(rule.zero_point_reach) + 1);
  const Chosen chosen = search<zero_point_trial>(group, start, rule, trial_count);
  *scale = chosen.scale;
  *zero_point = start.base == 0 ? std::int8_t{0} : static_cast<std::int8_t>(chosen.zero_point);
}

// A line through codes from 0 on: weight * unit - middle of the range = scale * code + offset.
struct Line {
  float energy = 0;
  float scale = 1;
  float offset = 0;
};

// The codes that weights get from an inverse step and a shift, and the line that suits them best.
Line fit_line(const Group& group, const SearchStart& start, float inverse, float shift, float top) {
  LaneSum weights, codes, with_weights, squares;
  for (std::size_t i = 0; i < group.count; ++i) {
    const float weight = group.weights[i] * start.unit - start.middle;
    const float code = clamp(std::nearbyintf(std::fma(weight, inverse, shift)), 0, top);
    weights.add_product(i, weight, 1);
    codes.add_product(i, code, 1);
    with_weights.add_product(i, weight, code);
    squares.add_product(i, code, code);
  }
  const auto count = static_cast<float>(group.count);
  const float weight_sum = weights.finish(), code_sum = codes.finish();
  const float covariance = count * with_weights.finish() - weight_sum * code_sum;
  const float spread = count * squares.finish() - code_sum * code_sum;
  const float variance = spread > 1 ? spread : 1;
  const float scale = covariance / variance;
  return {covariance * scale, scale, (weight_sum - scale * code_sum) / count};
}

// The best of all shifts of all candidates, then two rounds from codes to their line.
void search_minimum_group(const Group& group, const Range& range, const SearchRule& rule, float* scale,
                          float* minimum) {
  const auto top = static_cast<float>(rule.highest - rule.lowest);
  const SearchStart start = range_start(range.minimum, range.maximum, rule);
  Line best;
  const auto take = [&](float inverse, float shift) {
    const Line line = fit_line(group, start, inverse, shift, top);
    if (line.energy > best.energy) best = line;
  };
  for (std::size_t i = 0; i < rule.candidate_count * rule.shift_count; ++i) {
    take(start.base / rule.candidates[i / rule.shift_count], 0.5f * top - rule.shifts[i % rule.shift_count]);
  }
  for (int round = 0; round < 2; ++round) take(1 / best.scale, 0 - best.offset / best.scale);
  *minimum = finished_minimum(start.base == 0 ? 0 : best.offset, start);
  *scale = finished_scale_above(*minimum, best.scale, start, top);
}

// Calls search(group, range, index of the group) for each group of each row; the number of rows done.
template <class Search>
std::size_t for_each_group(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                           Search search) {
  std::size_t index = 0;
  for (std::size_t row = 0; row < row_count; ++row, weights += row_length) {
    if (kGenericTable.range(weights, row_length).max_abs_bits >= kInfinityBits) return row;
    for (std::size_t begin = 0; begin < row_length; begin += group_size, ++index) {
      const Group group{weights + begin, row_length - begin < group_size ? row_length - begin : group_size};
      search(group, kGenericTable.range(group.weights, group.count), index);
    }
  }
  return row_count;
}

}  // namespace

namespace generic {

std::size_t search_symmetric(const float* weights, std::size_t row_count, std::size_t row_length,
                             std::size_t group_size, const SearchRule& rule, float* scales) {
  return for_each_group(weights, row_count, row_length, group_size,
                        [&](const Group& group, const Range& range, std::size_t index) {
                          search_symmetric_group(group, range, rule, scales + index);
                        });
}

std::size_t search_zero_point(const float* weights, std::size_t row_count, std::size_t row_length,
                              std::size_t group_size, const SearchRule& rule, float* scales, std::int8_t* zero_points) {
  return for_each_group(weights, row_count, row_length, group_size,
                        [&](const Group& group, const Range& range, std::size_t index) {
                          search_zero_point_group(group, range, rule, scales + index, zero_points + index);
                        });
}

std::size_t search_minimum(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                           const SearchRule& rule, float* scales, float* minima) {
  return for_each_group(weights, row_count, row_length, group_size,
                        [&](const Group& group, const Range& range, std::size_t index) {
                          search_minimum_group(group, range, rule, scales + index, minima + index);
                        });
}

}  // namespace generic
}  // namespace mnq::kernels
