// Where the output channels lie on another axis than the first, or each matrix of a stack has its own: GPT-2's Conv1D,
// the experts of one tensor. Codes and scales against a quantizer that takes each channel out by itself.
#include <gtest/gtest.h>

#include "job_fixture.h"

namespace mnq::test {
namespace {

// [matrices, rows, columns], each column of a size of its own.
std::vector<float> uneven_values(std::size_t count, std::size_t columns, unsigned seed) {
  auto values = normal_values(count, seed);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] *= std::pow(10.0f, -3 * static_cast<float>(i % columns) / static_cast<float>(columns));
  }
  return values;
}

struct Stack {
  std::size_t matrices, rows, columns;
  bool columns_are_channels;

  std::size_t count() const { return matrices * rows * columns; }
  std::size_t channels() const { return columns_are_channels ? columns : rows; }
  std::size_t length() const { return columns_are_channels ? rows : columns; }
  std::size_t place(std::size_t matrix, std::size_t channel, std::size_t i) const {
    const std::size_t row = columns_are_channels ? i : channel, column = columns_are_channels ? channel : i;
    return (matrix * rows + row) * columns + column;
  }
};

void expect_channels(const TensorSource& quantized, const std::string& name, const Stack& stack,
                     const std::vector<float>& values) {
  const auto codes = read_values<std::int8_t>(quantized, name);
  const auto scales = read_values<float>(quantized, name + "_scale");
  ASSERT_EQ(codes.size(), stack.count());
  ASSERT_EQ(scales.size(), stack.matrices * stack.channels());
  const auto restored = read_values<float>(*dequantize_in_memory(quantized).model, name);
  for (std::size_t matrix = 0; matrix < stack.matrices; ++matrix) {
    for (std::size_t channel = 0; channel < stack.channels(); ++channel) {
      std::vector<float> run;
      for (std::size_t i = 0; i < stack.length(); ++i) run.push_back(values[stack.place(matrix, channel, i)]);
      const PlainCodes plain = quantize_plainly(run);
      ASSERT_EQ(scales[matrix * stack.channels() + channel], plain.scale) << matrix << " " << channel;
      for (std::size_t i = 0; i < run.size(); ++i) {
        const std::size_t place = stack.place(matrix, channel, i);
        ASSERT_EQ(codes[place], plain.codes[i]) << matrix << " " << channel << " " << i;
        ASSERT_EQ(restored[place], static_cast<float>(codes[place]) * plain.scale);
      }
    }
  }
}

Shape shape_of(const TensorSource& source, const std::string& name) {
  return source.tensors()[source.find(name)].shape;
}

// Sizes on both sides of a block of 2^18 elements, and blocks that end inside a matrix.
TEST(Channels, OnTheLastAxis) {
  for (const auto& [rows, columns] : {std::pair{3, 5}, {700, 1000}, {2, 300000}, {300001, 1}, {17, 4096}}) {
    const Stack stack{1, static_cast<std::size_t>(rows), static_cast<std::size_t>(columns), true};
    const auto values = uneven_values(stack.count(), stack.columns, 1);
    const Result result = quantize_in_memory(*one_weight({rows, columns}, values), R"({"channel_axis": 1})");
    EXPECT_EQ(shape_of(*result.model, "fc.weight_scale"), (Shape{1, columns}));
    expect_channels(*result.model, "fc.weight", stack, values);
  }
}

TEST(Channels, OfExperts) {
  struct Sizes {
    std::int64_t experts, rows, columns;
  };
  for (const auto& [experts, rows, columns] : {Sizes{2, 6, 4}, Sizes{3, 600, 512}, Sizes{5, 1030, 129}}) {
    const Stack stack{static_cast<std::size_t>(experts), static_cast<std::size_t>(rows),
                      static_cast<std::size_t>(columns), false};
    const auto values = uneven_values(stack.count(), stack.columns, 2);
    const auto model = one_weight({experts, rows, columns}, values, "mlp.experts.up_proj");
    const Result result = quantize_in_memory(*model, "{}");
    EXPECT_EQ(shape_of(*result.model, "mlp.experts.up_proj_scale"), (Shape{experts, rows, 1}));
    expect_channels(*result.model, "mlp.experts.up_proj", stack, values);
    EXPECT_EQ(result.report["layers"][0]["kind"], "Experts");
  }
}

// [experts, in, out], as the down_proj beside it says.
TEST(Channels, OfExpertsThatAreTurnedAround) {
  struct Sizes {
    std::int64_t experts, in, out;
  };
  for (const auto& [experts, in, out] : {Sizes{2, 3, 4}, Sizes{3, 300, 512}, Sizes{4, 511, 130}}) {
    const Stack stack{static_cast<std::size_t>(experts), static_cast<std::size_t>(in), static_cast<std::size_t>(out),
                      true};
    const auto values = uneven_values(stack.count(), stack.columns, 3);
    const std::vector<float> down(static_cast<std::size_t>(experts * in * out / 2), 1);
    const auto model = model_of({{"mlp.experts.gate_up_proj", tensor_of(DType::kF32, {experts, in, out}, values)},
                                 {"mlp.experts.down_proj", tensor_of(DType::kF32, {experts, out / 2, in}, down)}});
    const Result result = quantize_in_memory(*model, "{}");
    EXPECT_EQ(shape_of(*result.model, "mlp.experts.gate_up_proj_scale"), (Shape{experts, 1, out}));
    expect_channels(*result.model, "mlp.experts.gate_up_proj", stack, values);
    RunControl control;
    const Config none(nullptr, nullptr);
    EXPECT_EQ(validate(*result.model, model.get(), none, control).json()["model"]["valid"], true);
    const Json compared = compare(*model, *result.model, none, control).json();
    EXPECT_NEAR(compared["layers"][0]["sqnr_db"].get<double>(), result.report["layers"][0]["sqnr_db"].get<double>(),
                1e-3);
    EXPECT_GT(compared["layers"][0]["sqnr_db"].get<double>(), 40);
  }
}

