// The searches for scales: the oracle against plain double arithmetic and numbers by hand, and every instruction set
// against the oracle, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>

#include "kernel_cases.h"
#include "kernels/search_rules.h"

namespace mnq::kernels::test {
namespace {

enum class Search { kSymmetric, kPositive, kZeroPoint, kMinimum };
constexpr Search kSearches[] = {Search::kSymmetric, Search::kPositive, Search::kZeroPoint, Search::kMinimum};

SearchRule rule_of(Search search, int bits, bool whole_row = false) {
  switch (search) {
    case Search::kZeroPoint:
      return zero_point_search(bits);
    case Search::kMinimum:
      return minimum_search(bits);
    default:
      return symmetric_search(bits, whole_row, search == Search::kPositive);
  }
}

/// The rule by which the codes of a search are made.
CodeRule code_rule(const SearchRule& rule, bool symmetric) {
  return {rule.lowest, rule.highest, symmetric, 0, static_cast<float>(rule.highest) + 0.5f};
}

struct Found {
  std::size_t rows_done = 0;
  std::vector<float> scales;
  std::vector<float> minima;
  std::vector<std::int8_t> zero_points;

  bool operator==(const Found& other) const {
    return rows_done == other.rows_done && same(scales, other.scales) && same(minima, other.minima) &&
           zero_points == other.zero_points;
  }
  static bool same(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
  }
};

Found search_rows(const KernelTable& table, Search search, const SearchRule& rule, const std::vector<float>& weights,
                  std::size_t rows, std::size_t group) {
  const std::size_t length = weights.size() / rows, count = rows * ((length + group - 1) / group);
  Found found{0, std::vector<float>(count), std::vector<float>(search == Search::kMinimum ? count : 0),
              std::vector<std::int8_t>(search == Search::kZeroPoint ? count : 0)};
  const float* from = weights.data();
  found.rows_done =
      search == Search::kMinimum
          ? table.search_minimum(from, rows, length, group, rule, found.scales.data(), found.minima.data())
      : search == Search::kZeroPoint
          ? table.search_zero_point(from, rows, length, group, rule, found.scales.data(), found.zero_points.data())
          : table.search_symmetric(from, rows, length, group, rule, found.scales.data());
  return found;
}

struct Encoded {
  std::size_t rows_done = 0;
  std::vector<std::int8_t> codes;
  std::vector<ErrorSums> sums;
};

Encoded encode_rows(const KernelTable& table, Search search, const SearchRule& rule, const std::vector<float>& weights,
                    std::size_t rows, std::size_t group, const Found& found, bool with_sums = true) {
  Encoded encoded{0, std::vector<std::int8_t>(weights.size()), std::vector<ErrorSums>(with_sums ? rows : 0)};
  const std::vector<std::int8_t> lowest(found.scales.size(), static_cast<std::int8_t>(rule.lowest));
  const bool has_minima = search == Search::kMinimum, has_zero_points = search == Search::kZeroPoint;
  const std::int8_t* zero_points = has_minima ? lowest.data() : has_zero_points ? found.zero_points.data() : nullptr;
  encoded.rows_done =
      table.encode_rows(weights.data(), rows, weights.size() / rows, group, code_rule(rule, zero_points == nullptr),
                        found.scales.data(), zero_points, has_minima ? found.minima.data() : nullptr,
                        encoded.codes.data(), with_sums ? encoded.sums.data() : nullptr);
  return encoded;
}

/// What the reader of a code sees.
float dequantized(Search search, const SearchRule& rule, const Found& found, std::size_t group, std::int8_t code) {
  const float scale = found.scales[group];
  if (search == Search::kMinimum) return static_cast<float>(code - rule.lowest) * scale + found.minima[group];
  return static_cast<float>(code - (search == Search::kZeroPoint ? found.zero_points[group] : 0)) * scale;
}

// --- bits

TEST(SearchSameBits, EverySearchOfEveryKindOfWeights) {
  for (const std::size_t length : lengths()) {
    for (const std::size_t group : {std::size_t{1}, std::size_t{3}, std::size_t{32}, std::size_t{100}, std::size_t{128},
                                    std::max<std::size_t>(length, 1)}) {
      for (int kind = 0; kind < kKinds; ++kind) {
        const auto weights = weights_of(kind, 2 * length);
        for (const Search search : kSearches) {
          const SearchRule rule = rule_of(search, kind % 2 == 0 ? 4 : 2);
          const Found expected = search_rows(oracle(), search, rule, weights, 2, group);
          ASSERT_EQ(expected.rows_done, 2u);
          for (const KernelTable* table : fast_tables()) {
            ASSERT_TRUE(search_rows(*table, search, rule, weights, 2, group) == expected)
                << table->isa << " length " << length << " group " << group << " kind " << kind << " search "
                << static_cast<int>(search);
          }
        }
      }
    }
  }
}

TEST(SearchSameBits, EveryNumberOfBits) {
  const auto weights = weights_of(0, 37 * 192);
  for (int bits = 2; bits <= 8; ++bits) {
    for (const Search search : kSearches) {
      for (const std::size_t group : {16, 32, 64, 100, 192}) {
        const SearchRule rule = rule_of(search, bits, group == 192);
        const Found expected = search_rows(oracle(), search, rule, weights, 37, group);
        for (const KernelTable* table : fast_tables()) {
          ASSERT_TRUE(search_rows(*table, search, rule, weights, 37, group) == expected)
              << table->isa << ' ' << bits << ' ' << static_cast<int>(search);
        }
      }
    }
  }
}

// Of the largest weights of a group the first one says on which side the long side of the codes lies.
TEST(SearchSameBits, LargestWeightsOfBothSigns) {
  std::mt19937 random(11);
  std::vector<float> weights(40 * 192);
  for (float& weight : weights) weight = 0.25f * static_cast<float>(static_cast<int>(random() % 7) - 3);
  std::fill(weights.begin() + 192, weights.begin() + 4 * 192, 0.0f);
  std::fill(weights.begin() + 7 * 192, weights.begin() + 8 * 192, -0.5f);
  for (const Search search : kSearches) {
    for (const std::size_t group : {16, 32, 96, 192}) {
      const SearchRule rule = rule_of(search, 4);
      const Found expected = search_rows(oracle(), search, rule, weights, 40, group);
      for (const KernelTable* table : fast_tables()) {
        ASSERT_TRUE(search_rows(*table, search, rule, weights, 40, group) == expected)
            << table->isa << ' ' << group << ' ' << static_cast<int>(search);
      }
    }
  }
}

void expect_same(const Encoded& got, const Encoded& expected, const std::string& what) {
  ASSERT_EQ(got.rows_done, expected.rows_done) << what;
  ASSERT_EQ(got.codes, expected.codes) << what;
  for (std::size_t row = 0; row < got.sums.size(); ++row) {
    ASSERT_TRUE(same_bits(got.sums[row].signal, expected.sums[row].signal)) << what;
    ASSERT_TRUE(same_bits(got.sums[row].error, expected.sums[row].error)) << what;
    ASSERT_TRUE(same_bits(got.sums[row].max_error, expected.sums[row].max_error)) << what;
  }
}

TEST(SearchSameBits, CodesOfKnownScales) {
  for (const std::size_t length : lengths()) {
    for (const std::size_t group : {std::size_t{3}, std::size_t{32}, std::max<std::size_t>(length, 1)}) {
      for (int kind = 0; kind < kKinds; ++kind) {
        const auto weights = weights_of(kind, 2 * length);
        for (const Search search : kSearches) {
          const SearchRule rule = rule_of(search, 4);
          const Found found = search_rows(*available_kernel_tables().back(), search, rule, weights, 2, group);
          const Encoded expected = encode_rows(oracle(), search, rule, weights, 2, group, found);
          ASSERT_EQ(expected.rows_done, 2u);
          for (const KernelTable* table : fast_tables()) {
            const std::string what = std::string(table->isa) + " length " + std::to_string(length) + " group " +
                                     std::to_string(group) + " kind " + std::to_string(kind) + " search " +
                                     std::to_string(static_cast<int>(search));
            expect_same(encode_rows(*table, search, rule, weights, 2, group, found), expected, what);
            ASSERT_EQ(encode_rows(*table, search, rule, weights, 2, group, found, false).codes, expected.codes) << what;
          }
        }
      }
    }
  }
}

TEST(SearchSameBits, NotFiniteIsFoundAtEveryPlace) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (std::size_t at = 0; at < 70; ++at) {
      auto weights = weights_of(0, 3 * 70);
      const std::vector<float> finite(weights.begin(), weights.begin() + 70);
      weights[70 + at] = bad;
      for (const KernelTable* table : available_kernel_tables()) {
        for (const Search search : kSearches) {
          const SearchRule rule = rule_of(search, 4);
          const Found found = search_rows(*table, search, rule, weights, 3, 32);
          ASSERT_EQ(found.rows_done, 1u) << table->isa << ' ' << at;
          const Found alone = search_rows(*table, search, rule, finite, 1, 32);
          ASSERT_TRUE(std::equal(alone.scales.begin(), alone.scales.end(), found.scales.begin())) << "the row before";
          ASSERT_EQ(encode_rows(*table, search, rule, weights, 3, 32, found).rows_done, 1u);
        }
      }
    }
  }
}

