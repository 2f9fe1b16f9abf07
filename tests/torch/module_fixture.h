// The modules of tests/data/modules, what goes into them, and what PyTorch gives for it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "capi/fixture.h"
#include "support/temp_folder.h"

namespace mnq::test {

using mono_quant::Run;
using mono_quant::Values;

inline std::string module_file(const std::string& name) { return MNQ_TEST_DATA "/modules/" + name + ".pt"; }
inline Model open_module(const std::string& name) { return Model::open(module_file(name)); }

inline const Model& expected_tensors() {
  static const Model model = Model::open(MNQ_TEST_DATA "/modules/expected.safetensors");
  return model;
}

/// A run whose Linear layers compute as the file holds them.
inline Run in_floats() {
  Run run;
  run.set("activations", "float");
  return run;
}

inline float half_to_float(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const double fraction = (bits & 1023) / 1024.0;
  const double value = exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15);
  return static_cast<float>(bits >> 15 ? -value : value);
}

/// Elements of any float dtype.
inline std::vector<float> floats_of(const Tensor& tensor) {
  std::vector<float> values;
  const auto bytes = tensor.bytes();
  const auto read = [&]<class Stored>(Stored, auto&& convert) {
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(Stored)) {
      Stored stored;
      std::memcpy(&stored, bytes.data() + at, sizeof stored);
      values.push_back(convert(stored));
    }
  };
  const auto from_bfloat16 = [](std::uint16_t bits) {
    const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
    float value;
    std::memcpy(&value, &wide, sizeof value);
    return value;
  };
  if (tensor.dtype() == MNQ_DTYPE_F32) read(float(), [](float value) { return value; });
  if (tensor.dtype() == MNQ_DTYPE_F64) read(double(), [](double value) { return static_cast<float>(value); });
  if (tensor.dtype() == MNQ_DTYPE_F16) read(std::uint16_t(), half_to_float);
  if (tensor.dtype() == MNQ_DTYPE_BF16) read(std::uint16_t(), from_bfloat16);
  return values;
}

/// NAME.in.0, NAME.in.1...
inline Values inputs_of(const std::string& name) {
  Values values;
  const auto names = expected_tensors().tensor_names();
  for (int i = 0; std::ranges::find(names, name + ".in." + std::to_string(i)) != names.end(); ++i) {
    values.add(expected_tensors().tensor(name + ".in." + std::to_string(i)));
  }
  return values;
}

using Outputs = std::map<std::string, std::vector<float>>;

inline Outputs expected_outputs(const std::string& name) {
  Outputs outputs;
  const std::string prefix = name + ".out.";
  for (const std::string& tensor : expected_tensors().tensor_names()) {
    if (tensor.starts_with(prefix))
      outputs[tensor.substr(prefix.size())] = floats_of(expected_tensors().tensor(tensor));
  }
  return outputs;
}

inline Outputs outputs_of(const Values& values) {
  Outputs outputs;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values.kind(i) == MNQ_VALUE_TENSOR) outputs[values.name(i)] = floats_of(values.tensor(i));
  }
  return outputs;
}

/// Of all outputs together, in dB; -infinity where names or sizes differ.
inline double sqnr_db(const Outputs& reference, const Outputs& outputs) {
  double signal = 0, error = 0;
  if (reference.size() != outputs.size()) return -INFINITY;
  for (const auto& [name, values] : reference) {
    const auto found = outputs.find(name);
    if (found == outputs.end() || found->second.size() != values.size()) return -INFINITY;
    for (std::size_t i = 0; i < values.size(); ++i) {
      signal += std::pow(values[i], 2);
      error += std::pow(values[i] - found->second[i], 2);
    }
  }
  return error == 0 ? INFINITY : 10 * std::log10(signal / error);
}

inline double run_sqnr_db(const Outputs& reference, const Model& model, const std::string& name) {
  const Run run = in_floats();
  return sqnr_db(reference, outputs_of(model.forward(inputs_of(name), &run)));
}

/// The Layer of that weight.
inline mono_quant::Layer layer_of(const Model& model, const std::string& tensor) {
  const Config config;
  for (mono_quant::Layer& layer : model.layers(&config)) {
    if (layer.tensor == tensor) return std::move(layer);
  }
  ADD_FAILURE() << "no tensor is called " << tensor;
  return {};
}

}  // namespace mnq::test
