// torch_copy.hpp - part of torch.hpp: copies of modules, in which layers are replaced.
#ifndef MONO_QUANT_TORCH_COPY_HPP
#define MONO_QUANT_TORCH_COPY_HPP

#include <torch/torch.h>

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include "mono_quant.hpp"
#include "torch_layers.hpp"
#include "torch_modules.hpp"

namespace mono_quant::libtorch {

namespace detail {

/// What quantizing gave for one weight.
struct QuantizedLayer {
  Decoding how;
  std::map<std::string, at::Tensor> parts;  ///< "weight", "weight_scale"...
  at::Tensor values;                        ///< what the codes stand for
};
using QuantizedLayers = std::map<std::string, QuantizedLayer>;  ///< by the name of the weight

/// Whether a module that holds the parts can compute from them: a newer library may store them in ways of its own.
inline bool can_decode(const QuantizedLayer& layer) {
  const auto part = [&](const char* name) {
    const auto found = layer.parts.find(name);
    return found == layer.parts.end() ? at::Tensor() : found->second;
  };
  const at::Tensor codes = part(layer.how.bits == 4 ? "weight_packed" : "weight");
  if (!codes.defined() || (layer.how.bits != 16 && !part("weight_scale").defined())) return false;
  try {
    return decode(layer.how, codes, part("weight_scale"), part("weight_zero_point")).equal(layer.values);
  } catch (const c10::Error&) {  // of shapes that are not as here
    return false;
  }
}

template <std::size_t kDimensions, class Options>
bool read_geometry(const Options& options, QuantizedConvImpl::Geometry& geometry) {
  if (!std::holds_alternative< ::torch::enumtype::kZeros>(options.padding_mode())) return false;
  geometry.stride = {options.stride()->begin(), options.stride()->end()};
  geometry.dilation = {options.dilation()->begin(), options.dilation()->end()};
  geometry.groups = options.groups();
  geometry.output_padding.assign(kDimensions, 0);
  return true;
}

template <std::size_t kDimensions, class Impl>
bool conv_geometry(const ::torch::nn::Module& module, QuantizedConvImpl::Geometry& geometry) {
  const auto* conv = dynamic_cast<const Impl*>(&module);
  if (conv == nullptr || !read_geometry<kDimensions>(conv->options, geometry)) return false;
  using Padding = ::torch::ExpandingArray<kDimensions>;
  const auto* padding = std::get_if<Padding>(&conv->options.padding());
  if (padding == nullptr) return false;  // "same" and "valid" follow from the input
  geometry.padding = {(*padding)->begin(), (*padding)->end()};
  return true;
}

template <std::size_t kDimensions, class Impl>
bool transposed_geometry(const ::torch::nn::Module& module, QuantizedConvImpl::Geometry& geometry) {
  const auto* conv = dynamic_cast<const Impl*>(&module);
  if (conv == nullptr || !conv_geometry<kDimensions, Impl>(module, geometry)) return false;
  geometry.output_padding = {conv->options.output_padding()->begin(), conv->options.output_padding()->end()};
  geometry.transposed = true;
  return true;
}

/// The module that takes the place of a layer; an empty one where there is none.
inline ::torch::nn::AnyModule replacement(const ::torch::nn::Module& module, const QuantizedLayer& layer) {
  namespace nn = ::torch::nn;
  if (!is_stock(module) || !can_decode(layer)) return {};
  const auto parameters = module.named_parameters(false);
  const at::Tensor* found = parameters.find("bias");
  const at::Tensor bias = found == nullptr ? at::Tensor() : *found;
  if (dynamic_cast<const nn::LinearImpl*>(&module) != nullptr) {
    return nn::AnyModule(std::make_shared<QuantizedLinearImpl>(layer.how, layer.parts, bias));
  }
  const auto* embedding = dynamic_cast<const nn::EmbeddingImpl*>(&module);
  if (embedding != nullptr && !embedding->options.max_norm()) {  // a norm is enforced by writing to the weight
    return nn::AnyModule(std::make_shared<QuantizedEmbeddingImpl>(layer.how, layer.parts, at::Tensor()));
  }
  QuantizedConvImpl::Geometry geometry;
  if (conv_geometry<1, nn::Conv1dImpl>(module, geometry) || conv_geometry<2, nn::Conv2dImpl>(module, geometry) ||
      conv_geometry<3, nn::Conv3dImpl>(module, geometry) ||
      transposed_geometry<1, nn::ConvTranspose1dImpl>(module, geometry) ||
      transposed_geometry<2, nn::ConvTranspose2dImpl>(module, geometry) ||
      transposed_geometry<3, nn::ConvTranspose3dImpl>(module, geometry)) {
    return nn::AnyModule(std::make_shared<QuantizedConvImpl>(layer.how, layer.parts, bias, geometry));
  }
  return {};
}

[[noreturn]] inline void fail_to_clone(const std::string& path, const std::string& why) {
  throw Error(MNQ_E_UNSUPPORTED,
              "the module " + (path.empty() ? std::string() : path + " ") + "cannot be cloned: " + why,
              "derive each class of it from torch::nn::Cloneable of itself, register its modules and parameters in "
              "reset(), or override clone()",
              path);
}

/// Refuses a copy whose modules are of other classes: clone() of a class derived from a layer of LibTorch, or from
/// Sequential, makes the layer.
inline void require_same_classes(const ::torch::nn::Module& module, const ::torch::nn::Module* copy,
                                 const std::string& path) {
  if (copy == nullptr || typeid(module) != typeid(*copy)) {
    fail_to_clone(path, "clone() of " + module.name() + " makes another class");
  }
  const auto originals = module.children(), copies = copy->children();
  const auto names = module.named_children().keys();
  if (originals.size() != copies.size()) fail_to_clone(path, "clone() gives it other children");
  for (std::size_t i = 0; i < originals.size(); ++i) {
    require_same_classes(*originals[i], copies[i].get(), joined(path, names[i]));
  }
}

/// Calls make() for a copy of the module.
template <class Make>
auto clone_checked(const ::torch::nn::Module& module, const std::string& path, const Make& make) {
  try {
    auto copy = make();
    require_same_classes(module, copy.ptr().get(), path);
    return copy;
  } catch (const c10::Error& error) {
    fail_to_clone(path, error.what_without_backtrace());
  }
}

/// The tensors of a copy by their names in the original: clone() of Sequential numbers its modules anew.
inline void tensors_by_name(const ::torch::nn::Module& module, const ::torch::nn::Module& copy, const std::string& path,
                            std::map<std::string, at::Tensor>& tensors) {
  for (const auto& items : {copy.named_parameters(false), copy.named_buffers(false)}) {
    for (const auto& item : items) tensors[joined(path, item.key())] = item.value();
  }
  const auto names = module.named_children().keys();
  const auto originals = module.children(), copies = copy.children();
  for (std::size_t i = 0; i < originals.size(); ++i) {
    tensors_by_name(*originals[i], *copies[i], joined(path, names[i]), tensors);
  }
}

/// Gives the tensors of a copy what clone() does not keep: which share their values, and which need no gradient.
inline void restore_tensors(const std::vector<FoundLayer>& layers, const std::map<std::string, at::Tensor>& originals,
                            const std::map<std::string, at::Tensor>& tensors) {
  for (const FoundLayer& layer : layers) {
    const auto first = tensors.find(layer.info.tensor);
    for (const std::string& tie : layer.info.ties) {
      const auto other = tensors.find(tie);
      if (first == tensors.end() || other == tensors.end() || first->second.dtype() != other->second.dtype()) continue;
      other->second.set_data(first->second);
    }
  }
  for (const auto& [name, tensor] : tensors) {
    const auto original = originals.find(name);
    if (original != originals.end() && !original->second.requires_grad()) tensor.set_requires_grad(false);
  }
}

using LayersByPlace = std::map<std::string, const QuantizedLayer*>;  ///< by each name of a weight, ties included

inline LayersByPlace layers_by_place(const QuantizedLayers& layers, const std::vector<FoundLayer>& found) {
  LayersByPlace places;
  for (const FoundLayer& layer : found) {
    const auto made = layers.find(layer.info.tensor);
    if (made == layers.end()) continue;
    for (const std::string& place : places_of(layer)) places[place] = &made->second;
  }
  return places;
}

/// A Sequential made anew, its quantized layers replaced; a module at several places stays one.
class Rebuild {
 public:
  /// replaced: the names of weights that are gone, written.
  Rebuild(const LayersByPlace& layers, std::set<std::string>& replaced) : layers_(layers), replaced_(replaced) {}

