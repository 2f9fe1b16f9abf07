// Rows of activations to codes, in registers of AVX2: for all instruction sets of x86-64.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "linear/linear_kernels.h"
#include "linear/linear_rows.inc.h"

namespace mnq::linear {
namespace {

/// The codes of kChunk values.
MNQ_INLINE __m256i code_chunk(const float* values, __m256 inverse, __m256i zero_point) {
  __m256i codes[4];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < 4; ++i) {
    const __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(values + 8 * i), inverse);
    codes[i] = _mm256_add_epi32(_mm256_cvtps_epi32(scaled), zero_point);
  }
  const __m256i low = _mm256_packs_epi32(codes[0], codes[1]), high = _mm256_packs_epi32(codes[2], codes[3]);
  return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/// As code_chunk, of the last values of a row.
inline __m256i code_rest(const float* values, std::size_t count, __m256 inverse, __m256i zero_point) {
  alignas(32) float all[kChunk] = {};
  alignas(32) std::int8_t codes[kChunk];
  std::memcpy(all, values, count * sizeof(float));
  _mm256_store_si256(reinterpret_cast<__m256i*>(codes), code_chunk(all, inverse, zero_point));
  std::memset(codes + count, 0, kChunk - count);
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(codes));
}

/// Four sums of codes, each of them 128 higher.
MNQ_INLINE __m256i add_codes(__m256i sums, __m256i codes) {
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
  return _mm256_add_epi64(sums, _mm256_sad_epu8(_mm256_xor_si256(codes, flip), _mm256_setzero_si256()));
}

inline std::int32_t sum_of(__m256i sums, std::size_t count) {
  const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  const __m128i all = _mm_add_epi64(half, _mm_unpackhi_epi64(half, half));
  return static_cast<std::int32_t>(_mm_cvtsi128_si64(all) - 128 * static_cast<std::int64_t>(count));
}

/// LinearKernel::arrange.
template <class V>
void arrange(const Panels& panels, const float* values, std::size_t count, const RowScale& scale, std::uint8_t* codes,
             std::int32_t* offsets) {
  const __m256 inverse = _mm256_set1_ps(scale.inverse);
  const __m256i zero_point = _mm256_set1_epi32(scale.zero_point);
  const std::int32_t weight = offset_weight<V>(panels);
  std::size_t i = 0;
  for (std::size_t group = 0; group < panels.group_count; ++group) {
    const std::size_t length = panels.group_length(group), end = i + length;
    __m256i sums = _mm256_setzero_si256();
    for (; i < end; i += kChunk) {
      const __m256i chunk = i + kChunk <= count ? code_chunk(values + i, inverse, zero_point)
                                                : code_rest(values + i, count < i ? 0 : count - i, inverse, zero_point);
      V::store_codes(codes + i * V::kCodeBytes, chunk);
      sums = add_codes(sums, chunk);
    }
    offsets[group] = -weight * sum_of(sums, length);
  }
}

}  // namespace
}  // namespace mnq::linear
