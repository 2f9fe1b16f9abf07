// Products of packed weights: by hand, against the definition, and the same bits from every row of the table.
#include "linear/linear.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "kernels/kernel_table.h"
#include "linear_cases.h"

namespace mnq::linear::test {
namespace {

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits(values.size());
  std::memcpy(bits.data(), values.data(), values.size() * sizeof(float));
  return bits;
}

const LinearKernel& oracle() { return *available_linear_kernels().front(); }

Layer layer_of(std::size_t outputs, const Layout& layout, std::vector<std::int8_t> codes, std::vector<float> scales,
               std::vector<std::int8_t> zero_points = {}, std::vector<float> bias = {}) {
  const std::size_t length = codes.size() / outputs;
  return {outputs, length, layout, std::move(codes), std::move(zero_points), std::move(scales), std::move(bias)};
}

// Symmetric rows: 127 is the largest, so that their scale is 1, and 0.5.
TEST(Linear, ByHand) {
  const std::vector<float> rows{127, 0, -127, 1, -2, 63.5f};  // codes 127 0 -127 | 2 -4 127
  for (const LinearKernel* kernel : available_linear_kernels()) {
    const Layer plain = layer_of(2, kLayouts[0], {10, 20, 30, -128, 5, 1}, {0.25f, 4});
    // 127 * (10 - 30) = -2540; 127 * -129 = -16383; 20 - 80 + 3810 = 3750; -256 - 20 + 127 = -149
    EXPECT_EQ(run({plain.weights(), true, *kernel}, rows, 2),
              (std::vector<float>{-635, -65532, 3750 * 0.125f, -149 * 2.0f}))
        << kernel->isa;
    const Layer shifted = layer_of(2, kLayouts[1], {10, 20, 30, -128, 5, 1}, {0.25f, 4}, {1, -3}, {100, -1});
    // The codes of the rows sum to 0 and 125: 3750 - 125 and -149 + 375.
    EXPECT_EQ(run({shifted.weights(), true, *kernel}, rows, 2),
              (std::vector<float>{-535, -65533, 3625 * 0.125f + 100, 226 * 2.0f - 1}))
        << kernel->isa;
  }
}

// Rows with a zero point: from -28 to 227 the scale is 1 and -28 has the code -128, so that 0 has -100.
TEST(Linear, RowsWithAZeroPointByHand) {
  const std::vector<float> rows{-28, 0, 227};
  const Layer layer = layer_of(1, kLayouts[3], {-8, 3, 7}, {0.5f}, {}, {1});
  for (const LinearKernel* kernel : available_linear_kernels()) {
    // 224 + 0 + 1589 = 1813
    EXPECT_EQ(run({layer.weights(), false, *kernel}, rows, 1), (std::vector<float>{1813 * 0.5f + 1})) << kernel->isa;
  }
}

// Two groups, the second one of a single element, whose scale is below 0.
TEST(Linear, GroupsByHand) {
  std::vector<std::int8_t> codes(33, 1);
  codes[0] = -8;
  codes[32] = 7;
  const Layer layer = layer_of(1, kLayouts[7], codes, {2, -0.5f}, {1, -1});
  const std::vector<float> rows(33, 127);
  for (const LinearKernel* kernel : available_linear_kernels()) {
    // The first group has 127 * -9, the second 127 * 8.
    EXPECT_EQ(run({layer.weights(), true, *kernel}, rows, 1), (std::vector<float>{127 * (-18.0f - 4.0f)}))
        << kernel->isa;
  }
}

class Layouts : public testing::TestWithParam<Layout> {};

TEST_P(Layouts, MatchTheDefinition) {
  for (const std::size_t length : {1, 31, 32, 100, 257}) {
    for (const bool symmetric : {true, false}) {
      const Layer layer = make_layer(67, length, GetParam(), length % 2 == 0, 1);
      const std::vector<float> rows = make_rows(7, length, 2, symmetric ? 0.0f : 1.5f);
      const Expected expected = multiply(layer, rows, symmetric);
      const std::vector<float> out = run({layer.weights(), symmetric, linear_kernel()}, rows, 7);
      for (std::size_t i = 0; i < out.size(); ++i) {
        ASSERT_NEAR(static_cast<double>(out[i]), expected.values[i], 1e-6 * expected.magnitudes[i])
            << length << " at " << i;
      }
    }
  }
}

TEST_P(Layouts, SameBitsFromEveryRowOfTheTable) {
  for (const std::size_t length : {0, 1, 7, 32, 33, 95, 128, 129, 300, 576}) {
    for (const std::size_t outputs : {1, 33, 63, 64, 65, 130}) {
      const Layer layer = make_layer(outputs, length, GetParam(), outputs % 2 == 0, 3);
      const std::vector<float> rows = make_rows(37, length, 4, 0.5f);
      for (const std::size_t count : {1, 2, 3, 4, 5, 6, 7, 13, 16, 17, 32, 37}) {
        const std::vector<float> wanted = run({layer.weights(), false, oracle()}, rows, count);
        for (const LinearKernel* kernel : available_linear_kernels()) {
          const std::vector<float> out = run({layer.weights(), false, *kernel}, rows, count);
          ASSERT_EQ(bits_of(out), bits_of(wanted))
              << kernel->isa << " " << count << " x " << outputs << " x " << length;
        }
      }
    }
  }
}

// A row alone takes another path than among others, and threads cut the work.
TEST_P(Layouts, SameBitsHoweverRowsComeTogether) {
  const std::size_t length = 160, outputs = 64 * 9 + 5, count = 50;
  const Layer layer = make_layer(outputs, length, GetParam(), true, 5);
  const std::vector<float> rows = make_rows(count, length, 6);
  for (const LinearKernel* kernel : available_linear_kernels()) {
    const PackedLinear linear(layer.weights(), false, *kernel);
    const std::vector<float> wanted = run(linear, rows, count);
    EXPECT_EQ(bits_of(run(linear, rows, count, 2)), bits_of(wanted)) << kernel->isa;
    EXPECT_EQ(bits_of(run(linear, rows, count, 3)), bits_of(wanted)) << kernel->isa;
    for (std::size_t row = 0; row < count; ++row) {
      const auto first = rows.begin() + static_cast<std::ptrdiff_t>(row * length);
      const std::vector<float> alone = run(linear, {first, first + static_cast<std::ptrdiff_t>(length)}, 1, 2);
      const auto begin = wanted.begin() + static_cast<std::ptrdiff_t>(row * outputs);
      ASSERT_EQ(bits_of(alone), bits_of({begin, begin + static_cast<std::ptrdiff_t>(outputs)})) << kernel->isa;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Layouts, testing::ValuesIn(kLayouts),
                         [](const auto& test) { return std::string(test.param.name); });

// The largest codes there are, in rows longer than 32 bits hold sums of: they are cut.
TEST(Linear, TheLargestSumsAreExact) {
  for (const std::size_t length : {32768, 32769, 70000}) {
    for (const std::int8_t code : {-128, 127}) {
      const Layer layer = layer_of(1, kLayouts[1], std::vector<std::int8_t>(length, code), {1},
                                   {code < 0 ? std::int8_t{127} : std::int8_t{-128}});
      std::vector<float> rows(length, 255);
      rows[0] = 0;
      for (const LinearKernel* kernel : available_linear_kernels()) {
        // Codes 127 with the zero point -128: 255 each but for the first, times +-255.
        const float wanted = static_cast<float>(length - 1) * 255.0f * (code < 0 ? -255.0f : 255.0f);
        EXPECT_FLOAT_EQ(run({layer.weights(), false, *kernel}, rows, 1)[0], wanted) << kernel->isa << " " << length;
      }
    }
  }
}

TEST(Linear, HalvesInAndOut) {
  const std::size_t length = 100, outputs = 70, count = 9;
  const Layer layer = make_layer(outputs, length, kLayouts[5], true, 7);
  std::vector<float> rows = make_rows(count, length, 8);
  std::vector<std::uint16_t> halves(rows.size()), narrow(count * outputs), wanted(count * outputs);
  const kernels::KernelTable& kernels = *kernels::available_kernel_tables().front();
  kernels.f32_to_bf16(rows.data(), rows.size(), halves.data());
  kernels.bf16_to_f32(halves.data(), rows.size(), rows.data());
  for (const LinearKernel* kernel : available_linear_kernels()) {
    const PackedLinear linear(layer.weights(), false, *kernel);
    const std::vector<float> floats = run(linear, rows, count);
    kernels.f32_to_bf16(floats.data(), floats.size(), wanted.data());
    std::vector<std::byte> scratch(linear.scratch_bytes(count, 1));
    linear.run({halves.data(), DType::kBF16, count, narrow.data(), DType::kBF16}, 1, scratch.data(), scratch.size());
    EXPECT_EQ(narrow, wanted) << kernel->isa;
  }
}

TEST(Linear, ARowThatIsNotFiniteHasNoOutputs) {
  const Layer layer = make_layer(65, 40, kLayouts[0], true, 9);
  const std::vector<float> sound = make_rows(3, 40, 10);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    std::vector<float> rows = sound;
    rows[40 + 39] = bad;
    for (const LinearKernel* kernel : available_linear_kernels()) {
      const PackedLinear linear(layer.weights(), false, *kernel);
      const std::vector<float> out = run(linear, rows, 3), wanted = run(linear, sound, 3);
      for (std::size_t i = 0; i < 65; ++i) {
        EXPECT_EQ(out[i], wanted[i]);
        EXPECT_TRUE(std::isnan(out[65 + i])) << kernel->isa;
        EXPECT_EQ(out[130 + i], wanted[130 + i]);
      }
    }
  }
}

TEST(Linear, NothingToDo) {
  for (const LinearKernel* kernel : available_linear_kernels()) {
    const Layer none = make_layer(0, 40, kLayouts[0], false, 1), empty = make_layer(2, 0, kLayouts[3], true, 1);
    EXPECT_TRUE(run({none.weights(), false, *kernel}, make_rows(2, 40, 1), 2).empty());
    EXPECT_TRUE(run({make_layer(2, 40, kLayouts[0], false, 1).weights(), false, *kernel}, {}, 0).empty());
    const std::vector<float> out = run({empty.weights(), false, *kernel}, {}, 2);
    EXPECT_EQ(out, (std::vector<float>{empty.bias[0], empty.bias[1], empty.bias[0], empty.bias[1]}));
  }
}

template <class Work>
Status status_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_FALSE(error.message().empty());
    return error.status();
  }
  return Status::kOk;
}

