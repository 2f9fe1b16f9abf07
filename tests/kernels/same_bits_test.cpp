// Every instruction set gives what the oracle gives, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <span>

#include "kernel_cases.h"

namespace mnq::kernels::test {
namespace {

struct Result {
  std::size_t rows_done;
  std::vector<float> scales;
  std::vector<std::int8_t> zero_points;
  std::vector<std::int8_t> codes;
  std::vector<ErrorSums> sums;
};

Result run(const KernelTable& table, const std::vector<float>& weights, std::size_t rows, std::size_t group,
           const CodeRule& rule, bool with_sums) {
  const std::size_t length = weights.size() / rows;
  const std::size_t groups = (length + group - 1) / group;
  Result result{0, std::vector<float>(rows * groups), std::vector<std::int8_t>(rows * groups),
                std::vector<std::int8_t>(weights.size()), std::vector<ErrorSums>(with_sums ? rows : 0)};
  result.rows_done =
      table.quantize_rows(weights.data(), rows, length, group, rule, result.scales.data(), result.zero_points.data(),
                          result.codes.data(), with_sums ? result.sums.data() : nullptr);
  return result;
}

void expect_same(const ErrorSums& a, const ErrorSums& b, const std::string& what) {
  ASSERT_TRUE(same_bits(a.signal, b.signal)) << what << ' ' << a.signal << ' ' << b.signal;
  ASSERT_TRUE(same_bits(a.error, b.error)) << what << ' ' << a.error << ' ' << b.error;
  ASSERT_TRUE(same_bits(a.max_error, b.max_error)) << what << ' ' << a.max_error << ' ' << b.max_error;
}

TEST(SameBits, QuantizeRows) {
  for (const KernelTable* table : fast_tables()) {
    for (const std::size_t length : lengths()) {
      for (const std::size_t group : {std::size_t{1}, std::size_t{3}, std::size_t{16}, std::size_t{32}, std::size_t{64},
                                      std::size_t{100}, std::size_t{128}, std::max<std::size_t>(length, 1)}) {
        for (int kind = 0; kind < kKinds; ++kind) {
          const auto weights = weights_of(kind, 2 * length);
          for (const CodeRule& rule : rules()) {
            const std::string what = std::string(table->isa) + " length " + std::to_string(length) + " group " +
                                     std::to_string(group) + " kind " + std::to_string(kind);
            const Result expected = run(oracle(), weights, 2, group, rule, true);
            const Result got = run(*table, weights, 2, group, rule, true);
            ASSERT_EQ(got.rows_done, 2u) << what;
            ASSERT_EQ(got.scales, expected.scales) << what;
            ASSERT_EQ(got.zero_points, expected.zero_points) << what;
            ASSERT_EQ(got.codes, expected.codes) << what;
            for (std::size_t row = 0; row < 2; ++row) expect_same(got.sums[row], expected.sums[row], what);
            ASSERT_EQ(run(*table, weights, 2, group, rule, false).codes, expected.codes) << what;
          }
        }
      }
    }
  }
}

TEST(SameBits, LargeOutputsThatGoAroundTheCaches) {
  const auto weights = weights_of(0, 700 * 4096);
  for (const KernelTable* table : fast_tables()) {
    for (const std::size_t group : {4096, 128, 96, 32}) {
      ASSERT_EQ(run(*table, weights, 700, group, kInt8, true).codes,
                run(oracle(), weights, 700, group, kInt8, true).codes);
    }
  }
}

TEST(SameBits, QuantizeRunWithAScaleOfAnothersRange) {
  for (const KernelTable* table : fast_tables()) {
    for (const std::size_t length : lengths()) {
      for (const float scale : {0.01f, 1.0f, 3.0f, 1e-38f, 1e36f}) {
        for (const CodeRule& rule : rules()) {
          const auto weights = weights_of(8, length);
          std::vector<std::int8_t> codes(length), expected(length);
          ErrorSums sums{}, expected_sums{};
          const int zero_point = rule.symmetric ? 0 : 5;
          oracle().quantize_run(weights.data(), length, scale, zero_point, rule, expected.data(), &expected_sums);
          table->quantize_run(weights.data(), length, scale, zero_point, rule, codes.data(), &sums);
          ASSERT_EQ(codes, expected) << table->isa << ' ' << length << ' ' << scale;
          expect_same(sums, expected_sums, table->isa);
        }
      }
    }
  }
}

// The reciprocal against the division, where they are most likely to differ: close to every tie of many scales.
TEST(SameBits, TheReciprocalNeverShows) {
  std::mt19937 random(7);
  std::vector<float> weights(4096);
  std::vector<std::int8_t> codes(4096), expected(4096);
  for (int trial = 0; trial < 150; ++trial) {
    const float scale =
        std::ldexp(1 + static_cast<float>(random() % (1u << 23)) * 0x1p-23f, static_cast<int>(random() % 190) - 95);
    for (float& weight : weights) {
      const float tie = (static_cast<float>(random() % 254) - 126.5f) * scale;
      weight = tie;
      for (unsigned step = random() % 4; step > 0; --step)
        weight = std::nextafter(weight, random() % 2 ? 1e30f : -1e30f);
    }
    oracle().quantize_run(weights.data(), weights.size(), scale, 0, kInt8, expected.data(), nullptr);
    for (const KernelTable* table : fast_tables()) {
      table->quantize_run(weights.data(), weights.size(), scale, 0, kInt8, codes.data(), nullptr);
      ASSERT_EQ(codes, expected) << table->isa << " scale " << scale;
    }
  }
}

struct Halves {
  std::vector<std::uint16_t> halves;
  std::vector<float> weights;  // what they are in float32
};

Halves rounded_to_halves(const KernelTable& table, bool is_brain, std::size_t count) {
  Halves result{std::vector<std::uint16_t>(count), std::vector<float>(count)};
  const auto some = weights_of(0, count);
  (is_brain ? table.f32_to_bf16 : table.f32_to_f16)(some.data(), count, result.halves.data());
  (is_brain ? table.bf16_to_f32 : table.f16_to_f32)(result.halves.data(), count, result.weights.data());
  return result;
}

// Floats of 16 bits are quantized as what they are in float32.
TEST(SameBits, QuantizeHalves) {
  for (const KernelTable* table : available_kernel_tables()) {
    for (const std::size_t length : {1, 33, 64, 1025, 4096}) {
      for (const bool is_brain : {false, true}) {
        auto [halves, weights] = rounded_to_halves(*table, is_brain, 3 * length);
        std::vector<float> row(length);
        for (const CodeRule& rule : rules()) {
          Result got = run(oracle(), weights, 3, 32, rule, true);
          const Result expected = got;
          got.codes.assign(got.codes.size(), 99);
          got.scales.assign(got.scales.size(), 99);
          ASSERT_EQ(table->quantize_halves(halves.data(), is_brain, row.data(), 3, length, 32, rule, got.scales.data(),
                                           got.zero_points.data(), got.codes.data(), got.sums.data()),
                    3u);
          ASSERT_EQ(got.codes, expected.codes) << table->isa << ' ' << length;
          ASSERT_EQ(got.scales, expected.scales) << table->isa << ' ' << length;
          ASSERT_EQ(got.zero_points, expected.zero_points) << table->isa << ' ' << length;
          for (std::size_t i = 0; i < 3; ++i) expect_same(got.sums[i], expected.sums[i], table->isa);
          auto with_nan = halves;
          with_nan[2 * length - 1] = 0x7fff;
          ASSERT_EQ(table->quantize_halves(with_nan.data(), is_brain, row.data(), 3, length, 32, rule,
                                           got.scales.data(), got.zero_points.data(), got.codes.data(), nullptr),
                    1u);
        }
      }
    }
  }
}

// Packed codes are those that pack_int4 makes of the others, row by row.
TEST(SameBits, PackedCodes) {
  for (const KernelTable* table : available_kernel_tables()) {
    for (const std::size_t length : {32, 96, 1024, 2080}) {
      for (const std::size_t group : {std::size_t{16}, std::size_t{32}, std::size_t{96}, std::size_t{128}, length}) {
        const auto weights = weights_of(0, 3 * length);
        for (const bool is_symmetric : {false, true}) {
          CodeRule rule{-8, 7, is_symmetric, 0, 7.5f};
          const Result plain = run(oracle(), weights, 3, group, rule, true);
          std::vector<std::uint8_t> expected(3 * length / 2);
          oracle().pack_int4(plain.codes.data(), plain.codes.size(), expected.data());
          rule.is_packed = true;
          Result got = plain;
          std::vector<std::int8_t> packed(expected.size());
          table->quantize_rows(weights.data(), 3, length, group, rule, got.scales.data(), got.zero_points.data(),
                               packed.data(), got.sums.data());
          EXPECT_EQ(std::memcmp(packed.data(), expected.data(), packed.size()), 0) << table->isa << length << group;
          for (std::size_t i = 0; i < 3; ++i) expect_same(got.sums[i], plain.sums[i], table->isa);
          packed.assign(packed.size(), 0);
          table->encode_rows(weights.data(), 3, length, group, rule, plain.scales.data(), plain.zero_points.data(),
                             nullptr, packed.data(), got.sums.data());
          EXPECT_EQ(std::memcmp(packed.data(), expected.data(), packed.size()), 0) << table->isa << length << group;
        }
      }
    }
  }
}

// Scales are rounded to what they are stored in, and codes made with that.
TEST(SameBits, RoundedScales) {
  for (const std::size_t length : {33, 256}) {
    for (const std::size_t group : {std::size_t{32}, length}) {
      for (int kind = 0; kind < kKinds; ++kind) {
        const auto weights = weights_of(kind, 2 * length);
        for (CodeRule rule : rules()) {
          for (const ScaleFloats floats : {ScaleFloats::kBrain, ScaleFloats::kHalf}) {
            rule.scale_floats = floats;
            Result expected = run(oracle(), weights, 2, group, rule, true);
            if (std::ranges::any_of(expected.scales, [](float scale) { return std::isinf(scale); })) continue;
            for (const KernelTable* table : fast_tables()) {
              const Result got = run(*table, weights, 2, group, rule, true);
              ASSERT_EQ(got.rows_done, expected.rows_done);
              if (got.rows_done < 2) continue;
              ASSERT_EQ(got.codes, expected.codes) << table->isa << ' ' << length << ' ' << kind;
              ASSERT_EQ(got.scales, expected.scales) << table->isa << ' ' << length << ' ' << kind;
              ASSERT_EQ(got.zero_points, expected.zero_points) << table->isa << ' ' << length << ' ' << kind;
              for (std::size_t i = 0; i < 2; ++i) expect_same(got.sums[i], expected.sums[i], table->isa);
            }
          }
        }
      }
    }
  }
}

// The largest weights of a group are ties of its codes, or a few floats beside one.
TEST(SameBits, LargestWeightsThatAreTies) {
  std::mt19937 random(9);
  const auto beside = [&](float value) {
    for (unsigned step = random() % 4; step > 0; --step) value = std::nextafter(value, random() % 2 ? 1e30f : -1e30f);
    return value;
  };
  for (int trial = 0; trial < 400; ++trial) {
    const int highest = (1 << random() % 7) - 1;
    if (highest == 0) continue;
    const CodeRule rule{-highest - 1, highest, true, 0, static_cast<float>(highest) + 0.5f};
    std::vector<float> weights(2 * 1248);
    for (std::size_t i = 0; i < weights.size(); i += 32) {
      const float largest =
          std::ldexp(1 + static_cast<float>(random() % (1u << 23)) * 0x1p-23f, static_cast<int>(random() % 190) - 95);
      for (std::size_t k = i; k < i + 32; ++k) {
        const auto tie = static_cast<float>(static_cast<int>(random() % (2 * highest + 2)) - highest) - 0.5f;
        weights[k] = beside(random() % 4 == 0 ? -largest : tie * (largest / rule.symmetric_divisor));
      }
    }
    for (const std::size_t group : {32, 64, 128, 1248}) {
      const Result expected = run(oracle(), weights, 2, group, rule, true);
      for (const KernelTable* table : fast_tables()) {
        const Result got = run(*table, weights, 2, group, rule, true);
        ASSERT_EQ(got.scales, expected.scales) << table->isa << ' ' << highest << ' ' << group;
        ASSERT_EQ(got.codes, expected.codes) << table->isa << ' ' << highest << ' ' << group;
        for (std::size_t row = 0; row < 2; ++row) expect_same(got.sums[row], expected.sums[row], table->isa);
      }
    }
  }
}

// Some of sixteen groups have scales that cannot be inverted, or only zeros.
TEST(SameBits, GroupsOfAllMagnitudesSideBySide) {
  std::mt19937 random(10);
  const auto some = weights_of(0, 3 * 32 * 40);
  auto weights = some;
  for (std::size_t i = 0; i < weights.size(); i += 32) {
    const float factor = random() % 5 == 0 ? 0 : std::ldexp(1.0f, static_cast<int>(random() % 270) - 145);
    for (std::size_t k = i; k < i + 32; ++k) weights[k] *= factor;
  }
  for (const CodeRule& rule : rules()) {
    for (const std::size_t group : {16, 32, 64, 80}) {
      const Result expected = run(oracle(), weights, 3, group, rule, true);
      for (const KernelTable* table : fast_tables()) {
        const Result got = run(*table, weights, 3, group, rule, true);
        ASSERT_EQ(got.scales, expected.scales) << table->isa << ' ' << group;
        ASSERT_EQ(got.zero_points, expected.zero_points) << table->isa << ' ' << group;
        ASSERT_EQ(got.codes, expected.codes) << table->isa << ' ' << group;
        for (std::size_t row = 0; row < 3; ++row) expect_same(got.sums[row], expected.sums[row], table->isa);
      }
    }
  }
}

TEST(SameBits, RangesOfAnyValues) {
  for (const KernelTable* table : fast_tables()) {
    for (const std::size_t length : lengths()) {
      for (int kind = 0; kind < kKinds; ++kind) {
        const auto weights = weights_of(kind, length);
        const Range expected = oracle().range(weights.data(), length), got = table->range(weights.data(), length);
        ASSERT_EQ(std::memcmp(&got, &expected, sizeof got), 0) << table->isa << ' ' << length << ' ' << kind;
      }
    }
  }
}

TEST(SameBits, NotFiniteIsFoundAtEveryPlace) {
  for (const std::size_t length : {1, 15, 16, 33, 64, 100}) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::quiet_NaN()}) {
      for (std::size_t at = 0; at < length; ++at) {
        auto weights = weights_of(0, 3 * length);
        weights[length + at] = bad;
        for (const KernelTable* table : available_kernel_tables()) {
          for (const CodeRule& rule : {kInt8, kInt8Asymmetric}) {
            ASSERT_EQ(run(*table, weights, 3, 32, rule, true).rows_done, 1u) << table->isa << ' ' << at;
          }
          ASSERT_GE(table->range(&weights[length], length).max_abs_bits, 0x7f800000u);
        }
      }
    }
  }
}

