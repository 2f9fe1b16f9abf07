#include "linear/linear_table.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <array>
#include <cstdlib>
#include <string_view>

#include "kernels/kernel_table.h"

namespace mnq::linear {
namespace {

bool always() { return true; }

#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

// Of leaf 7.1; compilers of these years have no name for it that all know.
bool has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1u << 4)) != 0;
}

bool has_avx512_vnni() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

// Tiles are large: Linux gives them to a process that asks, and not where a stack for signals is too small for them. It
// refuses such a stack from then on: one of 8 KB, which was enough before.
bool may_use_tiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

bool has_amx() {
  constexpr unsigned kTile = 1u << 24, kBytes = 1u << 25;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return has_avx512_vnni() && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kTile) != 0 && (d & kBytes) != 0 &&
         may_use_tiles();
}
#elif defined(__aarch64__)
bool has_dotprod() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
#endif

struct LinearRow {
  const LinearKernel* kernel;
  bool (*runs_here)();
};

// The slowest first.
constexpr LinearRow kRows[] = {
    {&kGenericLinear, always},
#if defined(__x86_64__)
    {&kAvx2Linear, has_avx2},
    {&kAvxVnniLinear, has_avx_vnni},
    // The panels of these two are the same.
    {&kAvx512VnniLinear, has_avx512_vnni},
    {&kAmxLinear, has_amx},
#elif defined(__aarch64__)
    {&kNeonLinear, always},
    {&kDotprodLinear, has_dotprod},
#endif
};

struct AvailableKernels {
  std::array<const LinearKernel*, std::size(kRows)> kernels{};
  std::size_t count = 0;
};

AvailableKernels find_kernels() {
  AvailableKernels found;
  for (const LinearRow& row : kRows) {
    if (row.runs_here()) found.kernels[found.count++] = row.kernel;
  }
  return found;
}

// Whether a kernel needs no more than what a table of kernels does.
bool fits(const LinearKernel& kernel, std::string_view isa) {
  for (const kernels::KernelTable* table : kernels::available_kernel_tables()) {
    if (std::string_view(table->isa) == kernel.kernels) return true;
    if (table->isa == isa) return false;
  }
  return false;
}

const LinearKernel& choose_kernel() {
  const char* forced = std::getenv("MNQ_ISA");
  if (forced == nullptr || *forced == '\0') return *available_linear_kernels().back();
  const std::string_view isa = kernels::kernel_table().isa;
  // What does not fit is not even asked for: see has_amx.
  for (std::size_t i = std::size(kRows); i-- > 1;) {
    if (fits(*kRows[i].kernel, isa) && kRows[i].runs_here()) return *kRows[i].kernel;
  }
  return *kRows[0].kernel;
}

}  // namespace

std::span<const LinearKernel* const> available_linear_kernels() {
  static const AvailableKernels found = find_kernels();
  return {found.kernels.data(), found.count};
}

const LinearKernel& linear_kernel() {
  static const LinearKernel& chosen = choose_kernel();
  return chosen;
}

}  // namespace mnq::linear
