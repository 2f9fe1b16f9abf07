// The searches that every vector instruction set shares; see quantize_rows.inc.h for V and search_start.h for the parts
// that are not vectors.
//
// Sixteen groups are searched together, of one row or of several. Each trial takes the sums of a group in the group's
// own 16 lanes, and the lanes of all sixteen are added in one tree of shuffles that leaves group g in lane g: 4
// instructions a group where a horizontal sum takes 10. What is decided from the sums is decided for sixteen at once.
// Groups of a few whole vectors are turned first, so that group g is lane g of the weights, too, and its 16 lanes are
// 16 vectors: the same sums without that tree, and without spreading what a trial is of each group.
// On Zen 4 codes as integers while they are cut were slower.
namespace mnq::kernels {
namespace {

// The integer next to a * b, half to even, for less than 2^22: two instructions, where a product and its rounding are
// three on Intel's CPUs.
template <class V>
MNQ_INLINE typename V::F round_product(typename V::F a, typename V::F b) {
  const typename V::F magic = V::set(kRoundingMagic);
  return V::sub(V::fma(a, b, magic), magic);
}

// Of sixteen groups.
template <class V>
struct SearchStarts {
  SearchStart operator[](std::size_t group) const { return {unit[group], base[group], middle[group]}; }
  void set(std::size_t group, const SearchStart& start) {
    unit[group] = start.unit;
    base[group] = start.base;
    middle[group] = start.middle;
  }

  LaneArray<V> unit, base, middle;
};

template <class V>
struct GroupBatch {
  const float* weights[kLanes];
  std::size_t counts[kLanes];
  std::size_t size;         // of them, the others are empty
  std::size_t last_row;     // the row of the last one
  std::size_t chunk_count;  // of the longest
  SearchStarts<V> starts;
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
    if (range_of<V, false>(batch.weights[group], batch.counts[group]).max_abs_bits >= kInfinityBits) {
      return group;
    }
  }
  return batch.size;
}

// The smallest and largest weights of sixteen groups; 0 of an empty one.
template <class V>
struct Extents {
  typename V::F minima, maxima;
};

// False where a weight is not finite, and then they are unspecified.
template <class V>
bool survey_groups(const GroupBatch<V>& batch, Extents<V>& extents) {
  typename V::F minima[kLanes], maxima[kLanes];
  auto bits = V::zero_bits();
  for (std::size_t group = 0; group < kLanes; ++group) {
    const float* weights = batch.weights[group];
    const std::size_t count = batch.counts[group];
    const auto lanes =
        count == 2 * kLanes ? range_lanes_of_two<V, true>(weights) : range_lanes_of<V, true>(weights, count);
    bits = V::max_unsigned(bits, lanes.magnitudes);
    minima[group] = lanes.minimum;
    maxima[group] = lanes.maximum;
  }
  extents = {V::add(V::min_each(minima), V::zero()), V::add(V::max_each(maxima), V::zero())};
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
      const F code = V::min(V::max(round_product<V>(scaled, inverse[k]), low[k]), high[k]);
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
  using F = typename V::F;

  static Explained none() { return {V::zero(), V::zero()}; }
  static MNQ_INLINE Explained sum(const Explained& a, const Explained& b) {
    return {V::add(a.with_weights, b.with_weights), V::add(a.squares, b.squares)};
  }
  MNQ_INLINE void add(F weight, F code) {
    with_weights = V::fma(weight, code, with_weights);
    squares = V::fma(code, code, squares);
  }

  F with_weights, squares;
};

template <class V, std::size_t kCount>
void explain(const GroupBatch<V>& batch, const TrialLanes<V>* trials, Explained<V>* explained) {
  typename V::F with_weights[kCount][kLanes], squares[kCount][kLanes];
  for (std::size_t k = 0; k < kCount; ++k) explained[k] = {V::zero(), V::zero()};
  for (std::size_t chunk = 0; chunk < batch.chunk_count; ++chunk) {
    for_each_chunk(batch, chunk, [&](std::size_t group, const float* weights, std::size_t count) {
      explain_chunk<V, kCount>(weights, count, batch.starts.unit[group], trials, group, with_weights, squares);
    });
    for (std::size_t k = 0; k < kCount; ++k) {
      explained[k].with_weights = V::add(explained[k].with_weights, V::sum_each(with_weights[k]));
      explained[k].squares = V::add(explained[k].squares, V::sum_each(squares[k]));
    }
  }
}

// Sixteen groups as they are. This and what follows both offer explain().
template <class V>
struct GroupsInPlace {
  static constexpr std::size_t kTrials = V::kTrials;