// --- what is chosen

// An independent search for symmetric codes in doubles: the energy of the best trial.
double best_energy(const float* weights, std::size_t count, const SearchRule& rule) {
  double extreme = 0, best = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (std::abs(weights[i]) > std::abs(extreme)) extreme = weights[i];
  }
  for (std::size_t k = 0; k < rule.candidate_count; ++k) {
    const double inverse = -rule.candidates[k] * (rule.highest - rule.lowest) / 2.0 / extreme;
    double products = 0, squares = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const double code = std::clamp<double>(std::nearbyint(weights[i] * inverse), rule.lowest, rule.highest);
      products += weights[i] * code;
      squares += code * code;
    }
    best = std::max(best, products * products / squares);
  }
  return best;
}

// The energy that is left of the weights after the codes of a scale: no less than that of the best trial.
TEST(SearchChooses, AtLeastTheEnergyOfTheBestTrial) {
  for (const std::size_t group : {32, 128, 4096}) {
    const auto weights = weights_of(0, 4096);
    for (const int bits : {2, 3, 4, 8}) {
      const SearchRule rule = rule_of(Search::kSymmetric, bits, group == 4096);
      const Found found = search_rows(oracle(), Search::kSymmetric, rule, weights, 1, group);
      for (std::size_t begin = 0; begin < weights.size(); begin += group) {
        double energy = 0, error = 0;
        for (std::size_t i = begin; i < begin + group; ++i) {
          const double scale = found.scales[begin / group];
          const double code = std::clamp<double>(std::nearbyint(weights[i] / scale), rule.lowest, rule.highest);
          energy += static_cast<double>(weights[i]) * weights[i];
          error += (weights[i] - code * scale) * (weights[i] - code * scale);
        }
        ASSERT_GE(energy - error, best_energy(&weights[begin], group, rule) * (1 - 1e-5)) << bits << ' ' << group;
      }
    }
  }
}

