// The searches that every vector instruction set shares; see quantize_rows.inc.h for V and search_start.h for the parts
// that are not vectors.
//
// Sixteen groups are searched together, of one row or of several. Each trial takes the sums of a group in the group's
// own 16 lanes, and the lanes of all sixteen are added in one tree of shuffles that leaves group g in lane g: 4
// instructions a group where a horizontal sum takes 10. What is decided from the sums is decided for sixteen at once.
// On Zen 4 a fused multiply-add of 1.5 * 2^23 in place of product and rounding, with limits as integers, was no faster.
namespace mnq::kernels {
namespace {

template <class V>
struct GroupBatch {
  const float* weights[kLanes];
  std::size_t counts[kLanes];
  std::size_t size;         // of them, the others are empty
  std::size_t last_row;     // the row of the last one
  std::size_t chunk_count;  // of the longest
  SearchStart starts[kLanes];
};

// Goes over the groups of all rows, sixteen at a time.
class GroupCursor {
 public:
  GroupCursor(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size)
      : weights_(weights),
        row_count_(row_length == 0 ? 0 : row_count),
        row_length_(row_length),
        group_size_(group_size) {}

  template <class V>
  bool next(GroupBatch<V>& batch) {
    batch.size = 0;
    std::size_t longest = 0;
    while (batch.size < kLanes && row_ < row_count_) {
      const std::size_t rest = row_length_ - begin_;
      const std::size_t count = rest < group_size_ ? rest : group_size_;
      batch.weights[batch.size] = weights_ + begin_;
      batch.counts[batch.size++] = count;
      batch.last_row = row_;
      if (count > longest) longest = count;
      begin_ += count;
      if (begin_ < row_length_) continue;
      begin_ = 0;
      weights_ += row_length_;
      ++row_;
    }
    batch.chunk_count = (longest + kSearchChunk - 1) / kSearchChunk;
    for (std::size_t group = batch.size; group < kLanes; ++group) batch.counts[group] = 0;
    return batch.size > 0;
  }

 private:
  const float* weights_;
  std::size_t row_count_, row_length_, group_size_;
  std::size_t row_ = 0, begin_ = 0;
};

template <class V>
LaneArray<V> lanes_of(typename V::F values) {
  LaneArray<V> lanes;
  lanes.set(values);
  return lanes;
}

template <class V>
typename V::F load_up_to(const float* weights, std::size_t count, typename V::F rest) {
  return count < kLanes ? V::load_part(weights, count, rest) : V::load(weights);
}

// The first `size` groups of whose weights all are finite.
template <class V>
std::size_t finite_groups(const GroupBatch<V>& batch) {
  for (std::size_t group = 0; group < batch.size; ++group) {
    if (range_of<V, false>(batch.weights[group], batch.counts[group], batch.weights[group]).max_abs_bits >=
        kInfinityBits) {
      return group;
    }
  }
  return batch.size;
}

struct Extent {
  float minimum;
  float maximum;
};

// Smallest and largest weights of the groups; false where one is not finite, and then they are unspecified.
template <class V>
bool survey_groups(const GroupBatch<V>& batch, Extent* extents) {
  using F = typename V::F;
  F minima[kLanes], maxima[kLanes];
  auto bits = V::zero_bits();
  for (std::size_t group = 0; group < kLanes; ++group) {
    const float* weights = batch.weights[group];
    const std::size_t count = batch.counts[group];
    const F first = V::set(count == 0 ? 0 : weights[0]);
    F minimum = first, maximum = first;
    for (std::size_t i = 0; i < count; i += kLanes) {
      const F values = load_up_to<V>(weights + i, count - i, first);
      bits = V::max_bits(bits, values);
      minimum = V::min(minimum, values);
      maximum = V::max(maximum, values);
    }
    minima[group] = minimum;
    maxima[group] = maximum;
  }
  const auto smallest = lanes_of<V>(V::min_each(minima)), largest = lanes_of<V>(V::max_each(maxima));
  for (std::size_t group = 0; group < kLanes; ++group) extents[group] = {smallest[group] + 0.0f, largest[group] + 0.0f};
  return V::largest_bits(bits) < kInfinityBits;
}

// A trial of sixteen groups: weight * unit * inverse, rounded, is a code without its zero point.
template <class V>
struct Trials {
  typename V::F inverse, low, high, zero_point;
};

template <class V>
struct TrialLanes {
  void set(const Trials<V>& trials) {
    inverse.set(trials.inverse);
    low.set(trials.low);
    high.set(trials.high);
  }

