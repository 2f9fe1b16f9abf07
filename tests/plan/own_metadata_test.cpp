// Our metadata read back: what fits becomes a quantized weight, anything else is a problem with a name, never a crash.
#include "plan/own_metadata.h"

#include <gtest/gtest.h>

#include <cmath>

#include "layouts/layouts.h"
#include "plan/plan.h"
#include "support/copied_tensors.h"
#include "support/error_of.h"
#include "support/listed_source.h"

namespace mnq::test {
namespace {

// The stored tensors of one int8 weight per channel, and a bias.
const std::vector<Listed>& int8_tensors() {
  static const std::vector<Listed> tensors{
      {"w", {4, 6}, DType::kI8}, {"w_scale", {4, 1}, DType::kF32}, {"b", {4}, DType::kF32}};
  return tensors;
}

constexpr const char* kInt8Entry =
    R"({"scheme": "qint8", "dtype": "F32", "shape": [4, 6], "granularity": "channel", "symmetric": true,
        "channel_axis": 0})";

ListedSource source_with(const std::string& metadata, const std::vector<Listed>& tensors = int8_tensors()) {
  return ListedSource(tensors, {{std::string(kMetadataKey), metadata}});
}

std::string with_entry(const std::string& entry) { return R"({"version": 1, "tensors": {"w": )" + entry + "}}"; }

TEST(ReadBack, AWeightKnowsItsParts) {
  const auto tensors = source_with(with_entry(kInt8Entry)).require_weights();
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].name, "w");
  EXPECT_EQ(tensors[0].dtype, DType::kF32);
  EXPECT_EQ(tensors[0].shape, (Shape{4, 6}));
  EXPECT_EQ(tensors[0].parts, (std::vector<std::size_t>{0, 1}));
  ASSERT_TRUE(tensors[0].spec);
  EXPECT_EQ(tensors[0].spec->scheme, "qint8");
  EXPECT_FALSE(tensors[0].sqnr_db);
  EXPECT_EQ(tensors[1].name, "b");
  EXPECT_FALSE(tensors[1].spec);
}

TEST(ReadBack, WithoutMetadataAllIsAsItIsStored) {
  EXPECT_EQ(ListedSource(int8_tensors()).require_weights().size(), 3u);
}

QuantizedEntry entry_of(const char* scheme, Granularity granularity, bool symmetric, std::uint64_t group_size,
                        std::optional<double> sqnr_db) {
  QuantizedEntry entry{"w", {}, sqnr_db};
  entry.spec.scheme = scheme;
  entry.spec.granularity = granularity;
  entry.spec.symmetric = symmetric;
  entry.spec.group_size = group_size;
  entry.spec.weight_dtype = DType::kBF16;
  entry.spec.shape = {9, 20};
  return entry;
}

// What was written of a spec, and the tensors that its scheme stores.
ListedSource source_of(const QuantizedEntry& entry) {
  std::vector<Listed> tensors;
  for (const StoredPart& part : kRowsLayout.parts(entry.spec)) {
    tensors.push_back({entry.name + std::string(part.suffix), part.shape, part.dtype});
  }
  const CopiedTensors copied(std::vector<CopiedWeight>{{entry.name, entry.spec, &kRowsLayout, entry.sqnr_db}});
  std::string text;
  write_own_metadata(copied.slice(), copied.no_sqnr(), [&](std::string_view piece) { text += piece; });
  return source_with(text, tensors);
}

TEST(ReadBack, WhatWasWritten) {
  for (const QuantizedEntry& entry : {entry_of("qint8", Granularity::kTensor, true, 0, 40.5),
                                      entry_of("qint8", Granularity::kChannel, false, 0, 41.2346),
                                      entry_of("quint8", Granularity::kGroup, false, 7, std::nullopt),
                                      entry_of("quint8", Granularity::kChannel, true, 0, -3.5),
                                      entry_of("qint4", Granularity::kGroup, true, 128, INFINITY),
                                      entry_of("qint4", Granularity::kChannel, false, 0, 0.0)}) {
    SCOPED_TRACE(scheme_text(entry.spec));
    const auto tensors = source_of(entry).require_weights();
    ASSERT_EQ(tensors.size(), 1u);
    const QuantizedSpec& spec = *tensors[0].spec;
    EXPECT_EQ(spec.scheme, entry.spec.scheme);
    EXPECT_EQ(spec.granularity, entry.spec.granularity);
    EXPECT_EQ(spec.symmetric, entry.spec.symmetric);
    EXPECT_EQ(spec.group_size, entry.spec.group_size);
    EXPECT_EQ(spec.weight_dtype, entry.spec.weight_dtype);
    EXPECT_EQ(spec.shape, entry.spec.shape);
    EXPECT_EQ(tensors[0].sqnr_db, entry.sqnr_db);
  }
}

