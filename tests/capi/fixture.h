// Models in memory and what is in them, through the C++ face alone.
#pragma once

#include <cstdint>
#include <mono_quant/mono_quant.hpp>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mnq::test {

using mono_quant::Config;
using mono_quant::Error;
using mono_quant::Model;
using mono_quant::Quantized;
using mono_quant::Report;
using mono_quant::Tensor;
using mono_quant::detail::call;  // a C function whose failure is thrown

using Shape = std::vector<std::int64_t>;
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// A tensor with a copy of values.
template <class Value>
Tensor tensor_of(const Shape& shape, const std::vector<Value>& values) {
  return Tensor::copy(shape, std::span<const Value>(values));
}

inline Model one_weight(const Shape& shape, const std::vector<float>& values, const std::string& name = "fc.weight") {
  NamedTensors tensors;
  tensors.emplace_back(name, tensor_of(shape, values));
  return Model::from_tensors(tensors);
}

template <class Value>
std::vector<Value> values_of(const Tensor& tensor) {
  const auto values = tensor.values<Value>();
  return {values.begin(), values.end()};
}
template <class Value>
std::vector<Value> values_of(const Model& model, const std::string& name) {
  return values_of<Value>(model.tensor(name));
}

inline Shape shape_of(const Tensor& tensor) { return {tensor.shape().begin(), tensor.shape().end()}; }

inline std::span<const std::byte> bytes_of(const std::string& bytes) { return std::as_bytes(std::span(bytes)); }

/// As the weights of a layer are spread.
inline std::vector<float> normal_values(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, 0.05f);
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

/// What work threw; the code is OK where it did not throw.
template <class Work>
Error error_of(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  return Error(MNQ_OK, "nothing was thrown", "", "");
}

}  // namespace mnq::test
