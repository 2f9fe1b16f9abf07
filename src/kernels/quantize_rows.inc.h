// The loops over rows that every vector instruction set shares. Included by kernels_avx2.cpp and kernels_avx512.cpp
// inside their target pragma; Vector is 16 float32 lanes and the few operations on them that differ.
//
// Two passes over a row: ranges and scales, then codes and sums while the row is still in cache and the next one is
// being fetched. So the weights are read from memory once, at what one core can read. Fetching a part of it in the
// first pass, too, was slower by a tenth. With AVX-512 floats are fetched into L2, else into L1, for which there is
// time.
#include "kernels/code_vectors.inc.h"

namespace mnq::kernels {
namespace {

constexpr std::size_t kRangeBlock = 4 * kLanes;
constexpr std::size_t kChunk = 1024;                        // elements after which lanes may be flushed
constexpr std::size_t kFlushSteps = 64;                     // of kLanes elements
constexpr std::size_t kMinPrefetch = 2048;                  // elements: shorter rows are prefetched by several
constexpr std::size_t kMaxPrefetch = 1u << 16;              // longer rows would push each other out of L2
constexpr std::size_t kStreamBytes = std::size_t{2} << 20;  // larger outputs go around the caches

// Whether an output is written with non-temporal stores.
inline bool is_streamed(const void* output, std::size_t size_bytes, std::size_t row_bytes) {
  return size_bytes > kStreamBytes && reinterpret_cast<std::uintptr_t>(output) % 64 == 0 && row_bytes % 64 == 0;
}

// A vector of weights comes from one line of a cache, or half of one.
constexpr std::size_t vectors_of_line(const float*) { return 1; }
constexpr std::size_t vectors_of_line(BrainFloats) { return 2; }

// 0 in the lanes from `count` on.
template <class V>
typename V::F first_lanes(typename V::F values, std::size_t count) {
  alignas(64) float all[kLanes];
  V::store(all, values, false);
  return V::load_part(all, count, V::zero());
}

// Sums in the order that kernel_table.h fixes.
template <class V>
class RowSums {
 public:
  using F = typename V::F;

  void start(float unit) {
    unit_ = unit;
    signal_ = error_ = 0;
    largest_ = signal_lanes_ = error_lanes_ = V::zero();
    steps_ = 0;
  }
  float unit() const { return unit_; }

  /// `scaled` and `dequantized` are times unit.
  MNQ_INLINE void add(F scaled, F dequantized) {
    const F lost = V::sub(scaled, dequantized);
    signal_lanes_ = V::fma(scaled, scaled, signal_lanes_);
    error_lanes_ = V::fma(lost, lost, error_lanes_);
    largest_ = V::max_abs(largest_, lost);
  }

  void end_chunk(std::size_t count) {
    steps_ += (count + kLanes - 1) / kLanes;
    if (steps_ >= kFlushSteps) flush();
  }

  ErrorSums finish() {
    flush();
    const double scale = 1.0 / unit_;
    return {signal_ * scale * scale, error_ * scale * scale, V::largest(largest_) * scale};
  }

 private:
  void flush() {
    signal_ += V::sum(signal_lanes_);
    error_ += V::sum(error_lanes_);
    signal_lanes_ = error_lanes_ = V::zero();
    steps_ = 0;
  }

