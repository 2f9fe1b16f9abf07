// AVX-VNNI: the products of AVX-512 VNNI in registers of AVX2, for CPUs that have no AVX-512.
#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avxvnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avxvnni")
#endif

#include "linear/arrange256.inc.h"
#include "linear/vector256.inc.h"

namespace mnq::linear {
extern const LinearKernel kAvxVnniLinear;
namespace {

struct AvxVnni : Vector256 {
  static constexpr std::size_t kCodeBytes = 1;
  static constexpr std::size_t steps(bool nibbles) { return nibbles ? 2 : 1; }

  static void store_codes(std::uint8_t* to, __m256i codes) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), codes);
  }

  template <bool kNibbles, std::size_t kStep>
  static I weights(const std::uint8_t* from) {
    const I bytes = load_bytes(from);
    if constexpr (!kNibbles) return bytes;
    return _mm256_and_si256(kStep == 0 ? bytes : _mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
  }
  static I dot(I sums, I weights, I row) { return _mm256_dpbusd_avx_epi32(sums, weights, row); }
};

}  // namespace

constinit const LinearKernel kAvxVnniLinear{.isa = "avxvnni",
                                            .kernels = "avxvnni",
                                            .columns = kColumns<AvxVnni>,
                                            .code_bytes = AvxVnni::kCodeBytes,
                                            .arrange = arrange<AvxVnni>,
                                            .multiply = multiply<AvxVnni>};

}  // namespace mnq::linear

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // __x86_64__
