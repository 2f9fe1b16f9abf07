// What stops a job, and what it leaves: cancel, values that are not finite, accuracy that was asked for.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

#include "job_fixture.h"

namespace mnq::test {
namespace {

namespace fs = std::filesystem;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

template <class Work>
Error error_of(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  return Error(Status::kOk, "nothing was thrown");
}

class RunTest : public testing::Test {
 protected:
  RunTest() { fs::create_directories(folder_); }
  ~RunTest() override { fs::remove_all(folder_); }
  std::size_t file_count() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  void quantize_to_file(const TensorSource& source, const std::string& path, const std::string& json,
                        RunControl& control) const {
    const Settings settings = parse_settings(json);
    const Config config(&settings, nullptr);
    quantize(source, config, control, file_output(source, path, config, control));
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  const fs::path folder_ = fs::temp_directory_path() / ("mono_quant_run_test_" + std::to_string(::getpid()));
};

TEST_F(RunTest, CancelledBeforeItStarts) {
  RunControl control;
  control.cancel();
  const auto model = one_weight({4, 4}, normal_values(16, 1));
  const Error error = error_of([&] { quantize_to_file(*model, path("out.safetensors"), "{}", control); });
  EXPECT_EQ(error.status(), Status::kCancelled);
  EXPECT_EQ(file_count(), 0u);
}

TEST_F(RunTest, CancelledInTheMiddleLeavesNothing) {
  const auto model = one_weight({4096, 4096}, normal_values(4096 * 4096, 2));
  RunControl control;
  std::thread other([&] {
    while (file_count() == 0) std::this_thread::yield();
    control.cancel();
  });
  const Error error =
      error_of([&] { quantize_to_file(*model, path("out.safetensors"), R"({"threads": 1})", control); });
  other.join();
  EXPECT_EQ(error.status(), Status::kCancelled);
  EXPECT_EQ(file_count(), 0u);
}

TEST_F(RunTest, ProgressEndsAtTheWhole) {
  RunControl control;
  std::uint64_t last = 0, total = 0;
  control.set_progress([&](std::uint64_t done, std::uint64_t all) {
    EXPECT_GE(done, last);
    last = done;
    total = all;
    return true;
  });
  quantize_to_file(*one_weight({1000, 1000}, normal_values(1000000, 3)), path("a.safetensors"), "{}", control);
  EXPECT_EQ(total, 4000000u);
  EXPECT_EQ(last, total);
}

TEST_F(RunTest, NotFiniteNamesTensorAndPosition) {
  auto values = normal_values(600 * 1000, 4);
  values[432 * 1000 + 99] = kNan;
  RunControl control;
  for (const char* settings : {"{}", R"({"per_channel": false})", R"({"bits": 4})", R"({"dtype": "float16"})"}) {
    const Error error = error_of([&] {
      quantize_to_file(*one_weight({600, 1000}, values), path("out.safetensors"), settings, control);
    });
    EXPECT_EQ(error.status(), Status::kValidation) << settings;
    EXPECT_NE(error.message().find("fc.weight"), std::string::npos) << error.message();
    EXPECT_NE(error.message().find("[432, 99]"), std::string::npos) << error.message();
    EXPECT_EQ(error.subject(), "fc.weight");
    EXPECT_EQ(file_count(), 0u);
  }
}

TEST_F(RunTest, NotFiniteIsCopiedWhereAskedFor) {
  const std::vector<float> bad{1, std::numeric_limits<float>::infinity(), 3, 4};
  const auto model = model_of({{"a.weight", tensor_of(DType::kF32, {2, 2}, bad)},
                               {"b.weight", tensor_of(DType::kF32, {1, 2}, std::vector<float>{127, 1})}});
  const Result result = quantize_in_memory(*model, R"({"nonfinite": "copy"})");
  EXPECT_EQ(read_values<float>(*result.model, "a.weight"), bad);
  EXPECT_EQ(read_values<std::int8_t>(*result.model, "b.weight"), (std::vector<std::int8_t>{127, 1}));
  EXPECT_NE(result.report["warnings"].dump().find("a.weight"), std::string::npos);
  EXPECT_NE(result.report["layers"][0]["reason"].get<std::string>().find("not finite"), std::string::npos);
}

TEST_F(RunTest, AValueThatFloat16CannotHold) {
  const Error error = error_of([&] { quantize_in_memory(*one_weight({1, 2}, {1, 70000}), R"({"dtype": "float16"})"); });
  EXPECT_EQ(error.status(), Status::kValidation);
  EXPECT_NE(error.message().find("[0, 1] is 70000, which float16 cannot hold"), std::string::npos) << error.message();
}

// What is finite, and yet cannot be quantized: the job ends with the tensor copied.
TEST_F(RunTest, WhatFloat16CannotHoldIsCopiedWhereAskedFor) {
  std::vector<float> values = normal_values(64 * 64, 3);
  values[70] = 1e6f;
  const auto model = model_of({{"a.weight", tensor_of(DType::kF32, {64, 64}, values)},
                               {"b.weight", tensor_of(DType::kF32, {64, 64}, normal_values(64 * 64, 4))}});
  const Result result = quantize_in_memory(*model, R"({"nonfinite": "copy", "dtype": "float16"})");
  EXPECT_EQ(read_values<float>(*result.model, "a.weight"), values);
  EXPECT_EQ(result.report["layers"][0]["action"], "copy");
  EXPECT_EQ(result.report["layers"][1]["action"], "cast");
  EXPECT_NE(result.report["warnings"].dump().find("a.weight: kept as it was: the value at [1, 6] is 1e+06"),
            std::string::npos)
      << result.report["warnings"];
}

// Scales of blocks are float16: of 1e7 / 127 there is none.
TEST_F(RunTest, AScaleThatTheFormatCannotHold) {
  std::vector<float> values = normal_values(64 * 64, 3);
  values[70] = 1e7f;
  const auto model = model_of({{"a.weight", tensor_of(DType::kF32, {64, 64}, values)},
                               {"b.weight", tensor_of(DType::kF32, {64, 64}, normal_values(64 * 64, 4))}});
  for (const char* more : {"", R"(, "bits": 4)", R"(, "bits": 4, "symmetric": false)"}) {
    RunControl control;
    const Settings settings = parse_settings(R"({"format": "gguf", "nonfinite": "copy")" + std::string(more) + "}");
    const Config config(&settings, nullptr);
    std::string bytes;
    const Report report = quantize(*model, config, control, bytes_output(*model, config, bytes));
    EXPECT_EQ(report.json()["layers"][0]["action"], "copy") << more;
    EXPECT_EQ(report.json()["layers"][1]["action"], "quantize") << more;
    EXPECT_NE(report.json()["warnings"].dump().find("a scale of F16"), std::string::npos) << report.json()["warnings"];
  }
}

// Many blocks, and a scale that spans them: more than one weight is unfit.
TEST_F(RunTest, EveryUnfitWeightIsCopied) {
  std::vector<float> values = normal_values(600 * 1000, 5);
  values[432 * 1000 + 99] = std::numeric_limits<float>::quiet_NaN();
  const auto model = model_of({{"a.weight", tensor_of(DType::kF32, {600, 1000}, values)},
                               {"b.weight", tensor_of(DType::kF32, {600, 1000}, values)},
                               {"c.weight", tensor_of(DType::kF32, {600, 1000}, normal_values(600 * 1000, 6))}});
  for (const char* settings : {R"({"nonfinite": "copy"})", R"({"nonfinite": "copy", "per_channel": false})",
                               R"({"nonfinite": "copy", "per_channel": false, "symmetric": false})"}) {
    const Result result = quantize_in_memory(*model, settings);
    EXPECT_EQ(result.report["model"]["layers_quantized"], 1) << settings;
    EXPECT_EQ(result.report["layers"][2]["action"], "quantize") << settings;
  }
}

TEST_F(RunTest, AFloat64BeyondFloat32IsNamed) {
  std::vector<double> values(64 * 64, 0.5);
  values[66] = 1e300;
  const auto model = model_of({{"fc.weight", tensor_of(DType::kF64, {64, 64}, values)}});
  for (const char* settings : {"{}", R"({"per_channel": false})", R"({"dtype": "float16"})", R"({"bits": 4})"}) {
    const Error error = error_of([&] { quantize_in_memory(*model, settings); });
    EXPECT_EQ(error.status(), Status::kValidation);
    EXPECT_NE(error.message().find("[1, 2] is 1e+300, which float32 cannot hold"), std::string::npos)
        << error.message();
  }
  const Result copied = quantize_in_memory(*model, R"({"nonfinite": "copy"})");
  EXPECT_EQ(read_values<double>(*copied.model, "fc.weight"), values);
  EXPECT_NE(copied.report["warnings"].dump().find("float32 cannot hold"), std::string::npos);
}

// All is lost, and some is: the accuracy is that of the values, not of what float32 leaves of them.
TEST_F(RunTest, AFloat64ThatVanishesIsNotExact) {
  for (const char* settings : {"{}", R"({"per_channel": false})", R"({"symmetric": false})", R"({"group_size": 2})",
                               R"({"bits": 4})", R"({"dtype": "float16"})", R"({"channel_axis": 1})"}) {
    const auto lost = model_of({{"fc.weight", tensor_of(DType::kF64, {64, 64}, std::vector<double>(64 * 64, 1e-300))}});
    const Result result = quantize_in_memory(*lost, settings);
    const Json& layer = result.report["layers"][0];
    EXPECT_EQ(layer["exact"], false) << settings;
    EXPECT_NEAR(layer["sqnr_db"].get<double>(), 0, 1e-6) << settings;
    EXPECT_NE(result.report["warnings"].dump().find("fc: 0.00 dB is below 10 dB: critical"), std::string::npos)
        << settings << result.report["warnings"];
    std::vector<double> values(64 * 64, 127);
    values[0] = 1e-300;
    const auto some = model_of({{"fc.weight", tensor_of(DType::kF64, {64, 64}, values)}});
    EXPECT_EQ(quantize_in_memory(*some, settings).report["layers"][0]["exact"], false) << settings;
  }
}

// 1 and many values of a hundredth of a step: SQNR far below 20 dB at 4 bits.
std::vector<float> coarse_values() {
  std::vector<float> values(1024, 0.06f);
  values[0] = 1;
  return values;
}

TEST_F(RunTest, AJobWithoutTroubleHasNoWarnings) {
  const auto model = model_of({{"a.weight", tensor_of(DType::kF32, {1, 2}, std::vector<float>{127, 1})},
                               {"b.weight", tensor_of(DType::kF32, {1, 2}, std::vector<float>{127, 1})}});
  const Result result = quantize_in_memory(*model, "{}");
  EXPECT_TRUE(result.report["warnings"].empty()) << result.report["warnings"];
  ASSERT_EQ(result.report["remarks"].size(), 1u) << result.report["remarks"];
  EXPECT_EQ(result.report["remarks"][0], "every layer was quantized, the first and the last included");
}

// 1, 0.5 in 8 bits: 0.5 is 63.5 steps and becomes 64, half a step of 1/127 off: signal 1.25, error (0.5 / 127)^2 =
// 1.55e-5, 49.0678 dB. Neither threshold may read as if it had been reached.
TEST_F(RunTest, WhatIsJustBelowTheThresholdDoesNotReadAsIfItWereNot) {
  const auto model = one_weight({1, 2}, {1, 0.5f});
  const Result result = quantize_in_memory(*model, R"({"sqnr_warning_db": 49.07})");
  ASSERT_EQ(result.report["warnings"].size(), 1u) << result.report["warnings"];
  EXPECT_EQ(result.report["warnings"][0], "fc: 49.06 dB is below 49.07 dB");
}

TEST_F(RunTest, AccuracyBelowTheThresholdIsWarnedOf) {
  const auto model = one_weight({1, 1024}, coarse_values());
  const std::string settings = R"("bits": 4, "group_size": 0, "method": "minmax")";
  const Result warned = quantize_in_memory(*model, "{" + settings + "}");
  ASSERT_EQ(warned.report["warnings"].size(), 1u) << warned.report["warnings"];
  EXPECT_NE(warned.report["warnings"][0].get<std::string>().find("fc:"), std::string::npos);
  EXPECT_NE(warned.report["warnings"][0].get<std::string>().find("critical"), std::string::npos);
  const Result ignored = quantize_in_memory(*model, "{" + settings + R"(, "accuracy_warning": "ignore"})");
  EXPECT_TRUE(ignored.report["warnings"].empty());
  const Result lower =
      quantize_in_memory(*model, "{" + settings + R"(, "sqnr_warning_db": -5, "sqnr_critical_db": -10})");
  EXPECT_TRUE(lower.report["warnings"].empty()) << lower.report["warnings"];
  const Error error =
      error_of([&] { quantize_in_memory(*model, "{" + settings + R"(, "accuracy_warning": "error"})"); });
  EXPECT_EQ(error.status(), Status::kValidation);
  EXPECT_EQ(error.subject(), "fc");
}

TEST_F(RunTest, AnExistingFileIsReplacedOnlyWhereAskedFor) {
  std::ofstream(path("out.safetensors")) << "old";
  const auto model = one_weight({4, 4}, normal_values(16, 5));
  RunControl control;
  const Error error = error_of([&] { quantize_to_file(*model, path("out.safetensors"), "{}", control); });
  EXPECT_EQ(error.status(), Status::kIo);
  EXPECT_EQ(fs::file_size(path("out.safetensors")), 3u);
  quantize_to_file(*model, path("out.safetensors"), R"({"overwrite": true})", control);
  EXPECT_GT(fs::file_size(path("out.safetensors")), 16u);
  EXPECT_EQ(file_count(), 1u);
}

TEST_F(RunTest, NeverOntoTheInput) {
  RunControl control;
  quantize_to_file(*one_weight({4, 4}, normal_values(16, 6)), path("in.safetensors"), "{}", control);
  fs::create_symlink(path("in.safetensors"), path("link.safetensors"));
  const auto source = open_source(path("in.safetensors"));
  for (const char* name : {"in.safetensors", "link.safetensors"}) {
    const Error error = error_of([&] { quantize_to_file(*source, path(name), R"({"overwrite": true})", control); });
    EXPECT_EQ(error.status(), Status::kInvalidArg) << name;
  }
}

TEST_F(RunTest, AFailureInTheMiddleKeepsTheOldFile) {
  std::ofstream(path("out.safetensors")) << "old";
  auto values = normal_values(2000 * 1000, 7);
  values.back() = kNan;
  RunControl control;
  const Error error = error_of([&] {
    quantize_to_file(*one_weight({2000, 1000}, values), path("out.safetensors"), R"({"overwrite": true})", control);
  });
  EXPECT_EQ(error.status(), Status::kValidation);
  EXPECT_EQ(fs::file_size(path("out.safetensors")), 3u);
  EXPECT_EQ(file_count(), 1u);
}

}  // namespace
}  // namespace mnq::test
