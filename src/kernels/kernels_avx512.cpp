// AVX-512 F, BW, DQ and VL: one register of 16 lanes.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12's own header, bug 105593
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/code_scale.h"
#include "kernels/kernel_tables.h"
#include "kernels/search_start.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")
#endif

#include "kernels/table_of.inc.h"

namespace mnq::kernels {
namespace {

inline __mmask16 mask_of(std::size_t count) { return static_cast<__mmask16>((1u << count) - 1); }

struct Vector512 {
  static constexpr std::size_t kVectors = 4;  // to be coded at once: what the registers hold
  static constexpr std::size_t kTrials = 4;   // of a search at once: what the registers hold
  static constexpr std::size_t kLines = 3;    // of a search for minima

  using F = __m512;
  using Bits = __m512i;

  static F zero() { return _mm512_setzero_ps(); }
  static F set(float value) { return _mm512_set1_ps(value); }
  static F load(const float* from) { return _mm512_loadu_ps(from); }
  static F load(BrainFloats from) { return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from.at))); }
  static F load_part(BrainFloats from, std::size_t count, F rest) {
    return _mm512_mask_mov_ps(rest, mask_of(count), widen(_mm256_maskz_loadu_epi16(mask_of(count), from.at)));
  }
  /// Each half moves to the upper one of its lane.
  static F widen(__m256i halves) {
    const Bits places = _mm512_setr_epi32(0, 0x10000, 0x20000, 0x30000, 0x40000, 0x50000, 0x60000, 0x70000, 0x80000,
                                          0x90000, 0xa0000, 0xb0000, 0xc0000, 0xd0000, 0xe0000, 0xf0000);
    return as_floats(_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, places, _mm512_castsi256_si512(halves)));
  }
  static F load_part(const float* from, std::size_t count, F rest) {
    return _mm512_mask_loadu_ps(rest, mask_of(count), from);
  }
  static void store(float* to, F values, bool stream) {
    if (stream) {
      _mm512_stream_ps(to, values);
    } else {
      _mm512_storeu_ps(to, values);
    }
  }
  static void store_part(float* to, std::size_t count, F values) { _mm512_mask_storeu_ps(to, mask_of(count), values); }
  static MNQ_INLINE void prefetch(const float* from) { _mm_prefetch(reinterpret_cast<const char*>(from), _MM_HINT_T1); }
  static MNQ_INLINE void prefetch(BrainFloats from) {
    _mm_prefetch(reinterpret_cast<const char*>(from.at), _MM_HINT_T0);
  }
  static void end_stream() { _mm_sfence(); }

  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F max_abs(F a, F b) { return _mm512_range_ps(a, b, 0x0B); }  // of the magnitudes the larger one, positive
  static F magnitude(F a) { return as_floats(and_ints(as_ints(a), set_ints(0x7fffffff))); }
  static F round(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static bool any_above(F a, float limit) { return _mm512_cmp_ps_mask(a, set(limit), _CMP_GT_OQ) != 0; }
  static float largest(F a) { return _mm512_reduce_max_ps(a); }
  static float smallest(F a) { return _mm512_reduce_min_ps(a); }

  /// Where a > b, yes; else, and where one is NaN, no.
  static F where_greater(F a, F b, F yes, F no) {
    return _mm512_mask_mov_ps(no, _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), yes);
  }

  /// Each of 16 vectors to one lane: its lanes i with i + 8, then i + 4, i + 2, i + 1.
  static F sum_each(const F* from) { return fold_each(from, Add()); }
  static F min_each(const F* from) { return fold_each(from, Min()); }
  static F max_each(const F* from) { return fold_each(from, Max()); }
  static F max_unsigned_each(const F* from) { return fold_each(from, MaxUnsigned()); }
  // Not the functions themselves: GCC at -O2 would call them.
  struct Add {
    F operator()(F a, F b) const { return add(a, b); }
  };
  struct Min {
    F operator()(F a, F b) const { return min(a, b); }
  };
  struct Max {
    F operator()(F a, F b) const { return max(a, b); }
  };
  struct MaxUnsigned {
    F operator()(F a, F b) const { return as_floats(max_unsigned(as_ints(a), as_ints(b))); }
  };
  template <class Join>
  static F fold_each(const F* from, Join join) {
    F fours[4];
    MNQ_UNROLL
    for (std::size_t i = 0; i < 4; ++i) {
      const F x = halves<0x44, 0xEE>(from[i], from[i + 4], join),
              y = halves<0x44, 0xEE>(from[i + 8], from[i + 12], join);
      fours[i] = halves<0x88, 0xDD>(x, y, join);
    }
    const auto pairs = [&](F x, F y) { return join(_mm512_shuffle_ps(x, y, 0x44), _mm512_shuffle_ps(x, y, 0xEE)); };
    const F x = pairs(fours[0], fours[1]), y = pairs(fours[2], fours[3]);
    return join(_mm512_shuffle_ps(x, y, 0x88), _mm512_shuffle_ps(x, y, 0xDD));
  }
  template <int kLow, int kHigh, class Join>
  static F halves(F x, F y, Join join) {
    return join(_mm512_shuffle_f32x4(x, y, kLow), _mm512_shuffle_f32x4(x, y, kHigh));
  }

  /// Row i of a square becomes its column i.
  static MNQ_INLINE void turn(F* rows) {
    F fours[kLanes];
    MNQ_UNROLL
    for (std::size_t i = 0; i < kLanes; i += 4) turn_fours(rows + i, fours + i);
    MNQ_UNROLL
    for (std::size_t i = 0; i < 4; ++i) {
      const F even = _mm512_shuffle_f32x4(fours[i], fours[i + 4], 0x88);
      const F odd = _mm512_shuffle_f32x4(fours[i], fours[i + 4], 0xDD);
      const F more_even = _mm512_shuffle_f32x4(fours[i + 8], fours[i + 12], 0x88);
      const F more_odd = _mm512_shuffle_f32x4(fours[i + 8], fours[i + 12], 0xDD);
      rows[i] = _mm512_shuffle_f32x4(even, more_even, 0x88);
      rows[i + 4] = _mm512_shuffle_f32x4(odd, more_odd, 0x88);
      rows[i + 8] = _mm512_shuffle_f32x4(even, more_even, 0xDD);
      rows[i + 12] = _mm512_shuffle_f32x4(odd, more_odd, 0xDD);
    }
  }
  /// The squares of four that four rows consist of.
  static MNQ_INLINE void turn_fours(const F* rows, F* to) {
    const F a = _mm512_unpacklo_ps(rows[0], rows[1]), b = _mm512_unpackhi_ps(rows[0], rows[1]);
    const F c = _mm512_unpacklo_ps(rows[2], rows[3]), d = _mm512_unpackhi_ps(rows[2], rows[3]);
    to[0] = _mm512_shuffle_ps(a, c, 0x44);
    to[1] = _mm512_shuffle_ps(a, c, 0xEE);
    to[2] = _mm512_shuffle_ps(b, d, 0x44);
    to[3] = _mm512_shuffle_ps(b, d, 0xEE);
  }

  static Bits zero_bits() { return _mm512_setzero_si512(); }
  static Bits max_bits(Bits largest, F values) {
    return _mm512_max_epu32(largest, _mm512_and_si512(_mm512_castps_si512(values), _mm512_set1_epi32(0x7fffffff)));
  }
  /// The larger magnitudes of 32 floats in 16 bits, each as those.
  static Bits max_halves(Bits largest, const std::uint16_t* from) {
    return _mm512_max_epu16(largest, _mm512_and_si512(_mm512_loadu_si512(from), _mm512_set1_epi16(0x7fff)));
  }
  /// Of each two bfloat16 the larger one.
  static Bits widen_max_halves(Bits a) {
    return max_unsigned(_mm512_slli_epi32(a, 16), and_ints(a, set_ints(static_cast<std::int32_t>(0xffff0000))));
  }
  static std::uint32_t largest_bits(Bits a) { return _mm512_reduce_max_epu32(a); }

  static Bits as_ints(F a) { return _mm512_castps_si512(a); }
  static F as_floats(Bits a) { return _mm512_castsi512_ps(a); }
  static Bits to_ints(F a) { return _mm512_cvtps_epi32(a); }
  static F to_floats(Bits a) { return _mm512_cvtepi32_ps(a); }
  static Bits set_ints(std::int32_t value) { return _mm512_set1_epi32(value); }
  /// A constant in a register: without, GCC at -O2 makes it anew wherever it is used.
  static Bits kept(Bits a) {
    asm("" : "+v"(a));
    return a;
  }
  static Bits add_ints(Bits a, Bits b) { return _mm512_add_epi32(a, b); }
  static Bits sub_ints(Bits a, Bits b) { return _mm512_sub_epi32(a, b); }
  static Bits and_ints(Bits a, Bits b) { return _mm512_and_si512(a, b); }
  static Bits xor_ints(Bits a, Bits b) { return _mm512_xor_si512(a, b); }
  static Bits min_ints(Bits a, Bits b) { return _mm512_min_epi32(a, b); }
  static Bits max_ints(Bits a, Bits b) { return _mm512_max_epi32(a, b); }
  static Bits max_unsigned(Bits a, Bits b) { return _mm512_max_epu32(a, b); }
  template <int kCount>
  static Bits shift_right(Bits a) {
    return _mm512_srai_epi32(a, kCount);
  }
  static Bits shift_right_by(Bits a, std::int32_t count) { return _mm512_srl_epi32(a, _mm_cvtsi32_si128(count)); }
  /// The bits of `yes` where the mask has some, else those of `no`.
  static Bits select(Bits mask, Bits yes, Bits no) { return _mm512_ternarylogic_epi32(no, mask, yes, 0xB8); }
  /// Whether each of some vectors has in each lane one of the bits of a mask.
  static __mmask16 all_set() { return 0xffff; }
  static __mmask16 also_set(__mmask16 before, Bits a, Bits mask) {
    return _mm512_mask_test_epi32_mask(before, a, mask);
  }
  static bool is_set(__mmask16 all) { return all == 0xffff; }
  /// a, or one less where values <= limit.
  static Bits less_one_up_to(Bits a, F values, F limit) {
    return _mm512_mask_add_epi32(a, _mm512_cmp_ps_mask(values, limit, _CMP_LE_OQ), a, _mm512_set1_epi32(-1));
  }

  /// 16 finite floats of 16 bits, bfloat16 or float16, and what they are.
  template <bool kBrain>
  static F store_halves(F values, std::uint16_t* to) {
    auto* place = reinterpret_cast<__m256i*>(to);
    if constexpr (kBrain) {
      const Bits odd = and_ints(_mm512_srli_epi32(as_ints(values), 16), set_ints(1));
      const Bits halves = _mm512_srli_epi32(add_ints(as_ints(values), add_ints(odd, set_ints(0x7fff))), 16);
      _mm256_storeu_si256(place, _mm512_cvtepi32_epi16(halves));
      return as_floats(_mm512_slli_epi32(halves, 16));
    } else {
      const __m256i halves = _mm512_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      _mm256_storeu_si256(place, halves);
      return _mm512_cvtph_ps(halves);
    }
  }

  /// Looks 16 floats up.
  struct Sixteen {
    explicit Sixteen(const float* from) : all(load(from)) {}
    F at(Bits i) const { return _mm512_permutexvar_ps(i, all); }

    F all;
  };
  /// As many as there are.
  struct ManyFloats {
    explicit ManyFloats(const float* from) : all(from) {}
    F at(Bits i) const { return _mm512_i32gather_ps(i, all, sizeof(float)); }

    const float* all;
  };
  static Bits load_unsigned(const std::int8_t* from) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  /// a + b where more > less, else a.
  static Bits add_ints_where_greater(Bits a, F more, F less, Bits b) {
    return _mm512_mask_add_epi32(a, _mm512_cmp_ps_mask(more, less, _CMP_GT_OQ), a, b);
  }

  /// The powers of all exponents, by the last five bits of those.
  struct Powers {
    explicit Powers(const FloatPowers& powers)
        : low(_mm512_load_si512(powers.all)), high(_mm512_load_si512(powers.all + 16)) {}

    Bits of(Bits a) const { return _mm512_permutex2var_epi32(low, _mm512_srli_epi32(a, 23), high); }

    Bits low, high;
  };

  /// The lanes as doubles, i with i + 8, then i + 4, i + 2, i + 1.
  static double sum(F a) {
    const __m512d wide =
        _mm512_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(a)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)));
    const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(wide), _mm512_extractf64x4_pd(wide, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }

  /// 64 codes of one byte each.
  template <bool kUnsigned>
  static void store_codes(const Bits* codes, std::uint8_t code_xor, bool stream, std::int8_t* to) {
    const Bits low = _mm512_packs_epi32(codes[0], codes[1]), high = _mm512_packs_epi32(codes[2], codes[3]);
    const Bits order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const Bits packed =
        _mm512_permutexvar_epi32(order, kUnsigned ? _mm512_packus_epi16(low, high) : _mm512_packs_epi16(low, high));
    const Bits bytes = _mm512_xor_si512(packed, _mm512_set1_epi8(static_cast<char>(code_xor)));
    if (stream) {
      _mm512_stream_si512(reinterpret_cast<Bits*>(to), bytes);
    } else {
      _mm512_storeu_si512(to, bytes);
    }
  }
  /// Up to 16.
  template <bool kUnsigned>
  static void store_codes_part(Bits codes, std::uint8_t code_xor, std::size_t count, std::int8_t* to) {
    const __m128i bytes = _mm_xor_si128(_mm512_cvtepi32_epi8(codes), _mm_set1_epi8(static_cast<char>(code_xor)));
    _mm_mask_storeu_epi8(to, mask_of(count), bytes);
  }

  /// 64 codes of 4 bits, two to a byte.
  static void store_nibbles(const Bits* codes, std::int8_t* to) {
    const Bits low = _mm512_packs_epi32(codes[0], codes[1]), high = _mm512_packs_epi32(codes[2], codes[3]);
    const Bits bytes = _mm512_add_epi8(_mm512_packs_epi16(low, high), _mm512_set1_epi8(8));
    // Of each lane of 128 bits two words of each vector.
    const __m256i pairs = _mm512_cvtepi16_epi8(_mm512_maddubs_epi16(bytes, _mm512_set1_epi16(0x1001)));
    const __m256i order = _mm256_setr_epi16(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permutexvar_epi16(order, pairs));
  }
  /// 16 of them.
  static void store_nibbles_part(Bits codes, std::int8_t* to) {
    const __m128i bytes = _mm_add_epi8(_mm512_cvtepi32_epi8(codes), _mm_set1_epi8(8));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to),
                     _mm_cvtepi16_epi8(_mm_maddubs_epi16(bytes, _mm_set1_epi16(0x1001))));
  }

  /// From stored codes to numbers that a scale makes weights.
  struct CodeStart {
    CodeStart(std::int32_t zero_point, std::uint8_t code_xor)
        : zero(_mm512_set1_epi32(zero_point)), flip(_mm_set1_epi8(static_cast<char>(code_xor))) {}

    F load(const std::int8_t* from) const { return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))); }
    F load_part(const std::int8_t* from, std::size_t count) const {
      return widen(_mm_maskz_loadu_epi8(mask_of(count), from));
    }
    F widen(__m128i bytes) const {
      return _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_cvtepi8_epi32(_mm_xor_si128(bytes, flip)), zero));
    }

    Bits zero;
    __m128i flip;
  };
};

constexpr const char* kShared[] = {"pack_int4",  "unpack_int4", "f16_to_f32", "bf16_to_f32", "f64_to_f32",
                                   "f32_to_f16", "f32_to_bf16", "f32_to_f64", "crc32"};

}  // namespace

constinit const KernelTable kAvx512Table = table_of<Vector512>("avx512", kShared);

}  // namespace mnq::kernels

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // __x86_64__