TEST(SameBits, Dequantize) {
  std::mt19937 random(3);
  for (const KernelTable* table : fast_tables()) {
    for (const std::size_t length : lengths()) {
      for (const std::size_t group : {std::size_t{5}, std::size_t{32}, std::max<std::size_t>(length, 1)}) {
        std::vector<std::int8_t> codes(2 * length), zero_points(2 * length + 2);
        std::vector<float> scales(2 * length + 2);
        for (auto& code : codes) code = static_cast<std::int8_t>(random());
        for (auto& zero : zero_points) zero = static_cast<std::int8_t>(random());
        for (auto& scale : scales) scale = std::ldexp(1.0f + static_cast<float>(random() % 999) / 1000, -8);
        for (const std::uint8_t code_xor : {0, 0x80}) {
          for (const std::int8_t* zeros :
               {static_cast<const std::int8_t*>(nullptr), static_cast<const std::int8_t*>(zero_points.data())}) {
            std::vector<float> expected(2 * length), got(2 * length);
            oracle().dequantize_rows(codes.data(), 2, length, group, code_xor, scales.data(), zeros, expected.data());
            table->dequantize_rows(codes.data(), 2, length, group, code_xor, scales.data(), zeros, got.data());
            ASSERT_EQ(got, expected) << table->isa << ' ' << length << ' ' << group;
          }
        }
      }
    }
  }
}