  template <std::size_t kCount>
  void explain(const Trials<V>* trials, Explained<V>* explained) const {
    TrialLanes<V> lanes[kCount];
    for (std::size_t k = 0; k < kCount; ++k) lanes[k].set(trials[k]);
    kernels::explain<V, kCount>(batch, lanes, explained);
  }

  const GroupBatch<V>& batch;
};

// Sixteen groups of the same whole number of vectors: weight i times unit, less what is around, of all of them is
// vector i.
template <class V>
class TurnedGroups {
 public:
  using F = typename V::F;
  static constexpr std::size_t kTrials = V::kTrials / 2;
  static constexpr std::size_t kMostWeights = 64;  // of a group: in larger ones turning does not pay

  static bool fits(const GroupBatch<V>& batch) {
    const std::size_t count = batch.counts[0];
    for (std::size_t group = 1; group < kLanes; ++group) {
      if (batch.counts[group] != count) return false;
    }
    return count > 0 && count % kLanes == 0 && count <= kMostWeights;
  }

  TurnedGroups(const GroupBatch<V>& batch, F around) : count_(batch.counts[0]) {
    const F units = batch.starts.unit.get();
    for (std::size_t begin = 0; begin < count_; begin += kLanes) {
      F square[kLanes];
      MNQ_UNROLL
      for (std::size_t group = 0; group < kLanes; ++group) square[group] = V::load(batch.weights[group] + begin);
      V::turn(square);
      MNQ_UNROLL
      for (std::size_t i = 0; i < kLanes; ++i) {
        V::store(weights_ + (begin + i) * kLanes, V::sub(V::mul(square[i], units), around), false);
      }
    }
  }

  template <std::size_t kCount>
  void explain(const Trials<V>* trials, Explained<V>* explained) const {
    const auto code_of = [=](F weight, std::size_t k) __attribute__((always_inline)) {
      return V::min(V::max(round_product<V>(weight, trials[k].inverse), trials[k].low), trials[k].high);
    };
    add_up<kCount>(code_of, explained);
  }

  /// Adds weights and their codes of kCount trials to sums, as groups in place do.
  template <std::size_t kCount, class Sums, class CodeOf>
  void add_up(const CodeOf& code_of, Sums* sums) const {
    Sums fours[4][kCount];
    for (std::size_t i = 0; i < 4; ++i) add_four<kCount>(code_of, i, fours[i]);
    for (std::size_t k = 0; k < kCount; ++k) {
      sums[k] = Sums::sum(Sums::sum(fours[0][k], fours[2][k]), Sums::sum(fours[1][k], fours[3][k]));
      sums[k] = Sums::sum(Sums::none(), sums[k]);  // of chunks: no zero is negative
    }
  }

 private:
  // The lanes i, i + 4, i + 8 and i + 12 of the groups.
  template <std::size_t kCount, class Sums, class CodeOf>
  MNQ_INLINE void add_four(const CodeOf& code_of, std::size_t i, Sums* sums) const {
    Sums lanes[4][kCount];
    MNQ_UNROLL
    for (std::size_t k = 0; k < 4; ++k) add_lane<kCount>(code_of, i + 4 * k, lanes[k]);
    MNQ_UNROLL
    for (std::size_t k = 0; k < kCount; ++k) {
      sums[k] = Sums::sum(Sums::sum(lanes[0][k], lanes[2][k]), Sums::sum(lanes[1][k], lanes[3][k]));
    }
  }

