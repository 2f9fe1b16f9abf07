// AVX2 with FMA and F16C: two registers of 8 lanes each.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/code_scale.h"
#include "kernels/kernel_tables.h"
#include "kernels/scalar_conversions.h"
#include "kernels/search_start.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

#include "kernels/table_of.inc.h"

namespace mnq::kernels {
namespace {

struct Vector256x2 {
  static constexpr std::size_t kVectors = 2;  // to be coded at once: what the registers hold
  static constexpr std::size_t kTrials = 2;   // of a search at once: what the registers hold
  static constexpr std::size_t kLines = 1;    // of a search for minima

  struct F {
    __m256 a, b;
  };
  struct Bits {
    __m256i a, b;
  };

  static F zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static F set(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
  static F load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
  static F load(BrainFloats from) { return {widen(from.at), widen(from.at + 8)}; }
  static F load_part(BrainFloats from, std::size_t count, F rest) {
    float values[kLanes];
    store(values, rest, false);
    for (std::size_t i = 0; i < count; ++i) values[i] = from[i];
    return load(values);
  }
  static __m256 widen(const std::uint16_t* from) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
  static F load_part(const float* from, std::size_t count, F rest) {
    float values[kLanes];
    store(values, rest, false);
    std::memcpy(values, from, count * sizeof(float));
    return load(values);
  }
  static void store(float* to, F values, bool stream) {
    if (stream) {
      _mm256_stream_ps(to, values.a);
      _mm256_stream_ps(to + 8, values.b);
    } else {
      _mm256_storeu_ps(to, values.a);
      _mm256_storeu_ps(to + 8, values.b);
    }
  }
  static void store_part(float* to, std::size_t count, F values) {
    float all[kLanes];
    store(all, values, false);
    std::memcpy(to, all, count * sizeof(float));
  }
  static MNQ_INLINE void prefetch(const float* from) { _mm_prefetch(reinterpret_cast<const char*>(from), _MM_HINT_T0); }
  static MNQ_INLINE void prefetch(BrainFloats from) {
    _mm_prefetch(reinterpret_cast<const char*>(from.at), _MM_HINT_T0);
  }
  static void end_stream() { _mm_sfence(); }

  static F add(F x, F y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
  static F sub(F x, F y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
  static F mul(F x, F y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
  static F div(F x, F y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
  static F fma(F x, F y, F z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
  static F min(F x, F y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
  static F max(F x, F y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
  /// As integers, which more units of a core can do.
  static F max_abs(F x, F y) { return as_floats(max_ints(as_ints(x), and_ints(as_ints(y), set_ints(0x7fffffff)))); }
  static F magnitude(F x) { return as_floats(and_ints(as_ints(x), set_ints(0x7fffffff))); }
  static F round(F x) {
    constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    return {_mm256_round_ps(x.a, kMode), _mm256_round_ps(x.b, kMode)};
  }
  static bool any_above(F x, float limit) {
    return _mm256_movemask_ps(_mm256_cmp_ps(_mm256_max_ps(x.a, x.b), _mm256_set1_ps(limit), _CMP_GT_OQ)) != 0;
  }
  static float largest(F x) {
    const __m256 eight = _mm256_max_ps(x.a, x.b);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
  }
  static float smallest(F x) {
    const __m256 eight = _mm256_min_ps(x.a, x.b);
    __m128 four = _mm_min_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_min_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_min_ss(four, _mm_movehdup_ps(four)));
  }

  /// Where a > b, yes; else, and where one is NaN, no.
  static F where_greater(F a, F b, F yes, F no) {
    return {_mm256_blendv_ps(no.a, yes.a, _mm256_cmp_ps(a.a, b.a, _CMP_GT_OQ)),
            _mm256_blendv_ps(no.b, yes.b, _mm256_cmp_ps(a.b, b.b, _CMP_GT_OQ))};
  }

  /// Each of 16 vectors to one lane: its lanes i with i + 8, then i + 4, i + 2, i + 1.
  static F sum_each(const F* from) { return fold_each(from, Add()); }
  static F min_each(const F* from) { return fold_each(from, Min()); }
  static F max_each(const F* from) { return fold_each(from, Max()); }
  static F max_unsigned_each(const F* from) { return fold_each(from, MaxUnsigned()); }
  // Not functions: GCC at -O2 would call them.
  struct Add {
    __m256 operator()(__m256 x, __m256 y) const { return _mm256_add_ps(x, y); }
  };
  struct Min {
    __m256 operator()(__m256 x, __m256 y) const { return _mm256_min_ps(x, y); }
  };
  struct Max {
    __m256 operator()(__m256 x, __m256 y) const { return _mm256_max_ps(x, y); }
  };
  struct MaxUnsigned {
    __m256 operator()(__m256 x, __m256 y) const {
      return _mm256_castsi256_ps(_mm256_max_epu32(_mm256_castps_si256(x), _mm256_castps_si256(y)));
    }
  };
  template <class Join>
  static F fold_each(const F* from, Join join) {
    return {fold_eight(from, join), fold_eight(from + 8, join)};
  }
  template <class Join>
  static __m256 fold_eight(const F* from, Join join) {
    __m256 four[4];
    MNQ_UNROLL
    for (std::size_t i = 0; i < 4; ++i) {
      const __m256 x = join(from[i].a, from[i].b), y = join(from[i + 4].a, from[i + 4].b);
      four[i] = join(_mm256_permute2f128_ps(x, y, 0x20), _mm256_permute2f128_ps(x, y, 0x31));
    }
    const auto halves = [&](__m256 x, __m256 y) {
      return join(_mm256_shuffle_ps(x, y, 0x44), _mm256_shuffle_ps(x, y, 0xEE));
    };
    const __m256 x = halves(four[0], four[1]), y = halves(four[2], four[3]);
    return join(_mm256_shuffle_ps(x, y, 0x88), _mm256_shuffle_ps(x, y, 0xDD));
  }

  /// Row i of a square becomes its column i.
  static MNQ_INLINE void turn(F* rows) {
    __m256 low[kLanes], high[kLanes];
    MNQ_UNROLL
    for (std::size_t i = 0; i < kLanes; i += 8) {
      turn_eight<false>(rows + i, low + i);
      turn_eight<true>(rows + i, high + i);
    }
    MNQ_UNROLL
    for (std::size_t i = 0; i < 8; ++i) {
      rows[i] = {low[i], low[i + 8]};
      rows[i + 8] = {high[i], high[i + 8]};
    }
  }
  /// One half of eight rows.
  template <bool kHigh>
  static MNQ_INLINE void turn_eight(const F* rows, __m256* to) {
    __m256 fours[8];
    MNQ_UNROLL
    for (std::size_t i = 0; i < 8; i += 4) {
      const __m256 x = kHigh ? rows[i].b : rows[i].a, y = kHigh ? rows[i + 1].b : rows[i + 1].a;
      const __m256 z = kHigh ? rows[i + 2].b : rows[i + 2].a, w = kHigh ? rows[i + 3].b : rows[i + 3].a;
      const __m256 a = _mm256_unpacklo_ps(x, y), b = _mm256_unpackhi_ps(x, y);
      const __m256 c = _mm256_unpacklo_ps(z, w), d = _mm256_unpackhi_ps(z, w);
      fours[i] = _mm256_shuffle_ps(a, c, 0x44);
      fours[i + 1] = _mm256_shuffle_ps(a, c, 0xEE);
      fours[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
      fours[i + 3] = _mm256_shuffle_ps(b, d, 0xEE);
    }
    MNQ_UNROLL
    for (std::size_t i = 0; i < 4; ++i) {
      to[i] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20);
      to[i + 4] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31);
    }
  }

  static Bits zero_bits() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static Bits max_bits(Bits largest, F values) {
    const __m256i mask = _mm256_set1_epi32(0x7fffffff);
    return {_mm256_max_epu32(largest.a, _mm256_and_si256(_mm256_castps_si256(values.a), mask)),
            _mm256_max_epu32(largest.b, _mm256_and_si256(_mm256_castps_si256(values.b), mask))};
  }
  /// The larger magnitudes of 32 floats in 16 bits, each as those.
  static Bits max_halves(Bits largest, const std::uint16_t* from) {
    const __m256i mask = _mm256_set1_epi16(0x7fff);
    const auto* halves = reinterpret_cast<const __m256i*>(from);
    return {_mm256_max_epu16(largest.a, _mm256_and_si256(_mm256_loadu_si256(halves), mask)),
            _mm256_max_epu16(largest.b, _mm256_and_si256(_mm256_loadu_si256(halves + 1), mask))};
  }
  /// Of each two bfloat16 the larger one.
  static Bits widen_max_halves(Bits x) {
    return max_unsigned({_mm256_slli_epi32(x.a, 16), _mm256_slli_epi32(x.b, 16)},
                        and_ints(x, set_ints(static_cast<std::int32_t>(0xffff0000))));
  }
  static std::uint32_t largest_bits(Bits x) {
    const __m256i eight = _mm256_max_epu32(x.a, x.b);
    __m128i four = _mm_max_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0x4E));
    four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0xB1));
    return static_cast<std::uint32_t>(_mm_cvtsi128_si32(four));
  }

  static Bits as_ints(F x) { return {_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)}; }
  static F as_floats(Bits x) { return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)}; }
  static Bits to_ints(F x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
  static F to_floats(Bits x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
  static Bits set_ints(std::int32_t value) { return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)}; }
  static Bits kept(Bits x) { return x; }
  static Bits add_ints(Bits x, Bits y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
  static Bits sub_ints(Bits x, Bits y) { return {_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)}; }
  static Bits and_ints(Bits x, Bits y) { return {_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)}; }
  static Bits xor_ints(Bits x, Bits y) { return {_mm256_xor_si256(x.a, y.a), _mm256_xor_si256(x.b, y.b)}; }
  static Bits min_ints(Bits x, Bits y) { return {_mm256_min_epi32(x.a, y.a), _mm256_min_epi32(x.b, y.b)}; }
  static Bits max_ints(Bits x, Bits y) { return {_mm256_max_epi32(x.a, y.a), _mm256_max_epi32(x.b, y.b)}; }
  static Bits min_unsigned(Bits x, Bits y) { return {_mm256_min_epu32(x.a, y.a), _mm256_min_epu32(x.b, y.b)}; }
  static Bits max_unsigned(Bits x, Bits y) { return {_mm256_max_epu32(x.a, y.a), _mm256_max_epu32(x.b, y.b)}; }
  template <int kCount>
  static Bits shift_right(Bits x) {
    return {_mm256_srai_epi32(x.a, kCount), _mm256_srai_epi32(x.b, kCount)};
  }
  static Bits shift_right_by(Bits x, std::int32_t count) {
    const __m128i by = _mm_cvtsi32_si128(count);
    return {_mm256_srl_epi32(x.a, by), _mm256_srl_epi32(x.b, by)};
  }
  /// The bits of `yes` where the mask has some, else those of `no`.
  static Bits select(Bits mask, Bits yes, Bits no) {
    return {_mm256_or_si256(_mm256_and_si256(mask.a, yes.a), _mm256_andnot_si256(mask.a, no.a)),
            _mm256_or_si256(_mm256_and_si256(mask.b, yes.b), _mm256_andnot_si256(mask.b, no.b))};
  }
  /// Whether each of some vectors has in each lane one of the bits of a mask.
  static Bits all_set() { return set_ints(-1); }
  static Bits also_set(Bits before, Bits x, Bits mask) { return min_unsigned(before, and_ints(x, mask)); }
  static bool is_set(Bits all) {
    const __m256i least = _mm256_min_epu32(all.a, all.b);
    return _mm256_movemask_epi8(_mm256_cmpeq_epi32(least, _mm256_setzero_si256())) == 0;
  }
  /// x, or one less where values <= limit.
  static Bits less_one_up_to(Bits x, F values, F limit) {
    const __m256 a = _mm256_cmp_ps(values.a, limit.a, _CMP_LE_OQ), b = _mm256_cmp_ps(values.b, limit.b, _CMP_LE_OQ);
    return add_ints(x, as_ints({a, b}));
  }