TEST(SameBits, PackAndUnpack) {
  std::mt19937 random(4);
  for (const KernelTable* table : fast_tables()) {
    for (const std::size_t length : lengths()) {
      std::vector<std::int8_t> codes(length), back(length);
      for (auto& code : codes) code = static_cast<std::int8_t>(static_cast<int>(random() % 16) - 8);
      std::vector<std::uint8_t> expected((length + 1) / 2), packed((length + 1) / 2);
      oracle().pack_int4(codes.data(), length, expected.data());
      table->pack_int4(codes.data(), length, packed.data());
      ASSERT_EQ(packed, expected) << length;
      table->unpack_int4(packed.data(), length, back.data());
      ASSERT_EQ(back, codes) << length;
    }
  }
}

TEST(SameBits, ErrorSums) {
  for (const KernelTable* table : fast_tables()) {
    for (const std::size_t length : lengths()) {
      for (int kind = 0; kind < kKinds; ++kind) {
        const auto a = weights_of(kind, length, 1), b = weights_of(kind, length, 2);
        expect_same(table->error_sums(a.data(), b.data(), length), oracle().error_sums(a.data(), b.data(), length),
                    std::string(table->isa) + ' ' + std::to_string(length) + ' ' + std::to_string(kind));
      }
    }
  }
}