  std::shared_ptr< ::torch::nn::SequentialImpl> run(const ::torch::nn::SequentialImpl& original) {
    auto copy = std::make_shared< ::torch::nn::SequentialImpl>();
    const auto children = original.named_children();
    auto child = original.begin();
    for (const auto& item : children) copy->push_back(item.key(), copy_of(*child++, item.key()));
    copy->train(original.is_training());
    return copy;
  }

 private:
  struct Copy {
    ::torch::nn::AnyModule module;
    bool is_replaced = false;
  };

  ::torch::nn::AnyModule copy_of(const ::torch::nn::AnyModule& child, const std::string& path) {
    const auto pointer = child.ptr();
    auto done = done_.find(pointer.get());
    if (done == done_.end()) done = done_.emplace(pointer.get(), make(child, *pointer, path)).first;
    if (done->second.is_replaced) replaced_.insert(joined(path, "weight"));
    return done->second.module;
  }

  Copy make(const ::torch::nn::AnyModule& child, const ::torch::nn::Module& module, const std::string& path) {
    const auto layer = layers_.find(joined(path, "weight"));
    if (layer != layers_.end()) {
      ::torch::nn::AnyModule quantized = replacement(module, *layer->second);
      if (!quantized.is_empty()) {
        quantized.ptr()->train(module.is_training());
        return {std::move(quantized), true};
      }
    }
    return {clone_checked(module, path, [&] { return child.clone(); }), false};
  }

