// A file of version 1.1, whose scales of channels are a column whatever the weight's axes: it is read for good, and
// what is made of it broadcasts.
#include <gtest/gtest.h>

#include "job_fixture.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

std::shared_ptr<const TensorSource> former_file() {
  return open_source(std::string(MNQ_TEST_DATA) + "/scales_in_a_column.safetensors");
}

Shape shape_of(const TensorSource& source, const std::string& name) {
  const std::size_t index = source.find(name);
  return index == TensorSource::kNone ? Shape() : source.tensors()[index].shape;
}

std::vector<float> zero_points_of(const TensorSource& source, const std::string& weight) {
  const std::string name = weight + "_zero_point";
  const std::size_t index = source.find(name);
  if (index == TensorSource::kNone) return {};
  if (source.tensors()[index].dtype == DType::kU8) {
    const auto values = read_values<std::uint8_t>(source, name);
    return {values.begin(), values.end()};
  }
  const auto values = read_values<std::int8_t>(source, name);
  return {values.begin(), values.end()};
}

std::vector<float> codes_of(const TensorSource& source, const std::string& weight) {
  if (source.tensors()[source.find(weight)].dtype == DType::kU8) {
    const auto codes = read_values<std::uint8_t>(source, weight);
    return {codes.begin(), codes.end()};
  }
  const auto codes = read_values<std::int8_t>(source, weight);
  return {codes.begin(), codes.end()};
}

struct Row {
  const char* weight;
  std::size_t channels;  // on the axis
  std::size_t behind;    // elements behind one index of the axis
  Shape column;          // its scales in the file
  Shape broadcast;       // and in what is written now
};

std::vector<Row> rows() {
  return {{"conv.weight", 6, 12, {6, 1}, {6, 1, 1}},
          {"unsigned.weight", 5, 18, {5, 1}, {5, 1, 1, 1}},
          {"transposed.weight", 6, 3, {6, 1}, {1, 6, 1}},
          {"turned.weight", 6, 1, {6, 1}, {1, 6}},
          {"fc.weight", 4, 6, {4, 1}, {4, 1}}};
}

TEST(FormerFiles, CodesTimesScales) {
  const auto file = former_file();
  const auto restored = dequantize_in_memory(*file).model;
  for (const Row& row : rows()) {
    const std::string weight = row.weight;
    EXPECT_EQ(shape_of(*file, weight + "_scale"), row.column) << weight;
    const auto codes = codes_of(*file, weight);
    const auto scales = read_values<float>(*file, weight + "_scale");
    const auto zero_points = zero_points_of(*file, weight);
    const auto values = read_values<float>(*restored, weight);
    ASSERT_EQ(values.size(), codes.size()) << weight;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t channel = i / row.behind % row.channels;
      const float zero_point = zero_points.empty() ? 0 : zero_points[channel];
      EXPECT_EQ(values[i], (codes[i] - zero_point) * scales[channel]) << weight << " at " << i;
    }
  }
}

TEST(FormerFiles, AreValid) {
  RunControl control;
  const Json report = validate(*former_file(), nullptr, Config(nullptr, nullptr), control).json();
  EXPECT_EQ(report["model"]["valid"], true) << report["problems"];
}

TEST(FormerFiles, BecomeWhatIsWrittenNow) {
  const TempFolder folder;
  const auto file = former_file();
  const std::string path = folder.path("now.safetensors");
  RunControl control;
  const Config config(nullptr, nullptr);
  convert(*file, config, control, file_output(*file, path, config, control));
  const auto now = open_source(path);
  for (const Row& row : rows()) {
    const std::string weight = row.weight;
    EXPECT_EQ(shape_of(*now, weight + "_scale"), row.broadcast);
    const Shape zero_points = zero_points_of(*file, weight).empty() ? Shape() : row.broadcast;
    EXPECT_EQ(shape_of(*now, weight + "_zero_point"), zero_points);
    EXPECT_EQ(codes_of(*now, weight), codes_of(*file, weight));
  }
  for (const char* kept :
       {"groups.weight_scale", "whole.weight_scale", "packed.weight_scale", "packed.weight_packed"}) {
    EXPECT_EQ(shape_of(*now, kept), shape_of(*file, kept)) << kept;
  }
  const Json compared = compare(*file, *now, config, control).json();
  EXPECT_EQ(compared["model"]["exact"], true);
  EXPECT_EQ(compared["model"]["tensors_skipped"], 0);
}

}  // namespace
}  // namespace mnq::test