// Of each 1024 values, added up.
ErrorSums sums_in_chunks(std::span<const float> reference, std::span<const float> other) {
  constexpr std::size_t kChunk = 1024;
  ErrorSums sums{};
  for (std::size_t begin = 0; begin < reference.size(); begin += kChunk) {
    const std::size_t size = std::min(kChunk, reference.size() - begin);
    const ErrorSums chunk = oracle().error_sums(reference.data() + begin, other.data() + begin, size);
    sums.signal += chunk.signal;
    sums.error += chunk.error;
    sums.max_error = std::max(sums.max_error, chunk.max_error);
  }
  return sums;
}

TEST(SameBits, CastsAndWhatTheyLose) {
  for (const KernelTable* table : available_kernel_tables()) {
    for (const std::size_t length : lengths()) {
      for (int kind = 0; kind < kKinds; ++kind) {
        for (const bool to_brain : {false, true}) {
          const std::string what = std::string(table->isa) + ' ' + std::to_string(length) + ' ' + std::to_string(kind);
          const auto weights = weights_of(kind, length);
          std::vector<std::uint16_t> expected(length), got(length);
          std::vector<float> cast(length);
          (to_brain ? oracle().f32_to_bf16 : oracle().f32_to_f16)(weights.data(), length, expected.data());
          (to_brain ? oracle().bf16_to_f32 : oracle().f16_to_f32)(expected.data(), length, cast.data());
          ErrorSums sums{};
          const bool is_finite = std::ranges::all_of(cast, [](float value) { return std::isfinite(value); });
          ASSERT_EQ(table->cast_to_halves(weights.data(), length, to_brain, got.data(), &sums), is_finite) << what;
          if (!is_finite) continue;
          ASSERT_EQ(got, expected) << what;
          expect_same(sums, sums_in_chunks(weights, cast), what);
        }
      }
    }
  }
}