  LaneArray<V> inverse, low, high;
};

// Adds up weight * code and code * code of one chunk of one group for kCount trials.
template <class V, std::size_t kCount>
void explain_chunk(const float* weights, std::size_t count, float unit, const TrialLanes<V>* trials, std::size_t group,
                   typename V::F (*with_weights)[kLanes], typename V::F (*squares)[kLanes]) {
  using F = typename V::F;
  const F units = V::set(unit);
  F inverse[kCount], low[kCount], high[kCount], a[kCount], b[kCount];
  MNQ_UNROLL
  for (std::size_t k = 0; k < kCount; ++k) {
    inverse[k] = V::set(trials[k].inverse[group]);
    low[k] = V::set(trials[k].low[group]);
    high[k] = V::set(trials[k].high[group]);
    a[k] = b[k] = V::zero();
  }
  const auto take = [&](F values) {
    const F scaled = V::mul(values, units);
    MNQ_UNROLL
    for (std::size_t k = 0; k < kCount; ++k) {
      const F code = V::min(V::max(V::round(V::mul(scaled, inverse[k])), low[k]), high[k]);
      a[k] = V::fma(scaled, code, a[k]);
      b[k] = V::fma(code, code, b[k]);
    }
  };
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) take(V::load(weights + i));
  if (i < count) take(V::load_part(weights + i, count - i, V::zero()));
  MNQ_UNROLL
  for (std::size_t k = 0; k < kCount; ++k) {
    with_weights[k][group] = a[k];
    squares[k][group] = b[k];
  }
}

// Calls visit(group, weights, count) for the given chunk of each group, empty ones included.
template <class V, class Visit>
void for_each_chunk(const GroupBatch<V>& batch, std::size_t chunk, Visit visit) {
  const std::size_t begin = chunk * kSearchChunk;
  for (std::size_t group = 0; group < kLanes; ++group) {
    const std::size_t rest = batch.counts[group] > begin ? batch.counts[group] - begin : 0;
    visit(group, batch.weights[group] + (rest == 0 ? 0 : begin), rest < kSearchChunk ? rest : kSearchChunk);
  }
}

// What the codes of a trial explain, of sixteen groups.
template <class V>
struct Explained {
  typename V::F with_weights, squares;
};

template <class V, std::size_t kCount>
void explain(const GroupBatch<V>& batch, const TrialLanes<V>* trials, Explained<V>* explained) {
  typename V::F with_weights[kCount][kLanes], squares[kCount][kLanes];
  for (std::size_t k = 0; k < kCount; ++k) explained[k] = {V::zero(), V::zero()};
  for (std::size_t chunk = 0; chunk < batch.chunk_count; ++chunk) {
    for_each_chunk(batch, chunk, [&](std::size_t group, const float* weights, std::size_t count) {
      explain_chunk<V, kCount>(weights, count, batch.starts[group].unit, trials, group, with_weights, squares);
    });
    for (std::size_t k = 0; k < kCount; ++k) {
      explained[k].with_weights = V::add(explained[k].with_weights, V::sum_each(with_weights[k]));
      explained[k].squares = V::add(explained[k].squares, V::sum_each(squares[k]));
    }
  }
}

// Where trials come from. Both kinds offer count() and at(index).
template <class V>
struct SymmetricTrials {
  static constexpr bool kZeroPoints = false;

