// Each kernel of each instruction set against what the memory allows, measured in the same run.
//
// "of_bound" is the fraction of the speed at which the kernel's bytes could be moved, were reading (and for float
// outputs, copying) all there is. From DRAM unless the name says "cache". Run it alone: neighbours halve the bandwidth.
#include <benchmark/benchmark.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstring>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"
#include "kernels/search_rules.h"

namespace mnq::kernels {
namespace {

constexpr std::size_t kRows = 16384;
constexpr std::size_t kLength = 4096;
constexpr std::size_t kCount = kRows * kLength;  // 256 MiB of float32
constexpr std::size_t kCacheRows = 16;           // 256 KiB

struct FreeAligned {
  void operator()(void* memory) const { std::free(memory); }
};
template <class Value>
using Array = std::unique_ptr<Value[], FreeAligned>;

template <class Value>
Array<Value> make_array(std::size_t count) {
  auto* memory = static_cast<Value*>(std::aligned_alloc(64, (count * sizeof(Value) + 63) / 64 * 64));
  std::memset(static_cast<void*>(memory), 1, count * sizeof(Value));  // every page is touched before it is timed
  return Array<Value>(memory);
}

struct Data {
  Array<float> weights = make_array<float>(kCount);
  Array<float> floats = make_array<float>(kCount);
  Array<std::int8_t> codes = make_array<std::int8_t>(kCount);
  Array<std::uint8_t> packed = make_array<std::uint8_t>(kCount / 2);
  Array<std::uint16_t> halves = make_array<std::uint16_t>(kCount);
  std::vector<float> scales = std::vector<float>(kCount / 32, 0.01f);
  std::vector<float> minima = std::vector<float>(kCount / 32);
  std::vector<std::int8_t> zero_points = std::vector<std::int8_t>(kCount / 32);
  std::vector<ErrorSums> sums = std::vector<ErrorSums>(kRows);

