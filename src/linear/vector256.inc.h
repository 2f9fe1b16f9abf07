// What AVX2 and AVX-VNNI have in common: 8 columns to a register, and 16 registers.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mnq::linear {
namespace {

struct Vector256 {
  using I = __m256i;
  using F = __m256;
  static constexpr std::size_t kLanes = 8;
  static constexpr std::size_t kVectors = 2;  // 6 rows of them leave two for weights and one for codes
  static constexpr std::size_t sets(std::size_t rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }
  static constexpr std::int32_t lowest(bool) { return 0; }

  static I load_bytes(const std::uint8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const I*>(from)); }
  static I broadcast(const std::uint8_t* from) {
    std::int32_t four;
    std::memcpy(&four, from, sizeof four);
    return _mm256_set1_epi32(four);
  }

  static I zero() { return _mm256_setzero_si256(); }
  static I set(std::int32_t value) { return _mm256_set1_epi32(value); }
  static I add(I a, I b) { return _mm256_add_epi32(a, b); }
  static I mul(I a, I b) { return _mm256_mullo_epi32(a, b); }
  static I widen(const std::uint8_t* from) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
  }
  static void prefetch(const std::uint8_t* from) { _mm_prefetch(reinterpret_cast<const char*>(from), _MM_HINT_T0); }

  static F zero_floats() { return _mm256_setzero_ps(); }
  static F set(float value) { return _mm256_set1_ps(value); }
  static F to_floats(I a) { return _mm256_cvtepi32_ps(a); }
  static F load(const float* from) { return _mm256_loadu_ps(from); }
  static void store(float* to, F values) { _mm256_storeu_ps(to, values); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
};

}  // namespace
}  // namespace mnq::linear