  /// 16 finite floats of 16 bits, bfloat16 or float16, and what they are.
  template <bool kBrain>
  static F store_halves(F x, std::uint16_t* to) {
    auto* place = reinterpret_cast<__m256i*>(to);
    if constexpr (kBrain) {
      const __m256i a = rounded_to_brain(x.a), b = rounded_to_brain(x.b);
      _mm256_storeu_si256(place, _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xD8));
      return {_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(b, 16))};
    } else {
      constexpr int kMode = _MM_FROUND_TO_NEAREST_INT;
      const __m128i a = _mm256_cvtps_ph(x.a, kMode), b = _mm256_cvtps_ph(x.b, kMode);
      _mm256_storeu_si256(place, _mm256_set_m128i(b, a));
      return {_mm256_cvtph_ps(a), _mm256_cvtph_ps(b)};
    }
  }

  static __m256i rounded_to_brain(__m256 values) {
    const __m256i bits = _mm256_castps_si256(values);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  }

  /// Looks 16 floats up.
  struct Sixteen {
    explicit Sixteen(const float* from) : all(load(from)) {}
    F at(Bits i) const { return {at(i.a), at(i.b)}; }
    __m256 at(__m256i i) const {
      const __m256 low = _mm256_permutevar8x32_ps(all.a, i), high = _mm256_permutevar8x32_ps(all.b, i);
      return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(i, 28)));
    }

    F all;
  };
  /// As many as there are.
  struct ManyFloats {
    explicit ManyFloats(const float* from) : all(from) {}
    F at(Bits i) const {
      return {_mm256_i32gather_ps(all, i.a, sizeof(float)), _mm256_i32gather_ps(all, i.b, sizeof(float))};
    }

    const float* all;
  };
  static Bits load_unsigned(const std::int8_t* from) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(bytes, bytes))};
  }
  /// x + y where more > less, else x.
  static Bits add_ints_where_greater(Bits x, F more, F less, Bits y) {
    const __m256 a = _mm256_cmp_ps(more.a, less.a, _CMP_GT_OQ), b = _mm256_cmp_ps(more.b, less.b, _CMP_GT_OQ);
    return add_ints(x, and_ints(y, as_ints({a, b})));
  }

  /// The powers of exponents.
  struct Powers {
    explicit Powers(const FloatPowers& powers)
        : exponent(set_ints(kInfinityBits)), first(set_ints(powers.first)), dropped_bits(powers.dropped_bits) {}

    Bits of(Bits x) const {
      const Bits of_x = and_ints(x, exponent);
      return add_ints(add_ints(of_x, shift_right_by(of_x, dropped_bits)), first);
    }

    Bits exponent, first;
    std::int32_t dropped_bits;
  };

  /// The lanes as doubles, i with i + 8, then i + 4, i + 2, i + 1.
  static double sum(F x) {
    const __m256d low =
        _mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(x.a)), _mm256_cvtps_pd(_mm256_castps256_ps128(x.b)));
    const __m256d high =
        _mm256_add_pd(_mm256_cvtps_pd(_mm256_extractf128_ps(x.a, 1)), _mm256_cvtps_pd(_mm256_extractf128_ps(x.b, 1)));
    const __m256d four = _mm256_add_pd(low, high);
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }

  /// 16 codes as int16, in the order of the packs: lanes 0-3, 8-11, 4-7, 12-15.
  static __m256i words(Bits codes) { return _mm256_packs_epi32(codes.a, codes.b); }

  /// 32 codes of one byte each.
  template <bool kUnsigned>
  static void store_codes(const Bits* codes, std::uint8_t code_xor, bool stream, std::int8_t* to) {
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i a = words(codes[0]), b = words(codes[1]);
    const __m256i packed = kUnsigned ? _mm256_packus_epi16(a, b) : _mm256_packs_epi16(a, b);
    const __m256i flip = _mm256_set1_epi8(static_cast<char>(code_xor));
    const __m256i bytes = _mm256_xor_si256(_mm256_permutevar8x32_epi32(packed, order), flip);
    if (stream) {
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to), bytes);
    } else {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bytes);
    }
  }
  /// Up to 16.
  template <bool kUnsigned>
  static void store_codes_part(Bits codes, std::uint8_t code_xor, std::size_t count, std::int8_t* to) {
    const __m256i ordered = _mm256_permute4x64_epi64(words(codes), 0xD8);
    const __m128i low = _mm256_castsi256_si128(ordered), high = _mm256_extracti128_si256(ordered, 1);
    const __m128i packed = kUnsigned ? _mm_packus_epi16(low, high) : _mm_packs_epi16(low, high);
    const __m128i bytes = _mm_xor_si128(packed, _mm_set1_epi8(static_cast<char>(code_xor)));
    if (count == kLanes) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
      return;
    }
    std::int8_t all[kLanes];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(all), bytes);
    std::memcpy(to, all, count);
  }

  /// 32 codes of 4 bits, two to a byte.
  static void store_nibbles(const Bits* codes, std::int8_t* to) {
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i packed = _mm256_packs_epi16(words(codes[0]), words(codes[1]));
    const __m256i pairs = nibbles_of(_mm256_permutevar8x32_epi32(packed, order));
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packus_epi16(pairs, pairs), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(bytes));
  }
  /// 16 of them.
  static void store_nibbles_part(Bits codes, std::int8_t* to) {
    const __m256i ordered = _mm256_permute4x64_epi64(words(codes), 0xD8);
    const __m128i packed = _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
    const __m128i pairs = _mm256_castsi256_si128(nibbles_of(_mm256_castsi128_si256(packed)));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(pairs, pairs));
  }
  /// Of pairs of codes, as words.
  static __m256i nibbles_of(__m256i codes) {
    return _mm256_maddubs_epi16(_mm256_add_epi8(codes, _mm256_set1_epi8(8)), _mm256_set1_epi16(0x1001));
  }

  /// From stored codes to numbers that a scale makes weights.
  struct CodeStart {
    CodeStart(std::int32_t zero_point, std::uint8_t code_xor)
        : zero(_mm256_set1_epi32(zero_point)), flip(_mm_set1_epi8(static_cast<char>(code_xor))) {}

    F load(const std::int8_t* from) const {
      const __m128i bytes = _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)), flip);
      return {widen(bytes), widen(_mm_unpackhi_epi64(bytes, bytes))};
    }
    F load_part(const std::int8_t* from, std::size_t count) const {
      std::int8_t all[kLanes] = {};
      std::memcpy(all, from, count);
      return load(all);
    }
    __m256 widen(__m128i bytes) const {
      return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_cvtepi8_epi32(bytes), zero));
    }

    __m256i zero;
    __m128i flip;
  };
};