TEST(ReadBack, RowsThatShareTheirScales) {
  QuantizedEntry entry = entry_of("float8_e4m3", Granularity::kGroup, true, 8, 30);
  entry.spec.group_rows = 4;
  const auto tensors = source_of(entry).require_weights();
  EXPECT_EQ(tensors[0].spec->group_rows, 4u);
  EXPECT_EQ(scale_matrix(*tensors[0].spec), (Shape{3, 3}));
}

TEST(ReadBack, AxisAndCasts) {
  QuantizedEntry entry = entry_of("qint8", Granularity::kChannel, true, 0, 30);
  entry.spec.channel_axis = 1;
  EXPECT_EQ(source_of(entry).require_weights()[0].spec->channel_axis, 1);
  const auto cast = source_of(entry_of("float16", Granularity::kTensor, true, 0, 70)).require_weights();
  EXPECT_EQ(cast[0].spec->scheme, "float16");
  EXPECT_EQ(cast[0].dtype, DType::kBF16);
}

struct Hostile {
  std::string metadata;
  const char* says;
};

// kInt8Entry with one text replaced.
std::string changed(const std::string& from, const std::string& to) {
  std::string entry = kInt8Entry;
  const std::size_t at = entry.find(from);
  if (at == std::string::npos) throw std::runtime_error(from + " is not there");
  return with_entry(entry.replace(at, from.size(), to));
}

std::vector<Hostile> hostile_metadata() {
  return {
      {"", "not what we write"},
      {"nonsense", "not what we write"},
      {"[]", "not what we write"},
      {"1", "not what we write"},
      {"null", "not what we write"},
      {"{}", "not what we write"},
      {R"({"version": 1})", "not what we write"},
      {R"({"tensors": {}})", "not what we write"},
      {R"({"version": 1, "tensors": []})", "not what we write"},
      {R"({"version": 1, "tensors": null})", "not what we write"},
      {std::string(100000, '['), "not what we write"},
      {with_entry(kInt8Entry) + "}", "not what we write"},
      {R"({"version": 1, "tensors": {"w": )" + std::string(kInt8Entry) + R"(, "w": )" + kInt8Entry + "}}",
       "not what we write"},
      {R"({"version": 2, "tensors": {}})", "version 2"},
      {R"({"version": 0, "tensors": {}})", "version 0"},
      {R"({"version": "1", "tensors": {}})", "version \"1\""},
      {R"({"version": null, "tensors": {}})", "version null"},
      {R"({"version": [1], "tensors": {}})", "version [1]"},
      {with_entry("null"), "w"},
      {with_entry("1"), "w"},
      {with_entry("[]"), "w"},
      {with_entry("{}"), "scheme is missing"},
      {with_entry(R"("qint8")"), "w"},
      {R"({"version": 1, "tensors": {"": )" + std::string(kInt8Entry) + "}}", "is missing"},
      {R"({"version": 1, "tensors": {"v": )" + std::string(kInt8Entry) + "}}", "v is missing"},
      {R"({"version": 1, "tensors": {"b": )" + std::string(kInt8Entry) + "}}", "b is F32 [4], but must be I8 [4, 6]"},
      {changed(R"("qint8")", R"("qint9")"), "scheme qint9 is unknown"},
      {changed(R"("qint8")", R"("q4_k")"), "q4_k is not stored like this"},
      {changed(R"("qint8")", "8"), "w"},
      {changed(R"("qint8")", R"("float16")"), "w is I8 [4, 6], but must be F16 [4, 6]"},
      {changed(R"("qint8")", R"("quint8")"), "w is I8 [4, 6], but must be U8 [4, 6]"},
      {changed(R"("qint8")", R"("qint4")"), "w_packed is missing"},
      {changed(R"("F32")", R"("I8")"), "dtype"},
      {changed(R"("F32")", R"("F33")"), "dtype"},
      {changed(R"("F32")", "null"), "w"},
      {changed("[4, 6]", "[]"), "shape"},
      {changed("[4, 6]", "[0, 6]"), "shape"},
      {changed("[4, 6]", "[4, -6]"), "shape"},
      {changed("[4, 6]", "[4294967296, 4294967296]"), "shape"},
      {changed("[4, 6]", "[18446744073709551620]"), "w"},
      {changed("[4, 6]", "[4.5]"), "w"},
      {changed("[4, 6]", "[4, [6]]"), "w"},
      {changed("[4, 6]", R"("4, 6")"), "w"},
      {changed("[4, 6]", "[6, 4]"), "w is I8 [4, 6], but must be I8 [6, 4]"},
      {changed("[4, 6]", "[4, 6, 1]"), "w is I8 [4, 6], but must be I8 [4, 6, 1]"},
      {changed(R"("channel")", R"("row")"), "granularity row is unknown"},
      {changed(R"("channel")", "0"), "w"},
      {changed(R"("channel")", R"("tensor")"), "w_scale is F32 [4, 1], but must be F32 [1]"},
      {changed(R"("channel")", R"("group")"), "group_size is missing"},
      {changed("true", "false"), "w_zero_point is missing"},
      {changed("true", "1"), "w"},
      {changed("true", R"("true")"), "w"},
      {changed(R"("channel_axis": 0)", R"("channel_axis": 2)"), "axis"},
      {changed(R"("channel_axis": 0)", R"("channel_axis": -1)"), "axis"},
      {changed(R"("channel_axis": 0)", R"("channel_axis": 0.5)"), "w"},
      {changed(R"("channel_axis": 0)", R"("channel_axis": 9223372036854775808)"), "w"},
      {changed(R"("channel_axis": 0)", R"("axis": 0)"), "channel_axis is missing"},
      {changed(R"("channel_axis": 0)", R"("channel_axis": 1)"), "w_scale is F32 [4, 1], but must be F32 [1, 6]"},
      {changed(R"("channel_axis": 0)", R"("channel_axis": 0, "sqnr_db": "good")"), "w"},
      {changed(R"("channel_axis": 0)", R"("channel_axis": 0, "sqnr_db": [1])"), "w"},
  };
}

