// Quantizing through the loop: blocks, long rows, one and two passes, every input dtype, against plain code.
#include <gtest/gtest.h>

#include <bit>

#include "job_fixture.h"
#include "quantize/loop/blocks.h"

namespace mnq::test {
namespace {

// Checks int8 codes and scales where each of `rows` consecutive pieces of the values has its own scale.
void expect_rows(const Result& result, const std::vector<float>& values, std::size_t row_length) {
  const auto codes = read_values<std::int8_t>(*result.model, "fc.weight");
  const auto scales = read_values<float>(*result.model, "fc.weight_scale");
  ASSERT_EQ(codes.size(), values.size());
  ASSERT_EQ(scales.size(), values.size() / row_length);
  PlainSums sums;
  for (std::size_t row = 0; row < scales.size(); ++row) {
    const std::span<const float> piece(&values[row * row_length], row_length);
    const PlainCodes plain = quantize_plainly(piece);
    ASSERT_EQ(scales[row], plain.scale) << "row " << row;
    ASSERT_TRUE(std::equal(plain.codes.begin(), plain.codes.end(), codes.begin() + row * row_length)) << "row " << row;
    sums.add(piece, plain);
  }
  EXPECT_NEAR(result.report["model"]["sqnr_db"].get<double>(), sums.sqnr_db(), 1e-4);
  EXPECT_NEAR(result.report["layers"][0]["sqnr_db"].get<double>(), sums.sqnr_db(), 1e-4);
}

TEST(Quantize, RowsOverSeveralBlocks) {
  const auto values = normal_values(600 * 1000, 1);
  expect_rows(quantize_in_memory(*one_weight({600, 1000}, values), "{}"), values, 1000);
}

TEST(Quantize, RowsLongerThanABlockButWorkedOnWhole) {
  const std::size_t length = kBlockElements + 3;
  const auto values = normal_values(3 * length, 2);
  expect_rows(quantize_in_memory(*one_weight({3, static_cast<std::int64_t>(length)}, values), "{}"), values, length);
}

TEST(Quantize, RowsInPiecesHaveTheirScaleFromTheWholeRow) {
  const std::size_t length = kMaxRowElements + 77;
  auto values = normal_values(2 * length, 3);
  values[length - 1] = 4;  // the largest of the first row lies in its last piece
  expect_rows(quantize_in_memory(*one_weight({2, static_cast<std::int64_t>(length)}, values), "{}"), values, length);
}

TEST(Quantize, OneScaleForTheTensorOverSeveralBlocks) {
  const auto values = normal_values(700 * 1000, 4);
  expect_rows(quantize_in_memory(*one_weight({700, 1000}, values), R"({"per_channel": false})"), values, 700 * 1000);
}

TEST(Quantize, OneScaleForATensorOfOneBlock) {
  const auto values = normal_values(30 * 10, 5);
  expect_rows(quantize_in_memory(*one_weight({30, 10}, values), R"({"per_channel": false})"), values, 300);
}

TEST(Quantize, GroupsOfLongRows) {
  const std::size_t length = kMaxRowElements + 96;
  const auto values = normal_values(length, 6);
  expect_rows(quantize_in_memory(*one_weight({1, static_cast<std::int64_t>(length)}, values), R"({"group_size": 32})"),
              values, 32);
}

TEST(Quantize, GroupsThatDoNotDivideAPieceOfALongRow) {
  const std::size_t length = 100 * 10487;  // > kMaxRowElements, a multiple of 100
  const auto values = normal_values(length, 7);
  expect_rows(quantize_in_memory(*one_weight({1, static_cast<std::int64_t>(length)}, values), R"({"group_size": 100})"),
              values, 100);
}

TEST(Quantize, FourBitsInPiecesOfLongRows) {
  const std::size_t length = kMaxRowElements + 77, group = 128;
  const auto values = normal_values(2 * length, 12);
  const auto model = one_weight({2, static_cast<std::int64_t>(length)}, values);
  const Result quantized = quantize_in_memory(*model, R"({"bits": 4, "method": "minmax"})");
  const auto restored = read_values<float>(*dequantize_in_memory(*quantized.model).model, "fc.weight");
  ASSERT_EQ(restored.size(), values.size());
  for (std::size_t row = 0; row < 2; ++row) {
    for (std::size_t begin = 0; begin < length; begin += group) {
      const std::size_t first = row * length + begin;
      const std::span<const float> piece(&values[first], std::min(group, length - begin));
      const PlainCodes plain = quantize_plainly(piece, 7.5f, -8, 7);
      for (std::size_t i = 0; i < piece.size(); ++i) {
        ASSERT_EQ(restored[first + i], static_cast<float>(plain.codes[i]) * plain.scale) << row << ' ' << begin + i;
      }
    }
  }
}

// Channels on axis 1: column c of each row has the scale of channel c.
void expect_columns(std::size_t rows, std::size_t columns) {
  const auto values = normal_values(rows * columns, 8);
  const Result result =
      quantize_in_memory(*one_weight({static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)}, values),
                         R"({"channel_axis": 1})");
  const auto codes = read_values<std::int8_t>(*result.model, "fc.weight");
  const auto scales = read_values<float>(*result.model, "fc.weight_scale");
  ASSERT_EQ(scales.size(), columns);
  for (std::size_t column = 0; column < columns; ++column) {
    std::vector<float> channel;
    for (std::size_t row = 0; row < rows; ++row) channel.push_back(values[row * columns + column]);
    const PlainCodes plain = quantize_plainly(channel);
    ASSERT_EQ(scales[column], plain.scale);
    for (std::size_t row = 0; row < rows; ++row) ASSERT_EQ(codes[row * columns + column], plain.codes[row]);
  }
}

TEST(Quantize, ChannelsOnAnotherAxis) { expect_columns(50, 30); }
TEST(Quantize, ChannelsOnAnotherAxisOverSeveralBlocks) { expect_columns(3000, 200); }

TEST(Quantize, NarrowFloatsAreQuantizedByTheirValues) {
  // 1, -0.5 and 0.25 are exact in every float dtype; scale 1/127: codes 127, -64 (63.5 to even) and 32 (31.75).
  const std::vector<std::uint16_t> halves{0x3C00, 0xB800, 0x3400}, brains{0x3F80, 0xBF00, 0x3E80};
  const auto model = model_of({{"a.weight", tensor_of(DType::kF16, {1, 3}, halves)},
                               {"b.weight", tensor_of(DType::kBF16, {1, 3}, brains)},
                               {"c.weight", tensor_of(DType::kF64, {1, 3}, std::vector<double>{1, -0.5, 0.25})},
                               {"d.weight", tensor_of(DType::kF32, {1, 3}, std::vector<float>{1, -0.5, 0.25})}});
  const Result result = quantize_in_memory(*model, "{}");
  for (const char* name : {"a.weight", "b.weight", "c.weight", "d.weight"}) {
    EXPECT_EQ(read_values<std::int8_t>(*result.model, name), (std::vector<std::int8_t>{127, -64, 32})) << name;
    EXPECT_EQ(read_values<float>(*result.model, std::string(name) + "_scale"), std::vector<float>{1.0f / 127}) << name;
  }
}

TEST(Quantize, NarrowFloatsOfSeveralBlocksAsWhatTheyAreInFloat32) {
  std::vector<std::uint16_t> brains(700 * 1000);
  std::vector<float> values = normal_values(brains.size(), 14);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint32_t cut = std::bit_cast<std::uint32_t>(values[i]) & 0xffff0000;
    brains[i] = static_cast<std::uint16_t>(cut >> 16);
    values[i] = std::bit_cast<float>(cut);
  }
  const auto narrow = model_of({{"fc.weight", tensor_of(DType::kBF16, {700, 1000}, brains)}});
  expect_rows(quantize_in_memory(*narrow, "{}"), values, 1000);
  expect_rows(quantize_in_memory(*narrow, R"({"group_size": 100})"), values, 100);
  brains[650 * 1000 + 7] = 0x7f80;
  const auto infinite = model_of({{"fc.weight", tensor_of(DType::kBF16, {700, 1000}, brains)}});
  try {
    quantize_in_memory(*infinite, "{}");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("the value at [650, 7] is not finite"), std::string::npos) << error.what();
  }
}