  SymmetricTrials(const GroupBatch<V>& batch, const SearchRule& search_rule)
      : rule(search_rule),
        low(V::set(static_cast<float>(rule.lowest))),
        high(V::set(static_cast<float>(rule.highest))) {
    LaneArray<V> bases;
    for (std::size_t group = 0; group < kLanes; ++group) bases[group] = batch.starts[group].base;
    base = bases.get();
  }

  static SearchStart start(const float* weights, std::size_t count, const Extent& extent, const SearchRule& of) {
    return symmetric_start(extreme_of(weights, count, extent.minimum, extent.maximum), of);
  }
  std::size_t count() const { return rule.candidate_count; }
  Trials<V> at(std::size_t index) const { return {V::mul(base, V::set(rule.candidates[index])), low, high, V::zero()}; }

  const SearchRule& rule;
  typename V::F base, low, high;
};

template <class V>
struct ZeroPointTrials {
  static constexpr bool kZeroPoints = true;

  ZeroPointTrials(const GroupBatch<V>& batch, const SearchRule& search_rule)
      : rule(search_rule),
        per_candidate(2 * static_cast<std::size_t>(rule.zero_point_reach) + 1),
        lowest(V::set(static_cast<float>(rule.lowest))),
        highest(V::set(static_cast<float>(rule.highest))) {
    LaneArray<V> bases, middles;
    for (std::size_t group = 0; group < kLanes; ++group) {
      bases[group] = batch.starts[group].base;
      middles[group] = batch.starts[group].middle;
    }
    base = bases.get();
    middle = middles.get();
  }

  static SearchStart start(const float*, std::size_t, const Extent& extent, const SearchRule& of) {
    return zero_point_start(extent.minimum, extent.maximum, of);
  }
  std::size_t count() const { return rule.candidate_count * per_candidate; }
  Trials<V> at(std::size_t index) const {
    const auto inverse = V::div(base, V::set(rule.candidates[index / per_candidate]));
    const float step = static_cast<float>(index % per_candidate) - static_cast<float>(rule.zero_point_reach);
    const auto center = V::set(0.5f * static_cast<float>(rule.lowest + rule.highest));
    const auto central = V::round(V::sub(center, V::mul(middle, inverse)));
    const auto zero_point = V::min(V::max(V::add(central, V::set(step)), lowest), highest);
    return {inverse, V::sub(lowest, zero_point), V::sub(highest, zero_point), zero_point};
  }

  const SearchRule& rule;
  std::size_t per_candidate;
  typename V::F base, middle, lowest, highest;
};

// The best trials so far.
template <class V>
struct BestTrials {
  Trials<V> trials;
  typename V::F scale, energy;

  void take(const Trials<V>& trial, const Explained<V>& explained) {
    const auto scaled =
        V::div(V::mul(explained.with_weights, explained.with_weights), V::max(explained.squares, V::set(1)));
    const auto choose = [&](auto yes, auto no) { return V::where_greater(scaled, energy, yes, no); };
    scale = choose(V::div(explained.with_weights, explained.squares), scale);
    trials.low = choose(trial.low, trials.low);
    trials.high = choose(trial.high, trials.high);
    trials.zero_point = choose(trial.zero_point, trials.zero_point);
    energy = choose(scaled, energy);
  }

