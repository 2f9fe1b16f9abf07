// What PyTorch itself quantized, against what PyTorch makes of it: tests/data/make_torch_quantized.py
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "formats/open_source.h"
#include "quantize/job_fixture.h"
#include "support/error_of.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

const std::string kFolder = MNQ_TEST_DATA "/torch_quantized/";
const Config kDefault(nullptr, nullptr);

std::vector<std::string> all_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() == ".safetensors") names.push_back(entry.path().stem());
  }
  std::ranges::sort(names);
  return names;
}

std::shared_ptr<const TensorSource> open_quantized(const std::string& name) {
  return open_source(kFolder + name + ".pt");
}

std::shared_ptr<const TensorSource> floats_of(const TensorSource& source) {
  RunControl control;
  std::shared_ptr<const TensorSource> floats;
  dequantize(source, kDefault, control, memory_output(source, floats));
  return floats;
}

// Of each tensor the values, under all its names.
std::map<std::string, std::vector<float>> values_of(const TensorSource& source) {
  std::map<std::string, std::vector<float>> values;
  for (const LogicalTensor& tensor : source.require_weights()) {
    const auto read = read_values<float>(source, tensor.name);
    values.emplace(tensor.name, read);
    for (const std::string& tie : tensor.ties) values.emplace(tie, read);
  }
  return values;
}

const LogicalTensor& weight_of(const TensorSource& source, const std::string& name) {
  const auto found = std::ranges::find(source.require_weights(), name, &LogicalTensor::name);
  if (found == source.weights().end()) throw std::runtime_error("there is no " + name);
  return *found;
}

class TorchQuantized : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Files, TorchQuantized, testing::ValuesIn(all_names()));

// Float zero points become minima, which are rounded for themselves, and scales of float64 float32.
float slack_of(const std::string& file, const std::string& tensor, const std::vector<float>& values) {
  if (!file.starts_with("embeddings") && tensor != "exact.weight") return 0;
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  return 2 * largest * 0x1p-23f;
}

TEST_P(TorchQuantized, HasTheNamesAndValuesOfPyTorch) {
  const auto floats = values_of(*floats_of(*open_quantized(GetParam())));
  const auto expected = values_of(*open_source(kFolder + GetParam() + ".safetensors"));
  ASSERT_FALSE(expected.empty());
  for (const auto& [name, values] : floats) EXPECT_TRUE(expected.contains(name)) << name;
  for (const auto& [name, values] : expected) {
    ASSERT_TRUE(floats.contains(name)) << name;
    const std::vector<float>& found = floats.at(name);
    ASSERT_EQ(found.size(), values.size()) << name;
    const float slack = slack_of(GetParam(), name, values);
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(found[i], values[i], slack) << name << " " << i;
  }
}

TEST_P(TorchQuantized, HasTheShapesOfPyTorch) {
  const auto source = open_quantized(GetParam());
  const auto expected = open_source(kFolder + GetParam() + ".safetensors");
  for (const LogicalTensor& tensor : source->require_weights()) {
    EXPECT_EQ(tensor.shape, expected->tensors()[expected->find(tensor.name)].shape) << tensor.name;
  }
}

TEST_P(TorchQuantized, IsSoundAndEqualToItsFloats) {
  const auto source = open_quantized(GetParam());
  const auto floats = floats_of(*source);
  RunControl control;
  EXPECT_EQ(validate(*source, floats.get(), kDefault, control).problems(), std::vector<std::string>());
  EXPECT_EQ(compare(*floats, *source, kDefault, control).json()["model"]["exact"], true);
}

// Codes are kept, but for bytes with minima, which become floats.
TEST_P(TorchQuantized, IsConvertedWithoutLoss) {
  const TempFolder folder;
  const auto source = open_quantized(GetParam());
  const auto floats = values_of(*floats_of(*source));
  for (const char* name : {"x.safetensors", "x.pt"}) {
    SCOPED_TRACE(name);
    RunControl control;
    const std::string path = folder.path(name);
    convert(*source, kDefault, control, file_output(*source, path, kDefault, control));
    const auto converted = open_source(path);
    EXPECT_EQ(values_of(*floats_of(*converted)), floats);
    const auto is_quantized = [](const LogicalTensor& tensor) { return tensor.spec.has_value(); };
    EXPECT_EQ(std::ranges::any_of(converted->require_weights(), is_quantized), GetParam() != "dynamic_half");
  }
}

