// 16 columns to a register, 4 elements of each in one instruction: for what has AVX-512 VNNI.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mnq::linear {
namespace {

struct Avx512Vnni {
  using I = __m512i;
  using F = __m512;
  static constexpr std::size_t kLanes = 16;
  static constexpr std::size_t kCodeBytes = 1;
  static constexpr std::size_t kVectors = 4;  // 6 rows of them leave some for weights and one for codes
  static constexpr std::size_t sets(std::size_t rows) { return rows <= 2 ? 2 : 1; }
  static constexpr std::size_t steps(bool nibbles) { return nibbles ? 2 : 1; }
  static constexpr std::int32_t lowest(bool) { return 0; }

  static void store_codes(std::uint8_t* to, __m256i codes) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), codes);
  }

  template <bool kNibbles, std::size_t kStep>
  static I weights(const std::uint8_t* from) {
    const I bytes = _mm512_loadu_si512(from);
    if constexpr (!kNibbles) return bytes;
    return _mm512_and_si512(kStep == 0 ? bytes : _mm512_srli_epi32(bytes, 4), _mm512_set1_epi8(15));
  }
  static I broadcast(const std::uint8_t* from) {
    std::int32_t four;
    std::memcpy(&four, from, sizeof four);
    return _mm512_set1_epi32(four);
  }
  static I dot(I sums, I weights, I row) { return _mm512_dpbusd_epi32(sums, weights, row); }

  static I zero() { return _mm512_setzero_si512(); }
  static I set(std::int32_t value) { return _mm512_set1_epi32(value); }
  static I add(I a, I b) { return _mm512_add_epi32(a, b); }
  static I mul(I a, I b) { return _mm512_mullo_epi32(a, b); }
  static I widen(const std::uint8_t* from) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static void prefetch(const std::uint8_t* from) { _mm_prefetch(reinterpret_cast<const char*>(from), _MM_HINT_T0); }

  static F zero_floats() { return _mm512_setzero_ps(); }
  static F set(float value) { return _mm512_set1_ps(value); }
  static F to_floats(I a) { return _mm512_cvtepi32_ps(a); }
  static F load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, F values) { _mm512_storeu_ps(to, values); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
};

}  // namespace
}  // namespace mnq::linear
