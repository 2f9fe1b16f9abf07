#include "kernels/search_rules.h"

#include <array>
#include <iterator>

namespace mnq::kernels {
namespace {

struct Trials {
  int bits;
  std::size_t count;
  std::array<float, 24> values;
};

constexpr Trials evenly(int bits, double first, double last, std::size_t count) {
  Trials trials{bits, count, {}};
  for (std::size_t i = 0; i < count; ++i) {
    trials.values[i] =
        static_cast<float>(first + (last - first) * static_cast<double>(i) / static_cast<double>(count - 1));
  }
  return trials;
}

// With eight trials from 0.95 to 1.45, 4 bits gain 0.02 dB for groups of 32 and nothing for groups of 128.
constexpr Trials kSymmetric[] = {evenly(2, 0.95, 2.2, 12), evenly(3, 0.95, 1.6, 8),  evenly(4, 0.98, 1.3, 5),
                                 evenly(5, 0.95, 1.25, 8), evenly(6, 0.97, 1.15, 8), evenly(8, 0.985, 1.06, 12)};
constexpr Trials kSymmetricWholeRow = evenly(4, 1, 3, 24);
constexpr Trials kZeroPoint[] = {evenly(2, 0.45, 1.05, 8), evenly(3, 0.6, 1.05, 8), evenly(4, 0.7, 1.05, 8),
                                 evenly(8, 0.9, 1.005, 8)};
constexpr Trials kMinimum[] = {evenly(2, 0.45, 0.9, 4), evenly(3, 0.65, 0.95, 4), evenly(4, 0.8, 1, 4),
                               evenly(5, 0.86, 1, 7)};
constexpr float kShifts[] = {-1.0f / 3, 0, 1.0f / 3};

// Those of the bits or, where there are none, of the next more.
template <std::size_t kCount>
const Trials& trials_of(const Trials (&rows)[kCount], int bits) {
  for (const Trials& row : rows) {
    if (row.bits >= bits) return row;
  }
  return rows[kCount - 1];
}

SearchRule rule_of(int bits, const Trials& trials) {
  const std::int32_t half = std::int32_t{1} << (bits - 1);
  return {.lowest = -half,
          .highest = half - 1,
          .candidates = trials.values.data(),
          .candidate_count = trials.count,
          .shifts = kShifts,
          .shift_count = std::size(kShifts),
          .zero_point_reach = 0,
          .positive_scales = false};
}

}  // namespace

SearchRule symmetric_search(int bits, bool whole_row, bool positive_scales) {
  const bool is_coarse = whole_row && bits == kSymmetricWholeRow.bits;
  SearchRule rule = rule_of(bits, is_coarse ? kSymmetricWholeRow : trials_of(kSymmetric, bits));
  rule.positive_scales = positive_scales;
  return rule;
}

SearchRule zero_point_search(int bits) {
  SearchRule rule = rule_of(bits, trials_of(kZeroPoint, bits));
  rule.zero_point_reach = bits < 4 ? 1 : 0;
  return rule;
}

SearchRule minimum_search(int bits) { return rule_of(bits, trials_of(kMinimum, bits)); }

}  // namespace mnq::kernels