TEST(Channels, FourBitsOfExperts) {
  const auto values = normal_values(3 * 20 * 64, 4);
  const auto model = one_weight({3, 20, 64}, values, "mlp.experts.down_proj");
  const Result result = quantize_in_memory(*model, R"({"bits": 4, "group_size": 32, "method": "minmax"})");
  EXPECT_EQ(shape_of(*result.model, "mlp.experts.down_proj_packed"), (Shape{60, 8}));
  EXPECT_EQ(shape_of(*result.model, "mlp.experts.down_proj_scale"), (Shape{60, 2}));
  EXPECT_EQ(read_values<std::int64_t>(*result.model, "mlp.experts.down_proj_shape"),
            (std::vector<std::int64_t>{3, 20, 64}));
  const auto restored = read_values<float>(*dequantize_in_memory(*result.model).model, "mlp.experts.down_proj");
  const auto scales = read_values<float>(*result.model, "mlp.experts.down_proj_scale");
  for (std::size_t group = 0; group < 120; ++group) {
    const PlainCodes plain = quantize_plainly(std::span(values).subspan(32 * group, 32), 7.5f, -8, 7);
    ASSERT_EQ(scales[group], plain.scale);
    for (std::size_t i = 0; i < 32; ++i) {
      ASSERT_EQ(restored[32 * group + i], static_cast<float>(plain.codes[i]) * plain.scale) << group << " " << i;
    }
  }
}

// Rows of 129 codes are padded to whole words: whoever reads more than 2^20 elements has to follow them.
TEST(Channels, FourBitsOfExpertsInPieces) {
  const std::int64_t rows = 8200, columns = 129;
  const auto values = normal_values(static_cast<std::size_t>(2 * rows * columns), 5);
  const auto model = one_weight({2, rows, columns}, values, "mlp.experts.down_proj");
  const Result result = quantize_in_memory(*model, R"({"bits": 4, "group_size": 32})");
  RunControl control;
  const Config none(nullptr, nullptr);
  const double sqnr_db = result.report["layers"][0]["sqnr_db"].get<double>();
  EXPECT_GT(sqnr_db, 19);
  EXPECT_NEAR(compare(*model, *result.model, none, control).json()["layers"][0]["sqnr_db"].get<double>(), sqnr_db,
              1e-3);
  EXPECT_NEAR(compare(*result.model, *model, none, control).json()["layers"][0]["max_error"].get<double>(),
              result.report["layers"][0]["max_error"].get<double>(), 1e-6);
  EXPECT_EQ(compare(*result.model, *dequantize_in_memory(*result.model).model, none, control).json()["model"]["exact"],
            true);
  EXPECT_EQ(validate(*result.model, nullptr, none, control).json()["model"]["valid"], true);
}

bool says(const Json& report, std::string_view text) {
  return report["warnings"].dump().find(text) != std::string::npos;
}

TEST(Floats, MostOfTheBytesIsSaid) {
  const auto model = model_of({{"odd.one", tensor_of(DType::kF32, {90, 64}, normal_values(5760, 1))},
                               {"odd.other", tensor_of(DType::kF32, {1, 64}, normal_values(64, 1))},
                               {"fc.weight", tensor_of(DType::kF32, {9, 64}, normal_values(576, 1))}});
  const Json report = quantize_in_memory(*model, "{}").report;
  EXPECT_TRUE(
      says(report, "91 % of the weights' bytes stayed float: odd.one and 1 more: not named as a layer's weight"))
      << report["warnings"];
  EXPECT_EQ(report["remarks"].dump().find("every layer"), std::string::npos);
  // What was asked for needs no warning.
  EXPECT_FALSE(says(quantize_in_memory(*model, R"({"only": ["fc"]})").report, "stayed float"));
  EXPECT_FALSE(says(quantize_in_memory(*model, R"({"skip": ["odd.one"]})").report, "stayed float"));
  EXPECT_FALSE(says(quantize_in_memory(*model, R"({"bits": 16})").report, "stayed float"));
}

TEST(Floats, FewOfThemAreNot) {
  const auto model = model_of({{"odd.one", tensor_of(DType::kF32, {4, 64}, normal_values(256, 1))},
                               {"a.weight", tensor_of(DType::kF32, {9, 64}, normal_values(576, 1))},
                               {"b.weight", tensor_of(DType::kF32, {9, 64}, normal_values(576, 1))}});
  const Json report = quantize_in_memory(*model, "{}").report;
  EXPECT_FALSE(says(report, "stayed float"));
  EXPECT_NE(report["remarks"].dump().find("every layer was quantized"), std::string::npos);
}

}  // namespace
}  // namespace mnq::test