TEST(SameBits, CastsOfWhatIsNotFinite) {
  constexpr float kBeyondFloat16 = 65520, kBeyondBfloat16 = 0x1.ffp127f;
  const auto is_finite = [](const KernelTable& table, float value, bool to_brain) {
    std::vector<float> weights(100, 1.0f);
    weights[77] = value;
    std::vector<std::uint16_t> to(100);
    ErrorSums sums;
    return table.cast_to_halves(weights.data(), 100, to_brain, to.data(), &sums);
  };
  for (const KernelTable* table : available_kernel_tables()) {
    EXPECT_TRUE(is_finite(*table, std::nextafterf(kBeyondFloat16, 0), false)) << table->isa;
    EXPECT_FALSE(is_finite(*table, -kBeyondFloat16, false)) << table->isa;
    EXPECT_TRUE(is_finite(*table, std::nextafterf(kBeyondBfloat16, 0), true)) << table->isa;
    EXPECT_FALSE(is_finite(*table, kBeyondBfloat16, true)) << table->isa;
    for (const bool to_brain : {false, true}) {
      EXPECT_FALSE(is_finite(*table, std::numeric_limits<float>::quiet_NaN(), to_brain)) << table->isa;
      EXPECT_FALSE(is_finite(*table, -std::numeric_limits<float>::infinity(), to_brain)) << table->isa;
    }
  }
}