  void refine(const GroupBatch<V>& batch) {
    trials.inverse = V::div(V::set(1), scale);
    TrialLanes<V> lanes;
    lanes.set(trials);
    Explained<V> explained;
    explain<V, 1>(batch, &lanes, &explained);
    scale = V::where_greater(explained.squares, V::zero(), V::div(explained.with_weights, explained.squares), scale);
  }
};

// Makes kCount trials from `index` on.
template <class V, std::size_t kCount, class Kind>
void try_some(const GroupBatch<V>& batch, const Kind& kind, std::size_t index, BestTrials<V>& best) {
  Trials<V> trials[kCount];
  TrialLanes<V> lanes[kCount];
  Explained<V> explained[kCount];
  for (std::size_t k = 0; k < kCount; ++k) {
    trials[k] = kind.at(index + k);
    lanes[k].set(trials[k]);
  }
  explain<V, kCount>(batch, lanes, explained);
  for (std::size_t k = 0; k < kCount; ++k) best.take(trials[k], explained[k]);
}

template <class V, class Kind>
BestTrials<V> search_batch(const GroupBatch<V>& batch, const SearchRule& rule) {
  const Kind kind(batch, rule);
  BestTrials<V> best{{V::zero(), V::zero(), V::zero(), V::zero()}, V::set(1), V::zero()};
  const std::size_t count = kind.count();
  std::size_t index = 0;
  for (; index + V::kTrials <= count; index += V::kTrials) try_some<V, V::kTrials>(batch, kind, index, best);
  for (; index < count; ++index) try_some<V, 1>(batch, kind, index, best);
  best.refine(batch);
  return best;
}

// Fills the batch's starts. What is not finite cuts it short; false then.
template <class V, class Start>
bool start_groups(GroupBatch<V>& batch, Start start) {
  Extent extents[kLanes];
  const bool finite = survey_groups(batch, extents);
  if (!finite) batch.size = finite_groups(batch);
  for (std::size_t group = 0; group < kLanes; ++group) {
    if (group >= batch.size) batch.counts[group] = 0;
    batch.starts[group] = batch.counts[group] == 0 ? SearchStart{1, 0, 0}
                                                   : start(batch.weights[group], batch.counts[group], extents[group]);
  }
  return finite;
}

// Calls finish(batch, index of its first group) for all groups; the number of rows done.
template <class V, class Start, class Finish>
std::size_t for_each_batch(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                           Start start, Finish finish) {
  GroupCursor cursor(weights, row_count, row_length, group_size);
  GroupBatch<V> batch;
  for (std::size_t index = 0; cursor.next(batch); index += batch.size) {
    const bool finite = start_groups(batch, start);
    finish(batch, index);
    if (!finite) return static_cast<std::size_t>(batch.weights[batch.size] - weights) / row_length;
  }
  return row_count;
}

template <class V, class Kind>
std::size_t search_codes(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                         const SearchRule& rule, float* scales, std::int8_t* zero_points) {
  const auto start = [&](const float* group, std::size_t count, const Extent& extent) {
    return Kind::start(group, count, extent, rule);
  };
  const auto finish = [&](const GroupBatch<V>& batch, std::size_t index) {
    const BestTrials<V> best = search_batch<V, Kind>(batch, rule);
    const auto found = lanes_of<V>(best.scale), zeros = lanes_of<V>(best.trials.zero_point);
    for (std::size_t group = 0; group < batch.size; ++group) {
      const SearchStart& from = batch.starts[group];
      scales[index + group] = finished_scale(found[group], from, farthest_code(rule));
      if constexpr (Kind::kZeroPoints) {
        zero_points[index + group] = from.base == 0 ? std::int8_t{0} : static_cast<std::int8_t>(zeros[group]);
      }
    }
  };
  return for_each_batch<V>(weights, row_count, row_length, group_size, start, finish);
}

template <class V>
std::size_t search_symmetric(const float* weights, std::size_t row_count, std::size_t row_length,
                             std::size_t group_size, const SearchRule& rule, float* scales) {
  return search_codes<V, SymmetricTrials<V>>(weights, row_count, row_length, group_size, rule, scales, nullptr);
}

template <class V>
std::size_t search_zero_point(const float* weights, std::size_t row_count, std::size_t row_length,
                              std::size_t group_size, const SearchRule& rule, float* scales, std::int8_t* zero_points) {
  return search_codes<V, ZeroPointTrials<V>>(weights, row_count, row_length, group_size, rule, scales, zero_points);
}

// A search for minima sees weights around the middle of their range, and codes from 0 on.

template <class V>
struct Lines {
  typename V::F energy, scale, offset;
};

// Codes before rounding are weight * inverse + shift.
template <class V>
struct LineLanes {
  LaneArray<V> inverse, shift;
};

// The sums of a trial: codes, weight * code and code * code.
template <class V>
struct LineSums {
  typename V::F codes[kLanes], with_weights[kLanes], squares[kLanes];
};

// Adds up one chunk of one group for kCount trials.
template <class V, std::size_t kCount>
void sum_line_chunk(const float* weights, std::size_t count, const SearchStart& start, const LineLanes<V>* lines,
                    float top, std::size_t group, LineSums<V>* sums) {
  using F = typename V::F;
  const F units = V::set(start.unit), middle = V::set(start.middle), highest = V::set(top);
  F inverse[kCount], shift[kCount], codes[kCount], with_weights[kCount], squares[kCount];
  MNQ_UNROLL
  for (std::size_t k = 0; k < kCount; ++k) {
    inverse[k] = V::set(lines[k].inverse[group]);
    shift[k] = V::set(lines[k].shift[group]);
    codes[k] = with_weights[k] = squares[k] = V::zero();
  }
  const auto code_of = [&](F weight, std::size_t k) {
    return V::min(V::max(V::round(V::fma(weight, inverse[k], shift[k])), V::zero()), highest);
  };
  const auto add = [&](F weight, F code, std::size_t k) {
    codes[k] = V::add(codes[k], code);
    with_weights[k] = V::fma(weight, code, with_weights[k]);
    squares[k] = V::fma(code, code, squares[k]);
  };
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const F weight = V::sub(V::mul(V::load(weights + i), units), middle);
    MNQ_UNROLL
    for (std::size_t k = 0; k < kCount; ++k) add(weight, code_of(weight, k), k);
  }
  if (i < count) {
    const F weight = V::sub(V::mul(V::load_part(weights + i, count - i, V::zero()), units), middle);
    MNQ_UNROLL
    for (std::size_t k = 0; k < kCount; ++k) add(weight, first_lanes<V>(code_of(weight, k), count - i), k);
  }
  MNQ_UNROLL
  for (std::size_t k = 0; k < kCount; ++k) {
    sums[k].codes[group] = codes[k];
    sums[k].with_weights[group] = with_weights[k];
    sums[k].squares[group] = squares[k];
  }
}