TEST_P(TorchQuantized, BecomesAFloatStateDict) {
  const TempFolder folder;
  const auto source = open_quantized(GetParam());
  const auto floats = values_of(*floats_of(*source));
  const std::string path = folder.path("x.pt");
  RunControl control;
  dequantize(*source, kDefault, control, file_output(*source, path, kDefault, control));
  EXPECT_EQ(values_of(*open_source(path)), floats);
}

TEST(TorchQuantizedSpecs, AreWhatPyTorchSays) {
  const auto tensors = open_quantized("per_tensor");
  const auto channels = open_quantized("per_channel");
  struct Expected {
    const TensorSource& source;
    const char *name, *scheme;
    std::int64_t axis;
  };
  for (const Expected& each : {Expected{*tensors, "int8.weight", "int8 per tensor", 0},
                               {*tensors, "int8_zero_point.weight", "int8 per tensor asymmetric", 0},
                               {*tensors, "uint8.weight", "uint8 per tensor", 0},
                               {*channels, "int8.weight", "int8 per channel", 0},
                               {*channels, "columns.weight", "int8 per channel asymmetric", 1},
                               {*channels, "middle.weight", "uint8 per channel", 1}}) {
    const LogicalTensor& weight = weight_of(each.source, each.name);
    ASSERT_TRUE(weight.spec) << each.name;
    EXPECT_EQ(scheme_text(*weight.spec), each.scheme) << each.name;
    EXPECT_EQ(weight.spec->channel_axis, each.axis) << each.name;
    EXPECT_EQ(weight.dtype, DType::kF32) << each.name;
  }
  EXPECT_EQ(weight_of(*channels, "int8.weight").ties, std::vector<std::string>{"tied.weight"});
}

TEST(TorchQuantizedSpecs, SayWhereScalesAreRounded) {
  const auto says = [](const char* name) {
    return std::ranges::any_of(open_quantized(name)->remarks(), [](const std::string& remark) {
      return remark ==
             "scales of float64 become float32, and values may differ from PyTorch's in the last bit: of 1 "
             "weight";
    });
  };
  EXPECT_TRUE(says("per_channel"));
  EXPECT_FALSE(says("static"));
}

TEST(TorchQuantizedSpecs, OfEmbeddingsHaveMinima) {
  const auto source = open_quantized("embeddings");
  EXPECT_EQ(scheme_text(*weight_of(*source, "bytes.weight").spec), "affine8 group 8");
  EXPECT_EQ(scheme_text(*weight_of(*source, "nibbles.weight").spec), "q4_1 group 8");
}

TEST(TorchQuantizedModules, AreNoModulesThatRun) {
  const auto source = open_quantized("static_scripted");
  EXPECT_EQ(source->format(), "torchscript");
  EXPECT_EQ(source->as_module(), nullptr);
  EXPECT_TRUE(std::ranges::any_of(source->remarks(), [](const std::string& remark) {
    return remark.find("a module that PyTorch quantized") != std::string::npos;
  }));
}

TEST(TorchQuantizedModules, LeaveOutTheScalesOfActivations) {
  for (const char* name : {"static", "static_scripted"}) {
    const auto source = open_quantized(name);
    for (const TensorInfo& info : source->tensors()) {
      EXPECT_FALSE(info.name.ends_with(".zero_point")) << info.name;
    }
    EXPECT_TRUE(std::ranges::any_of(source->remarks(), [](const std::string& remark) {
      return remark.find("scales of activations are not carried on") != std::string::npos;
    }));
  }
}

TEST(TorchQuantizedKinds, ThatAreNotReadAreNamedAndNeverCopied) {
  const TempFolder folder;
  const auto source = open_quantized("unread_int32");
  EXPECT_NE(source->find("int32.weight"), TensorSource::kNone);
  RunControl control;
  const std::string path = folder.path("x.safetensors");
  for (const auto job : {dequantize, convert, quantize}) {
    const Error error =
        error_of([&] { job(*source, kDefault, control, file_output(*source, path, kDefault, control)); });
    EXPECT_EQ(error.status(), Status::kUnsupported);
    EXPECT_NE(error.message().find("qint32"), std::string::npos) << error.message();
    EXPECT_EQ(error.subject(), "int32.weight");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace mnq::test