  F signal_lanes_, error_lanes_, largest_;
  double signal_, error_;
  std::size_t steps_;
  float unit_;
};

// The range of some weights, lane by lane.
template <class V, bool kSigned>
struct RangeLanes {
  typename V::Bits magnitudes;  // the largest ones
  typename V::F minimum, maximum;
};

template <class V, bool kSigned, class Weights>
MNQ_INLINE RangeLanes<V, kSigned> range_lanes_of(Weights weights, std::size_t count) {
  using F = typename V::F;
  auto bits = V::zero_bits();
  auto more_bits = bits;
  const F first = V::set(count == 0 ? 0 : weights[0]);
  F minimum = first, maximum = first;
  const auto take = [&](F values, auto& into) {
    into = V::max_bits(into, values);
    if constexpr (kSigned) {
      minimum = V::min(minimum, values);
      maximum = V::max(maximum, values);
    }
  };
  std::size_t i = 0;
  for (; i + kRangeBlock <= count; i += kRangeBlock) {
    take(V::load(weights + i), bits);
    take(V::load(weights + i + kLanes), more_bits);
    take(V::load(weights + i + 2 * kLanes), bits);
    take(V::load(weights + i + 3 * kLanes), more_bits);
  }
  for (; i + kLanes <= count; i += kLanes) take(V::load(weights + i), bits);
  // What is beyond the end repeats the first value, which changes no range.
  if (i < count) take(V::load_part(weights + i, count - i, first), bits);
  return {V::max_unsigned(bits, more_bits), minimum, maximum};
}

// Magnitudes of bfloat16 are compared as they are, twice as many at once.
template <class V, bool kSigned>
requires(!kSigned) MNQ_INLINE RangeLanes<V, kSigned> range_lanes_of(BrainFloats weights, std::size_t count) {
  auto halves = V::zero_bits(), more_halves = halves;
  std::size_t i = 0;
  for (; i + kRangeBlock <= count; i += kRangeBlock) {
    halves = V::max_halves(halves, weights.at + i);
    more_halves = V::max_halves(more_halves, weights.at + i + 2 * kLanes);
  }
  if (i + 2 * kLanes <= count) {
    halves = V::max_halves(halves, weights.at + i);
    i += 2 * kLanes;
  }
  auto bits = V::max_unsigned(V::widen_max_halves(halves), V::widen_max_halves(more_halves));
  for (; i < count; i += kLanes) {
    const std::size_t rest = count - i;
    bits = V::max_bits(bits, rest < kLanes ? V::load_part(weights + i, rest, V::zero()) : V::load(weights + i));
  }
  return {bits, V::zero(), V::zero()};
}

// Of two vectors.
template <class V, bool kSigned, class Weights>
MNQ_INLINE RangeLanes<V, kSigned> range_lanes_of_two(Weights weights) {
  const auto a = V::load(weights), b = V::load(weights + kLanes);
  return {V::max_bits(V::max_bits(V::zero_bits(), a), b), V::min(a, b), V::max(a, b)};
}

template <class V, bool kSigned, class Weights>
Range range_of(Weights weights, std::size_t count) {
  const RangeLanes<V, kSigned> lanes = range_lanes_of<V, kSigned>(weights, count);
  Range range{0, 0, V::largest_bits(lanes.magnitudes)};
  if constexpr (kSigned) {
    range.minimum = V::smallest(lanes.minimum) + 0.0f;  // + 0: of 0 and -0 none is smaller
    range.maximum = V::largest(lanes.maximum) + 0.0f;
  }
  return range;
}

template <class V>
Range range(const float* weights, std::size_t count) {
  return range_of<V, true>(weights, count);
}

// Codes and sums of a row, piece by piece. Its sums are a copy that stays in registers: what codes are stored to could
// be sums.
template <class V, Codes kCodes>
struct PieceCoder {
  using F = typename V::F;
  static constexpr std::size_t kVectors = V::kVectors, kBlock = kVectors * kLanes;
  static constexpr bool kUnsigned = are_floats(kCodes);

  const RowCoder<V, kCodes> row;
  const bool stream;
  RowSums<V> sums;

  // A block whose vectors lie in one group or, half of them each, in two.
  template <std::size_t kGroups, class Weights>
  MNQ_INLINE void block(Weights weights, const GroupCoder<V>* groups, Weights ahead, std::int8_t* codes) {
    F w[kVectors], n[kVectors];
    typename V::Bits c[kVectors];
    MNQ_UNROLL
    for (std::size_t k = 0; k < kVectors; ++k) {
      w[k] = V::load(weights + k * kLanes);
      n[k] = kCodes == Codes::kAboveMinimum ? V::sub(w[k], groups[k * kGroups / kVectors].minimum) : w[k];
    }
    MNQ_UNROLL
    for (std::size_t k = 0; k < kVectors; k += vectors_of_line(ahead)) V::prefetch(ahead + k * kLanes);
    code_vectors<V, kCodes, kVectors, kGroups>(row, groups, n, c);
    MNQ_UNROLL
    for (std::size_t k = 0; k < kVectors; ++k) {
      const GroupCoder<V>& group = groups[k * kGroups / kVectors];
      sums.add(scaled(w[k]), dequantize_vector<V, kCodes>(group, n[k], group.scaled_minimum));
    }
    store_block(c, codes);
  }

