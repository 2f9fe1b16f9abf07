// What every scheme of the table promises, in every way the settings can ask for it: a row that is added is tested here
// the day it arrives.
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "quantize/job_fixture.h"
#include "quantize/loop/weight_reader.h"
#include "support/error_of.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

constexpr std::int64_t kRows = 3;
constexpr std::int64_t kLengths[] = {1, 7, 8, 9, 15, 16, 17, 1023};

// A scheme and the settings that ask for it.
struct Variant {
  const Scheme* scheme;
  std::string settings;
};

std::ostream& operator<<(std::ostream& out, const Variant& variant) { return out << variant.settings; }

std::vector<Variant> variants() {
  std::vector<Variant> all;
  for (const Scheme* scheme : all_schemes()) {
    if (!scheme->may_be_chosen) continue;
    const std::string start =
        R"({"min_parameters": 0, "method": "minmax", "dtype": ")" + std::string(scheme->name) + "\"";
    const auto add = [&](const std::string& rest) { all.push_back({scheme, start + rest + "}"}); };
    if (scheme->is_cast) {
      add("");
      continue;
    }
    if (scheme->has_fixed_groups) {
      add("");
      continue;
    }
    for (const char* symmetric : {"true", "false"}) {
      if (scheme->book != nullptr && symmetric == std::string("false")) continue;  // floats have no zero points
      const std::string end = R"(, "symmetric": )" + std::string(symmetric);
      add(R"(, "group_size": 0)" + end);
      add(R"(, "group_size": 1)" + end);
      add(R"(, "group_size": 5)" + end);
      add(R"(, "group_size": 32)" + end);
      if (scheme->may_be_in_blocks) add(R"(, "block": "128x128")");
      if (scheme->may_be_per_tensor) add(R"(, "per_channel": false)" + end);
    }
  }
  return all;
}

class EveryScheme : public testing::TestWithParam<Variant> {};

INSTANTIATE_TEST_SUITE_P(Table, EveryScheme, testing::ValuesIn(variants()));

// Normal values, the row in the middle all zeros.
std::vector<float> values_of(std::int64_t length) {
  auto values = normal_values(static_cast<std::size_t>(kRows * length), static_cast<unsigned>(length));
  std::fill_n(values.begin() + length, length, 0.0f);
  return values;
}

// How far a weight may come back from where it was.
//   symmetric   half a step
//   asymmetric  a step: the zero point is rounded too, and may push an end of the range out of the codes
//   floats      half of the widest step
//   casts       half of the last of 11 bits, of bfloat16 of 8, or of the smallest number
double error_of_cast(const Scheme& scheme, float weight) {
  const double half = scheme.cast_dtype == DType::kBF16 ? 0x1p-8 : 0x1p-11;
  return std::max(std::abs(weight) * half, 0x1p-25);
}

double allowed_error(const LogicalTensor& tensor, const std::vector<float>& scales, std::int64_t length,
                     std::size_t element, float weight) {
  constexpr double kRounding = 1 + 3e-5;  // scales, and codes times scales, are rounded to float32
  const QuantizedSpec& spec = *tensor.spec;
  if (scheme_of(spec).is_cast) return error_of_cast(scheme_of(spec), weight);
  const std::size_t row = element / static_cast<std::size_t>(length);
  const std::size_t column = element % static_cast<std::size_t>(length);
  const ScaleShape shape = scale_shape(spec);
  const std::size_t group = spec.granularity == Granularity::kGroup ? column / spec.group_size : 0;
  const std::size_t index = shape.row_of(row) * shape.groups + group;
  return scales.at(index) * (spec.symmetric ? 0.5 : 1.0) * scheme_of(spec).widest_step * kRounding;
}

TEST_P(EveryScheme, ComesBackWithinItsError) {
  for (const std::int64_t length : kLengths) {
    SCOPED_TRACE(length);
    const auto values = values_of(length);
    const Result quantized = quantize_in_memory(*one_weight({kRows, length}, values), GetParam().settings);
    const auto logical = quantized.model->require_weights();
    ASSERT_EQ(logical.size(), 1u);
    if (length == 1 && quantized.report["layers"][0]["reason"] == "each of its rows is one number") continue;
    ASSERT_TRUE(logical[0].spec) << quantized.report["layers"][0]["reason"];
    EXPECT_EQ(logical[0].spec->scheme, GetParam().scheme->name);
    const auto scales = WeightReader(*quantized.model, logical[0]).scales();
    for (const float scale : scales) EXPECT_GT(scale, 0);
    const auto restored = read_values<float>(*dequantize_in_memory(*quantized.model).model, "fc.weight");
    ASSERT_EQ(restored.size(), values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_LE(std::abs(static_cast<double>(values[i]) - restored[i]),
                allowed_error(logical[0], scales, length, i, values[i]))
          << "element " << i;
    }
    for (std::int64_t i = length; i < 2 * length; ++i) EXPECT_EQ(restored[static_cast<std::size_t>(i)], 0) << i;
  }
}

TEST_P(EveryScheme, OnlyZeros) {
  const Result quantized = quantize_in_memory(*one_weight({kRows, 9}, std::vector<float>(27)), GetParam().settings);
  EXPECT_EQ(quantized.report["layers"][0]["exact"], true);
  const LogicalTensor weight = quantized.model->require_weights()[0];
  for (const float scale : WeightReader(*quantized.model, weight).scales()) EXPECT_EQ(scale, 1);
  const auto restored = read_values<float>(*dequantize_in_memory(*quantized.model).model, "fc.weight");
  EXPECT_EQ(restored, std::vector<float>(27));
}