TEST(SearchChooses, TheLongSideForTheExtremeWeight) {
  const SearchRule rule = rule_of(Search::kSymmetric, 4);
  // Multiples of 1 from -7 to 8: with scale -1 nothing is lost.
  std::vector<float> weights{8, -7, 3, 1, -2, 5, -4, 6, 0, 2, -1, 7, -6, 4, -3, -5};
  for (const KernelTable* table : available_kernel_tables()) {
    EXPECT_EQ(search_rows(*table, Search::kSymmetric, rule, weights, 1, 16).scales[0], -1) << table->isa;
    std::vector<float> turned(weights);
    for (float& weight : turned) weight = -weight;
    const Found found = search_rows(*table, Search::kSymmetric, rule, turned, 1, 16);
    EXPECT_EQ(found.scales[0], 1);
    EXPECT_EQ(encode_rows(*table, Search::kSymmetric, rule, turned, 1, 16, found).sums[0].error, 0);
  }
}

// Of equal magnitudes the first decides, wherever it lies.
TEST(SearchChooses, TheFirstOfEqualExtremes) {
  const SearchRule rule = rule_of(Search::kSymmetric, 4);
  for (std::size_t first = 0; first < 39; ++first) {
    for (const float sign : {1.0f, -1.0f}) {
      std::vector<float> weights = weights_of(0, 40);
      for (float& weight : weights) weight = std::clamp(weight, -1.0f, 1.0f);
      weights[first] = 2 * sign;
      weights[39] = -2 * sign;
      for (const KernelTable* table : available_kernel_tables()) {
        const float scale = search_rows(*table, Search::kSymmetric, rule, weights, 1, 40).scales[0];
        ASSERT_EQ(scale<0, sign> 0) << table->isa << ' ' << first;
      }
    }
  }
}

TEST(SearchChooses, PositiveScalesWhereAskedFor) {
  const auto weights = weights_of(0, 64 * 128);
  const Found found = search_rows(oracle(), Search::kPositive, rule_of(Search::kPositive, 4), weights, 64, 128);
  for (const float scale : found.scales) ASSERT_GT(scale, 0);
}

