// The loops over rows that every vector instruction set shares. Included by kernels_avx2.cpp and kernels_avx512.cpp
// inside their target pragma; Vector is 16 float32 lanes and the few operations on them that differ.
//
// Two passes over a row: ranges and scales, then codes and sums while the row is still in cache and the next one is
// being fetched. So the weights are read from memory once, at what one core can read.
//
// The quotient. Division would cost as much as all the rest, so codes come from weight * (1 / scale). For a scale in
// [2^-100, 2^100] nothing overflows or is denormal that matters, and 1 / scale and the product are off by 2^-24 each,
// the quotient that is asked for by 2^-24: with |quotient| <= 256 the two differ by less than 256 * 3 * 2^-24 < 2^-14.
// They round to the same integer unless the product lies within 2^-14 of a tie. A block in which one does is divided
// after all: 1 in 120 blocks of 64.
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

// The two passes over a row share what is fetched of the next one: the first a quarter, the second the rest, so that the
// memory never waits for either. `ahead` points to the part that belongs to what is worked on; any address will do.
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

  Encoder(const CodeScale& code_scale, std::uint8_t code_xor, float unit)
      : scale(V::set(code_scale.scale)),
        reciprocal(V::set(1.0f / code_scale.scale)),
        low(V::set(code_scale.low)),
        high(V::set(code_scale.high)),
        unit_lanes(V::set(unit)),
        scaled_scale(V::set(code_scale.scale * unit)),
        finish(code_scale.zero_point, code_xor),
        divides(!(code_scale.scale >= 0x1p-100f && code_scale.scale <= 0x1p100f)) {}

  F scale, reciprocal, low, high, unit_lanes, scaled_scale;
  typename V::CodeFinish finish;
  bool divides;
};

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

template <class V, bool kClamp, bool kSums>
inline typename V::F clamp_and_sum(const Encoder<V>& encoder, typename V::F weights, typename V::F rounded,
                                   RowSums<V>& sums) {
  if constexpr (kClamp) rounded = V::min(V::max(rounded, encoder.low), encoder.high);
  if constexpr (kSums) sums.add(V::mul(weights, encoder.unit_lanes), V::mul(rounded, encoder.scaled_scale));
  return rounded;
}

// kClamp: false where the scale was made from these very weights and codes are mirrored: no quotient lies beyond them.
template <class V, bool kClamp, bool kSums>
void quantize_chunk(const float* weights, std::size_t count, const Encoder<V>& encoder, const float* ahead, bool stream,
                    std::int8_t* codes, RowSums<V>& sums) {
  using F = typename V::F;
  F w[4], r[4];
  std::size_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    MNQ_UNROLL
    for (std::size_t k = 0; k < 4; ++k) w[k] = V::load(weights + i + k * kLanes);
    prefetch_in_second_pass<V>(ahead, i);
    round_quotients<V, 4>(encoder, w, r);
    MNQ_UNROLL
    for (std::size_t k = 0; k < 4; ++k) r[k] = clamp_and_sum<V, kClamp, kSums>(encoder, w[k], r[k], sums);
    encoder.finish.store_block(r, stream, codes + i);
  }
  for (; i < count; i += kLanes) {
    const std::size_t rest = count - i < kLanes ? count - i : kLanes;
    w[0] = rest < kLanes ? V::load_part(weights + i, rest, V::zero()) : V::load(weights + i);
    round_quotients<V, 1>(encoder, w, r);
    r[0] = clamp_and_sum<V, kClamp, kSums>(encoder, w[0], r[0], sums);
    encoder.finish.store_part(r[0], rest, codes + i);
  }
}

template <class V, bool kClamp, bool kSums>
void quantize_group(const float* weights, std::size_t count, const Encoder<V>& encoder, const float* ahead, bool stream,
                    std::int8_t* codes, RowSums<V>& sums) {
  for (std::size_t begin = 0; begin < count; begin += kChunk) {
    const std::size_t size = count - begin < kChunk ? count - begin : kChunk;
    quantize_chunk<V, kClamp, kSums>(weights + begin, size, encoder, ahead + begin / 4 * 3, stream, codes + begin,
                                     sums);
    if constexpr (kSums) sums.end_chunk(size);
  }
}

