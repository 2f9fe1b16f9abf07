// The loops over rows that every vector instruction set shares. Included by kernels_avx2.cpp and kernels_avx512.cpp
// inside their target pragma; Vector is 16 float32 lanes and the few operations on them that differ.
//
// Two passes over a row: ranges and scales, then codes and sums while the row is still in cache and the next one is
// being fetched. So the weights are read from memory once, at what one core can read.
//
// The quotient. Division would cost as much as all the rest, so codes come from weight * (1 / scale). For a scale in
// [2^-100, 2^100], not 2^-100 times smaller than the weights, nothing overflows or is denormal that matters, and 1 /
// scale and the product are off by 2^-24 each, the quotient that is asked for by 2^-24: with |quotient| <= 256 the two
// differ by less than 256 * 3 * 2^-24 < 2^-14. They round to the same integer unless the product lies within 2^-14 of a
// tie. A block in which one does is divided after all: 1 in 120 blocks of 64.
#include "kernels/code_scale.h"
#include "kernels/kernel_tables.h"

// GCC at -O2 keeps even loops of four, and with them their registers in memory: half the speed.
#if defined(__clang__)
#define MNQ_UNROLL _Pragma("unroll")
#else
#define MNQ_UNROLL _Pragma("GCC unroll 8")
#endif

