// torch.hpp - mono_quant.hpp for programs that use LibTorch's C++ modules: header-only, compiled by your own LibTorch,
// which the library itself never sees here.
//
//     auto net = torch::nn::Sequential(torch::nn::Linear(784, 128), torch::nn::ReLU(), torch::nn::Linear(128, 10));
//     auto result = mono_quant::libtorch::quantize(*net);           // net stays as it is
//     auto scores = result.module->as<torch::nn::Sequential>()->forward(images);
//     std::cout << result.report.number("sqnr_db").value_or(0) << " dB\n";
//
// TorchScript modules need none of this: mono_quant::Model::open takes their files. Failures throw mono_quant::Error.
#ifndef MONO_QUANT_TORCH_HPP
#define MONO_QUANT_TORCH_HPP

#if __cplusplus <= 201703L
#error "torch.hpp needs C++20: compile with -std=c++20"
#else

#include <torch/torch.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "mono_quant.hpp"
#include "torch_copy.hpp"
#include "torch_layers.hpp"
#include "torch_modules.hpp"
#include "torch_tensor.hpp"

namespace mono_quant::libtorch {

/// What became of a layer.
struct LayerOutcome {
  std::string name;
  std::string tensor;
  enum How {
    kReplaced,     ///< by a module that holds its codes and computes from them
    kDequantized,  ///< its weight has the values of its codes: what it costs in accuracy, in float memory
    kSkipped       ///< as it was
  } how = kSkipped;
  std::string reason;  ///< why it was skipped, or not replaced
};

struct QuantizedModule {
  std::shared_ptr< ::torch::nn::Module> module;         ///< a copy; the original is as it was
  Report report;                                        ///< of the weights that were looked at
  ::torch::OrderedDict<std::string, at::Tensor> codes;  ///< codes, scales and zero points, as a state dict names them
  std::vector<LayerOutcome> layers;                     ///< one for each of quantizable_layers, in the same order
};

/// Copies a module and quantizes the copy. Layers of a Sequential at the root are replaced where they are Linear,
/// Embedding or a convolution that pads with zeros; elsewhere a module's code calls its members, which nobody can
/// exchange from outside, so their weights become what the codes stand for, and so do those of classes derived from a
/// layer. A replaced layer keeps its codes through to(dtype), which sets the float type it computes in. LSTM, GRU and
/// their like only where layer_types of config asks for them. Throws Error: UNSUPPORTED for a module that cannot be
/// cloned; as mono_quant::quantize besides.
QuantizedModule quantize(const ::torch::nn::Module& module, const Config& config = {}, Run* run = nullptr);

// ---- What follows is how ------------------------------------------------------------------------------------------

namespace detail {

/// The weights of a module, and what each is. Tensors that are no layer's weight stay out of it.
inline Model model_of(const std::vector<FoundLayer>& found) {
  std::vector<LayerTensor> tensors;
  for (const FoundLayer& layer : found) {
    if (layer.info.kind.empty()) continue;
    tensors.push_back({layer.info.tensor, from_torch(layer.tensor.detach().contiguous()), layer.info.kind});
    for (const std::string& tie : layer.info.ties) tensors.push_back({.name = tie, .tied_to = layer.info.tensor});
  }
  return Model::from_layers(tensors);
}

/// The rows of a report by the names of their tensors.
inline std::map<std::string, ReportLayer> rows_of(const Report& report) {
  std::map<std::string, ReportLayer> rows;
  for (const ReportLayer& row : report.layers()) rows.emplace(row.text("tensor"), row);
  return rows;
}

inline Decoding decoding_of(const ReportLayer& row, const LayerInfo& info) {
  const auto number = [&](const char* field, std::int64_t otherwise) {
    return static_cast<std::int64_t>(row.number(field).value_or(static_cast<double>(otherwise)));
  };
  const std::int64_t axis = number("channel_axis", 0), rank = static_cast<std::int64_t>(info.shape.size());
  return {number("bits", 16), number("group_size", 0), axis < 0 ? axis + rank : axis, info.shape, info.dtype};
}

/// Reads the stored tensors of a weight.
inline std::map<std::string, at::Tensor> parts_of(const Model& quantized, const std::set<std::string>& names,
                                                  const std::string& weight) {
  std::map<std::string, at::Tensor> parts;
  for (const std::string suffix : {"", "_packed", "_scale", "_zero_point", "_shape"}) {
    if (names.count(weight + suffix) == 0) continue;
    parts["weight" + suffix] = to_torch(quantized.tensor(weight + suffix)).clone();
  }
  return parts;
}

/// Reads what became of the weights that were not copied.
inline QuantizedLayers read_layers(const Quantized& quantized, const Model& dequantized,
                                   const std::vector<FoundLayer>& found) {
  const std::vector<std::string> all = quantized.model.tensor_names();
  const std::set<std::string> names(all.begin(), all.end());
  const std::map<std::string, ReportLayer> rows = rows_of(quantized.report);
  QuantizedLayers layers;
  for (const FoundLayer& layer : found) {
    const auto row = rows.find(layer.info.tensor);
    if (row == rows.end() || row->second.text("action") == "copy") continue;
    layers[layer.info.tensor] = {decoding_of(row->second, layer.info),
                                 parts_of(quantized.model, names, layer.info.tensor),
                                 to_torch(dequantized.tensor(layer.info.tensor)).clone()};
  }
  return layers;
}

/// Why a layer that was quantized is not replaced, at all of its places.
inline std::string reason_to_keep(const FoundLayer& layer, const std::set<std::string>& replaced) {
  if (!layer.is_stock) return "its class is derived from " + layer.info.kind + " and may compute something else";
  if (replaced.count(layer.info.tensor) != 0) return "not all that share its weight are replaced";
  return "its container calls it by a member, or in a way that has no quantized module";
}

/// Says what became of each layer.
inline std::vector<LayerOutcome> outcomes_of(const std::vector<FoundLayer>& found, const QuantizedLayers& layers,
                                             const std::set<std::string>& replaced, const Report& report) {
  const std::map<std::string, ReportLayer> rows = rows_of(report);
  std::vector<LayerOutcome> outcomes;
  for (const FoundLayer& layer : found) {
    LayerOutcome outcome{layer.info.name, layer.info.tensor, LayerOutcome::kSkipped, layer.info.reason};
    const std::vector<std::string> places = places_of(layer);
    const auto is_gone = [&](const std::string& place) { return replaced.count(place) != 0; };
    if (layers.count(layer.info.tensor) == 0) {
      const auto row = rows.find(layer.info.tensor);
      if (row != rows.end()) outcome.reason = row->second.text("reason");
    } else if (std::all_of(places.begin(), places.end(), is_gone)) {
      outcome.how = LayerOutcome::kReplaced;
    } else {
      outcome.how = LayerOutcome::kDequantized;
      outcome.reason = reason_to_keep(layer, replaced);
    }
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

/// The stored tensors of all weights, in the module's order.
inline ::torch::OrderedDict<std::string, at::Tensor> codes_of(const QuantizedLayers& layers,
                                                              const std::vector<FoundLayer>& found) {
  ::torch::OrderedDict<std::string, at::Tensor> codes;
  for (const FoundLayer& layer : found) {
    const auto made = layers.find(layer.info.tensor);
    if (made == layers.end()) continue;
    for (const auto& [name, tensor] : made->second.parts) {
      codes.insert(layer.info.tensor + name.substr(std::string("weight").size()), tensor);
    }
  }
  return codes;
}

}  // namespace detail

inline QuantizedModule quantize(const ::torch::nn::Module& module, const Config& config, Run* run) {
  const std::vector<detail::FoundLayer> found = detail::find_layers(module);
  Quantized quantized = mono_quant::quantize(detail::model_of(found), config, run);
  const detail::QuantizedLayers layers = detail::read_layers(quantized, dequantize(quantized.model, run).model, found);
  const detail::LayersByPlace places = detail::layers_by_place(layers, found);
  std::set<std::string> replaced;
  std::shared_ptr< ::torch::nn::Module> copy = detail::copy_module(module, places, replaced);
  detail::fill_copy(module, *copy, found, places);
  std::vector<LayerOutcome> outcomes = detail::outcomes_of(found, layers, replaced, quantized.report);
  return {std::move(copy), std::move(quantized.report), detail::codes_of(layers, found), std::move(outcomes)};
}

}  // namespace mono_quant::libtorch

#endif  // C++20
#endif  // MONO_QUANT_TORCH_HPP
