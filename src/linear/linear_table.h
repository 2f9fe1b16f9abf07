// Which row of the table runs.
#pragma once

#include <span>

#include "linear/linear_kernels.h"

namespace mnq::linear {

extern const LinearKernel kGenericLinear;  // linear_generic.cpp: the oracle
#if defined(__x86_64__)
extern const LinearKernel kAvx2Linear;        // linear_avx2.cpp: AVX2, FMA
extern const LinearKernel kAvxVnniLinear;     // linear_avxvnni.cpp: besides those AVX-VNNI
extern const LinearKernel kAvx512VnniLinear;  // linear_avx512vnni.cpp: AVX-512 F, BW, VL, VNNI
extern const LinearKernel kAmxLinear;         // linear_amx.cpp: besides those AMX tiles of bytes
#elif defined(__aarch64__)
extern const LinearKernel kNeonLinear;     // linear_neon.cpp: every CPU has it
extern const LinearKernel kDotprodLinear;  // linear_dotprod.cpp: the dot product of ARM 8.2
#endif

/// Those this CPU can run, slowest first: generic always.
std::span<const LinearKernel* const> available_linear_kernels();

/// The one in use: the fastest, or where MNQ_ISA names a table of kernels the fastest that needs no more than that.
/// Throws Error(kUnsupported) as kernel_table() does.
const LinearKernel& linear_kernel();

}  // namespace mnq::linear