  Data() {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 0.02f);
    std::vector<float> some(1 << 20);
    for (float& value : some) value = normal(random);
    for (std::size_t i = 0; i < kCount; ++i) weights[i] = some[i * 7 % some.size()];
    for (std::size_t i = 0; i < kCount; ++i) codes[i] = static_cast<std::int8_t>(static_cast<int>(i * 31 % 16) - 8);
  }
};

Data& data() {
  static Data all;
  return all;
}

// Reads everything and does next to nothing with it.
std::uint64_t read_words(const float* from) {
  std::uint64_t sums[8] = {};
  const auto* words = reinterpret_cast<const std::uint64_t*>(from);
  for (std::size_t i = 0; i < kCount / 2; i += 8) {
    for (std::size_t k = 0; k < 8; ++k) sums[k] ^= words[i + k];
  }
  for (std::size_t k = 1; k < 8; ++k) sums[0] ^= sums[k];
  return sums[0];
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) std::uint64_t read_vectors(const float* from) {
  __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
  const auto* vectors = reinterpret_cast<const __m256i*>(from);
  for (std::size_t i = 0; i < kCount / 8; i += 4) {
    a = _mm256_xor_si256(a, _mm256_load_si256(vectors + i));
    b = _mm256_xor_si256(b, _mm256_load_si256(vectors + i + 1));
    c = _mm256_xor_si256(c, _mm256_load_si256(vectors + i + 2));
    d = _mm256_xor_si256(d, _mm256_load_si256(vectors + i + 3));
  }
  const __m256i all = _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
  return static_cast<std::uint64_t>(_mm256_extract_epi64(all, 0) ^ _mm256_extract_epi64(all, 1) ^
                                    _mm256_extract_epi64(all, 2) ^ _mm256_extract_epi64(all, 3));
}

std::uint64_t read_all(const float* from) {
  return __builtin_cpu_supports("avx2") ? read_vectors(from) : read_words(from);
}
#else
std::uint64_t read_all(const float* from) { return read_words(from); }
#endif

// What this thread had of the CPU so far: neighbours that it shares the CPU with do not count.
double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// The best of many: bytes a second that one core reads from DRAM.
double read_bandwidth() {
  static const double best = [] {
    double seconds = 1e9;
    for (int i = 0; i < 15; ++i) {
      const double start = cpu_seconds();
      benchmark::DoNotOptimize(read_all(data().weights.get()));
      seconds = std::min(seconds, cpu_seconds() - start);
    }
    return kCount * sizeof(float) / seconds;
  }();
  return best;
}

void report(benchmark::State& state, double elements, double bytes_an_element) {
  state.counters["G_elements/s"] =
      benchmark::Counter(elements * static_cast<double>(state.iterations()) / 1e9, benchmark::Counter::kIsRate);
  state.counters["of_bound"] =
      benchmark::Counter(elements * static_cast<double>(state.iterations()) * bytes_an_element / read_bandwidth(),
                         benchmark::Counter::kIsRate);
}

struct QuantizeCase {
  const char* name;
  CodeRule rule;
  std::size_t group;
  bool sums;
};
constexpr QuantizeCase kQuantizeCases[] = {
    {"int8_channel", {-128, 127, true, 0, 127}, kLength, false},
    {"int8_channel_sqnr", {-128, 127, true, 0, 127}, kLength, true},
    {"int8_channel_asymmetric_sqnr", {-128, 127, false, 0, 127}, kLength, true},
    {"int8_g128_sqnr", {-128, 127, true, 0, 127}, 128, true},
    {"int8_g32_sqnr", {-128, 127, true, 0, 127}, 32, true},
    {"int4_g128_sqnr", {-8, 7, true, 0, 7.5f}, 128, true},
    {"int4_g32_sqnr", {-8, 7, true, 0, 7.5f}, 32, true},
    {"int4_g32_asymmetric_sqnr", {-8, 7, false, 0, 7.5f}, 32, true},
};

void quantize(benchmark::State& state, const KernelTable& table, const QuantizeCase& how, std::size_t rows) {
  Data& d = data();
  for (auto _ : state) {
    table.quantize_rows(d.weights.get(), rows, kLength, how.group, how.rule, d.scales.data(), d.zero_points.data(),
                        d.codes.get(), how.sums ? d.sums.data() : nullptr);
    benchmark::ClobberMemory();
  }
  report(state, static_cast<double>(rows * kLength), 5);
}

// As the loop does: blocks of 64 rows, whose codes stay in cache until they are packed or written.
constexpr std::size_t kBlockRows = 64;

void quantize_packed(benchmark::State& state, const KernelTable& table, const QuantizeCase& how) {
  Data& d = data();
  CodeRule rule = how.rule;
  rule.is_packed = true;
  for (auto _ : state) {
    for (std::size_t row = 0; row < kRows; row += kBlockRows) {
      table.quantize_rows(d.weights.get() + row * kLength, kBlockRows, kLength, how.group, rule, d.scales.data(),
                          d.zero_points.data(), d.codes.get(), d.sums.data());
    }
    benchmark::ClobberMemory();
  }
  report(state, static_cast<double>(kCount), 4.5);
}

void quantize_halves(benchmark::State& state, const KernelTable& table, const QuantizeCase& how) {
  Data& d = data();
  table.f32_to_bf16(d.weights.get(), kCount, d.halves.get());
  for (auto _ : state) {
    for (std::size_t row = 0; row < kRows; row += kBlockRows) {
      table.quantize_halves(d.halves.get() + row * kLength, true, d.floats.get(), kBlockRows, kLength, how.group,
                            how.rule, d.scales.data(), d.zero_points.data(), d.codes.get(),
                            how.sums ? d.sums.data() : nullptr);
    }
    benchmark::ClobberMemory();
  }
  report(state, static_cast<double>(kCount), 3);
}

// Floats of 8 bits. Blocks again, as the loop hands them on.
constexpr FloatRule kE4M3{4, 3, 7, 448};

void quantize_floats(benchmark::State& state, const KernelTable& table, std::size_t group) {
  Data& d = data();
  for (auto _ : state) {
    for (std::size_t row = 0; row < kRows; row += kBlockRows) {
      const std::size_t at = row * kLength;
      table.quantize_floats(d.weights.get() + at, kBlockRows, kLength, group, kE4M3, d.scales.data(), d.codes.get(),
                            d.sums.data());
    }
    benchmark::ClobberMemory();
  }
  report(state, static_cast<double>(kCount), 5);
}

void quantize_float_halves(benchmark::State& state, const KernelTable& table, std::size_t group) {
  Data& d = data();
  table.f32_to_bf16(d.weights.get(), kCount, d.halves.get());
  for (auto _ : state) {
    for (std::size_t row = 0; row < kRows; row += kBlockRows) {
      const std::size_t at = row * kLength;
      table.quantize_float_halves(d.halves.get() + at, true, d.floats.get(), kBlockRows, kLength, group, kE4M3,
                                  d.scales.data(), d.codes.get(), d.sums.data());
    }
    benchmark::ClobberMemory();
  }
  report(state, static_cast<double>(kCount), 3);
}

struct SearchCase {
  const char* name;
  std::size_t group;
  std::size_t (*search)(const KernelTable& table, Data& data, std::size_t group);  // the number of rows done
  CodeRule rule;
  bool minima;
};

std::size_t search_symmetric(const KernelTable& table, Data& d, std::size_t group) {
  return table.search_symmetric(d.weights.get(), kCacheRows, kLength, group,
                                symmetric_search(4, group == kLength, false), d.scales.data());
}
std::size_t search_zero_point(const KernelTable& table, Data& d, std::size_t group) {
  return table.search_zero_point(d.weights.get(), kCacheRows, kLength, group, zero_point_search(4), d.scales.data(),
                                 d.zero_points.data());
}
std::size_t search_minimum(const KernelTable& table, Data& d, std::size_t group) {
  std::fill(d.zero_points.begin(), d.zero_points.begin() + kCacheRows * kLength / group, std::int8_t{-8});
  return table.search_minimum(d.weights.get(), kCacheRows, kLength, group, minimum_search(4), d.scales.data(),
                              d.minima.data());
}
std::size_t search_8_bits(const KernelTable& table, Data& d, std::size_t group) {
  return table.search_symmetric(d.weights.get(), kCacheRows, kLength, group, symmetric_search(8, false, false),
                                d.scales.data());
}

constexpr CodeRule kSymmetric4{-8, 7, true, 0, 7.5f};
constexpr CodeRule kAsymmetric4{-8, 7, false, 0, 7.5f};
constexpr SearchCase kSearchCases[] = {
    {"int4_g128", 128, search_symmetric, kSymmetric4, false},
    {"int4_g32", 32, search_symmetric, kSymmetric4, false},
    {"int4_channel", kLength, search_symmetric, kSymmetric4, false},
    {"int8_g32", 32, search_8_bits, {-128, 127, true, 0, 127.5f}, false},
    {"int4_g128_zero_point", 128, search_zero_point, kAsymmetric4, false},
    {"int4_g32_zero_point", 32, search_zero_point, kAsymmetric4, false},
    {"int4_g32_minimum", 32, search_minimum, kAsymmetric4, true},
};

template <class Work>
double seconds_of(Work work) {
  const double start = cpu_seconds();
  work();
  benchmark::ClobberMemory();
  return cpu_seconds() - start;
}

// A search and the codes it leads to. "times_minmax" compares it with quantize_rows of the same rule, one after the
// other, the median; both take the sums. The data are in cache: neither waits for the memory.
void search(benchmark::State& state, const KernelTable& table, const SearchCase& how) {
  Data& d = data();
  const std::int8_t* zero_points = how.rule.symmetric ? nullptr : d.zero_points.data();
  const auto encode = [&] {
    table.encode_rows(d.weights.get(), kCacheRows, kLength, how.group, how.rule, d.scales.data(), zero_points,
                      how.minima ? d.minima.data() : nullptr, d.codes.get(), d.sums.data());
  };
  std::vector<double> ratios, codes;
  for (auto _ : state) {
    const double minmax = seconds_of([&] {
      table.quantize_rows(d.weights.get(), kCacheRows, kLength, how.group, how.rule, d.scales.data(),
                          d.zero_points.data(), d.codes.get(), d.sums.data());
    });
    const double searched = seconds_of([&] { how.search(table, d, how.group); });
    const double encoded = seconds_of(encode);
    ratios.push_back((searched + encoded) / minmax);
    codes.push_back(encoded / minmax);
    state.SetIterationTime(searched + encoded);
  }
  const auto median = [](std::vector<double>& values) {
    std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
    return values[values.size() / 2];
  };
  report(state, kCacheRows * kLength, 5);
  state.counters["times_minmax"] = median(ratios);
  state.counters["codes_alone"] = median(codes);
}

template <class Work>
void add(const KernelTable& table, const std::string& name, double bytes_an_element, Work work) {
  benchmark::RegisterBenchmark((std::string(table.isa) + "/" + name).c_str(), [=](benchmark::State& state) {
    for (auto _ : state) {
      work();
      benchmark::ClobberMemory();
    }
    report(state, kCount, bytes_an_element);
  });
}

void add_table(const KernelTable& table) {
  const std::string isa = table.isa;
  for (const QuantizeCase& how : kQuantizeCases) {
    benchmark::RegisterBenchmark((isa + "/quantize_" + how.name).c_str(),
                                 [&table, &how](benchmark::State& state) { quantize(state, table, how, kRows); });
    benchmark::RegisterBenchmark((isa + "/quantize_" + how.name + "/cache").c_str(),
                                 [&table, &how](benchmark::State& state) { quantize(state, table, how, kCacheRows); });
  }
  for (const QuantizeCase& how : kQuantizeCases) {
    benchmark::RegisterBenchmark((isa + "/quantize_bf16_" + how.name).c_str(),
                                 [&table, &how](benchmark::State& state) { quantize_halves(state, table, how); });
  }
  for (const QuantizeCase& how : kQuantizeCases) {
    if (how.rule.code_max != 7) continue;
    benchmark::RegisterBenchmark((isa + "/quantize_packed_" + how.name).c_str(),
                                 [&table, &how](benchmark::State& state) { quantize_packed(state, table, how); });
  }
  for (const auto& [name, group] : {std::pair{"channel", kLength}, std::pair{"g128", std::size_t{128}}}) {
    const std::string what = std::string("_float8_") + name + "_sqnr";
    benchmark::RegisterBenchmark(
        (isa + "/quantize_f32" + what).c_str(),
        [&table, size = group](benchmark::State& state) { quantize_floats(state, table, size); });
    benchmark::RegisterBenchmark(
        (isa + "/quantize_bf16" + what).c_str(),
        [&table, size = group](benchmark::State& state) { quantize_float_halves(state, table, size); });
  }
  for (const SearchCase& how : kSearchCases) {
    benchmark::RegisterBenchmark((isa + "/search_" + how.name).c_str(), [&table, &how](benchmark::State& state) {
      search(state, table, how);
    })->UseManualTime();
  }
  Data& d = data();
  add(table, "range", 4, [&] { benchmark::DoNotOptimize(table.range(d.weights.get(), kCount)); });
  add(table, "dequantize", 5, [&] {
    table.dequantize_rows(d.codes.get(), kRows, kLength, kLength, 0, d.scales.data(), nullptr, d.floats.get());
  });
  add(table, "error_sums", 8,
      [&] { benchmark::DoNotOptimize(table.error_sums(d.weights.get(), d.floats.get(), kCount)); });
  add(table, "pack_int4", 1.5, [&] { table.pack_int4(d.codes.get(), kCount, d.packed.get()); });
  add(table, "unpack_int4", 1.5, [&] { table.unpack_int4(d.packed.get(), kCount, d.codes.get()); });
  add(table, "f32_to_f16", 6, [&] { table.f32_to_f16(d.weights.get(), kCount, d.halves.get()); });
  add(table, "f32_to_f16_sqnr", 6, [&] {
    constexpr std::size_t kBlock = std::size_t{1} << 18;  // as the loop has them
    for (std::size_t i = 0; i < kCount; i += kBlock) {
      table.cast_to_halves(d.weights.get() + i, kBlock, false, d.halves.get(), d.sums.data());
    }
  });
  add(table, "f16_to_f32", 6, [&] { table.f16_to_f32(d.halves.get(), kCount, d.floats.get()); });
  add(table, "bf16_to_f32", 6, [&] { table.bf16_to_f32(d.halves.get(), kCount, d.floats.get()); });
}

void bench_read(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(read_all(data().weights.get()));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kCount * sizeof(float)));
}

void bench_memcpy(benchmark::State& state) {
  for (auto _ : state) {
    std::memcpy(data().floats.get(), data().weights.get(), kCount * sizeof(float));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kCount * sizeof(float)));
}

}  // namespace
}  // namespace mnq::kernels

int main(int count, char** arguments) {
  using namespace mnq::kernels;
  benchmark::RegisterBenchmark("limit/read", bench_read);
  benchmark::RegisterBenchmark("limit/memcpy", bench_memcpy);
  const auto all = available_kernel_tables();
  for (std::size_t i = all.size(); i-- > 0;) add_table(*all[i]);
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
