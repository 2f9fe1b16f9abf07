// What each scheme must reach on 512 x 4096 random weights: the decibels of independent reference code. More than 0.3
// dB below them is a defect.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "formats/memory.h"
#include "quantize/jobs.h"

namespace mnq::test {
namespace {

constexpr std::int64_t kRows = 512;
constexpr std::int64_t kColumns = 4096;
constexpr double kTolerance = 0.3;

enum Distribution { kGaussian, kLaplace, kStudent };

std::shared_ptr<const TensorSource> weights_of(Distribution distribution) {
  std::mt19937_64 random(20);
  std::normal_distribution<double> normal;
  std::exponential_distribution<double> exponential;
  std::student_t_distribution<double> student(5);
  const auto bytes = allocate_bytes(kRows * kColumns * sizeof(float));
  auto* values = reinterpret_cast<float*>(bytes.get());
  for (std::int64_t i = 0; i < kRows * kColumns; ++i) {
    const double value = distribution == kGaussian  ? normal(random)
                         : distribution == kLaplace ? exponential(random) * (random() % 2 == 0 ? 1 : -1)
                                                    : student(random);
    values[i] = static_cast<float>(0.02 * value);
  }
  return make_memory_source({{"fc.weight", {DType::kF32, {kRows, kColumns}, bytes, kRows * kColumns * sizeof(float)}}},
                            {});
}

double sqnr_db(const TensorSource& source, const std::string& settings_json) {
  const Settings settings = parse_settings(settings_json);
  std::shared_ptr<const TensorSource> model;
  RunControl control;
  const Report report = quantize(source, Config(&settings, nullptr), control, memory_output(source, model));
  return report.json()["model"]["sqnr_db"].get<double>();
}

struct Row {
  const char* settings;
  double db[3];  // by Distribution
};

// Of one scale for the whole tensor only the Gaussian is checked: with heavier tails the largest of two million values,
// and so the scale, is another one for each seed.
constexpr double kAnything = -100;
constexpr Row kRowsOfScheme[] = {
    {R"({"per_channel": false})", {38.6, kAnything, kAnything}},
    {R"({})", {41.2, 36.9, 33.9}},
    {R"({"symmetric": false})", {41.7, 37.6, 35.4}},
    {R"({"dtype": "quint8"})", {41.7, 37.6, 35.4}},
    {R"({"group_size": 128})", {43.8, 41.0, 40.4}},
    {R"({"bits": 4, "group_size": 0, "method": "minmax"})", {16.7, 12.5, 9.5}},
    {R"({"bits": 4, "group_size": 128, "method": "minmax"})", {19.1, 16.4, 15.8}},
    {R"({"bits": 4, "group_size": 128, "symmetric": false, "method": "minmax"})", {20.0, 17.7, 17.5}},
    {R"({"bits": 4, "group_size": 32, "method": "minmax"})", {20.5, 18.5, 18.4}},
    {R"({"bits": 4, "group_size": 32, "symmetric": false, "method": "minmax"})", {21.9, 20.5, 20.6}},
    {R"({"dtype": "float8_e4m3"})", {31.6, 31.6, 31.6}},
    {R"({"dtype": "float8_e5m2"})", {25.6, 25.6, 25.6}},
    {R"({"dtype": "float8_e4m3", "block": "128x128"})", {31.6, 31.6, 31.6}},
    {R"({"dtype": "nf4", "method": "minmax"})", {20.73, 19.69, 19.61}},
    {R"({"dtype": "mxfp4", "method": "minmax"})", {18.79, 17.93, 17.98}},
    {R"({"dtype": "mxfp6", "method": "minmax"})", {31.0, kAnything, kAnything}},
    {R"({"dtype": "mxfp8", "method": "minmax"})", {31.5, kAnything, kAnything}},
    {R"({"dtype": "nvfp4", "method": "minmax"})", {20.44, 20.66, 20.70}},
    {R"({"dtype": "bfloat16"})", {52, 52, 52}},
    {R"({"bits": 16})", {70, 70, 70}},  // 11 bits of mantissa: 6.02 * 11 + a little
};

// Of searches, which are what 4 bits get where nothing is set: no less than these.
constexpr Row kRowsOfSearch[] = {
    {R"({"bits": 4})", {20.25, 17.60, 17.03}},
    {R"({"bits": 4, "positive_scales": true})", {19.90, 17.17, 16.59}},
    {R"({"bits": 4, "group_size": 32})", {21.8, 19.8, 19.7}},
    {R"({"bits": 4, "symmetric": false})", {20.4, 18.12, 17.93}},
    {R"({"bits": 4, "group_size": 32, "symmetric": false})", {22.25, 20.82, 20.95}},
    {R"({"bits": 4, "group_size": 0})", {19.3, 16.05, 14.65}},
    {R"({"dtype": "nf4"})", {21.60, 20.44, 20.30}},
    {R"({"dtype": "nf4", "positive_scales": true})", {21.36, 20.20, 20.05}},
    {R"({"dtype": "mxfp4"})", {19.00, 18.17, 18.18}},
    {R"({"dtype": "nvfp4"})", {21.76, 21.64, 21.67}},
    {R"({"method": "search"})", {41.40, 36.9, 34.1}},
    {R"({"method": "search", "group_size": 32})", {46.2, 44.05, 44.0}},
};

TEST(Accuracy, EachSearchReachesItsRow) {
  for (const Distribution distribution : {kGaussian, kLaplace, kStudent}) {
    const auto source = weights_of(distribution);
    for (const Row& row : kRowsOfSearch) {
      EXPECT_GE(sqnr_db(*source, row.settings), row.db[distribution])
          << row.settings << ", distribution " << distribution;
    }
  }
}

// What ggml's own quantizers choose of Gaussian weights is 21.32, 22.14 and 45.43 dB.
TEST(Accuracy, BlocksOfGgmlReachTheirs) {
  const auto source = weights_of(kGaussian);
  const auto db = [&](const char* settings_json) {
    const Settings settings = parse_settings(settings_json);
    const Config config(&settings, nullptr);
    RunControl control;
    std::string bytes;
    const Report report = quantize(*source, config, control, bytes_output(*source, config, bytes));
    return report.json()["model"]["sqnr_db"].get<double>();
  };
  EXPECT_GE(db(R"({"format": "gguf", "bits": 4})"), 21.8);
  EXPECT_GE(db(R"({"format": "gguf", "bits": 4, "symmetric": false})"), 23.1);
  EXPECT_GE(db(R"({"format": "gguf", "method": "search"})"), 46.2);
  EXPECT_NEAR(db(R"({"format": "gguf"})"), 45.43, 0.05);
  EXPECT_NEAR(db(R"({"format": "gguf", "bits": 4, "method": "minmax"})"), 21.32, 0.05);
}

TEST(Accuracy, EachSchemeReachesItsRow) {
  for (const Distribution distribution : {kGaussian, kLaplace, kStudent}) {
    const auto source = weights_of(distribution);
    for (const Row& row : kRowsOfScheme) {
      const double db = sqnr_db(*source, row.settings);
      EXPECT_GE(db, row.db[distribution] - kTolerance) << row.settings << ", distribution " << distribution;
      RecordProperty(std::string(row.settings) + " " + std::to_string(distribution), std::to_string(db));
      if (std::getenv("MNQ_PRINT_ACCURACY") != nullptr) std::printf("%d %s %.2f\n", distribution, row.settings, db);
    }
  }
}

}  // namespace
}  // namespace mnq::test
