// Models in memory, jobs on them, and a quantizer that is written out plainly, to compare with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "formats/memory.h"
#include "formats/open_source.h"
#include "quantize/jobs.h"

namespace mnq::test {

template <class Value>
Tensor tensor_of(DType dtype, Shape shape, const std::vector<Value>& values) {
  const std::uint64_t size = values.size() * sizeof(Value);
  const auto bytes = allocate_bytes(size);
  if (size != 0) std::memcpy(bytes.get(), values.data(), size);
  return {dtype, std::move(shape), bytes, size};
}

inline std::vector<float> normal_values(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, 0.05f);
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

inline std::shared_ptr<const TensorSource> model_of(std::vector<NamedTensor> tensors) {
  return make_memory_source(std::move(tensors), {});
}

inline std::shared_ptr<const TensorSource> one_weight(Shape shape, const std::vector<float>& values,
                                                      const std::string& name = "fc.weight") {
  return model_of({{name, tensor_of(DType::kF32, std::move(shape), values)}});
}

template <class Value>
std::vector<Value> read_values(const TensorSource& source, const std::string& name) {
  const std::size_t index = source.find(name);
  if (index == TensorSource::kNone) return {};
  std::vector<Value> values(source.tensors()[index].size_bytes / sizeof(Value));
  source.read(index, 0, std::as_writable_bytes(std::span(values)));
  return values;
}

/// The tensors of a model, to be changed and made a model again.
inline std::vector<NamedTensor> tensors_of(const TensorSource& source) {
  std::vector<NamedTensor> tensors;
  for (const TensorInfo& info : source.tensors()) {
    std::vector<std::byte> bytes(info.size_bytes);
    source.read(tensors.size(), 0, bytes);
    tensors.push_back({info.name, tensor_of(info.dtype, info.shape, bytes)});
  }
  return tensors;
}

struct Result {
  std::shared_ptr<const TensorSource> model;
  Json report;
};

inline Result quantize_in_memory(const TensorSource& source, const Settings& settings) {
  Result result;
  RunControl control;
  const Config config(&settings, nullptr);
  result.report = quantize(source, config, control, memory_output(source, result.model)).json();
  return result;
}

inline Result quantize_in_memory(const TensorSource& source, const std::string& json) {
  return quantize_in_memory(source, parse_settings(json));
}

inline Result dequantize_in_memory(const TensorSource& source) {
  Result result;
  RunControl control;
  result.report = dequantize(source, Config(nullptr, nullptr), control, memory_output(source, result.model)).json();
  return result;
}

// Symmetric codes of values that share one scale.
struct PlainCodes {
  float scale = 1;
  std::vector<std::int8_t> codes;
};
inline PlainCodes quantize_plainly(std::span<const float> values, float divisor = 127, float code_min = -127,
                                   float code_max = 127) {
  PlainCodes plain;
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  if (largest > 0) plain.scale = largest / divisor;
  for (const float value : values) {
    plain.codes.push_back(
        static_cast<std::int8_t>(std::clamp(std::nearbyint(value / plain.scale), code_min, code_max)));
  }
  return plain;
}

// SQNR of values against codes * scale, in double precision.
struct PlainSums {
  double signal = 0;
  double error = 0;
  void add(std::span<const float> values, const PlainCodes& plain) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double lost = values[i] - static_cast<double>(static_cast<float>(plain.codes[i]) * plain.scale);
      signal += static_cast<double>(values[i]) * values[i];
      error += lost * lost;
    }
  }
  double sqnr_db() const { return 10 * std::log10(signal / error); }
};

}  // namespace mnq::test