TEST(SameBits, Conversions) {
  std::vector<std::uint16_t> halves(65536 + 3);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  std::mt19937 random(5);
  std::vector<float> floats(200003);
  for (float& value : floats) {
    const std::uint32_t bits = random();
    std::memcpy(&value, &bits, sizeof value);
  }
  std::vector<double> doubles(floats.size());
  for (std::size_t i = 0; i < doubles.size(); ++i)
    doubles[i] = i % 2 ? floats[i] * 1.0000000123 : std::ldexp(1.0 + i * 1e-9, static_cast<int>(i % 400) - 200);
  const auto bytes_of = [](const auto& values) {
    std::vector<char> bytes(values.size() * sizeof(values[0]));
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  };
  const auto check = [&](auto entry, const auto& from, auto to, const char* what) {
    using To = std::vector<decltype(to)>;
    for (const KernelTable* table : fast_tables()) {
      for (const std::size_t count : {from.size(), std::size_t{0}, std::size_t{5}}) {
        To expected(count), got(count);
        (oracle().*entry)(from.data(), count, expected.data());
        (table->*entry)(from.data(), count, got.data());
        ASSERT_EQ(bytes_of(got), bytes_of(expected)) << what << ' ' << table->isa;
      }
    }
  };
  check(&KernelTable::f16_to_f32, halves, 0.0f, "f16 to f32");
  check(&KernelTable::bf16_to_f32, halves, 0.0f, "bf16 to f32");
  check(&KernelTable::f32_to_f16, floats, std::uint16_t{}, "f32 to f16");
  check(&KernelTable::f32_to_bf16, floats, std::uint16_t{}, "f32 to bf16");
  check(&KernelTable::f32_to_f64, floats, 0.0, "f32 to f64");
  check(&KernelTable::f64_to_f32, doubles, 0.0f, "f64 to f32");
}

// Independent: doubles, in the order of the elements.
TEST(Sums, AreRight) {
  for (const int kind : {0, 5, 8}) {
    const auto weights = weights_of(kind, 100000);
    const Result result = run(oracle(), weights, 1, 100000, kInt8, true);
    double signal = 0, error = 0, largest = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double lost =
          std::abs(weights[i] - static_cast<double>(static_cast<float>(result.codes[i]) * result.scales[0]));
      signal += static_cast<double>(weights[i]) * weights[i];
      error += lost * lost;
      largest = std::max(largest, lost);
    }
    EXPECT_NEAR(result.sums[0].signal / signal, 1, 1e-6);
    EXPECT_NEAR(result.sums[0].error / error, 1, 1e-5);
    EXPECT_NEAR(result.sums[0].max_error / largest, 1, 1e-5);
  }
}