__m256 load8(const float* from) { return _mm256_loadu_ps(from); }
__m128i load8(const std::uint16_t* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
void store8(float* to, __m256 values) { _mm256_storeu_ps(to, values); }
void store8(std::uint16_t* to, __m128i values) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), values); }

__m256 widen_f16(__m128i halves) { return _mm256_cvtph_ps(halves); }
__m128i narrow_f16(__m256 values) { return _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT); }

__m256 widen_bf16(__m128i brains) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(brains), 16)); }

__m128i narrow_bf16(__m256 values) {
  const __m256i bits = _mm256_castps_si256(values);
  const __m256i high = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(values, values, _CMP_UNORD_Q));
  const __m256i words = _mm256_blendv_epi8(rounded, quiet, is_nan);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0xD8);
  return _mm256_castsi256_si128(packed);
}

// Eight at a time, then one by one.
template <auto kWide, auto kOne, class From, class To>
void convert(const From* from, std::size_t count, To* to) {
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) store8(to + i, kWide(load8(from + i)));
  for (; i < count; ++i) to[i] = kOne(from[i]);
}

}  // namespace

namespace avx2 {

void pack_int4(const std::int8_t* codes, std::size_t count, std::uint8_t* packed) {
  const __m256i offset = _mm256_set1_epi8(8), nibble = _mm256_set1_epi8(15), shift = _mm256_set1_epi16(0x1001);
  // Pairs of codes as int16: low + 16 * high.
  const auto pairs = [&](const std::int8_t* from) {
    const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm256_maddubs_epi16(_mm256_and_si256(_mm256_add_epi8(values, offset), nibble), shift);
  };
  std::size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const __m256i bytes = _mm256_packus_epi16(pairs(codes + i), pairs(codes + i + 32));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(packed + i / 2), _mm256_permute4x64_epi64(bytes, 0xD8));
  }
  kGenericTable.pack_int4(codes + i, count - i, packed + i / 2);
}

