// AVX2: products of 16 bits, two of them to a lane. vpmaddubsw, which multiplies bytes, would saturate its sums.
#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#include "linear/arrange256.inc.h"
#include "linear/vector256.inc.h"

namespace mnq::linear {
extern const LinearKernel kAvx2Linear;
namespace {

/// Of the 4 bytes of a column in memory those at 0 and 2 meet in one step, and those at 1 and 3 in the next one:
/// neither needs more than a shift and a mask. The codes of a row are arranged to match.
struct Avx2 : Vector256 {
  static constexpr std::size_t kCodeBytes = 2;
  static constexpr std::size_t steps(bool nibbles) { return nibbles ? 4 : 2; }

  /// From 0 1 2 3 to 0 2 1 3, in 16 bits each.
  static void store_codes(std::uint8_t* to, I codes) {
    const __m128i order = _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
    const __m128i low = _mm256_castsi256_si128(codes), high = _mm256_extracti128_si256(codes, 1);
    auto* wide = reinterpret_cast<I*>(to);
    _mm256_storeu_si256(wide, _mm256_cvtepi8_epi16(_mm_shuffle_epi8(low, order)));
    _mm256_storeu_si256(wide + 1, _mm256_cvtepi8_epi16(_mm_shuffle_epi8(high, order)));
  }

  /// The steps of nibbles go through the low halves of the bytes first.
  template <bool kNibbles, std::size_t kStep>
  static I weights(const std::uint8_t* from) {
    constexpr int kShift = (kStep % 2 == 0 ? 0 : 8) + (kStep < 2 ? 0 : 4);
    const I bytes = load_bytes(from);
    const I shifted = kShift == 0 ? bytes : _mm256_srli_epi16(bytes, kShift);
    if constexpr (kShift == (kNibbles ? 12 : 8)) return shifted;
    return _mm256_and_si256(shifted, _mm256_set1_epi16(kNibbles ? 15 : 255));
  }
  static I dot(I sums, I weights, I row) { return _mm256_add_epi32(sums, _mm256_madd_epi16(weights, row)); }
};

}  // namespace

constinit const LinearKernel kAvx2Linear{.isa = "avx2",
                                         .kernels = "avx2",
                                         .columns = kColumns<Avx2>,
                                         .code_bytes = Avx2::kCodeBytes,
                                         .arrange = arrange<Avx2>,
                                         .multiply = multiply<Avx2>};

}  // namespace mnq::linear

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // __x86_64__