  // Up to one vector.
  template <class Weights>
  MNQ_INLINE void part(Weights weights, std::size_t count, const GroupCoder<V>& group, std::int8_t* codes) {
    const F w = count < kLanes ? V::load_part(weights, count, V::zero()) : V::load(weights);
    F n = w, scaled_minimum = group.scaled_minimum;
    if constexpr (kCodes == Codes::kAboveMinimum) {
      n = V::sub(count < kLanes ? V::load_part(weights, count, group.minimum) : w, group.minimum);
      if (count < kLanes) scaled_minimum = first_lanes<V>(scaled_minimum, count);
    }
    typename V::Bits c;
    code_vectors<V, kCodes, 1, 1>(row, &group, &n, &c);
    sums.add(scaled(w), dequantize_vector<V, kCodes>(group, n, scaled_minimum));
    if constexpr (kCodes != Codes::kInside && !are_floats(kCodes)) {
      if (row.codes_of_byte_log2 != 0) return V::store_nibbles_part(c, codes);
    }
    V::template store_codes_part<kUnsigned>(c, row.code_xor, count, codes);
  }

  MNQ_INLINE void store_block(const typename V::Bits* block_codes, std::int8_t* codes) const {
    if constexpr (kCodes != Codes::kInside && !are_floats(kCodes)) {
      if (row.codes_of_byte_log2 != 0) return V::store_nibbles(block_codes, codes);
    }
    V::template store_codes<kUnsigned>(block_codes, row.code_xor, stream, codes);
  }

  // Where the code of an element lies.
  MNQ_INLINE std::int8_t* place(std::int8_t* codes, std::size_t i) const {
    return codes + (i >> row.codes_of_byte_log2);
  }

  // A weight as the sums have it: beside codes that are floats without its sign.
  MNQ_INLINE F scaled(F weight) const { return V::mul(are_floats(kCodes) ? V::magnitude(weight) : weight, row.unit); }

  // A group of any size.
  template <class Weights>
  MNQ_INLINE void group(Weights weights, std::size_t count, const GroupCoder<V>& group, Weights ahead,
                        std::int8_t* codes) {
    for (std::size_t begin = 0; begin < count; begin += kChunk) {
      const std::size_t size = count - begin < kChunk ? count - begin : kChunk;
      std::size_t i = begin;
      for (; i + kBlock <= begin + size; i += kBlock) {
        block<1>(weights + i, &group, ahead + i, place(codes, i));
      }
      for (; i < begin + size; i += kLanes) {
        const std::size_t rest = begin + size - i;
        part(weights + i, rest < kLanes ? rest : kLanes, group, place(codes, i));
      }
      sums.end_chunk(size);
    }
  }

  // Groups of whole blocks, or kGroups of them to a block; up to a chunk each. The number of elements.
  template <std::size_t kGroups, class Weights>
  MNQ_INLINE std::size_t whole_groups(Weights weights, std::size_t count, std::size_t size,
                                      const GroupCoders<V, kCodes>& coders, Weights ahead, std::int8_t* codes) {
    const std::size_t block_bytes = kBlock >> row.codes_of_byte_log2;
    std::size_t i = 0;
    for (std::size_t first = 0; first + kGroups <= count; first += kGroups) {
      GroupCoder<V> groups[kGroups];
      MNQ_UNROLL
      for (std::size_t k = 0; k < kGroups; ++k) groups[k] = coders.at(first + k);
      for (const std::size_t end = i + kGroups * size; i < end; i += kBlock, codes += block_bytes) {
        block<kGroups>(weights + i, groups, ahead + i, codes);
      }
      sums.end_chunk(kGroups * size);
    }
    return i;
  }
};

// As scale_for, for up to sixteen groups. magnitudes: the largest of each.
template <class V, bool kSigned>
struct GroupRanges {
  typename V::F magnitudes, minima, maxima;