void unpack_int4(const std::uint8_t* packed, std::size_t count, std::int8_t* codes) {
  const __m128i offset = _mm_set1_epi8(8), nibble = _mm_set1_epi8(15);
  std::size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(packed + i / 2));
    const __m128i low = _mm_sub_epi8(_mm_and_si128(bytes, nibble), offset);
    const __m128i high = _mm_sub_epi8(_mm_and_si128(_mm_srli_epi16(bytes, 4), nibble), offset);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + i), _mm_unpacklo_epi8(low, high));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + i + 16), _mm_unpackhi_epi8(low, high));
  }
  kGenericTable.unpack_int4(packed + i / 2, count - i, codes + i);
}

void f16_to_f32(const std::uint16_t* from, std::size_t count, float* to) {
  convert<widen_f16, float_from_f16>(from, count, to);
}
void bf16_to_f32(const std::uint16_t* from, std::size_t count, float* to) {
  convert<widen_bf16, float_from_bf16>(from, count, to);
}
void f32_to_f16(const float* from, std::size_t count, std::uint16_t* to) {
  convert<narrow_f16, f16_from_float>(from, count, to);
}
void f32_to_bf16(const float* from, std::size_t count, std::uint16_t* to) {
  convert<narrow_bf16, bf16_from_float>(from, count, to);
}

void f64_to_f32(const double* from, std::size_t count, float* to) {
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) _mm_storeu_ps(to + i, _mm256_cvtpd_ps(_mm256_loadu_pd(from + i)));
  for (; i < count; ++i) to[i] = float_from_double(from[i]);
}

void f32_to_f64(const float* from, std::size_t count, double* to) {
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) _mm256_storeu_pd(to + i, _mm256_cvtps_pd(_mm_loadu_ps(from + i)));
  for (; i < count; ++i) to[i] = double_from_float(from[i]);
}

}  // namespace avx2

constinit const KernelTable kAvx2Table = table_of<Vector256x2>("avx2", {});

}  // namespace mnq::kernels

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // __x86_64__