// Steps of any width; of the second the codes do not rise, and two have no value of their own.
constexpr BookRule kBooks[] = {{{-7, -6, -5, -3, -2, -1, -0.5f, 0.25f, 0.5f, 1, 2, 4, 5, 6, 100},
                                {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                101},
                               {{-0.8f, -0.5f, -0.1f, 0, 1e-3f, 0.4f, 0.9f, INFINITY, INFINITY, INFINITY, INFINITY,
                                 INFINITY, INFINITY, INFINITY, INFINITY},
                                {11, 10, 13, 15, 0, 2, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0},
                                1}};

TEST(SameBits, EncodeBookAndWhatItsCodesExplain) {
  std::vector<float> book(16);
  for (std::size_t i = 0; i < book.size(); ++i) book[i] = 0.37f * static_cast<float>(i) - 2.2f;
  for (const KernelTable* table : fast_tables()) {
    for (const std::size_t length : lengths()) {
      if (length > 1025) continue;
      for (const std::size_t group : {std::size_t{5}, std::size_t{16}, std::size_t{100}}) {
        const std::size_t groups = (length + group - 1) / group;
        for (int kind = 0; kind < kKinds; ++kind) {
          const auto weights = weights_of(kind, 2 * length);
          for (const float scale : {1.0f, -0.01f, 0.0f, 1e-38f}) {
            const std::vector<float> scales(2 * groups, scale);
            for (const BookRule& rule : kBooks) {
              std::vector<std::int8_t> codes(2 * length), expected(2 * length);
              oracle().encode_book(weights.data(), 2, length, group, rule, scales.data(), expected.data());
              table->encode_book(weights.data(), 2, length, group, rule, scales.data(), codes.data());
              ASSERT_EQ(codes, expected) << table->isa << ' ' << length << ' ' << group << ' ' << kind << ' ' << scale;
              std::vector<CodeSums> sums(2 * groups), expected_sums(2 * groups);
              oracle().code_sums(weights.data(), 2, length, group, book.data(), book.size(), codes.data(),
                                 expected_sums.data());
              table->code_sums(weights.data(), 2, length, group, book.data(), book.size(), codes.data(), sums.data());
              const std::size_t size = sums.size() * sizeof(CodeSums);
              ASSERT_TRUE(size == 0 || std::memcmp(sums.data(), expected_sums.data(), size) == 0)
                  << table->isa << ' ' << length << ' ' << group << ' ' << kind;
            }
          }
        }
      }
    }
  }
}

constexpr FloatRule kFloatRules[] = {{4, 3, 7, 448}, {5, 2, 15, 57344}, {2, 1, 1, 6}, {2, 3, 1, 7.5f}, {3, 2, 3, 28}};

// Calls of(lengths that the slow oracle can do, group sizes, kinds of weights).
template <class Of>
void for_each_float_case(const Of& of) {
  for (const std::size_t length : lengths()) {
    if (length > 1025) continue;
    for (const std::size_t group :
         {std::size_t{16}, std::size_t{32}, std::size_t{100}, std::max<std::size_t>(length, 1)}) {
      for (int kind = 0; kind < kKinds; ++kind) of(length, group, kind);
    }
  }
}

TEST(SameBits, EncodeFloats) {
  for_each_float_case([](std::size_t length, std::size_t group, int kind) {
    const std::size_t groups = (length + group - 1) / group;
    const auto weights = weights_of(kind, 2 * length);
    for (const float scale : {1.0f, 0.01f, 0.0f, 1e-38f, 1e33f}) {
      const std::vector<float> scales(2 * groups, scale);
      for (const FloatRule& rule : kFloatRules) {
        std::vector<std::int8_t> codes(2 * length), expected(2 * length);
        std::vector<ErrorSums> sums(2), expected_sums(2);
        oracle().encode_floats(weights.data(), 2, length, group, rule, scales.data(), expected.data(),
                               expected_sums.data());
        for (const KernelTable* table : fast_tables()) {
          table->encode_floats(weights.data(), 2, length, group, rule, scales.data(), codes.data(), sums.data());
          ASSERT_EQ(codes, expected) << table->isa << ' ' << length << ' ' << group << ' ' << kind << ' ' << scale;
          if (scale > 1) continue;  // which not even the sums' unit can hold
          expect_same(sums[0], expected_sums[0], table->isa);
          expect_same(sums[1], expected_sums[1], table->isa);
        }
      }
    }
  });
}

TEST(SameBits, QuantizeFloats) {
  for_each_float_case([](std::size_t length, std::size_t group, int kind) {
    const std::size_t groups = (length + group - 1) / group;
    const auto weights = weights_of(kind, 2 * length);
    for (std::size_t i = 0; i < 3 * std::size(kFloatRules); ++i) {
      FloatRule rule = kFloatRules[i / 3];
      rule.scale_floats = static_cast<ScaleFloats>(i % 3);
      std::vector<std::int8_t> codes(2 * length), expected(2 * length);
      std::vector<float> scales(2 * groups), expected_scales(2 * groups);
      std::vector<ErrorSums> sums(2), expected_sums(2);
      const std::size_t done = oracle().quantize_floats(weights.data(), 2, length, group, rule, expected_scales.data(),
                                                        expected.data(), expected_sums.data());
      for (const KernelTable* table : fast_tables()) {
        ASSERT_EQ(
            table->quantize_floats(weights.data(), 2, length, group, rule, scales.data(), codes.data(), sums.data()),
            done);
        if (done < 2 || !std::ranges::all_of(scales, [](float scale) { return std::isfinite(scale); })) continue;
        ASSERT_EQ(codes, expected) << table->isa << ' ' << length << ' ' << group << ' ' << kind;
        ASSERT_EQ(scales, expected_scales) << table->isa << ' ' << length << ' ' << group << ' ' << kind;
        expect_same(sums[0], expected_sums[0], table->isa);
        expect_same(sums[1], expected_sums[1], table->isa);
      }
    }
  });
}

// Floats of 16 bits become the floats of 8 bits of what they are in float32.
TEST(SameBits, QuantizeFloatHalves) {
  for (const KernelTable* table : available_kernel_tables()) {
    for (const std::size_t length : {1, 33, 64, 1000}) {
      for (const bool is_brain : {false, true}) {
        auto [halves, weights] = rounded_to_halves(*table, is_brain, 3 * length);
        std::vector<float> row(length);
        for (const std::size_t group : {std::size_t{32}, length}) {
          const std::size_t groups = (length + group - 1) / group;
          std::vector<float> scales(3 * groups), expected_scales(3 * groups);
          std::vector<std::int8_t> codes(halves.size()), expected(halves.size());
          std::vector<ErrorSums> sums(3), expected_sums(3);
          ASSERT_EQ(table->quantize_float_halves(halves.data(), is_brain, row.data(), 3, length, group, kFloatRules[0],
                                                 scales.data(), codes.data(), sums.data()),
                    3u);
          oracle().quantize_floats(weights.data(), 3, length, group, kFloatRules[0], expected_scales.data(),
                                   expected.data(), expected_sums.data());
          ASSERT_EQ(codes, expected) << table->isa << ' ' << length;
          ASSERT_EQ(scales, expected_scales) << table->isa << ' ' << length;
          for (std::size_t i = 0; i < 3; ++i) expect_same(sums[i], expected_sums[i], table->isa);
        }
        halves[2 * length - 1] = 0x7fff;
        std::vector<float> scales(3);
        std::vector<std::int8_t> codes(halves.size());
        ASSERT_EQ(table->quantize_float_halves(halves.data(), is_brain, row.data(), 3, length, length, kFloatRules[0],
                                               scales.data(), codes.data(), nullptr),
                  1u);
      }
    }
  }
}

// Weights whose quotients are codes, or halfway between two, and up to six floats away on both sides.
std::vector<float> weights_beside_ties(const FloatRule& rule, float scale) {
  std::vector<float> weights;
  for (int exponent = 0; exponent < 1 << rule.exponent_bits; ++exponent) {
    for (int half_steps = 0; half_steps < 4 << rule.mantissa_bits; ++half_steps) {
      const float quotient = std::ldexp(static_cast<float>(half_steps), exponent - rule.bias - rule.mantissa_bits - 1);
      float weight = quotient * scale;
      for (int step = 0; step < 6; ++step) weight = std::nextafterf(weight, -INFINITY);
      for (int step = 0; step < 13; ++step, weight = std::nextafterf(weight, INFINITY)) weights.push_back(weight);
    }
  }
  return weights;
}

TEST(SameBits, FloatsBesideTies) {
  for (const FloatRule& rule : kFloatRules) {
    for (const float scale : {1.0f, 0.75f, 0.3f, 1.7e-5f}) {
      const std::vector<float> weights = weights_beside_ties(rule, scale);
      std::vector<std::int8_t> codes(weights.size()), expected(weights.size());
      oracle().encode_floats(weights.data(), 1, weights.size(), weights.size(), rule, &scale, expected.data(), nullptr);
      for (const KernelTable* table : fast_tables()) {
        table->encode_floats(weights.data(), 1, weights.size(), weights.size(), rule, &scale, codes.data(), nullptr);
        ASSERT_EQ(codes, expected) << table->isa << ' ' << scale;
      }
    }
  }
}

}  // namespace
}  // namespace mnq::kernels::test