  void choose(const CodeRule& rule, std::size_t count, float* scales, std::int8_t* zero_points) const {
    if (V::any_above(magnitudes, 0x1p100f)) return choose_each(rule, count, scales, zero_points);
    using F = typename V::F;
    const F low = V::min(minima, V::zero()), high = V::max(maxima, V::zero());
    const F range = kSigned ? V::sub(high, low) : magnitudes;
    const F steps = V::set(kSigned ? static_cast<float>(rule.code_max - rule.code_min) : rule.symmetric_divisor);
    const F some = V::max(V::div(range, steps), V::set(FLT_MIN));
    const F scale = V::where_greater(range, V::zero(), some, V::set(1));
    V::store_part(scales, count, stored(scale, rule.scale_floats));
    if (zero_points == nullptr) return;
    const F code_min = V::set(static_cast<float>(rule.code_min)), code_max = V::set(static_cast<float>(rule.code_max));
    F zero = V::zero();
    if constexpr (kSigned) {
      zero = V::max(V::min(V::round(V::sub(code_min, V::div(low, scale))), code_max), code_min);
      zero = V::where_greater(range, V::zero(), zero, V::zero());
    }
    V::template store_codes_part<false>(V::to_ints(zero), 0, count, zero_points);
  }

  static typename V::F stored(typename V::F scale, ScaleFloats as) {
    std::uint16_t ignored[kLanes];
    if (as == ScaleFloats::kFloat32) return scale;
    if (as == ScaleFloats::kBrain) return V::template store_halves<true>(scale, ignored);
    const auto rounded = V::template store_halves<false>(scale, ignored);
    return V::where_greater(rounded, V::zero(), rounded, V::set(kLeastHalf));
  }

  void choose_each(const CodeRule& rule, std::size_t count, float* scales, std::int8_t* zero_points) const {
    LaneArray<V> magnitude, minimum, maximum;
    magnitude.set(magnitudes);
    minimum.set(minima);
    maximum.set(maxima);
    for (std::size_t i = 0; i < count; ++i) {
      const Range range{minimum[i] + 0.0f, maximum[i] + 0.0f, bits_from_float(magnitude[i])};
      const CodeScale scale = scale_for(range, rule);
      scales[i] = stored_scale(scale.scale, rule.scale_floats);
      if (zero_points != nullptr) zero_points[i] = static_cast<std::int8_t>(scale.zero_point);
    }
  }
};

// Scales that are chosen from the weights in the first pass over a row. kSigned: zero points, too.
template <class V, bool kSigned>
struct ChosenScales {
  const CodeRule& rule;
  float* scales;
  std::int8_t* zero_points;

  /// The first pass; the bits of the row's largest magnitude.
  template <class Weights>
  __attribute__((noinline)) std::uint32_t survey(Weights weights, std::size_t row_length,
                                                 std::size_t group_size) const {
    if (row_length <= group_size) return survey_one(weights, row_length);
    auto largest = V::zero_bits();
    for (std::size_t begin = 0, group = 0; begin < row_length; begin += kLanes * group_size, group += kLanes) {
      largest = V::max_unsigned(largest, survey_sixteen(weights + begin, row_length - begin, group_size, group));
    }
    return V::largest_bits(largest);
  }

  GroupScales known() const { return {scales, kSigned ? zero_points : nullptr, nullptr}; }

  void end_row(std::size_t groups) {
    scales += groups;
    if (zero_points != nullptr) zero_points += groups;
  }

 private:
  template <class Weights>
  std::uint32_t survey_one(Weights weights, std::size_t row_length) const {
    const Range range = range_of<V, kSigned>(weights, row_length);
    if (row_length == 0) return range.max_abs_bits;
    const CodeScale scale = scale_for(range, rule);
    *scales = stored_scale(scale.scale, rule.scale_floats);
    if (zero_points != nullptr) *zero_points = static_cast<std::int8_t>(scale.zero_point);
    return range.max_abs_bits;
  }