TEST(SearchChooses, OneForZeros) {
  for (const KernelTable* table : available_kernel_tables()) {
    for (const Search search : kSearches) {
      const std::vector<float> weights{0, -0.0f, 0, 0, -0.0f};
      const SearchRule rule = rule_of(search, 4);
      const Found found = search_rows(*table, search, rule, weights, 1, 3);
      EXPECT_EQ(found.scales, (std::vector<float>{1, 1}));
      for (const std::int8_t zero_point : found.zero_points) EXPECT_EQ(zero_point, 0);
      for (const float minimum : found.minima) EXPECT_TRUE(minimum == 0 && !std::signbit(minimum));
      EXPECT_EQ(encode_rows(*table, search, rule, weights, 1, 3, found).sums[0].error, 0);
    }
  }
}

TEST(SearchChooses, EqualWeightsAsTheirMinimum) {
  const std::vector<float> weights(40, -3.75f);
  for (const KernelTable* table : available_kernel_tables()) {
    const SearchRule rule = rule_of(Search::kMinimum, 4);
    const Found found = search_rows(*table, Search::kMinimum, rule, weights, 1, 40);
    EXPECT_EQ(found.scales[0], 1);
    EXPECT_EQ(found.minima[0], -3.75f);
    EXPECT_EQ(encode_rows(*table, Search::kMinimum, rule, weights, 1, 40, found).codes[0], -8);
  }
}

// 16 numbers at even distances, none of them 0: scale and minimum by hand.
TEST(SearchChooses, ALineThroughEvenWeights) {
  std::vector<float> weights;
  for (int i = 0; i < 16; ++i) weights.push_back(100 + 0.5f * static_cast<float>(i));
  for (const KernelTable* table : available_kernel_tables()) {
    const Found found = search_rows(*table, Search::kMinimum, rule_of(Search::kMinimum, 4), weights, 1, 16);
    EXPECT_FLOAT_EQ(found.scales[0], 0.5f) << table->isa;
    EXPECT_FLOAT_EQ(found.minima[0], 100) << table->isa;
  }
}

// -3 to 12, all of them: scale 1 and the code that stands for 0 three above the lowest.
TEST(SearchChooses, AZeroPointThatFits) {
  std::vector<float> weights;
  for (int i = -3; i <= 12; ++i) weights.push_back(static_cast<float>(i));
  for (const KernelTable* table : available_kernel_tables()) {
    const Found found = search_rows(*table, Search::kZeroPoint, rule_of(Search::kZeroPoint, 4), weights, 1, 16);
    EXPECT_EQ(found.scales[0], 1) << table->isa;
    EXPECT_EQ(found.zero_points[0], -5) << table->isa;
  }
}

TEST(SearchChooses, FiniteScalesForExtremeWeights) {
  for (const float largest : {FLT_MAX, FLT_MIN, 1e-45f, 1e38f, 3e-39f}) {
    for (const float other : {largest, -largest, 0.0f}) {
      for (const float sign : {1.0f, -1.0f}) {
        const std::vector<float> weights{sign * largest, sign * other, sign * largest / 2};
        for (const Search search : kSearches) {
          for (const int bits : {2, 4, 8}) {
            const SearchRule rule = rule_of(search, bits);
            const Found found = search_rows(oracle(), search, rule, weights, 1, 3);
            ASSERT_GE(std::abs(found.scales[0]), FLT_MIN);
            const Encoded encoded = encode_rows(oracle(), search, rule, weights, 1, 3, found);
            for (const std::int8_t code : encoded.codes) {
              ASSERT_TRUE(std::isfinite(dequantized(search, rule, found, 0, code))) << largest << ' ' << other;
            }
          }
        }
      }
    }
  }
}

// --- codes of known scales

