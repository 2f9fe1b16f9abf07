// Products of packed weights against what the machine can do, measured in the same run, round by round: the peak of its
// multiplications, and how fast it reads as many bytes as the weights have. The best of all rounds on both sides.
//
//   linear_bench [ROUNDS [INSTRUCTION_SET [NAME]]]
//
// "of_peak" is for many rows; "of_read", the time of reading all packed bytes, scales included, for a single one.
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

#include "linear/linear.h"
#include "linear/linear_table.h"

namespace mnq::linear {
namespace {

volatile std::uint64_t sink = 0;

double now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// One thread is timed by what it had of the CPU, so that neighbours that take their turns do not count.
template <class Work>
double seconds_of(const Work& work, clockid_t clock = CLOCK_THREAD_CPUTIME_ID) {
  const double start = now(clock);
  work();
  return now(clock) - start;
}

constexpr std::size_t kProbeSteps = 200000;

#if defined(__x86_64__)
// Products of 8 registers, none of which waits for another. In assembly, since compilers copy registers around them.
#define MNQ_PROBE(name, isa, product, register_bytes, lane_products)                                         \
  __attribute__((target(isa))) double name() {                                                               \
    for (std::size_t step = 0; step < kProbeSteps; ++step) {                                                 \
      asm volatile(product(0) product(1) product(2) product(3) product(4) product(5) product(6) product(7):: \
                       : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9");    \
    }                                                                                                        \
    return 2.0 * 8 * kProbeSteps * ((register_bytes) / 4) * (lane_products);                                 \
  }
#define MNQ_MADD(to) "vpmaddwd %%ymm8, %%ymm8, %%ymm9\n\tvpaddd %%ymm9, %%ymm" #to ", %%ymm" #to "\n\t"
#define MNQ_VEX_DOT(to) "%{vex%} vpdpbusd %%ymm8, %%ymm8, %%ymm" #to "\n\t"
#define MNQ_DOT(to) "vpdpbusd %%zmm8, %%zmm8, %%zmm" #to "\n\t"
MNQ_PROBE(probe_avx2, "avx2", MNQ_MADD, 32, 2)
MNQ_PROBE(probe_avxvnni, "avx2", MNQ_VEX_DOT, 32, 4)
MNQ_PROBE(probe_avx512vnni, "avx512f", MNQ_DOT, 64, 4)

// Products of full tiles into four others. Of random bytes: zeros take less power, and the clock is higher.
double probe_amx() {
  alignas(64) std::uint8_t shapes[64] = {1}, bytes[1024];
  for (std::size_t tile = 0; tile < 8; ++tile) shapes[16 + 2 * tile] = 64, shapes[48 + tile] = 16;
  std::mt19937 random(3);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  const std::size_t stride = 64;
  asm volatile("ldtilecfg %0\n\ttileloadd (%1, %2), %%tmm4\n\ttileloadd (%1, %2), %%tmm5"
               :
               : "m"(shapes), "r"(bytes), "r"(stride)
               : "memory");
  for (std::size_t step = 0; step < kProbeSteps; ++step) {
    asm volatile(
        "tdpbsud %%tmm5, %%tmm4, %%tmm0\n\ttdpbsud %%tmm5, %%tmm4, %%tmm1\n\t"
        "tdpbsud %%tmm5, %%tmm4, %%tmm2\n\ttdpbsud %%tmm5, %%tmm4, %%tmm3" ::);
  }
  asm volatile("tilerelease" ::);
  return 2.0 * 4 * kProbeSteps * 16 * 16 * 64;
}
#endif

// Operations of one call of what multiplies fastest in this instruction set.
double run_probe(std::string_view isa) {
#if defined(__x86_64__)
  if (isa == "amx") return probe_amx();
  if (isa == "avx512vnni") return probe_avx512vnni();
  if (isa == "avxvnni") return probe_avxvnni();
  if (isa == "avx2") return probe_avx2();
#endif
  static_cast<void>(isa);
  return 0;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) std::uint64_t read_all(const std::byte* from, std::size_t size) {
  __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
  for (std::size_t i = 0; i + 128 <= size; i += 128) {
    const auto* at = reinterpret_cast<const __m256i*>(from + i);
    _mm_prefetch(reinterpret_cast<const char*>(from + i + 4096), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(from + i + 4160), _MM_HINT_T0);
    a = _mm256_xor_si256(a, _mm256_loadu_si256(at));
    b = _mm256_xor_si256(b, _mm256_loadu_si256(at + 1));
    c = _mm256_xor_si256(c, _mm256_loadu_si256(at + 2));
    d = _mm256_xor_si256(d, _mm256_loadu_si256(at + 3));
  }
  const __m256i all = _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
  return static_cast<std::uint64_t>(_mm256_extract_epi64(all, 0) ^ _mm256_extract_epi64(all, 3));
}
#else
std::uint64_t read_all(const std::byte* from, std::size_t size) {
  std::uint64_t all = 0, word;
  for (std::size_t i = 0; i + 8 <= size; i += 8) {
    std::memcpy(&word, from + i, 8);
    all ^= word;
  }
  return all;
}
#endif

// Memory as packed weights have it.
struct Memory {
  explicit Memory(std::size_t size_bytes) : size(size_bytes) {
    constexpr std::size_t kHuge = std::size_t{2} << 20;
    bytes = static_cast<std::byte*>(std::aligned_alloc(kHuge, (size + kHuge - 1) / kHuge * kHuge));
    static_cast<void>(madvise(bytes, size, MADV_HUGEPAGE));
    std::memset(bytes, 7, size);
  }
  ~Memory() { std::free(bytes); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  std::size_t size;
  std::byte* bytes;
};

struct Case {
  const char* name;
  bool has_nibbles;
  std::size_t group_size;
  bool has_zero_points;
  std::size_t rows, outputs, length;
};

std::unique_ptr<PackedLinear> make_linear(const Case& how, const LinearKernel& kernel, bool symmetric_rows) {
  std::mt19937 random(1);
  std::vector<std::int8_t> codes(64 * how.length);
  for (auto& code : codes) {
    code = static_cast<std::int8_t>(how.has_nibbles ? static_cast<int>(random() % 16) - 8
                                                    : static_cast<int>(random() % 256) - 128);
  }
  LinearWeights weights;
  weights.output_count = how.outputs;
  weights.row_length = how.length;
  weights.has_nibbles = how.has_nibbles;
  weights.group_size = how.group_size;
  const std::vector<float> scales(how.outputs * weights.groups(), 0.01f);
  const std::vector<std::int8_t> zero_points(scales.size(), 1);
  weights.scales = scales.data();
  weights.zero_points = how.has_zero_points ? zero_points.data() : nullptr;
  weights.codes = [&](std::size_t, std::size_t) { return codes.data(); };
  return std::make_unique<PackedLinear>(weights, symmetric_rows, kernel);
}

// A call is repeated until it takes about a millisecond.
std::size_t repeats_for(double seconds) { return static_cast<std::size_t>(std::max(1.0, 1e-3 / seconds)); }

void measure(const Case& how, const LinearKernel& kernel, int rounds) {
  const auto linear = make_linear(how, kernel, false);
  const auto symmetric = make_linear(how, kernel, true);
  std::vector<float> rows(how.rows * how.length), out(how.rows * how.outputs);
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  for (float& value : rows) value = normal(random);
  const Memory scratch(linear->scratch_bytes(how.rows, 2)), same_size(linear->size_bytes());
  const auto run = [&](const PackedLinear& with, std::size_t threads) {
    with.run({rows.data(), DType::kF32, how.rows, out.data(), DType::kF32}, threads, scratch.bytes, scratch.size);
  };
  run(*linear, 1);
  const double once = seconds_of([&] { run(*linear, 1); });
  double one = 1e9, two = 1e9, one_by_the_wall = 1e9, without = 1e9, read = 1e9, peak = 0;
  const std::size_t repeats = repeats_for(once);
  const auto best_of = [&](double& best, const auto& work, clockid_t clock = CLOCK_THREAD_CPUTIME_ID) {
    const auto all = [&] {
      for (std::size_t i = 0; i < repeats; ++i) work();
    };
    const double seconds = seconds_of(all, clock);
    best = std::min(best, seconds / static_cast<double>(repeats));
  };
  for (int round = 0; round < rounds; ++round) {
    double operations = 0;
    const double seconds = seconds_of([&] { operations = run_probe(kernel.isa); });
    peak = std::max(peak, operations / seconds);
    best_of(one, [&] { run(*linear, 1); });
    best_of(
        one_by_the_wall, [&] { run(*linear, 1); }, CLOCK_MONOTONIC);
    best_of(
        two, [&] { run(*linear, 2); }, CLOCK_MONOTONIC);
    best_of(without, [&] { run(*symmetric, 1); });
    best_of(read, [&] { sink = read_all(same_size.bytes, same_size.size); });
  }
  const double operations = 2.0 * static_cast<double>(how.rows * how.outputs * how.length);
  std::printf(
      "%-11s %-9s %4zu x %5zu x %5zu  %8.4f ms %7.1f GOP/s  of_peak %4.2f  of_read %4.2f (%5.1f GB/s)  "
      "two_threads %4.2f  symmetric_rows %4.2f\n",
      kernel.isa, how.name, how.rows, how.outputs, how.length, one * 1e3, operations / one / 1e9,
      operations / one / peak, read / one, static_cast<double>(linear->size_bytes()) / read / 1e9,
      one_by_the_wall / two, without / one);
  std::fflush(stdout);
}

constexpr Case kCases[] = {
    {"int8", false, 0, false, 1, 768, 768},          {"int8", false, 0, false, 1, 3072, 768},
    {"int8", false, 0, false, 1, 4096, 4096},        {"int8", false, 0, false, 1, 11008, 4096},
    {"int8", false, 0, false, 8, 768, 768},          {"int8", false, 0, false, 8, 4096, 4096},
    {"int8", false, 0, false, 32, 768, 768},         {"int8", false, 0, false, 128, 3072, 768},
    {"int8", false, 0, false, 32, 4096, 4096},       {"int8", false, 0, false, 128, 4096, 4096},
    {"int8 asym", false, 0, true, 32, 4096, 4096},   {"int4 g128", true, 128, false, 1, 4096, 4096},
    {"int4 g32", true, 32, false, 1, 4096, 4096},    {"int4 g32 a", true, 32, true, 1, 4096, 4096},
    {"int4 g128", true, 128, false, 1, 11008, 4096}, {"int4 g128", true, 128, false, 8, 4096, 4096},
    {"int4 g128", true, 128, false, 32, 4096, 4096}, {"int4 g128", true, 128, false, 128, 4096, 4096},
    {"int4 g32", true, 32, false, 8, 4096, 4096},    {"int4 g32", true, 32, false, 32, 4096, 4096},
    {"int4 g32", true, 32, false, 128, 4096, 4096},  {"int4 g32 a", true, 32, true, 128, 4096, 4096},
    {"int4 row", true, 0, false, 128, 4096, 4096},
};

}  // namespace
}  // namespace mnq::linear

int main(int count, char** arguments) {
  using namespace mnq::linear;
  const int rounds = count > 1 ? std::atoi(arguments[1]) : 15;
  const std::string_view only = count > 2 ? arguments[2] : "", name = count > 3 ? arguments[3] : "";
  const auto kernels = available_linear_kernels();
  for (std::size_t i = kernels.size(); i-- > 1;) {
    if (!only.empty() && only != kernels[i]->isa) continue;
    for (const Case& how : kCases) {
      if (name.empty() || name == how.name) measure(how, *kernels[i], rounds);
    }
  }
  return 0;
}