  template <std::size_t kCount, class Sums, class CodeOf>
  MNQ_INLINE void add_lane(const CodeOf& code_of, std::size_t lane, Sums* sums) const {
    Sums of_lane[kCount];
    MNQ_UNROLL
    for (std::size_t k = 0; k < kCount; ++k) of_lane[k] = Sums::none();
    for (std::size_t i = lane; i < count_; i += kLanes) {
      const F weight = V::load(weights_ + i * kLanes);
      MNQ_UNROLL
      for (std::size_t k = 0; k < kCount; ++k) of_lane[k].add(weight, code_of(weight, k));
    }
    MNQ_UNROLL
    for (std::size_t k = 0; k < kCount; ++k) sums[k] = of_lane[k];
  }

  std::size_t count_;
  alignas(64) float weights_[kMostWeights * kLanes];
};

// As unit_for, of sixteen groups.
template <class V>
typename V::F unit_of_magnitude(typename V::F magnitude) {
  constexpr std::int32_t kOne = 1 << 23;  // of an exponent
  const auto exponent =
      V::min_ints(V::max_ints(V::and_ints(V::as_ints(magnitude), V::set_ints(0x7f800000)), V::set_ints(kOne)),
                  V::set_ints(253 * kOne));
  return V::as_floats(V::sub_ints(V::set_ints(254 * kOne), exponent));
}

// Its inverse.
template <class V>
typename V::F inverse_of_unit(typename V::F unit) {
  return V::as_floats(V::sub_ints(V::set_ints(254 << 23), V::as_ints(unit)));
}

// As range_start, of sixteen groups.
template <class V>
void set_range_starts(const Extents<V>& extents, const SearchRule& rule, SearchStarts<V>& starts) {
  using F = typename V::F;
  const F zero = V::zero(), least = extents.minima, most = extents.maxima;
  const F unit = unit_of_magnitude<V>(V::max(V::sub(zero, least), most));
  const F low = V::mul(least, unit), high = V::mul(most, unit);
  const F steps = V::set(static_cast<float>(rule.highest - rule.lowest));
  const auto choose = [&](F of_range, F of_one) { return V::where_greater(most, least, of_range, of_one); };
  starts.unit.set(choose(unit, V::set(1)));
  starts.base.set(choose(V::div(steps, V::sub(high, low)), zero));
  starts.middle.set(choose(V::mul(V::set(0.5f), V::add(low, high)), least));
}

// Where trials come from. Both kinds offer count() and at(index).
template <class V>
struct SymmetricTrials {
  static constexpr bool kZeroPoints = false;

  SymmetricTrials(const GroupBatch<V>& batch, const SearchRule& search_rule)
      : rule(search_rule),
        low(V::set(static_cast<float>(rule.lowest))),
        high(V::set(static_cast<float>(rule.highest))) {
    base = batch.starts.base.get();
  }

  // As symmetric_start. False where weights of both signs are the largest ones of a group: then the first one counts.
  static bool start(const Extents<V>& extents, const SearchRule& of, SearchStarts<V>& starts) {
    using F = typename V::F;
    const F zero = V::zero(), one = V::set(1), below = V::sub(zero, extents.minima), above = extents.maxima;
    const F magnitude = V::max(below, above);
    const F is_one = V::where_greater(below, above, one, V::where_greater(above, below, one, zero));
    const F is_both = V::where_greater(magnitude, zero, V::sub(one, is_one), zero);
    if (!of.positive_scales && V::any_above(is_both, 0)) return false;
    const F unit = unit_of_magnitude<V>(magnitude), scaled = V::mul(magnitude, unit);
    const F negative = V::sub(zero, scaled);
    const F opposite = of.positive_scales ? scaled : V::where_greater(below, above, scaled, negative);
    const F half = V::set(0.5f * static_cast<float>(of.highest - of.lowest));
    starts.unit.set(V::where_greater(magnitude, zero, unit, one));
    starts.base.set(V::where_greater(magnitude, zero, V::div(half, opposite), zero));
    starts.middle.set(zero);
    return true;
  }
  static SearchStart start(const float* weights, std::size_t count, float minimum, float maximum,
                           const SearchRule& of) {
    return symmetric_start(extreme_of(weights, count, minimum, maximum), of);
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
    base = batch.starts.base.get();
    middle = batch.starts.middle.get();
  }

