// What each search must reach on 512 x 4096 random weights, its scales and minima stored as float16: the decibels of
// independent reference code.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "kernel_cases.h"
#include "kernels/search_rules.h"

namespace mnq::kernels::test {
namespace {

constexpr std::size_t kRows = 512;
constexpr std::size_t kColumns = 4096;
constexpr double kTolerance = 0.05;  // another seed than that of the reference

enum Distribution { kGaussian, kLaplace, kStudent };

std::vector<float> make_weights(Distribution distribution) {
  std::mt19937_64 random(20);
  std::normal_distribution<double> normal;
  std::exponential_distribution<double> exponential;
  std::student_t_distribution<double> student(5);
  std::vector<float> weights(kRows * kColumns);
  for (float& weight : weights) {
    const double value = distribution == kGaussian  ? normal(random)
                         : distribution == kLaplace ? exponential(random) * (random() % 2 == 0 ? 1 : -1)
                                                    : student(random);
    weight = static_cast<float>(0.02 * value);
  }
  return weights;
}

void round_to_half(const KernelTable& kernels, std::vector<float>& values) {
  std::vector<std::uint16_t> halves(values.size());
  kernels.f32_to_f16(values.data(), values.size(), halves.data());
  kernels.f16_to_f32(halves.data(), values.size(), values.data());
}

enum Kind { kSymmetric, kPositive, kZeroPoint, kMinimum };

struct Row {
  const char* name;
  Kind kind;
  int bits;
  std::size_t group;
  double db[3];  // by Distribution
};

constexpr Row kTable[] = {
    {"int8 channel", kSymmetric, 8, kColumns, {41.43, 36.93, 34.15}},
    {"int8 g128", kSymmetric, 8, 128, {44.18, 41.29, 40.74}},
    {"Q8_0", kSymmetric, 8, 32, {46.22, 44.09, 44.06}},
    {"int8 channel, zero point", kZeroPoint, 8, kColumns, {41.76, 37.59, 35.45}},
    {"int4 channel", kSymmetric, 4, kColumns, {19.35, 16.09, 14.69}},
    {"int4 g128", kSymmetric, 4, 128, {20.29, 17.63, 17.07}},
    {"int4 g128, positive scales", kPositive, 4, 128, {19.92, 17.20, 16.62}},
    {"Q4_0", kSymmetric, 4, 32, {21.81, 19.83, 19.74}},
    {"int4 g128, zero point", kZeroPoint, 4, 128, {20.44, 18.16, 17.97}},
    {"int4 g32, zero point", kZeroPoint, 4, 32, {22.29, 20.86, 20.99}},
    {"int4 g128, minimum", kMinimum, 4, 128, {20.83, 18.52, 18.38}},
    {"Q4_1", kMinimum, 4, 32, {23.14, 21.72, 21.89}},
    {"Q5_0", kSymmetric, 5, 32, {27.89, 25.80, 25.73}},
    {"Q5_1", kMinimum, 5, 32, {29.39, 27.96, 28.13}},
    {"int3 g64", kSymmetric, 3, 64, {15.05, 13.10, 12.84}},
    {"int3 g64, zero point", kZeroPoint, 3, 64, {15.10, 13.37, 13.30}},
    {"int3 g64, minimum", kMinimum, 3, 64, {15.68, 13.84, 13.87}},
    {"int2 g32", kSymmetric, 2, 32, {9.53, 8.67, 8.58}},
    {"int2 g32, zero point", kZeroPoint, 2, 32, {9.60, 8.72, 8.64}},
    {"int2 g32, minimum", kMinimum, 2, 32, {10.56, 9.30, 9.40}},
};

double sqnr_db(const KernelTable& kernels, const Row& row, const std::vector<float>& weights) {
  const std::size_t groups = weights.size() / row.group;
  std::vector<float> scales(groups), minima(groups);
  std::vector<std::int8_t> zero_points(groups), codes(weights.size());
  std::vector<ErrorSums> sums(kRows);
  const float* from = weights.data();
  SearchRule rule{};
  if (row.kind == kMinimum) {
    rule = minimum_search(row.bits);
    kernels.search_minimum(from, kRows, kColumns, row.group, rule, scales.data(), minima.data());
    zero_points.assign(groups, static_cast<std::int8_t>(rule.lowest));
  } else if (row.kind == kZeroPoint) {
    rule = zero_point_search(row.bits);
    kernels.search_zero_point(from, kRows, kColumns, row.group, rule, scales.data(), zero_points.data());
  } else {
    rule = symmetric_search(row.bits, row.group == kColumns, row.kind == kPositive);
    kernels.search_symmetric(from, kRows, kColumns, row.group, rule, scales.data());
  }
  round_to_half(kernels, scales);
  round_to_half(kernels, minima);
  const CodeRule code_rule{rule.lowest, rule.highest, false, 0, 0};
  kernels.encode_rows(from, kRows, kColumns, row.group, code_rule, scales.data(), zero_points.data(),
                      row.kind == kMinimum ? minima.data() : nullptr, codes.data(), sums.data());
  double signal = 0, error = 0;
  for (const ErrorSums& of_row : sums) {
    signal += of_row.signal;
    error += of_row.error;
  }
  return 10 * std::log10(signal / error);
}

TEST(SearchAccuracy, EachSearchReachesItsRow) {
  const KernelTable& fastest = *available_kernel_tables().back();
  for (const Distribution distribution : {kGaussian, kLaplace, kStudent}) {
    const auto weights = make_weights(distribution);
    for (const Row& row : kTable) {
      const double db = sqnr_db(fastest, row, weights);
      EXPECT_GE(db, row.db[distribution] - kTolerance) << row.name << ", distribution " << distribution;
      if (std::getenv("MNQ_PRINT_ACCURACY") != nullptr) std::printf("%d %s %.2f\n", distribution, row.name, db);
    }
  }
}

}  // namespace
}  // namespace mnq::kernels::test