// What all trials of a batch share.
template <class V>
struct LineSearch {
  using F = typename V::F;

  LineSearch(const GroupBatch<V>& of, const SearchRule& rule)
      : batch(of), top(static_cast<float>(rule.highest - rule.lowest)) {
    LaneArray<V> bases, counts;
    F lanes[kLanes];
    for (std::size_t group = 0; group < kLanes; ++group) {
      bases[group] = batch.starts[group].base;
      counts[group] = static_cast<float>(batch.counts[group]);
    }
    base = bases.get();
    count = counts.get();
    weight_sum = V::zero();
    for (std::size_t chunk = 0; chunk < batch.chunk_count; ++chunk) {
      for_each_chunk(batch, chunk, [&](std::size_t group, const float* weights, std::size_t size) {
        lanes[group] = sum_weights(weights, size, batch.starts[group]);
      });
      weight_sum = V::add(weight_sum, V::sum_each(lanes));
    }
  }

  static F sum_weights(const float* weights, std::size_t count, const SearchStart& start) {
    const F units = V::set(start.unit), middle = V::set(start.middle);
    F sum = V::zero();
    for (std::size_t i = 0; i < count; i += kLanes) {
      const F weight = V::sub(V::mul(load_up_to<V>(weights + i, count - i, V::zero()), units), middle);
      sum = V::add(sum, count - i < kLanes ? first_lanes<V>(weight, count - i) : weight);
    }
    return sum;
  }