namespace mnq::kernels {
namespace {

constexpr std::size_t kLanes = 16;
constexpr std::size_t kBlock = 4 * kLanes;
constexpr std::size_t kChunk = 1024;     // elements after which lanes may be flushed
constexpr std::size_t kFlushSteps = 64;  // of kLanes elements
constexpr float kNearTie = 0.5f - 0x1p-14f;
constexpr std::size_t kMinPrefetch = 2048;                  // elements: shorter rows are prefetched by several
constexpr std::size_t kMaxPrefetch = 1u << 16;              // longer rows would push each other out of L2
constexpr std::size_t kStreamBytes = std::size_t{2} << 20;  // larger outputs go around the caches

// Whether an output is written with non-temporal stores.
inline bool is_streamed(const void* output, std::size_t size_bytes, std::size_t row_bytes) {
  return size_bytes > kStreamBytes && reinterpret_cast<std::uintptr_t>(output) % 64 == 0 && row_bytes % 64 == 0;
}

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
  void add(F scaled, F dequantized) {
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

// The two passes over a row share what is fetched of the next one: the first a quarter, the second the rest, so that
// the memory never waits for either. `ahead` points to the part that belongs to what is worked on; any address will do.
template <class V>
inline void prefetch_in_first_pass(const float* ahead, std::size_t i) {
  V::prefetch(ahead + i / 4);
}
template <class V>
inline void prefetch_in_second_pass(const float* ahead, std::size_t i) {
  MNQ_UNROLL
  for (std::size_t k = 0; k < 3; ++k) V::prefetch(ahead + i / 4 * 3 + k * kLanes);
}

template <class V, bool kSigned>
Range range_of(const float* weights, std::size_t count, const float* ahead) {
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
  for (; i + kBlock <= count; i += kBlock) {
    prefetch_in_first_pass<V>(ahead, i);
    take(V::load(weights + i), bits);
    take(V::load(weights + i + kLanes), more_bits);
    take(V::load(weights + i + 2 * kLanes), bits);
    take(V::load(weights + i + 3 * kLanes), more_bits);
  }
  for (; i < count; i += kLanes) {
    const std::size_t rest = count - i;
    // What is beyond the end repeats the first value, which changes no range.
    take(rest < kLanes ? V::load_part(weights + i, rest, first) : V::load(weights + i), bits);
  }
  Range range{0, 0, V::largest_bits(bits, more_bits)};
  if constexpr (kSigned) {
    range.minimum = V::smallest(minimum) + 0.0f;  // + 0: of 0 and -0 none is smaller
    range.maximum = V::largest(maximum) + 0.0f;
  }
  return range;
}

template <class V>
Range range(const float* weights, std::size_t count) {
  return range_of<V, true>(weights, count, weights);
}

// How one group is encoded.
template <class V>
struct Encoder {
  using F = typename V::F;

  Encoder(const CodeScale& code_scale, std::uint8_t code_xor, float unit, float subtracted = 0)
      : scale(V::set(code_scale.scale)),
        reciprocal(V::set(code_scale.scale == 0 ? 0 : 1.0f / code_scale.scale)),
        minimum(V::set(subtracted)),
        scaled_minimum(V::set(subtracted * unit)),
        low(V::set(code_scale.low)),
        high(V::set(code_scale.high)),
        unit_lanes(V::set(unit)),
        scaled_scale(V::set(code_scale.scale * unit)),
        finish(code_scale.zero_point, code_xor),
        divides(!has_exact_product(magnitude_of(code_scale.scale), magnitude_of(subtracted), unit)) {}

  static bool has_exact_product(float magnitude, float minimum_magnitude, float unit) {
    if (magnitude == 0) return true;  // all codes are 0
    const bool is_usual = magnitude >= 0x1p-100f && magnitude <= 0x1p100f && minimum_magnitude <= 0x1p100f;
    return is_usual && magnitude * unit >= 0x1p-100f;
  }

  F scale, reciprocal, minimum, scaled_minimum, low, high, unit_lanes, scaled_scale;
  typename V::CodeFinish finish;
  bool divides;
};

// kInside: the scale was made from these very weights and codes are mirrored, so that no quotient lies beyond them.
enum class Codes { kInside, kClamped, kAboveMinimum };

// Rounds the quotients of kCount vectors: by the reciprocal where that is proven to be the same.
template <class V, std::size_t kCount>
inline void round_quotients(const Encoder<V>& encoder, const typename V::F* weights, typename V::F* rounded) {
  auto farthest = V::zero();
  MNQ_UNROLL
  for (std::size_t k = 0; k < kCount; ++k) {
    const auto quotient = V::mul(weights[k], encoder.reciprocal);
    rounded[k] = V::round(quotient);
    farthest = V::max_abs(farthest, V::sub(quotient, rounded[k]));
  }
  if (!encoder.divides && !V::any_above(farthest, kNearTie)) return;
  MNQ_UNROLL
  for (std::size_t k = 0; k < kCount; ++k) rounded[k] = V::round(V::div(weights[k], encoder.scale));
}

// scaled_minimum: 0 in the lanes that hold no weight.
template <class V, Codes kCodes, bool kSums>
inline typename V::F clamp_and_sum(const Encoder<V>& encoder, typename V::F weights, typename V::F rounded,
                                   typename V::F scaled_minimum, RowSums<V>& sums) {
  if constexpr (kCodes != Codes::kInside) rounded = V::min(V::max(rounded, encoder.low), encoder.high);
  if constexpr (kSums) {
    auto dequantized = V::mul(rounded, encoder.scaled_scale);
    if constexpr (kCodes == Codes::kAboveMinimum) dequantized = V::add(dequantized, scaled_minimum);
    sums.add(V::mul(weights, encoder.unit_lanes), dequantized);
  }
  return rounded;
}

template <class V, Codes kCodes>
inline typename V::F above_minimum(const Encoder<V>& encoder, typename V::F weights) {
  if constexpr (kCodes == Codes::kAboveMinimum) return V::sub(weights, encoder.minimum);
  return weights;
}

template <class V, Codes kCodes, bool kSums>
void quantize_chunk(const float* weights, std::size_t count, const Encoder<V>& encoder, const float* ahead, bool stream,
                    std::int8_t* codes, RowSums<V>& sums) {
  using F = typename V::F;
  F w[4], n[4], r[4];
  std::size_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    MNQ_UNROLL
    for (std::size_t k = 0; k < 4; ++k) {
      w[k] = V::load(weights + i + k * kLanes);
      n[k] = above_minimum<V, kCodes>(encoder, w[k]);
    }
    prefetch_in_second_pass<V>(ahead, i);
    round_quotients<V, 4>(encoder, n, r);
    MNQ_UNROLL
    for (std::size_t k = 0; k < 4; ++k)
      r[k] = clamp_and_sum<V, kCodes, kSums>(encoder, w[k], r[k], encoder.scaled_minimum, sums);
    encoder.finish.store_block(r, stream, codes + i);
  }
  for (; i < count; i += kLanes) {
    const std::size_t rest = count - i < kLanes ? count - i : kLanes;
    w[0] = rest < kLanes ? V::load_part(weights + i, rest, V::zero()) : V::load(weights + i);
    n[0] = w[0];
    F scaled_minimum = encoder.scaled_minimum;
    if constexpr (kCodes == Codes::kAboveMinimum) {
      n[0] = V::sub(rest < kLanes ? V::load_part(weights + i, rest, encoder.minimum) : w[0], encoder.minimum);
      if (rest < kLanes) scaled_minimum = first_lanes<V>(scaled_minimum, rest);
    }
    round_quotients<V, 1>(encoder, n, r);
    r[0] = clamp_and_sum<V, kCodes, kSums>(encoder, w[0], r[0], scaled_minimum, sums);
    encoder.finish.store_part(r[0], rest, codes + i);
  }
}

template <class V, Codes kCodes, bool kSums>
void quantize_group(const float* weights, std::size_t count, const Encoder<V>& encoder, const float* ahead, bool stream,
                    std::int8_t* codes, RowSums<V>& sums) {
  for (std::size_t begin = 0; begin < count; begin += kChunk) {
    const std::size_t size = count - begin < kChunk ? count - begin : kChunk;
    quantize_chunk<V, kCodes, kSums>(weights + begin, size, encoder, ahead + begin / 4 * 3, stream, codes + begin,
                                     sums);
    if constexpr (kSums) sums.end_chunk(size);
  }
}

// Scales that are chosen from the weights in the first pass over a row. kSigned: zero points, too.
template <class V, bool kSigned>
struct ChosenScales {
  const CodeRule& rule;
  float* scales;
  std::int8_t* zero_points;