TEST(Quantize, BytesAreTheSameWithAnyNumberOfThreadsAndAnyBudget) {
  const auto values = normal_values(900 * 1111, 9);
  const auto model = one_weight({900, 1111}, values);
  for (const char* scheme :
       {R"("bits": 8)", R"("bits": 4)", R"("bits": 8, "per_channel": false)", R"("dtype": "quint8")"}) {
    const auto run = [&](const char* how) {
      std::string bytes;
      RunControl control;
      const Settings settings = parse_settings(std::string("{") + scheme + ", " + how + "}");
      quantize(*model, Config(&settings, nullptr), control, bytes_output(*model, Config(&settings, nullptr), bytes));
      return bytes;
    };
    const std::string expected = run(R"("threads": 1)");
    EXPECT_EQ(run(R"("threads": 2)"), expected) << scheme;
    EXPECT_EQ(run(R"("threads": 7)"), expected) << scheme;
    EXPECT_EQ(run(R"("threads": 3, "memory_budget": "16MiB")"), expected) << scheme;
  }
}

TEST(Quantize, ZeroRowHasScaleOneAndCodesZero) {
  const Result result = quantize_in_memory(*one_weight({2, 2}, {0, 0, 1, -1}), "{}");
  EXPECT_EQ(read_values<float>(*result.model, "fc.weight_scale"), (std::vector<float>{1, 1.0f / 127}));
  EXPECT_EQ(read_values<std::int8_t>(*result.model, "fc.weight"), (std::vector<std::int8_t>{0, 0, 127, -127}));
  EXPECT_EQ(result.report["layers"][0]["exact"], true);  // 127 * float(1/127) rounds to 1
}