  // Groups from `first` on, up to sixteen; the bits of their largest magnitudes, in any lanes.
  template <class Weights>
  typename V::Bits survey_sixteen(Weights weights, std::size_t length, std::size_t group_size,
                                  std::size_t first) const {
    typename V::F magnitudes[kLanes], minima[kLanes], maxima[kLanes];
    auto largest = V::zero_bits();
    std::size_t count = 0;
    for (std::size_t begin = 0; count < kLanes && begin < length; begin += group_size, ++count) {
      const std::size_t size = length - begin < group_size ? length - begin : group_size;
      const auto lanes = size == 2 * kLanes ? range_lanes_of_two<V, kSigned>(weights + begin)
                                            : range_lanes_of<V, kSigned>(weights + begin, size);
      largest = V::max_unsigned(largest, lanes.magnitudes);
      magnitudes[count] = V::as_floats(lanes.magnitudes);
      minima[count] = lanes.minimum;
      maxima[count] = lanes.maximum;
    }
    for (std::size_t i = count; i < kLanes; ++i) magnitudes[i] = minima[i] = maxima[i] = V::zero();
    GroupRanges<V, kSigned> ranges{V::max_unsigned_each(magnitudes), V::zero(), V::zero()};
    if constexpr (kSigned) {
      ranges.minima = V::min_each(minima);
      ranges.maxima = V::max_each(maxima);
    }
    ranges.choose(rule, count, scales + first, zero_points == nullptr ? nullptr : zero_points + first);
    return largest;
  }
};

template <class V>
struct KnownScales {
  GroupScales groups;

  __attribute__((noinline)) std::uint32_t survey(const float* weights, std::size_t row_length, std::size_t) const {
    return range_of<V, false>(weights, row_length).max_abs_bits;
  }

  const GroupScales& known() const { return groups; }
  void end_row(std::size_t count) { groups = groups.from(count); }
};

// The second pass over a row.
template <class V, Codes kCodes, class Weights, class Rule>
void code_row(Weights weights, std::size_t row_length, std::size_t group_size, const GroupScales& scales,
              const Rule& rule, Weights ahead, bool stream, std::int8_t* codes, RowSums<V>& sums) {
  using Coder = PieceCoder<V, kCodes>;
  Coder coder{RowCoder<V, kCodes>(rule, sums.unit()), stream, sums};
  const std::size_t groups = row_length / group_size + (row_length % group_size != 0 ? 1 : 0);
  GroupCoders<V, kCodes> coders;
  for (std::size_t first = 0, begin = 0; first < groups; first += kLanes) {
    const std::size_t count = groups - first < kLanes ? groups - first : kLanes;
    coders.make(scales.from(first), count, rule, sums.unit());
    const std::size_t rest = (row_length - begin) / group_size, whole = rest < count ? rest : count;
    std::size_t done = 0;
    if (group_size % Coder::kBlock == 0 && group_size <= kChunk) {
      done = coder.template whole_groups<1>(weights + begin, whole, group_size, coders, ahead + begin,
                                            coder.place(codes, begin));
    }
    // Of 16 weights there are groups only of floats.
    if constexpr (V::kVectors > 2 || are_floats(kCodes)) {
      if (2 * group_size == Coder::kBlock) {
        done = coder.template whole_groups<2>(weights + begin, whole, group_size, coders, ahead + begin,
                                              coder.place(codes, begin));
      }
    }
    begin += done;
    for (std::size_t group = done / group_size; group < count; ++group) {
      const std::size_t size = row_length - begin < group_size ? row_length - begin : group_size;
      coder.group(weights + begin, size, coders.at(group), ahead + begin, coder.place(codes, begin));
      begin += size;
    }
  }
  sums = coder.sums;
}

// Rows as they are stored, one after the other.
template <class Weights>
struct StoredRows {
  Weights weights;