TEST(Linear, RefusesWhatCannotBe) {
  const auto packing = [](const Layer& layer) {
    return status_of([&] { PackedLinear(layer.weights(), false, oracle()); });
  };
  Layer layer = make_layer(3, 64, kLayouts[7], false, 1);
  layer.scales[4] = INFINITY;
  EXPECT_EQ(packing(layer), Status::kInvalidArg);
  layer = make_layer(3, 64, kLayouts[7], false, 1);
  layer.codes[100] = 8;
  EXPECT_EQ(packing(layer), Status::kInvalidArg);
  layer = make_layer(3, 64, kLayouts[7], false, 1);
  layer.zero_points[5] = -9;
  EXPECT_EQ(packing(layer), Status::kInvalidArg);
  EXPECT_EQ(packing(make_layer(3, 64, {"", true, 48, false, false}, false, 1)), Status::kUnsupported);
  LinearWeights huge;
  huge.output_count = huge.row_length = std::size_t{1} << 40;
  EXPECT_EQ(status_of([&] { PackedLinear(huge, false, oracle()); }), Status::kShape);
}

TEST(Linear, ScratchThatIsTooSmallIsRefused) {
  const Layer layer = make_layer(3, 64, kLayouts[0], false, 1);
  const PackedLinear linear(layer.weights(), false, oracle());
  const std::vector<float> rows = make_rows(2, 64, 1);
  std::vector<float> out(6);
  std::vector<std::byte> scratch(linear.scratch_bytes(2, 1));
  const auto run_with = [&](std::size_t size, DType dtype) {
    return status_of([&] { linear.run({rows.data(), dtype, 2, out.data(), DType::kF32}, 4, scratch.data(), size); });
  };
  EXPECT_EQ(run_with(scratch.size() - 1, DType::kF32), Status::kBufferTooSmall);
  EXPECT_EQ(run_with(scratch.size(), DType::kF16), Status::kDType);
  EXPECT_EQ(run_with(scratch.size(), DType::kF32), Status::kOk);
  EXPECT_EQ(status_of([&] { linear.scratch_bytes(SIZE_MAX, 1); }), Status::kShape);
}

TEST(LinearTable, RowsDiffer) {
  const auto all = available_linear_kernels();
  EXPECT_STREQ(all.front()->isa, "generic");
  for (std::size_t i = 1; i < all.size(); ++i) {
    EXPECT_NE(all[i]->multiply, all[i - 1]->multiply);
    EXPECT_NE(all[i]->arrange, all[i - 1]->arrange);
  }
}

}  // namespace
}  // namespace mnq::linear::test