  template <std::size_t kCount>
  void take(const F* inverse, const F* shift) {
    LineLanes<V> lines[kCount];
    LineSums<V> lanes[kCount];
    F sums[kCount][3];
    for (std::size_t k = 0; k < kCount; ++k) {
      lines[k].inverse.set(inverse[k]);
      lines[k].shift.set(shift[k]);
      sums[k][0] = sums[k][1] = sums[k][2] = V::zero();
    }
    for (std::size_t chunk = 0; chunk < batch.chunk_count; ++chunk) {
      for_each_chunk(batch, chunk, [&](std::size_t group, const float* weights, std::size_t size) {
        sum_line_chunk<V, kCount>(weights, size, batch.starts[group], lines, top, group, lanes);
      });
      for (std::size_t k = 0; k < kCount; ++k) {
        sums[k][0] = V::add(sums[k][0], V::sum_each(lanes[k].codes));
        sums[k][1] = V::add(sums[k][1], V::sum_each(lanes[k].with_weights));
        sums[k][2] = V::add(sums[k][2], V::sum_each(lanes[k].squares));
      }
    }
    for (std::size_t k = 0; k < kCount; ++k) compare(sums[k][0], sums[k][1], sums[k][2]);
  }

  // Keeps the line of these sums where it explains more than the best one.
  void compare(F codes, F with_weights, F squares) {
    const F covariance = V::sub(V::mul(count, with_weights), V::mul(weight_sum, codes));
    const F variance = V::max(V::sub(V::mul(count, squares), V::mul(codes, codes)), V::set(1));
    const F scale = V::div(covariance, variance);
    const F energy = V::mul(covariance, scale);
    const F offset = V::div(V::sub(weight_sum, V::mul(scale, codes)), count);
    best.scale = V::where_greater(energy, best.energy, scale, best.scale);
    best.offset = V::where_greater(energy, best.energy, offset, best.offset);
    best.energy = V::where_greater(energy, best.energy, energy, best.energy);
  }

  const GroupBatch<V>& batch;
  float top;
  F base, count, weight_sum;
  Lines<V> best{V::zero(), V::set(1), V::zero()};
};

template <class V>
Lines<V> search_lines(const GroupBatch<V>& batch, const SearchRule& rule) {
  using F = typename V::F;
  LineSearch<V> search(batch, rule);
  const F middle = V::set(0.5f * search.top);
  F inverse[V::kLines], shift[V::kLines];
  std::size_t filled = 0;
  for (std::size_t i = 0; i < rule.candidate_count * rule.shift_count; ++i) {
    inverse[filled] = V::div(search.base, V::set(rule.candidates[i / rule.shift_count]));
    shift[filled++] = V::sub(middle, V::set(rule.shifts[i % rule.shift_count]));
    if (filled < V::kLines) continue;
    search.template take<V::kLines>(inverse, shift);
    filled = 0;
  }
  for (std::size_t k = 0; k < filled; ++k) search.template take<1>(inverse + k, shift + k);
  for (int round = 0; round < 2; ++round) {
    inverse[0] = V::div(V::set(1), search.best.scale);
    shift[0] = V::sub(V::zero(), V::div(search.best.offset, search.best.scale));
    search.template take<1>(inverse, shift);
  }
  return search.best;
}

template <class V>
std::size_t search_minimum(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                           const SearchRule& rule, float* scales, float* minima) {
  const auto top = static_cast<float>(rule.highest - rule.lowest);
  const auto start = [&](const float*, std::size_t, const Extent& extent) {
    return range_start(extent.minimum, extent.maximum, rule);
  };
  const auto finish = [&](const GroupBatch<V>& batch, std::size_t index) {
    const Lines<V> best = search_lines(batch, rule);
    const auto found = lanes_of<V>(best.scale), offsets = lanes_of<V>(best.offset);
    for (std::size_t group = 0; group < batch.size; ++group) {
      const SearchStart& from = batch.starts[group];
      minima[index + group] = finished_minimum(from.base == 0 ? 0 : offsets[group], from);
      scales[index + group] = finished_scale_above(minima[index + group], found[group], from, top);
    }
  };
  return for_each_batch<V>(weights, row_count, row_length, group_size, start, finish);
}

}  // namespace
}  // namespace mnq::kernels