  static bool start(const Extents<V>& extents, const SearchRule& of, SearchStarts<V>& starts) {
    set_range_starts({V::min(extents.minima, V::zero()), V::max(extents.maxima, V::zero())}, of, starts);
    return true;
  }
  static SearchStart start(const float*, std::size_t, float minimum, float maximum, const SearchRule& of) {
    return zero_point_start(minimum, maximum, of);
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
  Explained<V> explained;
  typename V::F energy;

  void take(const Trials<V>& trial, const Explained<V>& other) {
    const auto scaled = V::div(V::mul(other.with_weights, other.with_weights), V::max(other.squares, V::set(1)));
    const auto choose = [&](auto yes, auto no) { return V::where_greater(scaled, energy, yes, no); };
    explained = {choose(other.with_weights, explained.with_weights), choose(other.squares, explained.squares)};
    trials.low = choose(trial.low, trials.low);
    trials.high = choose(trial.high, trials.high);
    trials.zero_point = choose(trial.zero_point, trials.zero_point);
    energy = choose(scaled, energy);
  }

  // The scale that a round from codes to scale leads to.
  template <class Groups>
  typename V::F refined_scale(const Groups& groups) {
    const auto scale = V::div(explained.with_weights, explained.squares);
    trials.inverse = V::div(V::set(1), scale);
    Explained<V> again;
    groups.template explain<1>(&trials, &again);
    return V::where_greater(again.squares, V::zero(), V::div(again.with_weights, again.squares), scale);
  }
};

// Makes kCount trials from `index` on.
template <class V, std::size_t kCount, class Groups, class Kind>
void try_some(const Groups& groups, const Kind& kind, std::size_t index, BestTrials<V>& best) {
  Trials<V> trials[kCount];
  Explained<V> explained[kCount];
  for (std::size_t k = 0; k < kCount; ++k) trials[k] = kind.at(index + k);
  groups.template explain<kCount>(trials, explained);
  for (std::size_t k = 0; k < kCount; ++k) best.take(trials[k], explained[k]);
}

template <class V>
struct Choice {
  typename V::F scale, zero_point;
};

template <class V, class Groups, class Kind>
Choice<V> search_groups(const Groups& groups, const Kind& kind) {
  BestTrials<V> best{{V::zero(), V::zero(), V::zero(), V::zero()}, {V::set(1), V::set(1)}, V::zero()};
  const std::size_t count = kind.count();
  std::size_t index = 0;
  for (; index + Groups::kTrials <= count; index += Groups::kTrials) {
    try_some<V, Groups::kTrials>(groups, kind, index, best);
  }
  for (; index < count; ++index) try_some<V, 1>(groups, kind, index, best);
  return {best.refined_scale(groups), best.trials.zero_point};
}

template <class V, class Kind>
Choice<V> search_batch(const GroupBatch<V>& batch, const SearchRule& rule) {
  const Kind kind(batch, rule);
  if (TurnedGroups<V>::fits(batch)) return search_groups<V>(TurnedGroups<V>(batch, V::zero()), kind);
  return search_groups<V>(GroupsInPlace<V>{batch}, kind);
}

// Fills the batch's starts: all at once by start_all, or one by one. What is not finite cuts it short; false then.
template <class V, class StartAll, class Start>
bool start_groups(GroupBatch<V>& batch, StartAll start_all, Start start) {
  Extents<V> extents;
  const bool finite = survey_groups(batch, extents);
  if (finite && start_all(extents, batch.starts)) return true;
  if (!finite) batch.size = finite_groups(batch);
  const auto minima = lanes_of<V>(extents.minima), maxima = lanes_of<V>(extents.maxima);
  for (std::size_t group = 0; group < kLanes; ++group) {
    if (group >= batch.size) batch.counts[group] = 0;
    const std::size_t count = batch.counts[group];
    batch.starts.set(
        group, count == 0 ? SearchStart{1, 0, 0} : start(batch.weights[group], count, minima[group], maxima[group]));
  }
  return finite;
}

// Calls finish(batch, index of its first group) for all groups; the number of rows done.
template <class V, class StartAll, class Start, class Finish>
std::size_t for_each_batch(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                           StartAll start_all, Start start, Finish finish) {
  GroupCursor cursor(weights, row_count, row_length, group_size);
  GroupBatch<V> batch;
  for (std::size_t index = 0; cursor.next(batch); index += batch.size) {
    const bool finite = start_groups(batch, start_all, start);
    finish(batch, index);
    if (!finite) return static_cast<std::size_t>(batch.weights[batch.size] - weights) / row_length;
  }
  return row_count;
}

// As finished_scale, of sixteen groups.
template <class V>
typename V::F finished_scales(typename V::F scaled, const SearchStarts<V>& starts, float farthest) {
  using F = typename V::F;
  const F zero = V::zero(), most = V::set(float_from_bits(bits_from_float(FLT_MAX / farthest) - 1));
  const F scale = V::mul(V::max_abs(scaled, scaled), inverse_of_unit<V>(starts.unit.get()));
  F magnitude = V::max(scale, V::set(FLT_MIN));
  magnitude = V::where_greater(V::mul(V::set(farthest), magnitude), V::set(FLT_MAX), most, magnitude);
  const F with_sign = V::where_greater(zero, scaled, V::sub(zero, magnitude), magnitude);
  return V::where_greater(V::max_abs(zero, starts.base.get()), zero, with_sign, V::set(1));
}

template <class V, class Kind>
std::size_t search_codes(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                         const SearchRule& rule, float* scales, std::int8_t* zero_points) {
  const auto start_all = [&](const Extents<V>& extents, SearchStarts<V>& starts) {
    return Kind::start(extents, rule, starts);
  };
  const auto start = [&](const float* group, std::size_t count, float minimum, float maximum) {
    return Kind::start(group, count, minimum, maximum, rule);
  };
  const auto finish = [&](const GroupBatch<V>& batch, std::size_t index) {
    const Choice<V> choice = search_batch<V, Kind>(batch, rule);
    V::store_part(scales + index, batch.size, finished_scales<V>(choice.scale, batch.starts, farthest_code(rule)));
    if constexpr (Kind::kZeroPoints) {
      const auto zeros = lanes_of<V>(choice.zero_point);
      for (std::size_t group = 0; group < batch.size; ++group) {
        const bool is_zero = batch.starts.base[group] == 0;
        zero_points[index + group] = is_zero ? std::int8_t{0} : static_cast<std::int8_t>(zeros[group]);
      }
    }
  };
  return for_each_batch<V>(weights, row_count, row_length, group_size, start_all, start, finish);
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

// The same, added up, of sixteen groups.
template <class V>
struct LineTotals {
  using F = typename V::F;

  static LineTotals none() { return {V::zero(), V::zero(), V::zero()}; }
  static MNQ_INLINE LineTotals sum(const LineTotals& a, const LineTotals& b) {
    return {V::add(a.codes, b.codes), V::add(a.with_weights, b.with_weights), V::add(a.squares, b.squares)};
  }
  MNQ_INLINE void add(F weight, F code) {
    codes = V::add(codes, code);
    with_weights = V::fma(weight, code, with_weights);
    squares = V::fma(code, code, squares);
  }

  F codes, with_weights, squares;
};

// Sixteen groups as they are. This and what follows both offer weight_sum() and add_up().
template <class V>
struct LinesInPlace {
  using F = typename V::F;
  static constexpr std::size_t kLines = V::kLines;

  F weight_sum() const {
    F lanes[kLanes], sum = V::zero();
    for (std::size_t chunk = 0; chunk < batch.chunk_count; ++chunk) {
      for_each_chunk(batch, chunk, [&](std::size_t group, const float* weights, std::size_t size) {
        lanes[group] = sum_weights(weights, size, batch.starts[group]);
      });
      sum = V::add(sum, V::sum_each(lanes));
    }
    return sum;
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
  void add_up(const F* inverse, const F* shift, LineTotals<V>* totals) const {
    LineLanes<V> lines[kCount];
    LineSums<V> lanes[kCount];
    for (std::size_t k = 0; k < kCount; ++k) {
      lines[k].inverse.set(inverse[k]);
      lines[k].shift.set(shift[k]);
      totals[k] = LineTotals<V>::none();
    }
    for (std::size_t chunk = 0; chunk < batch.chunk_count; ++chunk) {
      for_each_chunk(batch, chunk, [&](std::size_t group, const float* weights, std::size_t size) {
        sum_line_chunk<V, kCount>(weights, size, batch.starts[group], lines, top, group, lanes);
      });
      for (std::size_t k = 0; k < kCount; ++k) {
        totals[k] = LineTotals<V>::sum(totals[k], {V::sum_each(lanes[k].codes), V::sum_each(lanes[k].with_weights),
                                                   V::sum_each(lanes[k].squares)});
      }
    }
  }

  const GroupBatch<V>& batch;
  float top;
};

template <class V>
struct TurnedLines {
  using F = typename V::F;
  static constexpr std::size_t kLines = 2;

  struct NoCode {
    F operator()(F, std::size_t) const { return V::zero(); }
  };
  struct WeightSum {
    static WeightSum none() { return {V::zero()}; }
    static MNQ_INLINE WeightSum sum(const WeightSum& a, const WeightSum& b) { return {V::add(a.weights, b.weights)}; }
    MNQ_INLINE void add(F weight, F) { weights = V::add(weights, weight); }

    F weights;
  };

  TurnedLines(const GroupBatch<V>& batch, float highest)
      : groups(batch, batch.starts.middle.get()), top(V::set(highest)) {}

  F weight_sum() const {
    WeightSum sum;
    groups.template add_up<1>(NoCode(), &sum);
    return sum.weights;
  }

  template <std::size_t kCount>
  void add_up(const F* inverse, const F* shift, LineTotals<V>* totals) const {
    const auto code_of = [ =, this ](F weight, std::size_t k) __attribute__((always_inline)) {
      return V::min(V::max(V::round(V::fma(weight, inverse[k], shift[k])), V::zero()), top);
    };
    groups.template add_up<kCount>(code_of, totals);
  }

  TurnedGroups<V> groups;
  F top;
};

// What all trials of a batch share.
template <class V, class Groups>
struct LineSearch {
  using F = typename V::F;

  LineSearch(const GroupBatch<V>& batch, const Groups& of) : groups(of) {
    LaneArray<V> counts;
    for (std::size_t group = 0; group < kLanes; ++group) counts[group] = static_cast<float>(batch.counts[group]);
    count = counts.get();
    weight_sum = groups.weight_sum();
  }

  template <std::size_t kCount>
  void take(const F* inverse, const F* shift) {
    LineTotals<V> totals[kCount];
    groups.template add_up<kCount>(inverse, shift, totals);
    for (std::size_t k = 0; k < kCount; ++k) compare(totals[k]);
  }

  // Keeps the line of these sums where it explains more than the best one.
  void compare(const LineTotals<V>& of) {
    const F covariance = V::sub(V::mul(count, of.with_weights), V::mul(weight_sum, of.codes));
    const F variance = V::max(V::sub(V::mul(count, of.squares), V::mul(of.codes, of.codes)), V::set(1));
    const F scale = V::div(covariance, variance);
    const F energy = V::mul(covariance, scale);
    const F offset = V::div(V::sub(weight_sum, V::mul(scale, of.codes)), count);
    best.scale = V::where_greater(energy, best.energy, scale, best.scale);
    best.offset = V::where_greater(energy, best.energy, offset, best.offset);
    best.energy = V::where_greater(energy, best.energy, energy, best.energy);
  }

  const Groups& groups;
  F count, weight_sum;
  Lines<V> best{V::zero(), V::set(1), V::zero()};
};

template <class V, class Groups>
Lines<V> search_lines(const GroupBatch<V>& batch, const Groups& groups, const SearchRule& rule) {
  using F = typename V::F;
  LineSearch<V, Groups> search(batch, groups);
  const F base = batch.starts.base.get(), middle = V::set(0.5f * static_cast<float>(rule.highest - rule.lowest));
  F inverse[Groups::kLines], shift[Groups::kLines];
  std::size_t filled = 0;
  for (std::size_t i = 0; i < rule.candidate_count * rule.shift_count; ++i) {
    inverse[filled] = V::div(base, V::set(rule.candidates[i / rule.shift_count]));
    shift[filled++] = V::sub(middle, V::set(rule.shifts[i % rule.shift_count]));
    if (filled < Groups::kLines) continue;
    search.template take<Groups::kLines>(inverse, shift);
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
Lines<V> search_batch_of_lines(const GroupBatch<V>& batch, const SearchRule& rule) {
  const auto top = static_cast<float>(rule.highest - rule.lowest);
  if (TurnedGroups<V>::fits(batch)) return search_lines<V>(batch, TurnedLines<V>(batch, top), rule);
  return search_lines<V>(batch, LinesInPlace<V>{batch, top}, rule);
}

// As finished_minimum, of sixteen groups.
template <class V>
typename V::F finished_minima(typename V::F offsets, const SearchStarts<V>& starts) {
  using F = typename V::F;
  const F offset = V::where_greater(V::max_abs(V::zero(), starts.base.get()), V::zero(), offsets, V::zero());
  const F minimum = V::mul(V::add(starts.middle.get(), offset), inverse_of_unit<V>(starts.unit.get()));
  return V::min(V::max(minimum, V::set(-FLT_MAX)), V::set(FLT_MAX));
}

// As finished_scale_above, of sixteen groups.
template <class V>
typename V::F finished_scales_above(typename V::F minima, typename V::F scaled, const SearchStarts<V>& starts,
                                    float top) {
  using F = typename V::F;
  const F scale = finished_scales<V>(scaled, starts, top), most = V::set(FLT_MAX);
  const F room = V::where_greater(minima, V::zero(), V::sub(most, minima), most);
  const F limit = V::mul(V::div(room, V::set(top)), V::set(1 - 0x1p-22f));
  return V::where_greater(V::mul(V::set(top), scale), room, V::max(limit, V::set(FLT_MIN)), scale);
}

template <class V>
std::size_t search_minimum(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                           const SearchRule& rule, float* scales, float* minima) {
  const auto top = static_cast<float>(rule.highest - rule.lowest);
  const auto start_all = [&](const Extents<V>& extents, SearchStarts<V>& starts) {
    set_range_starts(extents, rule, starts);
    return true;
  };
  const auto start = [&](const float*, std::size_t, float minimum, float maximum) {
    return range_start(minimum, maximum, rule);
  };
  const auto finish = [&](const GroupBatch<V>& batch, std::size_t index) {
    const Lines<V> best = search_batch_of_lines(batch, rule);
    const auto found = finished_minima<V>(best.offset, batch.starts);
    V::store_part(minima + index, batch.size, found);
    V::store_part(scales + index, batch.size, finished_scales_above<V>(found, best.scale, batch.starts, top));
  };
  return for_each_batch<V>(weights, row_count, row_length, group_size, start_all, start, finish);
}

}  // namespace
}  // namespace mnq::kernels