TEST(Hostile, Metadata) {
  for (const Hostile& hostile : hostile_metadata()) {
    const ListedSource source = source_with(hostile.metadata);
    const std::vector<Problem>& problems = source.problems();
    EXPECT_EQ(problems.size(), 1u) << hostile.metadata;
    EXPECT_EQ(source.weights().size(), 3u) << hostile.metadata;  // all as they are stored
    const Error error = error_of([&] { source.require_weights(); });
    EXPECT_EQ(error.status(), Status::kFormat) << hostile.metadata;
    EXPECT_NE(error.message().find(hostile.says), std::string::npos) << error.message();
    EXPECT_TRUE(error.message().starts_with("the model in memory: ")) << error.message();
    EXPECT_FALSE(error.suggestion().empty());
  }
}

std::string group_entry(const char* scheme, const char* group_size) {
  return with_entry(R"({"scheme": ")" + std::string(scheme) +
                    R"(", "dtype": "F32", "shape": [4, 6], "granularity": "group", "symmetric": true,
                        "channel_axis": 0, "group_size": )" +
                    group_size + "}");
}

TEST(Hostile, GroupSizes) {
  for (const char* wrong : {"0", "-1", "1.5", "null", "\"2\"", "18446744073709551616"}) {
    EXPECT_EQ(source_with(group_entry("qint8", wrong)).problems().size(), 1u) << wrong;
  }
  // A group longer than any row is the row.
  for (const char* huge : {"7", "65537", "9223372036854775807"}) {
    const auto tensors = source_with(group_entry("qint8", huge)).require_weights();
    EXPECT_EQ(scale_shape(*tensors[0].spec).groups, 1u) << huge;
  }
}

TEST(ReadBack, StackedAxes) {
  QuantizedEntry entry = entry_of("qint8", Granularity::kChannel, true, 0, 30);
  entry.spec.shape = {2, 5, 3};
  entry.spec.channel_axis = entry.spec.stacked_axes = 1;
  EXPECT_EQ(source_of(entry).require_weights()[0].spec->stacked_axes, 1);
  entry.spec.stacked_axes = 2;
  EXPECT_EQ(source_of(entry).problems().size(), 1u);
}