  Weights get(std::size_t) const { return weights; }
  Weights ahead(std::size_t distance) const { return weights + distance; }
  void end_row(std::size_t length) { weights = weights + length; }
};

inline std::size_t groups_of(std::size_t row_length, std::size_t group_size) {
  return row_length / group_size + (row_length % group_size != 0 ? 1 : 0);
}

struct RowShape {
  std::size_t count, length, group_size;
};

template <class V, Codes kCodes, class Rows, class Scales, class Rule>
std::size_t quantize_rows_with(Rows rows, const RowShape& shape, Scales scales, const Rule& rule, std::int8_t* codes,
                               ErrorSums* sums) {
  const std::size_t length = shape.length, group_size = shape.group_size;
  const std::size_t groups = groups_of(length, group_size);
  const bool has_whole_blocks = groups == 1 || group_size % 64 == 0 || group_size == 32;
  const std::size_t code_bytes = rule.is_packed ? length / 2 : length;
  const bool stream = has_whole_blocks && !rule.is_packed && is_streamed(codes, shape.count * length, length);
  const std::size_t distance = length > kMaxPrefetch ? 0 : length < kMinPrefetch ? kMinPrefetch : length;
  RowSums<V> row_sums;
  for (std::size_t row = 0; row < shape.count; ++row) {
    const auto weights = rows.get(length);
    const std::uint32_t largest = scales.survey(weights, length, group_size);
    if (largest >= kInfinityBits) return row;
    row_sums.start(unit_for(largest));
    code_row<V, kCodes>(weights, length, group_size, scales.known(), rule, rows.ahead(distance), stream, codes,
                        row_sums);
    if (sums != nullptr) sums[row] = row_sums.finish();
    rows.end_row(length);
    codes += code_bytes;
    scales.end_row(groups);
  }
  if (stream) V::end_stream();
  return shape.count;
}

// Of float16 the least scales lose more than half a code.
inline bool keeps_codes_inside(const CodeRule& rule) {
  return has_mirrored_codes(rule) && rule.scale_floats != ScaleFloats::kHalf;
}

template <class V>
std::size_t quantize_rows(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                          const CodeRule& rule, float* scales, std::int8_t* zero_points, std::int8_t* codes,
                          ErrorSums* sums) {
  const RowShape shape{row_count, row_length, group_size};
  const StoredRows<const float*> rows{weights};
  if (!rule.symmetric) {
    const ChosenScales<V, true> chosen{rule, scales, zero_points};
    return quantize_rows_with<V, Codes::kClamped>(rows, shape, chosen, rule, codes, sums);
  }
  const ChosenScales<V, false> chosen{rule, scales, zero_points};
  if (keeps_codes_inside(rule)) return quantize_rows_with<V, Codes::kInside>(rows, shape, chosen, rule, codes, sums);
  if (has_tied_codes(rule)) return quantize_rows_with<V, Codes::kTied>(rows, shape, chosen, rule, codes, sums);
  return quantize_rows_with<V, Codes::kClamped>(rows, shape, chosen, rule, codes, sums);
}

// Rows of floats of 16 bits, each as float32 in the same memory: quantize(row, index) says whether it could be done.
template <class Quantize>
std::size_t quantize_widened(const std::uint16_t* weights, bool is_brain, float* row, std::size_t row_count,
                             std::size_t row_length, const Quantize& quantize) {
  for (std::size_t i = 0; i < row_count; ++i, weights += row_length) {
    (is_brain ? avx2::bf16_to_f32 : avx2::f16_to_f32)(weights, row_length, row);
    if (!quantize(i)) return i;
  }
  return row_count;
}

// bfloat16 is read as it is where codes are symmetric and not cut: there it gains most.
template <class V>
std::size_t quantize_halves(const std::uint16_t* weights, bool is_brain, float* row, std::size_t row_count,
                            std::size_t row_length, std::size_t group_size, const CodeRule& rule, float* scales,
                            std::int8_t* zero_points, std::int8_t* codes, ErrorSums* sums) {
  if (is_brain && rule.symmetric && (keeps_codes_inside(rule) || has_tied_codes(rule))) {
    const RowShape shape{row_count, row_length, group_size};
    const StoredRows<BrainFloats> rows{{weights}};
    const ChosenScales<V, false> chosen{rule, scales, zero_points};
    return keeps_codes_inside(rule) ? quantize_rows_with<V, Codes::kInside>(rows, shape, chosen, rule, codes, sums)
                                    : quantize_rows_with<V, Codes::kTied>(rows, shape, chosen, rule, codes, sums);
  }
  const std::size_t groups = groups_of(row_length, group_size);
  const std::size_t code_bytes = rule.is_packed ? row_length / 2 : row_length;
  return quantize_widened(weights, is_brain, row, row_count, row_length, [&](std::size_t i) {
    return quantize_rows<V>(row, 1, row_length, group_size, rule, scales + i * groups,
                            zero_points == nullptr ? nullptr : zero_points + i * groups, codes + i * code_bytes,
                            sums == nullptr ? nullptr : sums + i) == 1;
  });
}

template <class V>
std::size_t encode_rows(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                        const CodeRule& rule, const float* scales, const std::int8_t* zero_points, const float* minima,
                        std::int8_t* codes, ErrorSums* sums) {
  const KnownScales<V> known{{scales, zero_points, minima}};
  const RowShape shape{row_count, row_length, group_size};
  const StoredRows<const float*> rows{weights};
  if (minima == nullptr) return quantize_rows_with<V, Codes::kClamped>(rows, shape, known, rule, codes, sums);
  return quantize_rows_with<V, Codes::kAboveMinimum>(rows, shape, known, rule, codes, sums);
}

template <class V>
void encode_floats(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                   const FloatRule& rule, const float* scales, std::int8_t* codes, ErrorSums* sums) {
  const KnownScales<V> known{{scales, nullptr, nullptr}};
  const RowShape shape{row_count, row_length, group_size};
  quantize_rows_with<V, Codes::kFloats>(StoredRows<const float*>{weights}, shape, known, FloatPowers(rule), codes,
                                        sums);
}

template <class V>
std::size_t quantize_floats(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                            const FloatRule& rule, float* scales, std::int8_t* codes, ErrorSums* sums) {
  const CodeRule scale_rule = scale_rule_of(rule);
  const ChosenScales<V, false> chosen{scale_rule, scales, nullptr};
  const RowShape shape{row_count, row_length, group_size};
  return quantize_rows_with<V, Codes::kFloats>(StoredRows<const float*>{weights}, shape, chosen, FloatPowers(rule),
                                               codes, sums);
}

template <class V>
std::size_t quantize_float_halves(const std::uint16_t* weights, bool is_brain, float* row, std::size_t row_count,
                                  std::size_t row_length, std::size_t group_size, const FloatRule& rule, float* scales,
                                  std::int8_t* codes, ErrorSums* sums) {
  if (is_brain && rule.scale_floats != ScaleFloats::kHalf) {
    const CodeRule scale_rule = scale_rule_of(rule);
    const ChosenScales<V, false> chosen{scale_rule, scales, nullptr};
    const RowShape shape{row_count, row_length, group_size};
    const StoredRows<BrainFloats> rows{{weights}};
    return quantize_rows_with<V, Codes::kFloatsInside>(rows, shape, chosen, FloatPowers(rule), codes, sums);
  }
  const std::size_t groups = groups_of(row_length, group_size);
  return quantize_widened(weights, is_brain, row, row_count, row_length, [&](std::size_t i) {
    return quantize_floats<V>(row, 1, row_length, group_size, rule, scales + i * groups, codes + i * row_length,
                              sums == nullptr ? nullptr : sums + i) == 1;
  });
}

template <class V>
void quantize_run(const float* weights, std::size_t count, float scale, std::int32_t zero_point, const CodeRule& rule,
                  std::int8_t* codes, ErrorSums* sums) {
  RowSums<V> run_sums;
  run_sums.start(unit_for_scale(scale));
  const auto zero = static_cast<std::int8_t>(zero_point);
  const GroupScales scales{&scale, &zero, nullptr};
  if (count > 0) {
    code_row<V, Codes::kClamped>(weights, count, count, scales, rule, weights, false, codes, run_sums);
  }
  if (sums != nullptr) *sums = run_sums.finish();
}

template <class V>
void dequantize_rows(const std::int8_t* codes, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                     std::uint8_t code_xor, const float* scales, const std::int8_t* zero_points, float* weights) {
  const bool stream = is_streamed(weights, row_count * row_length * sizeof(float), row_length * sizeof(float)) &&
                      (group_size >= row_length || group_size % kLanes == 0);
  for (std::size_t row = 0; row < row_count; ++row, codes += row_length, weights += row_length) {
    for (std::size_t begin = 0; begin < row_length; begin += group_size) {
      const std::size_t end = row_length - begin < group_size ? row_length : begin + group_size;
      const typename V::CodeStart start(zero_points == nullptr ? 0 : *zero_points++, code_xor);
      const auto scale = V::set(*scales++);
      for (std::size_t i = begin; i < end; i += kLanes) {
        if (end - i < kLanes) {
          V::store_part(weights + i, end - i, V::mul(start.load_part(codes + i, end - i), scale));
        } else {
          V::store(weights + i, V::mul(start.load(codes + i), scale), stream);
        }
      }
    }
  }
  if (stream) V::end_stream();
}

template <class V>
ErrorSums error_sums(const float* reference, const float* other, std::size_t count) {
  const std::uint32_t largest = range_of<V, false>(reference, count).max_abs_bits;
  const std::uint32_t largest_other = range_of<V, false>(other, count).max_abs_bits;
  RowSums<V> sums;
  sums.start(unit_for(largest > largest_other ? largest : largest_other));
  const auto unit = V::set(sums.unit());
  for (std::size_t begin = 0; begin < count; begin += kChunk) {
    const std::size_t size = count - begin < kChunk ? count - begin : kChunk;
    for (std::size_t i = begin; i < begin + size; i += kLanes) {
      const std::size_t rest = begin + size - i;
      const auto a = rest < kLanes ? V::load_part(reference + i, rest, V::zero()) : V::load(reference + i);
      const auto b = rest < kLanes ? V::load_part(other + i, rest, V::zero()) : V::load(other + i);
      sums.add(V::mul(a, unit), V::mul(b, unit));
    }
    sums.end_chunk(size);
  }
  return sums.finish();
}

// Up to one vector, of which what is beyond the end is 0: as it is stored, and what that is.
template <class V, bool kBrain>
MNQ_INLINE typename V::F cast_part(typename V::F values, std::size_t count, std::uint16_t* to) {
  if (count >= kLanes) return V::template store_halves<kBrain>(values, to);
  std::uint16_t all[kLanes];
  const auto cast = V::template store_halves<kBrain>(values, all);
  for (std::size_t i = 0; i < count; ++i) to[i] = all[i];
  return cast;
}

// The larger one of a magnitude and what is left of it: as rounding keeps the order, the largest of all weights and of
// what is left of them.
template <class V, bool kBrain>
std::uint32_t largest_with_cast(std::uint32_t magnitude_bits) {
  if (magnitude_bits >= kInfinityBits) return magnitude_bits;
  const float magnitude = float_from_bits(magnitude_bits);
  std::uint16_t ignored[kLanes];
  const float cast = V::largest(V::template store_halves<kBrain>(V::set(magnitude), ignored));
  return bits_from_float(cast > magnitude ? cast : magnitude);
}

// Up to a chunk.
template <class V, bool kBrain>
bool cast_chunk(const float* weights, std::size_t count, std::uint16_t* to, ErrorSums& sums) {
  const std::uint32_t largest = largest_with_cast<V, kBrain>(range_of<V, false>(weights, count).max_abs_bits);
  if (largest >= kInfinityBits) return false;
  RowSums<V> chunk;
  chunk.start(unit_for(largest));
  const auto unit = V::set(chunk.unit());
  for (std::size_t i = 0; i < count; i += kLanes) {
    const std::size_t rest = count - i;
    const auto w = rest < kLanes ? V::load_part(weights + i, rest, V::zero()) : V::load(weights + i);
    chunk.add(V::mul(w, unit), V::mul(cast_part<V, kBrain>(w, rest, to + i), unit));
  }
  sums.add(chunk.finish());
  return true;
}

template <class V, bool kBrain>
bool cast_to(const float* weights, std::size_t count, std::uint16_t* to, ErrorSums* sums) {
  *sums = {};
  for (std::size_t begin = 0; begin < count; begin += kChunk) {
    const std::size_t size = count - begin < kChunk ? count - begin : kChunk;
    if (!cast_chunk<V, kBrain>(weights + begin, size, to + begin, *sums)) return false;
  }
  return true;
}

template <class V>
bool cast_to_halves(const float* weights, std::size_t count, bool to_brain, std::uint16_t* to, ErrorSums* sums) {
  return to_brain ? cast_to<V, true>(weights, count, to, sums) : cast_to<V, false>(weights, count, to, sums);
}

}  // namespace
}  // namespace mnq::kernels
