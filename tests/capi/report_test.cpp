// Reports: every field one by one, and the JSON they are.
#include <gtest/gtest.h>

#include <cmath>

#include "fixture.h"

namespace mnq::test {
namespace {

// 127 steps of 1 and one of 0.5: exactly one value is lost.
Report report_of(const std::string& settings = "{}") {
  NamedTensors tensors;
  tensors.emplace_back("a.weight", tensor_of<float>({1, 2}, {127, 1}));
  tensors.emplace_back("b.weight", tensor_of<float>({1, 2}, {127, 0.5f}));
  tensors.emplace_back("b.bias", tensor_of<float>({1}, {1}));
  return mono_quant::quantize(Model::from_tensors(tensors), Config(settings)).report;
}

TEST(Report, NumbersOfTheModel) {
  const Report report = report_of();
  EXPECT_EQ(report.number("parameters"), 5);
  EXPECT_EQ(report.number("parameters_quantized"), 4);
  EXPECT_EQ(report.number("layers_quantized"), 2);
  EXPECT_EQ(report.number("tensors_copied"), 1);
  EXPECT_EQ(report.number("bytes_before"), 20);
  EXPECT_EQ(report.number("bytes_after"), 16);
  EXPECT_EQ(report.number("compression_ratio"), 1.25);
  EXPECT_EQ(report.number("max_error"), 0.5);
  EXPECT_EQ(report.number("exact"), 0);
  EXPECT_NEAR(*report.number("sqnr_db"), 10 * std::log10((2 * 127. * 127 + 1.25) / 0.25), 1e-9);
  EXPECT_GT(*report.number("seconds"), 0);
  EXPECT_EQ(report.number("no_such_number"), std::nullopt);
}

TEST(Report, NumbersOfALayer) {
  const Report report = report_of();
  const auto layers = report.layers();
  ASSERT_EQ(layers.size(), 3u);
  EXPECT_EQ(layers[0].number("sqnr_db"), INFINITY);
  EXPECT_EQ(layers[0].number("exact"), 1);
  EXPECT_NEAR(*layers[1].number("sqnr_db"), 10 * std::log10((127. * 127 + 0.25) / 0.25), 1e-9);
  EXPECT_EQ(layers[1].number("max_error"), 0.5);
  EXPECT_EQ(layers[1].number("parameters"), 2);
  EXPECT_EQ(layers[1].number("bits"), 8);
  EXPECT_EQ(layers[1].number("symmetric"), 1);
  EXPECT_EQ(layers[1].number("group_size"), std::nullopt);
  EXPECT_EQ(layers[2].number("sqnr_db"), std::nullopt);
  EXPECT_EQ(layers[2].number("bytes_after"), 4);
}

TEST(Report, TextsOfALayer) {
  const Report report = report_of();
  const auto layers = report.layers();
  ASSERT_EQ(layers.size(), 3u);
  EXPECT_EQ(layers[0].text("name"), "a");
  EXPECT_EQ(layers[0].text("tensor"), "a.weight");
  EXPECT_EQ(layers[0].text("kind"), "Linear");
  EXPECT_EQ(layers[0].text("dtype"), "F32");
  EXPECT_EQ(layers[0].text("scheme"), "int8 per channel");
  EXPECT_EQ(layers[0].text("action"), "quantize");
  EXPECT_EQ(layers[2].text("action"), "copy");
  EXPECT_EQ(layers[2].text("scheme"), "");
  EXPECT_FALSE(layers[2].text("reason").empty());
  EXPECT_EQ(mnq_report_layer_text(report.get(), 2, "scheme"), nullptr);
}

TEST(Report, WarningsAreTextsAndInTheJson) {
  const Report report = report_of(R"({"sqnr_warning_db": 100, "sqnr_critical_db": 50})");
  const auto warnings = report.warnings();
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0], "b: 48.09 dB is below 50 dB: critical");  // 10 log10(64517) = 48.0967, rounded down
  EXPECT_NE(report.json().find("\"" + warnings[0] + "\""), std::string::npos);
  EXPECT_TRUE(report.problems().empty());
  EXPECT_TRUE(report_of(R"({"sqnr_warning_db": 100, "accuracy_warning": "ignore"})").warnings().empty());
}

TEST(Report, WarningsReachTheLogToo) {
  static int count;
  count = 0;
  const auto on_message = [](void* user, mnq_log_level level, const char* message) {
    EXPECT_EQ(user, &count);
    EXPECT_EQ(level, MNQ_LOG_WARNING);
    EXPECT_NE(std::string(message), "");
    ++count;
  };
  ASSERT_EQ(mnq_set_log_callback(on_message, &count, nullptr), MNQ_OK);
  const std::size_t warnings = report_of(R"({"sqnr_warning_db": 100})").warnings().size();
  ASSERT_EQ(mnq_set_log_callback(nullptr, nullptr, nullptr), MNQ_OK);
  EXPECT_EQ(count, static_cast<int>(warnings));
  EXPECT_GT(count, 0);
}

TEST(Report, AccuracyThatIsAskedForAndMissed) {
  const Error error = error_of([] { report_of(R"({"sqnr_warning_db": 100, "accuracy_warning": "error"})"); });
  EXPECT_EQ(error.code(), MNQ_E_VALIDATION);
  EXPECT_EQ(error.subject(), "b");
  EXPECT_FALSE(error.suggestion().empty());
}

TEST(Report, NamesThatJsonMustEscape) {
  const Model model = one_weight({1, 2}, {127, 1}, "a\"\\\n\t.weight");
  const Report report = mono_quant::quantize(model).report;
  EXPECT_EQ(report.layers().at(0).text("tensor"), "a\"\\\n\t.weight");
  EXPECT_NE(report.json().find(R"("tensor":"a\"\\\n\t.weight")"), std::string::npos) << report.json();
  const mono_quant::Buffer saved = mono_quant::quantize(model).model.save_memory();
  EXPECT_EQ(Model::open_memory(saved.bytes()).tensor("a\"\\\n\t.weight").dtype(), MNQ_DTYPE_I8);
}

}  // namespace
}  // namespace mnq::test
