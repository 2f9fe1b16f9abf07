// The kernels on raw buffers, with numbers worked out by hand. Longer rows and the instruction sets: tests/kernels.
#include <gtest/gtest.h>

#include <cfenv>
#include <cmath>
#include <limits>

#include "fixture.h"

namespace mnq::test {
namespace {

using Codes = std::vector<std::int8_t>;
using Floats = std::vector<float>;

struct QuantizedRows {
  Floats scales;
  Codes zero_points;
  Codes codes;
  double sqnr_db = 0;
};

QuantizedRows quantize(const Floats& weights, std::size_t row_count, int bits, int symmetric, std::size_t group_size) {
  const std::size_t row_length = weights.size() / row_count;
  const std::size_t groups = group_size == 0 ? 1 : (row_length + group_size - 1) / group_size;
  QuantizedRows rows{Floats(row_count * groups), Codes(row_count * groups, 99), Codes(weights.size())};
  call(mnq_kernel_quantize, weights.data(), row_count, row_length, bits, symmetric, group_size, rows.scales.data(),
       rows.zero_points.data(), rows.codes.data(), &rows.sqnr_db);
  return rows;
}

Floats dequantize(const QuantizedRows& rows, std::size_t row_count, std::size_t group_size) {
  Floats weights(rows.codes.size());
  call(mnq_kernel_dequantize, rows.codes.data(), row_count, rows.codes.size() / row_count, group_size,
       rows.scales.data(), rows.zero_points.data(), weights.data());
  return weights;
}

TEST(Kernels, Ranges) {
  const Floats weights{1, -2, 3, 0, 0, 0, 5, 6, 7};
  Floats minimum(3), maximum(3);
  call(mnq_kernel_ranges, weights.data(), std::size_t{3}, std::size_t{3}, minimum.data(), maximum.data());
  EXPECT_EQ(minimum, (Floats{-2, 0, 5}));
  EXPECT_EQ(maximum, (Floats{3, 0, 7}));
}

TEST(Kernels, RangesOfEmptyRows) {
  Floats minimum(2, 9), maximum(2, 9);
  call(mnq_kernel_ranges, static_cast<const float*>(nullptr), std::size_t{2}, std::size_t{0}, minimum.data(),
       maximum.data());
  EXPECT_EQ(minimum, (Floats{0, 0}));
  EXPECT_EQ(maximum, (Floats{0, 0}));
}

TEST(Kernels, Int8Symmetric) {
  const QuantizedRows rows = quantize({-254, 1, 3, 5, 0, 0, 0, 0}, 2, 8, 1, 0);
  EXPECT_EQ(rows.codes, (Codes{-127, 0, 2, 2, 0, 0, 0, 0}));
  EXPECT_EQ(rows.scales, (Floats{2, 1}));
  EXPECT_EQ(rows.zero_points, (Codes{0, 0}));
  EXPECT_NEAR(rows.sqnr_db, 10 * std::log10(64551. / 3), 1e-9);
  EXPECT_EQ(dequantize(rows, 2, 0), (Floats{-254, 0, 4, 4, 0, 0, 0, 0}));
}

TEST(Kernels, Int8Asymmetric) {
  const QuantizedRows rows = quantize({-100, 155, 0, 510, 2, 4}, 2, 8, 0, 0);
  EXPECT_EQ(rows.codes, (Codes{-128, 127, -28, 127, -127, -126}));
  EXPECT_EQ(rows.scales, (Floats{1, 2}));
  EXPECT_EQ(rows.zero_points, (Codes{-28, -128}));
  EXPECT_EQ(rows.sqnr_db, INFINITY);
  EXPECT_EQ(dequantize(rows, 2, 0), (Floats{-100, 155, 0, 510, 2, 4}));
}

// The largest of a group is 7.5 steps from 0.
TEST(Kernels, Int4GroupsWithARaggedTail) {
  const QuantizedRows rows = quantize({-15, 2, 3.75f, -0.5f, 22.5f}, 1, 4, 1, 2);
  EXPECT_EQ(rows.codes, (Codes{-8, 1, 7, -1, 7}));
  EXPECT_EQ(rows.scales, (Floats{2, 0.5f, 3}));
  EXPECT_EQ(dequantize(rows, 1, 2), (Floats{-16, 2, 3.5f, -0.5f, 21}));
}

TEST(Kernels, Int4Asymmetric) {
  const QuantizedRows rows = quantize({0, 15, -5, 10}, 2, 4, 0, 0);
  EXPECT_EQ(rows.codes, (Codes{-8, 7, -8, 7}));
  EXPECT_EQ(rows.zero_points, (Codes{-8, -3}));
}

TEST(Kernels, AGroupLongerThanTheRow) {
  const QuantizedRows rows = quantize({-254, 2}, 1, 8, 1, 1000);
  EXPECT_EQ(rows.codes, (Codes{-127, 1}));
  EXPECT_EQ(rows.scales, Floats{2});
}

TEST(Kernels, NoZeroPointsMeansAllZero) {
  const Codes codes{-127, 2};
  const float scale = 2;
  Floats weights(2);
  call(mnq_kernel_dequantize, codes.data(), std::size_t{1}, std::size_t{2}, std::size_t{0}, &scale,
       static_cast<const std::int8_t*>(nullptr), weights.data());
  EXPECT_EQ(weights, (Floats{-254, 4}));
}

TEST(Kernels, NothingToDo) {
  EXPECT_EQ(mnq_kernel_quantize(nullptr, 0, 5, 8, 0, 0, nullptr, nullptr, nullptr, nullptr, nullptr), MNQ_OK);
  EXPECT_EQ(mnq_kernel_dequantize(nullptr, 0, 5, 0, nullptr, nullptr, nullptr, nullptr), MNQ_OK);
  EXPECT_EQ(mnq_kernel_ranges(nullptr, 0, 5, nullptr, nullptr, nullptr), MNQ_OK);
}

// The row beyond the 64 that are worked on at once, and the last element of a row.
TEST(Kernels, NotFiniteNamesRowAndColumn) {
  Floats weights(70 * 5, 1);
  weights[67 * 5 + 4] = -std::numeric_limits<float>::infinity();
  const auto expect_message = [](const Error& error) {
    EXPECT_EQ(error.code(), MNQ_E_VALIDATION);
    EXPECT_STREQ(error.what(), "weights: the value at [67, 4] is not finite");
    EXPECT_EQ(error.subject(), "weights");
  };
  expect_message(error_of([&] { quantize(weights, 70, 8, 1, 0); }));
  expect_message(error_of([&] { quantize(weights, 70, 4, 0, 2); }));
  Floats minimum(70), maximum(70);
  expect_message(error_of([&] {
    call(mnq_kernel_ranges, weights.data(), std::size_t{70}, std::size_t{5}, minimum.data(), maximum.data());
  }));
}

TEST(Kernels, SizesThatOverflow) {
  const float weight = 1;
  float scale = 0;
  std::int8_t code = 0;
  const std::size_t half = SIZE_MAX / 2 + 1;
  const auto code_of = [&](std::size_t row_count, std::size_t row_length) {
    return mnq_kernel_quantize(&weight, row_count, row_length, 8, 1, 0, &scale, nullptr, &code, nullptr, nullptr);
  };
  EXPECT_EQ(code_of(half, 2), MNQ_E_SHAPE);
  EXPECT_EQ(code_of(2, half), MNQ_E_SHAPE);
  EXPECT_EQ(code_of(1, SIZE_MAX / sizeof(float)), MNQ_E_SHAPE);
  EXPECT_EQ(code_of(SIZE_MAX, SIZE_MAX), MNQ_E_SHAPE);
  EXPECT_EQ(mnq_kernel_sqnr(&weight, &weight, SIZE_MAX / 2, nullptr, nullptr), MNQ_E_INVALID_ARG);
}

TEST(Kernels, PackAndUnpackInt4) {
  const Codes codes{-8, 7, 0, 1, -1};
  std::vector<std::uint8_t> packed(3, 0xcc);
  call(mnq_kernel_pack_int4, codes.data(), codes.size(), packed.data());
  EXPECT_EQ(packed[0], 0xf0);
  EXPECT_EQ(packed[1], 0x98);
  EXPECT_EQ(packed[2] & 0xf, 0x7);
  Codes unpacked(5);
  call(mnq_kernel_unpack_int4, static_cast<const std::uint8_t*>(packed.data()), codes.size(), unpacked.data());
  EXPECT_EQ(unpacked, codes);
}

TEST(Kernels, CodesThatDoNotFitSayWhichOne) {
  const Codes codes{0, 7, 8};
  std::vector<std::uint8_t> packed(2);
  const Error error = error_of([&] { call(mnq_kernel_pack_int4, codes.data(), codes.size(), packed.data()); });
  EXPECT_EQ(error.code(), MNQ_E_INVALID_ARG);
  EXPECT_STREQ(error.what(), "codes: 8 at 2 does not fit in 4 bits");
}

TEST(Kernels, Sqnr) {
  const Floats reference{3, 4}, other{3, 4.5f};
  const auto sqnr_of = [](const Floats& a, const Floats& b) {
    double value = 0;
    call(mnq_kernel_sqnr, a.data(), b.data(), a.size(), &value);
    return value;
  };
  EXPECT_DOUBLE_EQ(sqnr_of(reference, other), 20);  // 25 against 0.25
  EXPECT_EQ(sqnr_of(reference, reference), INFINITY);
  EXPECT_EQ(sqnr_of({0, 0}, {0, 1}), -INFINITY);
  EXPECT_EQ(sqnr_of({}, {}), INFINITY);
  EXPECT_EQ(error_of([&] { sqnr_of(reference, {1, NAN}); }).code(), MNQ_E_VALIDATION);
  EXPECT_EQ(error_of([&] { sqnr_of({NAN, 1}, other); }).code(), MNQ_E_VALIDATION);
}

// What a host has set for its own arithmetic is not seen in codes, on no thread, and is there again afterwards.
TEST(FloatEnvironment, OfTheHostChangesNoCodes) {
  const Model model = one_weight({64, 4096}, normal_values(64 * 4096, 5));
  const Model expected = mono_quant::quantize(model).model;
  std::fenv_t before;
  std::fegetenv(&before);
  std::fesetround(FE_UPWARD);
  mono_quant::Run run;
  run.set("threads", "2");
  const Model made = mono_quant::quantize(model, {}, &run).model;
  const int rounding = std::fegetround();
  std::fesetenv(&before);
  EXPECT_EQ(rounding, FE_UPWARD);
  EXPECT_EQ(values_of<std::int8_t>(made, "fc.weight"), values_of<std::int8_t>(expected, "fc.weight"));
  EXPECT_EQ(values_of<float>(made, "fc.weight_scale"), values_of<float>(expected, "fc.weight_scale"));
}

}  // namespace
}  // namespace mnq::test
