// AVX-512 VNNI: products of unsigned and signed bytes, four at a time, in registers of 512 bits.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12's own header, bug 105593
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni")
#endif

#include "linear/arrange256.inc.h"
#include "linear/vector512.inc.h"

namespace mnq::linear {
extern const LinearKernel kAvx512VnniLinear;

constinit const LinearKernel kAvx512VnniLinear{.isa = "avx512vnni",
                                               .kernels = "avx512",
                                               .columns = kColumns<Avx512Vnni>,
                                               .code_bytes = Avx512Vnni::kCodeBytes,
                                               .arrange = arrange<Avx512Vnni>,
                                               .multiply = multiply<Avx512Vnni>};

}  // namespace mnq::linear

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // __x86_64__