TEST(Quantize, TheInputIsNeverChanged) {
  const auto values = normal_values(64 * 64, 10);
  const auto model = one_weight({64, 64}, values);
  quantize_in_memory(*model, "{}");
  EXPECT_EQ(read_values<float>(*model, "fc.weight"), values);
}

TEST(Quantize, WhatIsNoWeightIsCopiedByteForByte) {
  const std::vector<float> bias{1, 2, 3};
  const std::vector<std::int64_t> steps{1LL << 40};
  const auto model = model_of({{"fc.weight", tensor_of(DType::kF32, {3, 2}, std::vector<float>{1, 2, 3, 4, 5, 6})},
                               {"fc.bias", tensor_of(DType::kF32, {3}, bias)},
                               {"bn.num_batches_tracked", tensor_of(DType::kI64, {}, steps)},
                               {"empty", tensor_of(DType::kF32, {0, 4}, std::vector<float>{})}});
  const Result result = quantize_in_memory(*model, "{}");
  EXPECT_EQ(read_values<float>(*result.model, "fc.bias"), bias);
  EXPECT_EQ(read_values<std::int64_t>(*result.model, "bn.num_batches_tracked"), steps);
  EXPECT_NE(result.model->find("empty"), TensorSource::kNone);
  for (const Json& layer : result.report["layers"]) {
    EXPECT_EQ(layer["action"] == "copy", layer["tensor"] != "fc.weight") << layer;
    EXPECT_EQ(layer["action"] == "copy", layer["reason"].is_string()) << layer;
  }
}

TEST(Quantize, QuantizedWeightsAreKeptWhenQuantizedAgain) {
  const Result once = quantize_in_memory(*one_weight({8, 8}, normal_values(64, 11)), "{}");
  const Result twice = quantize_in_memory(*once.model, "{}");
  EXPECT_EQ(read_values<std::int8_t>(*twice.model, "fc.weight"), read_values<std::int8_t>(*once.model, "fc.weight"));
  EXPECT_EQ(twice.report["layers"][0]["action"], "copy");
  EXPECT_NE(twice.report["warnings"].dump().find("quantized already"), std::string::npos);
  EXPECT_EQ(read_values<float>(*dequantize_in_memory(*twice.model).model, "fc.weight"),
            read_values<float>(*dequantize_in_memory(*once.model).model, "fc.weight"));
}

TEST(Quantize, QuantizedWeightsGetTheCodesThatAreAskedFor) {
  const auto model = one_weight({8, 64}, normal_values(8 * 64, 12));
  for (const char* before :
       {R"({})", R"({"dtype": "float8_e4m3"})", R"({"dtype": "nf4"})", R"({"dtype": "float16"})"}) {
    const Result once = quantize_in_memory(*model, before);
    const auto floats = dequantize_in_memory(*once.model);
    for (const char* wanted : {R"({"dtype": "qint4", "group_size": 32})", R"({"dtype": "quint8"})"}) {
      const Result twice = quantize_in_memory(*once.model, wanted);
      const Result straight = quantize_in_memory(*floats.model, wanted);
      EXPECT_EQ(twice.report["layers"][0]["action"], "quantize") << before << wanted;
      EXPECT_EQ(read_values<float>(*dequantize_in_memory(*twice.model).model, "fc.weight"),
                read_values<float>(*dequantize_in_memory(*straight.model).model, "fc.weight"))
          << before << wanted;
    }
  }
}

// Models are published in floats of 8 bits, so that these are what there is to quantize.
TEST(Quantize, FloatsOf8BitsAreQuantizedLikeFloats) {
  const auto model = one_weight({256, 128}, normal_values(256 * 128, 13));
  const Result once = quantize_in_memory(*model, R"({"dtype": "float8_e4m3", "block": "128x128"})");
  const Result twice = quantize_in_memory(*once.model, "{}");
  EXPECT_EQ(twice.report["layers"][0]["reason"], "quantized anew: float8_e4m3 block 128x128 before");
  EXPECT_EQ(
      read_values<std::int8_t>(*twice.model, "fc.weight"),
      read_values<std::int8_t>(*quantize_in_memory(*dequantize_in_memory(*once.model).model, "{}").model, "fc.weight"));
}

TEST(Quantize, ACastOfQuantizedWeightsIsThatOfTheirFloats) {
  const Result once = quantize_in_memory(*one_weight({8, 8}, normal_values(64, 14)), "{}");
  const Result cast = quantize_in_memory(*once.model, R"({"dtype": "float16"})");
  EXPECT_EQ(
      read_values<std::uint16_t>(*cast.model, "fc.weight"),
      read_values<std::uint16_t>(
          *quantize_in_memory(*dequantize_in_memory(*once.model).model, R"({"dtype": "float16"})").model, "fc.weight"));
}

}  // namespace
}  // namespace mnq::test
