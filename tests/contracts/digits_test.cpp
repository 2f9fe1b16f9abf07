// A real model, quantized and run: the digits classifier of tests/data must still read the images it has not seen.
#include <gtest/gtest.h>

#include <algorithm>

#include "quantize/job_fixture.h"

namespace mnq::test {
namespace {

using Values = std::vector<float>;

// [channels, size, size]
struct Image {
  std::size_t channels;
  std::size_t size;
  Values values;
  float at(std::size_t channel, std::size_t y, std::size_t x) const { return values[(channel * size + y) * size + x]; }
};

Values weights_of(const TensorSource& model, const std::string& name) { return read_values<float>(model, name); }

// 3 x 3, padded with a zero on each side. weights [out, in, 3, 3]
Image convolve(const Image& image, const Values& weights, const Values& bias) {
  Image result{bias.size(), image.size, Values(bias.size() * image.size * image.size)};
  for (std::size_t out = 0; out < bias.size(); ++out) {
    for (std::size_t y = 0; y < image.size; ++y) {
      for (std::size_t x = 0; x < image.size; ++x) {
        float sum = bias[out];
        for (std::size_t in = 0; in < image.channels; ++in) {
          for (std::size_t k = 0; k < 9; ++k) {
            const std::size_t from_y = y + k / 3 - 1, from_x = x + k % 3 - 1;  // -1 is beyond every size
            if (from_y >= image.size || from_x >= image.size) continue;
            sum += image.at(in, from_y, from_x) * weights[(out * image.channels + in) * 9 + k];
          }
        }
        result.values[(out * image.size + y) * image.size + x] = sum;
      }
    }
  }
  return result;
}

// ReLU, then the largest of each 2 x 2.
Image pool(const Image& image) {
  Image result{image.channels, image.size / 2, {}};
  for (std::size_t channel = 0; channel < image.channels; ++channel) {
    for (std::size_t y = 0; y < image.size; y += 2) {
      for (std::size_t x = 0; x < image.size; x += 2) {
        result.values.push_back(std::max({0.0f, image.at(channel, y, x), image.at(channel, y, x + 1),
                                          image.at(channel, y + 1, x), image.at(channel, y + 1, x + 1)}));
      }
    }
  }
  return result;
}

Values multiply(const Values& input, const Values& weights, const Values& bias) {
  Values result = bias;
  for (std::size_t out = 0; out < bias.size(); ++out) {
    for (std::size_t in = 0; in < input.size(); ++in) result[out] += input[in] * weights[out * input.size() + in];
  }
  return result;
}

class Digits {
 public:
  explicit Digits(const TensorSource& model) {
    for (const char* name : {"conv1", "norm", "conv2", "fc1", "fc2"}) {
      weights_[name] = weights_of(model, std::string(name) + ".weight");
      biases_[name] = weights_of(model, std::string(name) + ".bias");
    }
    means_ = weights_of(model, "norm.running_mean");
    variances_ = weights_of(model, "norm.running_var");
  }

  std::uint8_t read(const Image& image) const {
    Image first = convolve(image, weights_.at("conv1"), biases_.at("conv1"));
    normalize(first);
    const Image second = pool(convolve(pool(first), weights_.at("conv2"), biases_.at("conv2")));
    Values hidden = multiply(second.values, weights_.at("fc1"), biases_.at("fc1"));
    for (float& value : hidden) value = std::max(value, 0.0f);
    const Values scores = multiply(hidden, weights_.at("fc2"), biases_.at("fc2"));
    return static_cast<std::uint8_t>(std::ranges::max_element(scores) - scores.begin());
  }

 private:
  void normalize(Image& image) const {
    for (std::size_t i = 0; i < image.values.size(); ++i) {
      const std::size_t channel = i / (image.size * image.size);
      const float normal = (image.values[i] - means_[channel]) / std::sqrt(variances_[channel] + 1e-5f);
      image.values[i] = normal * weights_.at("norm")[channel] + biases_.at("norm")[channel];
    }
  }

  std::map<std::string, Values> weights_;
  std::map<std::string, Values> biases_;
  Values means_;
  Values variances_;
};

constexpr const char* kModel = MNQ_TEST_DATA "/digits.safetensors";

// How many of the images a model reads right, in percent.
double accuracy_of(const TensorSource& model) {
  const auto data = open_source(MNQ_TEST_DATA "/digits_test.safetensors");
  const auto pixels = read_values<std::uint8_t>(*data, "images");
  const auto labels = read_values<std::uint8_t>(*data, "labels");
  const Digits digits(model);
  int right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    Image image{1, 8, {}};
    for (std::size_t k = 0; k < 64; ++k) image.values.push_back(static_cast<float>(pixels[i * 64 + k]) / 16);
    right += digits.read(image) == labels[i];
  }
  return 100.0 * right / static_cast<double>(labels.size());
}

double accuracy_of_quantized(const std::string& settings) {
  const Result quantized = quantize_in_memory(*open_source(kModel), settings);
  EXPECT_EQ(quantized.report["model"]["layers_quantized"], 4) << settings;
  return accuracy_of(*dequantize_in_memory(*quantized.model).model);
}

TEST(DigitsModel, ReadsAlmostAllImages) { EXPECT_GE(accuracy_of(*open_source(kModel)), 98.0); }

TEST(DigitsModel, EightBitsReadAsWell) {
  const double before = accuracy_of(*open_source(kModel));
  for (const char* settings : {"{}", R"({"symmetric": false})", R"({"dtype": "quint8"})", R"({"group_size": 32})",
                               R"({"per_channel": false})"}) {
    EXPECT_NEAR(accuracy_of_quantized(settings), before, 0.3) << settings;
  }
}

TEST(DigitsModel, FourBitsReadAlmostAsWell) {
  const double before = accuracy_of(*open_source(kModel));
  for (const char* settings :
       {R"({"bits": 4, "min_parameters": 0})", R"({"bits": 4, "group_size": 32, "min_parameters": 0})",
        R"({"bits": 4, "group_size": 32, "symmetric": false, "min_parameters": 0})"}) {
    EXPECT_GE(accuracy_of_quantized(settings), before - 1.5) << settings;
  }
}

}  // namespace
}  // namespace mnq::test
