// torch_layers.hpp - part of torch.hpp: the layers of a module, told by their types.
#ifndef MONO_QUANT_TORCH_LAYERS_HPP
#define MONO_QUANT_TORCH_LAYERS_HPP

#include <torch/torch.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <typeinfo>
#include <utility>
#include <vector>

namespace mono_quant::libtorch {

/// A parameter or buffer of a module, and what it is.
struct LayerInfo {
  std::string name;    ///< dotted, of the layer: "encoder.0"; "" for the root
  std::string tensor;  ///< of its weight: "encoder.0.weight"
  std::string kind;    ///< "Linear", "Conv2d"...; empty where it cannot be quantized
  std::vector<std::int64_t> shape;
  at::ScalarType dtype = at::kFloat;
  std::vector<std::string> ties;  ///< other names of the same tensor
  std::string reason;             ///< why there is no kind
};

/// Every parameter and buffer once, in the module's order; the kind follows from the type of the module that holds it.
std::vector<LayerInfo> quantizable_layers(const ::torch::nn::Module& module);

namespace detail {

inline std::string joined(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

/// A module of LibTorch that holds weights.
struct LayerClass {
  const char* kind;
  bool (*holds)(const ::torch::nn::Module&);  ///< it, or a class derived from it
  const std::type_info& type;
};
template <class Impl>
LayerClass layer_class(const char* kind) {
  return {kind, [](const ::torch::nn::Module& module) { return dynamic_cast<const Impl*>(&module) != nullptr; },
          typeid(Impl)};
}

/// The class of the weights that a module itself holds; null where it has none that can be quantized.
inline const LayerClass* layer_class_of(const ::torch::nn::Module& module) {
  namespace nn = ::torch::nn;
  static const LayerClass kClasses[] = {
      layer_class<nn::LinearImpl>("Linear"),
      layer_class<nn::Conv1dImpl>("Conv1d"),
      layer_class<nn::Conv2dImpl>("Conv2d"),
      layer_class<nn::Conv3dImpl>("Conv3d"),
      layer_class<nn::ConvTranspose1dImpl>("ConvTranspose1d"),
      layer_class<nn::ConvTranspose2dImpl>("ConvTranspose2d"),
      layer_class<nn::ConvTranspose3dImpl>("ConvTranspose3d"),
      layer_class<nn::EmbeddingImpl>("Embedding"),
      layer_class<nn::LSTMImpl>("LSTM"),
      layer_class<nn::GRUImpl>("GRU"),
      layer_class<nn::RNNImpl>("RNN"),
      layer_class<nn::LSTMCellImpl>("LSTMCell"),
      layer_class<nn::GRUCellImpl>("GRUCell"),
      layer_class<nn::RNNCellImpl>("RNNCell"),
  };
  for (const LayerClass& one : kClasses) {
    if (one.holds(module)) return &one;
  }
  return nullptr;
}

inline std::string kind_of(const ::torch::nn::Module& module) {
  const LayerClass* found = layer_class_of(module);
  return found == nullptr ? "" : found->kind;
}

/// Whether it computes what its kind says: a class derived from a layer may do anything.
inline bool is_stock(const ::torch::nn::Module& module) {
  const LayerClass* found = layer_class_of(module);
  return found != nullptr && found->type == typeid(module);
}

inline bool is_weight_dtype(at::ScalarType type) {
  return type == at::kFloat || type == at::kHalf || type == at::kBFloat16 || type == at::kDouble;
}

inline std::string reason_against(const at::Tensor& tensor, const std::string& kind, const std::string& name) {
  if (!is_weight_dtype(tensor.scalar_type())) return "no float tensor";
  if (tensor.numel() == 0) return "empty";
  if (name.find("bias") == 0) return "bias";
  if (tensor.dim() < 2) return "one-dimensional: norm or buffer";
  if (kind.empty()) return "its module is no layer whose weight can be quantized";
  return name.find("weight") == 0 ? "" : "no weight of its layer";
}

/// Calls visit(path, module) for every module, the root first, those at several places at each of them.
template <class Visit>
void walk(const ::torch::nn::Module& module, const std::string& path, const Visit& visit) {
  visit(path, module);
  for (const auto& child : module.named_children()) walk(*child.value(), joined(path, child.key()), visit);
}

/// Says where the values of a tensor lie: those with equal keys are the same tensor, under whatever names.
using DataKey = std::tuple<const void*, std::vector<std::int64_t>, std::vector<std::int64_t> >;

inline DataKey data_key(const at::Tensor& tensor) {
  const void* data = tensor.has_storage() && tensor.numel() > 0 ? tensor.const_data_ptr() : nullptr;
  if (data == nullptr) return {tensor.unsafeGetTensorImpl(), {}, {}};
  return {data, tensor.sizes().vec(), tensor.strides().vec()};
}

struct FoundLayer {
  LayerInfo info;
  at::Tensor tensor;
  bool is_stock = false;
};

inline std::vector<std::string> places_of(const FoundLayer& layer) {
  std::vector<std::string> places = layer.info.ties;
  places.push_back(layer.info.tensor);
  return places;
}

/// Collects the parameters and buffers of a module and of all below it, each once.
class LayerFinder {
 public:
  std::vector<FoundLayer> run(const ::torch::nn::Module& root) {
    walk(root, "", [this](const std::string& path, const ::torch::nn::Module& module) {
      for (const auto& item : module.named_parameters(false)) add(path, module, item.key(), item.value());
      for (const auto& item : module.named_buffers(false)) add(path, module, item.key(), item.value());
    });
    return std::move(layers_);
  }

 private:
  void add(const std::string& path, const ::torch::nn::Module& module, const std::string& name,
           const at::Tensor& tensor) {
    if (!tensor.defined()) return;
    const std::string kind = kind_of(module), full = joined(path, name);
    const auto [known, is_new] = known_.emplace(data_key(tensor), layers_.size());
    const std::string reason = reason_against(tensor, kind, name);
    if (!is_new) return add_tie(layers_[known->second].info, full, reason.empty() ? kind : "");
    layers_.push_back({{name == "weight" ? path : full,
                        full,
                        reason.empty() ? kind : "",
                        tensor.sizes().vec(),
                        tensor.scalar_type(),
                        {},
                        reason},
                       tensor,
                       is_stock(module)});
  }

  // An embedding that is tied to the output is one first of all.
  static void add_tie(LayerInfo& layer, const std::string& name, const std::string& kind) {
    if (kind == "Embedding") {
      layer.kind = kind;
      layer.reason.clear();
    }
    layer.ties.push_back(name);
  }

  std::vector<FoundLayer> layers_;
  std::map<DataKey, std::size_t> known_;  ///< of layers_
};

inline std::vector<FoundLayer> find_layers(const ::torch::nn::Module& root) { return LayerFinder().run(root); }

}  // namespace detail

inline std::vector<LayerInfo> quantizable_layers(const ::torch::nn::Module& module) {
  std::vector<LayerInfo> layers;
  for (detail::FoundLayer& layer : detail::find_layers(module)) layers.push_back(std::move(layer.info));
  return layers;
}

}  // namespace mono_quant::libtorch

#endif  // MONO_QUANT_TORCH_LAYERS_HPP