// The worst of scales would be one that does not follow the value: of a constant only half a step may be lost.
TEST_P(EveryScheme, OneValueEverywhere) {
  const Scheme& scheme = *GetParam().scheme;
  for (const float value : {0.5f, -0.5f, 1e-30f, -3e4f}) {
    const auto model = one_weight({kRows, 9}, std::vector<float>(27, value));
    const Result quantized = quantize_in_memory(*model, GetParam().settings);
    const auto restored = read_values<float>(*dequantize_in_memory(*quantized.model).model, "fc.weight");
    const LogicalTensor weight = quantized.model->require_weights()[0];
    const auto scales = WeightReader(*quantized.model, weight).scales();
    const double half_step = std::abs(value) / ((1 << scheme.bits) - 1) * (1 + 1e-5);
    const double allowed = scheme.is_cast           ? error_of_cast(scheme, value)
                           : scheme.book == nullptr ? half_step
                                                    : scales[0] * scheme.widest_step / 2 * (1 + 1e-5);
    for (const float back : restored) EXPECT_NEAR(back, value, allowed);
  }
}

double searched_sqnr_db(const TensorSource& source, const std::string& settings, const char* method) {
  std::string json = settings;
  json.replace(json.find("minmax"), 6, method);
  return quantize_in_memory(source, json).report["model"]["sqnr_db"].get<double>();
}

// In its own measure. Single groups may lose: the scales that are tried are few.
TEST_P(EveryScheme, ASearchIsNoWorseThanMinmax) {
  if (GetParam().scheme->is_cast || GetParam().settings.find("\"group_size\": 1,") != std::string::npos) return;
  const auto model = one_weight({64, 1024}, normal_values(64 * 1024, 5));
  const double minmax = searched_sqnr_db(*model, GetParam().settings, "minmax");
  EXPECT_GE(searched_sqnr_db(*model, GetParam().settings, "search"), minmax - 0.01);
}

TEST_P(EveryScheme, LeavesAnEmptyWeightAlone) {
  const Result result = quantize_in_memory(*one_weight({kRows, 0}, {}), GetParam().settings);
  EXPECT_EQ(result.report["layers"][0]["action"], "copy");
  EXPECT_EQ(result.report["layers"][0]["reason"], "empty");
  ASSERT_EQ(result.model->tensors().size(), 1u);
  EXPECT_EQ(result.model->tensors()[0].shape, (Shape{kRows, 0}));
}

TEST_P(EveryScheme, RefusesWhatIsNotFinite) {
  using Limits = std::numeric_limits<float>;
  for (const float bad : {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()}) {
    for (const std::int64_t length : kLengths) {
      if (length == 1 && !GetParam().scheme->is_cast) continue;  // rows of one number may stay
      auto values = values_of(length);
      values.back() = bad;
      const auto model = one_weight({kRows, length}, values);
      const Error error = error_of([&] { quantize_in_memory(*model, GetParam().settings); });
      EXPECT_EQ(error.status(), Status::kValidation);
      EXPECT_EQ(error.subject(), "fc.weight");
      EXPECT_NE(error.message().find("[2, " + std::to_string(length - 1) + "]"), std::string::npos) << error.message();
      Settings settings = parse_settings(GetParam().settings);
      set_value(settings, "nonfinite", "copy");
      EXPECT_EQ(quantize_in_memory(*model, settings).report["layers"][0]["action"], "copy");
    }
  }
}

void expect_same_tensors(const TensorSource& source, const TensorSource& expected) {
  ASSERT_EQ(source.tensors().size(), expected.tensors().size());
  EXPECT_EQ(source.metadata(), expected.metadata());
  for (const TensorInfo& info : expected.tensors()) {
    const std::size_t index = source.find(info.name);
    ASSERT_NE(index, TensorSource::kNone) << info.name;
    EXPECT_EQ(source.tensors()[index].dtype, info.dtype);
    EXPECT_EQ(source.tensors()[index].shape, info.shape);
    EXPECT_EQ(read_values<std::byte>(source, info.name), read_values<std::byte>(expected, info.name)) << info.name;
  }
}

TEST_P(EveryScheme, IsTheSameWhereverItIsWritten) {
  const auto model = one_weight({kRows, 17}, values_of(17));
  const Settings settings = parse_settings(GetParam().settings);
  const Config config(&settings, nullptr);
  RunControl control;
  const TempFolder folder;
  const std::string path = folder.path("out.safetensors");
  std::string bytes;
  quantize(*model, config, control, bytes_output(*model, config, bytes));
  quantize(*model, config, control, file_output(*model, path, config, control));
  EXPECT_EQ(read_bytes(path), bytes);
  const auto source = open_memory(std::as_bytes(std::span(bytes)));
  const Result in_memory = quantize_in_memory(*model, settings);
  expect_same_tensors(*source, *in_memory.model);
  expect_same_tensors(*dequantize_in_memory(*source).model, *dequantize_in_memory(*in_memory.model).model);
  std::string copied;
  convert(*source, config, control, bytes_output(*source, config, copied));
  expect_same_tensors(*open_memory(std::as_bytes(std::span(copied))), *source);
}

}  // namespace
}  // namespace mnq::test