  const LayersByPlace& layers_;
  std::set<std::string>& replaced_;
  std::map<const ::torch::nn::Module*, Copy> done_;
};

/// What clone() gives, in the form that AnyModule has.
struct Cloned {
  std::shared_ptr< ::torch::nn::Module> module;
  const std::shared_ptr< ::torch::nn::Module>& ptr() const { return module; }
};

/// A copy, its layers replaced where that can be.
inline std::shared_ptr< ::torch::nn::Module> copy_module(const ::torch::nn::Module& module, const LayersByPlace& layers,
                                                         std::set<std::string>& replaced) {
  if (typeid(module) == typeid(::torch::nn::SequentialImpl)) {
    return Rebuild(layers, replaced).run(dynamic_cast<const ::torch::nn::SequentialImpl&>(module));
  }
  return clone_checked(module, "", [&] { return Cloned{module.clone()}; }).module;
}

/// Writes a weight, where a float still stands for it.
inline void set_values(const std::map<std::string, at::Tensor>& tensors, const std::string& name,
                       const at::Tensor& values) {
  const at::NoGradGuard no_grad;
  const auto found = tensors.find(name);
  if (found == tensors.end() || !found->second.is_floating_point()) return;
  at::Tensor tensor = found->second;
  tensor.copy_(values);
}

/// Gives a copy the values that the codes stand for, and what clone() does not keep.
inline void fill_copy(const ::torch::nn::Module& module, const ::torch::nn::Module& copy,
                      const std::vector<FoundLayer>& found, const LayersByPlace& places) {
  std::map<std::string, at::Tensor> originals, tensors;
  tensors_by_name(module, module, "", originals);
  tensors_by_name(module, copy, "", tensors);
  restore_tensors(found, originals, tensors);
  for (const auto& [place, layer] : places) set_values(tensors, place, layer->values);
}

}  // namespace detail

}  // namespace mono_quant::libtorch

#endif  // MONO_QUANT_TORCH_COPY_HPP