// What we never write, and the loops could not read: they cut rows on axis 0.
TEST(Hostile, AxesOfGroups) {
  const std::vector<Listed> tensors{{"w", {4, 6}, DType::kI8}, {"w_scale", {24, 1}, DType::kF32}};
  std::string metadata = group_entry("qint8", "2");
  metadata.replace(metadata.find(R"("channel_axis": 0)"), 17, R"("channel_axis": 1)");
  EXPECT_EQ(source_with(metadata, tensors).problems().size(), 1u);
}

TEST(Hostile, Int4WithOneScaleForAll) {
  const std::vector<Listed> tensors{
      {"w_packed", {4, 1}, DType::kI32}, {"w_scale", {1}, DType::kF32}, {"w_shape", {2}, DType::kI64}};
  std::string metadata = group_entry("qint4", "8");
  metadata.replace(metadata.find(R"("group")"), 7, R"("tensor")");
  EXPECT_EQ(source_with(metadata, tensors).problems().size(), 1u);
}

// Two weights that would share a stored tensor: int8 of one channel stores its zero point as it stores codes.
TEST(Hostile, TwoWeightsOfOnePart) {
  const std::vector<Listed> tensors{{"w", {1, 1}, DType::kI8},
                                    {"w_scale", {1, 1}, DType::kF32},
                                    {"w_zero_point", {1, 1}, DType::kI8},
                                    {"w_zero_point_scale", {1, 1}, DType::kF32}};
  const char* metadata = R"({"version": 1, "tensors": {
      "w": {"scheme": "qint8", "dtype": "F32", "shape": [1, 1], "granularity": "channel", "symmetric": false,
            "channel_axis": 0},
      "w_zero_point": {"scheme": "qint8", "dtype": "F32", "shape": [1, 1], "granularity": "channel",
                       "symmetric": true, "channel_axis": 0}}})";
  const ListedSource source = source_with(metadata, tensors);
  const std::vector<Problem>& problems = source.problems();
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].tensor, "w_zero_point");
}

TEST(Plans, AQuantizedWeightIsLeftAsItIs) {
  const ListedSource source = source_with(with_entry(kInt8Entry));
  for (const char* text : {R"({"only": ["w"]})", R"({"bits": 8})", R"({"dtype": "qint8", "symmetric": false})",
                           R"({"bits": 4, "skip": ["w"]})"}) {
    const Settings settings = parse_settings(text);
    const Plan plan = make_plan(source, Config(&settings, nullptr));
    EXPECT_EQ(plan.tensors[0].action, Action::kCopy) << text;
    EXPECT_EQ(plan.tensors[0].reason, "quantized already (int8 per channel)") << text;
    EXPECT_EQ(PlanSlice(plan).outputs().size(), 3u) << text;
  }
}

TEST(Plans, AQuantizedWeightGetsTheCodesThatAreAskedFor) {
  const ListedSource source = source_with(with_entry(kInt8Entry));
  const Settings settings = parse_settings(R"({"bits": 4, "min_parameters": 0, "only": ["w"]})");
  const Plan plan = make_plan(source, Config(&settings, nullptr));
  EXPECT_EQ(plan.tensors[0].action, Action::kQuantize);
  EXPECT_EQ(plan.tensors[0].reason, "quantized anew: int8 per channel before");
  EXPECT_EQ(plan.tensors[0].spec.scheme, "qint4");
}

TEST(Plans, Dequantize) {
  const ListedSource source = source_with(with_entry(kInt8Entry));
  const Plan plan = make_dequantize_plan(source);
  ASSERT_EQ(plan.tensors.size(), 2u);
  EXPECT_EQ(plan.tensors[0].action, Action::kDequantize);
  EXPECT_EQ(PlanSlice(plan).outputs()[0]->name, "w");
  EXPECT_EQ(PlanSlice(plan).outputs()[0]->dtype, DType::kF32);
  EXPECT_EQ(PlanSlice(plan).outputs()[0]->size_bytes, 96u);
  EXPECT_EQ(plan.tensors[1].action, Action::kCopy);
  EXPECT_EQ(plan.tensors[1].reason, "not quantized");
}

TEST(Plans, Copy) {
  const ListedSource source = source_with(with_entry(kInt8Entry));
  const Plan plan = make_convert_plan(source, Config(nullptr, nullptr), {});
  const auto outputs = PlanSlice(plan).outputs();
  ASSERT_EQ(outputs.size(), 3u);
  for (std::size_t i = 0; i < outputs.size(); ++i) EXPECT_EQ(outputs[i]->name, source.tensors()[i].name);
}

}  // namespace
}  // namespace mnq::test
