// What is stored of a quantized weight: names, dtypes and shapes, as loaders of these files expect them.
#include <gtest/gtest.h>

#include "base/error.h"
#include "layouts/layouts.h"
#include "schemes/schemes.h"

namespace mnq::test {
namespace {

constexpr auto kTensor = Granularity::kTensor;
constexpr auto kChannel = Granularity::kChannel;
constexpr auto kGroup = Granularity::kGroup;

QuantizedSpec spec_of(const char* scheme, Granularity granularity, bool symmetric, Shape shape,
                      std::uint64_t group_size = 0, std::int64_t channel_axis = 0) {
  QuantizedSpec spec;
  spec.scheme = scheme;
  spec.granularity = granularity;
  spec.symmetric = symmetric;
  spec.group_size = group_size;
  spec.channel_axis = channel_axis;
  spec.shape = std::move(shape);
  return spec;
}

QuantizedSpec stack_of(QuantizedSpec spec) {
  spec.stacked_axes = 1;
  return spec;
}

// "X I8 [4, 6], X_scale F32 [4, 1]"
std::string parts_text(const QuantizedSpec& spec) {
  std::string text;
  for (const StoredPart& part : kRowsLayout.parts(spec)) {
    text += (text.empty() ? "X" : ", X") + std::string(part.suffix) + " " + std::string(dtype_name(part.dtype)) + " " +
            shape_text(part.shape);
  }
  return text;
}

struct Row {
  QuantizedSpec spec;
  const char* parts;
};

std::vector<Row> rows() {
  return {
      {spec_of("qint8", kChannel, true, {4, 6}), "X I8 [4, 6], X_scale F32 [4, 1]"},
      {spec_of("qint8", kChannel, false, {4, 6}), "X I8 [4, 6], X_scale F32 [4, 1], X_zero_point I8 [4, 1]"},
      {spec_of("qint8", kTensor, true, {4, 6}), "X I8 [4, 6], X_scale F32 [1]"},
      {spec_of("qint8", kTensor, false, {4, 6}), "X I8 [4, 6], X_scale F32 [1], X_zero_point I8 [1]"},
      {spec_of("qint8", kGroup, true, {4, 6}, 3), "X I8 [4, 6], X_scale F32 [4, 2]"},
      {spec_of("qint8", kGroup, true, {4, 6}, 4), "X I8 [4, 6], X_scale F32 [4, 2]"},
      {spec_of("qint8", kGroup, true, {4, 6}, 128), "X I8 [4, 6], X_scale F32 [4, 1]"},
      {spec_of("qint8", kGroup, false, {8, 2, 3, 3}, 8),
       "X I8 [8, 2, 3, 3], X_scale F32 [8, 3], X_zero_point I8 [8, 3]"},
      {spec_of("qint8", kChannel, true, {4, 6, 3}, 0, 1), "X I8 [4, 6, 3], X_scale F32 [1, 6, 1]"},
      {spec_of("qint8", kChannel, false, {8, 2, 3, 3}),
       "X I8 [8, 2, 3, 3], X_scale F32 [8, 1, 1, 1], X_zero_point I8 [8, 1, 1, 1]"},
      {spec_of("quint8", kChannel, false, {4, 6, 3}, 0, 1),
       "X U8 [4, 6, 3], X_scale F32 [1, 6, 1], X_zero_point U8 [1, 6, 1]"},
      {spec_of("qint8", kTensor, true, {4, 6, 3}), "X I8 [4, 6, 3], X_scale F32 [1]"},
      {spec_of("qint4", kChannel, true, {4, 2, 3}), "X_packed I32 [4, 1], X_scale F32 [4, 1], X_shape I64 [3]"},
      {spec_of("qint8", kChannel, true, {4, 6}, 0, 1), "X I8 [4, 6], X_scale F32 [1, 6]"},
      // Unsigned codes: a reader needs the zero point even where it is the same everywhere.
      {spec_of("quint8", kChannel, false, {4, 6}), "X U8 [4, 6], X_scale F32 [4, 1], X_zero_point U8 [4, 1]"},
      {spec_of("quint8", kChannel, true, {4, 6}), "X U8 [4, 6], X_scale F32 [4, 1], X_zero_point U8 [4, 1]"},
      {spec_of("quint8", kTensor, true, {4, 6}), "X U8 [4, 6], X_scale F32 [1], X_zero_point U8 [1]"},
      {stack_of(spec_of("qint8", kChannel, true, {4, 6, 3}, 0, 1)), "X I8 [4, 6, 3], X_scale F32 [4, 6, 1]"},
      {stack_of(spec_of("qint8", kChannel, false, {4, 6, 3}, 0, 2)),
       "X I8 [4, 6, 3], X_scale F32 [4, 1, 3], X_zero_point I8 [4, 1, 3]"},
      {stack_of(spec_of("qint8", kGroup, true, {4, 6, 8}, 4, 1)), "X I8 [4, 6, 8], X_scale F32 [24, 2]"},
      {stack_of(spec_of("qint4", kGroup, true, {4, 6, 16}, 8, 1)),
       "X_packed I32 [24, 2], X_scale F32 [24, 2], X_shape I64 [3]"},
      {spec_of("qint4", kGroup, true, {4, 256}, 128), "X_packed I32 [4, 32], X_scale F32 [4, 2], X_shape I64 [2]"},
      {spec_of("qint4", kGroup, true, {4, 9}, 8), "X_packed I32 [4, 2], X_scale F32 [4, 2], X_shape I64 [2]"},
      {spec_of("qint4", kChannel, true, {4, 7}), "X_packed I32 [4, 1], X_scale F32 [4, 1], X_shape I64 [2]"},
      {spec_of("qint4", kGroup, false, {9, 33}, 32),
       "X_packed I32 [9, 5], X_scale F32 [9, 2], X_shape I64 [2], X_zero_point I32 [2, 2]"},
      {spec_of("qint4", kChannel, false, {8, 16}),
       "X_packed I32 [8, 2], X_scale F32 [8, 1], X_shape I64 [2], X_zero_point I32 [1, 1]"},
      {spec_of("qint4", kGroup, true, {16, 8, 3, 3}, 32), "X_packed I32 [16, 9], X_scale F32 [16, 3], X_shape I64 [4]"},
      {spec_of("float16", kTensor, true, {4, 6}), "X F16 [4, 6]"},
  };
}

TEST(Stored, NamesDtypesAndShapes) {
  for (const Row& row : rows()) {
    EXPECT_EQ(parts_text(row.spec), row.parts) << scheme_text(row.spec) << " " << shape_text(row.spec.shape);
  }
}

TEST(Schemes, Names) {
  for (const Scheme* scheme : all_schemes()) EXPECT_EQ(find_scheme(scheme->name), scheme);
  for (const char* name : {"", "int8", "QINT8", "qint8 ", "fp8"}) EXPECT_EQ(find_scheme(name), nullptr) << name;
  EXPECT_THROW(scheme_of(spec_of("fp8", kChannel, true, {1})), Error);
}

TEST(Schemes, AsReportsCallThem) {
  EXPECT_EQ(scheme_text(spec_of("qint8", kChannel, true, {4, 6})), "int8 per channel");
  EXPECT_EQ(scheme_text(spec_of("qint8", kTensor, false, {4, 6})), "int8 per tensor asymmetric");
  EXPECT_EQ(scheme_text(spec_of("quint8", kChannel, false, {4, 6})), "uint8 per channel");
  EXPECT_EQ(scheme_text(spec_of("quint8", kChannel, true, {4, 6})), "uint8 per channel symmetric");
  EXPECT_EQ(scheme_text(spec_of("qint4", kGroup, true, {4, 6}, 128)), "int4 group 128");
  EXPECT_EQ(scheme_text(spec_of("qint4", kGroup, false, {4, 6}, 32)), "int4 group 32 asymmetric");
  EXPECT_EQ(scheme_text(spec_of("float16", kTensor, true, {4, 6})), "float16");
}

TEST(Schemes, RulesFollowTheSpec) {
  for (const Scheme* scheme : all_schemes()) {
    if (scheme->is_cast || scheme->book != nullptr || scheme->blocks != nullptr) continue;
    for (const bool symmetric : {true, false}) {
      const kernels::CodeRule rule = code_rule(*scheme, spec_of(scheme->name.data(), kChannel, symmetric, {4, 6}));
      EXPECT_EQ(rule.symmetric, symmetric);
      EXPECT_EQ(rule.code_max - rule.code_min + 1, 1 << scheme->bits) << scheme->name;
    }
  }
}

}  // namespace
}  // namespace mnq::test