  /// The first pass; the bits of the row's largest magnitude.
  std::uint32_t survey(const float* weights, std::size_t row_length, std::size_t group_size, const float* ahead) const {
    std::uint32_t largest = 0;
    for (std::size_t begin = 0, group = 0; begin < row_length; begin += group_size, ++group) {
      const std::size_t count = row_length - begin < group_size ? row_length - begin : group_size;
      const Range range = range_of<V, kSigned>(weights + begin, count, ahead + begin / 4);
      if (range.max_abs_bits > largest) largest = range.max_abs_bits;
      const CodeScale scale = scale_for(range, rule);
      scales[group] = scale.scale;
      if (zero_points != nullptr) zero_points[group] = static_cast<std::int8_t>(scale.zero_point);
    }
    return largest;
  }

  CodeScale at(std::size_t group) const { return with_limits(scales[group], kSigned ? zero_points[group] : 0, rule); }
  float minimum_at(std::size_t) const { return 0; }

  void end_row(std::size_t groups) {
    scales += groups;
    if (zero_points != nullptr) zero_points += groups;
  }
};

template <class V>
struct KnownScales {
  const CodeRule& rule;
  const float* scales;
  const std::int8_t* zero_points;
  const float* minima;

  std::uint32_t survey(const float* weights, std::size_t row_length, std::size_t, const float* ahead) const {
    return range_of<V, false>(weights, row_length, ahead).max_abs_bits;
  }

  CodeScale at(std::size_t group) const {
    return with_limits(scales[group], zero_points == nullptr ? 0 : zero_points[group], rule);
  }
  float minimum_at(std::size_t group) const { return minima == nullptr ? 0 : minima[group]; }