TEST(EncodeRows, ByHand) {
  // Scale -0.5: -1 -> 2, 3.5 -> -7, 4.2 -> -8.4, saturated; 0.25 -> -0.5, a tie, to 0; -0.75 -> 1.5, to 2.
  const std::vector<float> weights{-1, 3.5f, 4.2f, 0.25f, -0.75f, -5};
  const float scale = -0.5f;
  for (const KernelTable* table : available_kernel_tables()) {
    std::vector<std::int8_t> codes(6);
    ErrorSums sums{};
    EXPECT_EQ(table->encode_rows(weights.data(), 1, 6, 6, kInt4, &scale, nullptr, nullptr, codes.data(), &sums), 1u);
    EXPECT_EQ(codes, (std::vector<std::int8_t>{2, -7, -8, 0, 2, 7})) << table->isa;
    EXPECT_NEAR(sums.error, 0.04 + 0.0625 + 0.0625 + 2.25, 1e-6);
    EXPECT_EQ(sums.max_error, 1.5);
    ErrorSums run{};
    table->quantize_run(weights.data(), 6, scale, 0, kInt4, codes.data(), &run);
    EXPECT_EQ(codes, (std::vector<std::int8_t>{2, -7, -8, 0, 2, 7})) << table->isa;
    EXPECT_NEAR(run.error, sums.error, 1e-6);
  }
}

TEST(EncodeRows, AboveAMinimum) {
  // (w - 10) / 2 from 0 to 15: 9 -> -0.5, to 0; 13 -> 1.5, to 2; 40 -> 15; 90 -> 40, saturated.
  const std::vector<float> weights{9, 13, 40, 90};
  const float scale = 2, minimum = 10;
  const std::int8_t lowest = -8;
  for (const KernelTable* table : available_kernel_tables()) {
    std::vector<std::int8_t> codes(4);
    ErrorSums sums{};
    table->encode_rows(weights.data(), 1, 4, 4, kInt4Asymmetric, &scale, &lowest, &minimum, codes.data(), &sums);
    EXPECT_EQ(codes, (std::vector<std::int8_t>{-8, -6, 7, 7})) << table->isa;
    EXPECT_NEAR(sums.error, 1 + 1 + 0 + 2500, 1e-3);
  }
}

// Weights that no scale of theirs would leave so far from the codes, among ties.
TEST(EncodeRows, SaturatesWhateverIsBeyondTheCodes) {
  for (const float scale : {1e-3f, -1e-3f, 1e-30f, 1.0f}) {
    std::vector<float> weights(200);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      weights[i] = i % 7 == 3 ? FLT_MAX : (static_cast<float>(i % 14) - 6.5f) * scale;
      if (i % 5 == 0) weights[i] = -weights[i];
    }
    std::vector<std::int8_t> codes(200), expected(200);
    oracle().encode_rows(weights.data(), 1, 200, 200, kInt4, &scale, nullptr, nullptr, expected.data(), nullptr);
    for (const KernelTable* table : fast_tables()) {
      table->encode_rows(weights.data(), 1, 200, 200, kInt4, &scale, nullptr, nullptr, codes.data(), nullptr);
      ASSERT_EQ(codes, expected) << table->isa << ' ' << scale;
    }
  }
}

// A scale that its storage rounded to 0.
TEST(EncodeRows, ZeroPointsForAScaleOfZero) {
  const std::vector<float> weights{1e-9f, -1e-9f, 0, 1};
  const float scale = 0;
  const std::int8_t zero_point = 3;
  for (const KernelTable* table : available_kernel_tables()) {
    std::vector<std::int8_t> codes(4);
    ErrorSums sums{};
    table->encode_rows(weights.data(), 1, 4, 4, kInt4Asymmetric, &scale, &zero_point, nullptr, codes.data(), &sums);
    EXPECT_EQ(codes, std::vector<std::int8_t>(4, 3)) << table->isa;
    EXPECT_NEAR(sums.error, 1, 1e-6);
  }
}

// What quantize_rows chooses, encode_rows makes again.
TEST(EncodeRows, AsQuantizeRows) {
  const auto weights = weights_of(0, 5 * 300);
  for (const KernelTable* table : available_kernel_tables()) {
    for (const CodeRule& rule : rules()) {
      std::vector<float> scales(5 * 3);
      std::vector<std::int8_t> zero_points(scales.size()), codes(weights.size()), again(weights.size());
      std::vector<ErrorSums> sums(5), sums_again(5);
      table->quantize_rows(weights.data(), 5, 300, 128, rule, scales.data(), zero_points.data(), codes.data(),
                           sums.data());
      table->encode_rows(weights.data(), 5, 300, 128, rule, scales.data(), zero_points.data(), nullptr, again.data(),
                         sums_again.data());
      EXPECT_EQ(codes, again);
      EXPECT_EQ(std::memcmp(sums.data(), sums_again.data(), sizeof(ErrorSums) * 5), 0);
    }
  }
}

}  // namespace
}  // namespace mnq::kernels::test