// Scales of one row; the bits of its largest magnitude.
template <class V, bool kSigned>
std::uint32_t scale_row(const float* weights, std::size_t row_length, std::size_t group_size, const CodeRule& rule,
                        const float* ahead, float* scales, std::int8_t* zero_points) {
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

template <class V, bool kAsymmetric, bool kClamp, bool kSums>
std::size_t quantize_rows_as(const float* weights, std::size_t row_count, std::size_t row_length,
                             std::size_t group_size, const CodeRule& rule, float* scales, std::int8_t* zero_points,
                             std::int8_t* codes, ErrorSums* sums) {
  const std::size_t groups = row_length / group_size + (row_length % group_size != 0 ? 1 : 0);
  const bool stream = is_streamed(codes, row_count * row_length, row_length) && (groups == 1 || group_size % 64 == 0);
  const std::size_t distance = row_length > kMaxPrefetch ? 0 : row_length < kMinPrefetch ? kMinPrefetch : row_length;
  RowSums<V> row_sums;
  for (std::size_t row = 0; row < row_count; ++row) {
    const float* next = weights + distance;
    const std::uint32_t largest =
        scale_row<V, kAsymmetric>(weights, row_length, group_size, rule, next, scales, zero_points);
    if (largest >= kInfinityBits) return row;
    row_sums.start(unit_for(largest));
    for (std::size_t begin = 0, group = 0; begin < row_length; begin += group_size, ++group) {
      const std::size_t count = row_length - begin < group_size ? row_length - begin : group_size;
      const CodeScale scale = with_limits(scales[group], kAsymmetric ? zero_points[group] : 0, rule);
      const Encoder<V> encoder(scale, rule.code_xor, row_sums.unit());
      const float* ahead = next + row_length / 4 + begin / 4 * 3;
      quantize_group<V, kClamp, kSums>(weights + begin, count, encoder, ahead, stream, codes + begin, row_sums);
    }
    if constexpr (kSums) sums[row] = row_sums.finish();
    weights += row_length;
    codes += row_length;
    scales += groups;
    if (zero_points != nullptr) zero_points += groups;
  }
  if (stream) V::end_stream();
  return row_count;
}

template <class V, bool kSums>
auto choose_rows(const CodeRule& rule) {
  if (!rule.symmetric) return quantize_rows_as<V, true, true, kSums>;
  return has_mirrored_codes(rule) ? quantize_rows_as<V, false, false, kSums> : quantize_rows_as<V, false, true, kSums>;
}

template <class V>
std::size_t quantize_rows(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                          const CodeRule& rule, float* scales, std::int8_t* zero_points, std::int8_t* codes,
                          ErrorSums* sums) {
  const auto run = sums == nullptr ? choose_rows<V, false>(rule) : choose_rows<V, true>(rule);
  return run(weights, row_count, row_length, group_size, rule, scales, zero_points, codes, sums);
}

template <class V>
void quantize_run(const float* weights, std::size_t count, float scale, std::int32_t zero_point, const CodeRule& rule,
                  std::int8_t* codes, ErrorSums* sums) {
  RowSums<V> run_sums;
  run_sums.start(unit_for(bits_from_float(scale)));
  const Encoder<V> encoder(with_limits(scale, zero_point, rule), rule.code_xor, run_sums.unit());
  const auto run = sums == nullptr ? quantize_group<V, true, false> : quantize_group<V, true, true>;
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

template <class V, class Dot>
constexpr KernelTable table_of(const char* isa, std::span<const char* const> shared) {
  return {
      .isa = isa,
      .shared = shared,
      .range = range<V>,
      .quantize_rows = quantize_rows<V>,
      .quantize_run = quantize_run<V>,
      .dequantize_rows = dequantize_rows<V>,
      .pack_int4 = avx2::pack_int4,
      .unpack_int4 = avx2::unpack_int4,
      .error_sums = error_sums<V>,
      .linear_int8 = linear_int8_with<Dot>,
      .f16_to_f32 = avx2::f16_to_f32,
      .bf16_to_f32 = avx2::bf16_to_f32,
      .f64_to_f32 = avx2::f64_to_f32,
      .f32_to_f16 = avx2::f32_to_f16,
      .f32_to_bf16 = avx2::f32_to_bf16,
      .f32_to_f64 = avx2::f32_to_f64,
      .crc32 = crc32_pclmul,
  };
}

}  // namespace
}  // namespace mnq::kernels