  void end_row(std::size_t groups) {
    scales += groups;
    if (zero_points != nullptr) zero_points += groups;
    if (minima != nullptr) minima += groups;
  }
};

template <class V, Codes kCodes, bool kSums, class Scales>
std::size_t quantize_rows_as(const float* weights, std::size_t row_count, std::size_t row_length,
                             std::size_t group_size, Scales scales, std::int8_t* codes, ErrorSums* sums) {
  const std::size_t groups = row_length / group_size + (row_length % group_size != 0 ? 1 : 0);
  const bool stream = is_streamed(codes, row_count * row_length, row_length) && (groups == 1 || group_size % 64 == 0);
  const std::size_t distance = row_length > kMaxPrefetch ? 0 : row_length < kMinPrefetch ? kMinPrefetch : row_length;
  RowSums<V> row_sums;
  for (std::size_t row = 0; row < row_count; ++row) {
    const float* next = weights + distance;
    const std::uint32_t largest = scales.survey(weights, row_length, group_size, next);
    if (largest >= kInfinityBits) return row;
    row_sums.start(unit_for(largest));
    for (std::size_t begin = 0, group = 0; begin < row_length; begin += group_size, ++group) {
      const std::size_t count = row_length - begin < group_size ? row_length - begin : group_size;
      const Encoder<V> encoder(scales.at(group), scales.rule.code_xor, row_sums.unit(), scales.minimum_at(group));
      const float* ahead = next + row_length / 4 + begin / 4 * 3;
      quantize_group<V, kCodes, kSums>(weights + begin, count, encoder, ahead, stream, codes + begin, row_sums);
    }
    if constexpr (kSums) sums[row] = row_sums.finish();
    weights += row_length;
    codes += row_length;
    scales.end_row(groups);
  }
  if (stream) V::end_stream();
  return row_count;
}

template <class V, Codes kCodes, class Scales>
std::size_t quantize_rows_with(const float* weights, std::size_t row_count, std::size_t row_length,
                               std::size_t group_size, const Scales& scales, std::int8_t* codes, ErrorSums* sums) {
  const auto run =
      sums == nullptr ? quantize_rows_as<V, kCodes, false, Scales> : quantize_rows_as<V, kCodes, true, Scales>;
  return run(weights, row_count, row_length, group_size, scales, codes, sums);
}

template <class V>
std::size_t quantize_rows(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                          const CodeRule& rule, float* scales, std::int8_t* zero_points, std::int8_t* codes,
                          ErrorSums* sums) {
  if (!rule.symmetric) {
    const ChosenScales<V, true> chosen{rule, scales, zero_points};
    return quantize_rows_with<V, Codes::kClamped>(weights, row_count, row_length, group_size, chosen, codes, sums);
  }
  const ChosenScales<V, false> chosen{rule, scales, zero_points};
  if (has_mirrored_codes(rule)) {
    return quantize_rows_with<V, Codes::kInside>(weights, row_count, row_length, group_size, chosen, codes, sums);
  }
  return quantize_rows_with<V, Codes::kClamped>(weights, row_count, row_length, group_size, chosen, codes, sums);
}

template <class V>
std::size_t encode_rows(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                        const CodeRule& rule, const float* scales, const std::int8_t* zero_points, const float* minima,
                        std::int8_t* codes, ErrorSums* sums) {
  const KnownScales<V> known{rule, scales, zero_points, minima};
  if (minima == nullptr) {
    return quantize_rows_with<V, Codes::kClamped>(weights, row_count, row_length, group_size, known, codes, sums);
  }
  return quantize_rows_with<V, Codes::kAboveMinimum>(weights, row_count, row_length, group_size, known, codes, sums);
}

template <class V>
void quantize_run(const float* weights, std::size_t count, float scale, std::int32_t zero_point, const CodeRule& rule,
                  std::int8_t* codes, ErrorSums* sums) {
  RowSums<V> run_sums;
  run_sums.start(unit_for_scale(scale));
  const Encoder<V> encoder(with_limits(scale, zero_point, rule), rule.code_xor, run_sums.unit());
  const auto run =
      sums == nullptr ? quantize_group<V, Codes::kClamped, false> : quantize_group<V, Codes::kClamped, true>;
  run(weights, count, encoder, weights, false, codes, run_sums);
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
  const std::uint32_t largest = range_of<V, false>(reference, count, reference).max_abs_bits;
  const std::uint32_t largest_other = range_of<V, false>(other, count, other).max_abs_bits;
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

}  // namespace
}  // namespace mnq::kernels
