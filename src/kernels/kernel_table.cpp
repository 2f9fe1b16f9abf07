// Which instruction set runs.
#include "kernels/kernel_table.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "kernels/kernel_tables.h"

namespace mnq::kernels {
namespace {

bool always() { return true; }

#if defined(__x86_64__)
// __builtin_cpu_supports asks the operating system's support of the registers, too.
bool has_avx2() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool has_f16c = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;  // clang 14 knows no such name
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("pclmul") &&
         has_f16c;
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

struct KernelRow {
  const KernelTable* table;
  bool (*runs_here)();
};

// The slowest first.
constexpr KernelRow kRows[] = {
    {&kGenericTable, always},
#if defined(__x86_64__)
    {&kAvx2Table, has_avx2},
    {&kAvx512Table, has_avx512},
#endif
};

struct AvailableTables {
  std::array<const KernelTable*, std::size(kRows)> tables{};
  std::size_t count = 0;
};

AvailableTables find_tables() {
  AvailableTables found;
  for (const KernelRow& row : kRows) {
    if (row.runs_here()) found.tables[found.count++] = row.table;
  }
  return found;
}

std::string names_of(std::span<const KernelTable* const> tables) {
  std::string names;
  for (const KernelTable* table : tables) names += (names.empty() ? "" : ", ") + std::string(table->isa);
  return names;
}

// No entry is missing in kernel_entries.inc.
constexpr std::size_t kEntryCount = 0
#define MNQ_KERNEL(name) +1
#include "kernels/kernel_entries.inc"
    ;
static_assert(sizeof(KernelTable) ==
              sizeof(KernelTable::isa) + sizeof(KernelTable::shared) + kEntryCount * sizeof(KernelTable::range));

}  // namespace

std::span<const KernelTable* const> available_kernel_tables() {
  static const AvailableTables found = find_tables();
  return {found.tables.data(), found.count};
}

const KernelTable& select_kernel_table(const char* isa) {
  const auto available = available_kernel_tables();
  if (isa == nullptr || *isa == '\0') return *available.back();
  for (const KernelTable* table : available) {
    if (std::string_view(table->isa) == isa) return *table;
  }
  throw Error(Status::kUnsupported, std::string("MNQ_ISA=") + isa + ": there are no such kernels for this CPU",
              "leave MNQ_ISA unset, or choose one of: " + names_of(available), "MNQ_ISA");
}

const KernelTable& kernel_table() {
  static const KernelTable& chosen = select_kernel_table(std::getenv("MNQ_ISA"));
  return chosen;
}

}  // namespace mnq::kernels
