// torch.hpp - mono_quant.hpp for programs that use LibTorch's C++ modules: header-only, compiled by your own LibTorch, which
// the library itself never sees here.
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

#include <map>
#include <memory>
#include <set>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include "mono_quant.hpp"

namespace mono_quant::libtorch {

/// A tensor of LibTorch, without a copy; its memory must stay unchanged while the result lives. Throws Error: UNSUPPORTED for
/// one that is not dense, contiguous and on the CPU; DTYPE for an element type that only LibTorch has.
Tensor from_torch(const at::Tensor& tensor);

/// The inverse, without a copy. Must not be written to: tensors of this library are immutable.
at::Tensor to_torch(Tensor tensor);

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

/// Copies a module and quantizes the copy. Layers of a Sequential at the root are replaced where they are Linear, Embedding or
/// a convolution that pads with zeros; elsewhere a module's code calls its members, which nobody can exchange from outside,
/// so their weights become what the codes stand for, and so do those of classes derived from a layer. A replaced layer
/// keeps its codes through to(dtype), which sets the float type it computes in. LSTM, GRU and their like only where layer_types
/// of config asks for them. Throws Error: UNSUPPORTED for a module that cannot be cloned; as mono_quant::quantize besides.
QuantizedModule quantize(const ::torch::nn::Module& module, const Config& config = {}, Run* run = nullptr);

// ---- What follows is how ------------------------------------------------------------------------------------------

namespace detail {

struct DTypePair {
  mnq_dtype dtype;
  at::ScalarType type;
};
inline constexpr DTypePair kDTypes[] = {
    {MNQ_DTYPE_BOOL, at::kBool},
    {MNQ_DTYPE_U8, at::kByte},
    {MNQ_DTYPE_I8, at::kChar},
    {MNQ_DTYPE_U16, at::ScalarType::UInt16},
    {MNQ_DTYPE_I16, at::kShort},
    {MNQ_DTYPE_U32, at::ScalarType::UInt32},
    {MNQ_DTYPE_I32, at::kInt},
    {MNQ_DTYPE_U64, at::ScalarType::UInt64},
    {MNQ_DTYPE_I64, at::kLong},
    {MNQ_DTYPE_F16, at::kHalf},
    {MNQ_DTYPE_BF16, at::kBFloat16},
    {MNQ_DTYPE_F32, at::kFloat},
    {MNQ_DTYPE_F64, at::kDouble},
    {MNQ_DTYPE_C64, at::kComplexFloat},
    {MNQ_DTYPE_F8_E4M3, at::ScalarType::Float8_e4m3fn},
    {MNQ_DTYPE_F8_E5M2, at::ScalarType::Float8_e5m2},
};

/// How a quantized weight is decoded.
struct Decoding {
  std::int64_t bits = 8;        ///< 16: a cast
  std::int64_t group_size = 0;  ///< 0: none
  std::int64_t axis = 0;
  std::vector<std::int64_t> shape;
  at::ScalarType dtype = at::kFloat;  ///< of the weight
};

inline at::Tensor unpacked(const at::Tensor& words, std::int64_t length) {
  const at::Tensor bytes = words.contiguous().view(at::kByte);
  return at::stack({bytes.bitwise_and(15), bytes.bitwise_right_shift(4)}, -1)
             .flatten(-2)
             .slice(-1, 0, length)
             .to(at::kChar) -
         8;
}

/// The weight from its codes [shape] or packed words, scale and zero point (undefined: zero).
inline at::Tensor decode(const Decoding& how, const at::Tensor& codes, const at::Tensor& scale, at::Tensor zero_point) {
  if (how.bits == 16) return codes.to(how.dtype);
  const std::int64_t rows = how.shape[0];
  if (how.bits == 4 && zero_point.defined()) {
    const at::Tensor eight = unpacked(zero_point.reshape({-1, 1}), 8);  // of eight rows and one group
    zero_point =
        eight.reshape({-1, scale.size(1), 8}).permute({0, 2, 1}).reshape({-1, scale.size(1)}).slice(0, 0, rows);
  }
  if (how.bits == 8 && how.group_size == 0) {
    std::vector<std::int64_t> view(how.shape.size(), 1);
    view[static_cast<std::size_t>(how.axis)] = -1;
    at::Tensor weight = codes.to(at::kFloat);
    if (zero_point.defined()) weight = weight - zero_point.to(at::kFloat).reshape(view);
    return (weight * scale.reshape(view)).to(how.dtype);
  }
  std::int64_t length = 1;
  for (std::size_t axis = 1; axis < how.shape.size(); ++axis) length *= how.shape[axis];
  at::Tensor weight = (how.bits == 4 ? unpacked(codes, length) : codes.reshape({rows, -1})).to(at::kFloat);
  const std::int64_t group = how.group_size == 0 ? length : how.group_size;
  const auto spread = [&](const at::Tensor& values) { return values.repeat_interleave(group, 1).slice(1, 0, length); };
  if (zero_point.defined()) weight = weight - spread(zero_point.to(at::kFloat));
  return (weight * spread(scale)).reshape(how.shape).to(how.dtype);
}

/// The buffers that every quantized module has, and the weight they stand for.
template <class Derived>
class QuantizedImpl : public ::torch::nn::Cloneable<Derived> {
 public:
  QuantizedImpl(Decoding how, std::map<std::string, at::Tensor> parts, at::Tensor bias)
      : how_(std::move(how)), parts_(std::move(parts)), bias_(std::move(bias)) {
    QuantizedImpl::reset();
  }
  void reset() override {
    // Copies: clone() copies this object first, and then writes into what reset() registers.
    for (auto& [name, tensor] : parts_) tensor = this->register_buffer(name, tensor.detach().clone());
    if (bias_.defined()) bias_ = this->register_parameter("bias", bias_.detach().clone(), bias_.requires_grad());
  }

  at::Tensor weight() const { return decode(how_, codes(), part("weight_scale"), part("weight_zero_point")); }

  /// A float type is that of the weight and the bias: codes and scales stay what they are.
  using ::torch::nn::Module::to;
  void to(::torch::Dtype dtype, bool /*non_blocking*/ = false) override {
    how_.dtype = dtype;
    if (bias_.defined()) bias_.set_data(bias_.to(dtype));
  }
  void to(::torch::Device device, ::torch::Dtype dtype, bool non_blocking = false) override {
    ::torch::nn::Module::to(device, non_blocking);
    to(dtype, non_blocking);
  }

 protected:
  at::Tensor part(const std::string& name) const {
    const auto found = parts_.find(name);
    return found == parts_.end() ? at::Tensor() : found->second;
  }
  at::Tensor codes() const { return part(how_.bits == 4 ? "weight_packed" : "weight"); }
  const at::Tensor& bias() const { return bias_; }

  Decoding how_;

 private:
  std::map<std::string, at::Tensor> parts_;
  at::Tensor bias_;
};

struct QuantizedLinearImpl : QuantizedImpl<QuantizedLinearImpl> {
  using QuantizedImpl::QuantizedImpl;

  at::Tensor forward(const at::Tensor& x) {
    const bool has_scale_a_row = how_.axis == 0 || part("weight_scale").numel() == 1;
    const bool scales_output = how_.bits == 8 && how_.group_size == 0 && has_scale_a_row && how_.dtype == at::kFloat &&
                               !part("weight_zero_point").defined();
    if (!scales_output) return at::linear(x, weight(), bias());
    const at::Tensor y = at::linear(x, codes().to(x.scalar_type())) * part("weight_scale").flatten();
    return bias().defined() ? y + bias() : y;
  }
};

struct QuantizedEmbeddingImpl : QuantizedImpl<QuantizedEmbeddingImpl> {
  using QuantizedImpl::QuantizedImpl;

  at::Tensor forward(const at::Tensor& indices) {
    if (how_.bits != 8 || how_.group_size != 0 || how_.axis != 0) return at::embedding(weight(), indices);
    // The rows that are asked for, not the whole table.
    const at::Tensor flat = indices.flatten();
    const auto rows_of = [&](const at::Tensor& values) {
      return values.defined() && values.size(0) > 1 ? values.index_select(0, flat) : values;
    };
    Decoding how = how_;
    how.shape[0] = flat.size(0);
    std::vector<std::int64_t> shape = indices.sizes().vec();
    shape.push_back(how.shape[1]);
    return decode(how, codes().index_select(0, flat), rows_of(part("weight_scale")), rows_of(part("weight_zero_point")))
        .reshape(shape);
  }
};

struct QuantizedConvImpl : QuantizedImpl<QuantizedConvImpl> {
  struct Geometry {
    std::vector<std::int64_t> stride, padding, dilation, output_padding;
    std::int64_t groups = 1;
    bool transposed = false;
  };
  QuantizedConvImpl(Decoding how, std::map<std::string, at::Tensor> parts, at::Tensor conv_bias, Geometry geometry)
      : QuantizedImpl(std::move(how), std::move(parts), std::move(conv_bias)), geometry_(std::move(geometry)) {}

  at::Tensor forward(const at::Tensor& x) { return geometry_.transposed ? transposed(x) : convolved(x); }

 private:
  // By rank, as at::convolution takes no input without a batch.
  at::Tensor convolved(const at::Tensor& x) const {
    const Geometry& g = geometry_;
    const auto run = [&](auto conv) { return conv(x, weight(), bias(), g.stride, g.padding, g.dilation, g.groups); };
    if (g.stride.size() == 1) return run([](auto&&... all) { return at::conv1d(all...); });
    if (g.stride.size() == 2) return run([](auto&&... all) { return at::conv2d(all...); });
    return run([](auto&&... all) { return at::conv3d(all...); });
  }
  at::Tensor transposed(const at::Tensor& x) const {
    const Geometry& g = geometry_;
    const auto run = [&](auto conv) {
      return conv(x, weight(), bias(), g.stride, g.padding, g.output_padding, g.groups, g.dilation);
    };
    if (g.stride.size() == 1) return run([](auto&&... all) { return at::conv_transpose1d(all...); });
    if (g.stride.size() == 2) return run([](auto&&... all) { return at::conv_transpose2d(all...); });
    return run([](auto&&... all) { return at::conv_transpose3d(all...); });
  }

  Geometry geometry_;
};

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

inline bool is_recurrent(const std::string& kind) {
  return kind.find("LSTM") == 0 || kind.find("GRU") == 0 || kind.find("RNN") == 0;
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

inline bool same_tensor(const at::Tensor& a, const at::Tensor& b) {
  return a.is_same(b) ||
         (a.has_storage() && b.has_storage() && a.storage().is_alias_of(b.storage()) && a.numel() > 0 &&
          a.storage_offset() == b.storage_offset() && a.sizes() == b.sizes() && a.strides() == b.strides());
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

inline std::vector<FoundLayer> find_layers(const ::torch::nn::Module& root) {
  std::vector<FoundLayer> layers;
  walk(root, "", [&](const std::string& path, const ::torch::nn::Module& module) {
    const std::string kind = kind_of(module);
    const auto add = [&](const std::string& name, const at::Tensor& tensor) {
      if (!tensor.defined()) return;
      const std::string full = joined(path, name);
      for (FoundLayer& known : layers) {
        if (!same_tensor(known.tensor, tensor)) continue;
        // An embedding that is tied to the output is one first of all.
        if (kind == "Embedding") known.info.kind = kind;
        known.info.ties.push_back(full);
        return;
      }
      const std::string reason = reason_against(tensor, kind, name);
      layers.push_back({{name == "weight" ? path : full,
                         full,
                         reason.empty() ? kind : "",
                         tensor.sizes().vec(),
                         tensor.scalar_type(),
                         {},
                         reason},
                        tensor,
                        is_stock(module)});
    };
    for (const auto& item : module.named_parameters(false)) add(item.key(), item.value());
    for (const auto& item : module.named_buffers(false)) add(item.key(), item.value());
  });
  return layers;
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

inline std::set<std::string> words_of(const std::string& list) {
  std::set<std::string> words;
  std::string word;
  for (const char c : list + ",") {
    if (c != ',' && c != ' ') {
      word += c;
    } else if (!word.empty()) {
      words.insert(std::exchange(word, ""));
    }
  }
  return words;
}

/// Why the settings leave a layer out by its kind, which the C library would have to guess; empty where they do not.
inline std::string reason_to_skip(const LayerInfo& layer, const Config& config, const Run* run) {
  const Resolved types = resolve(config, "layer_types", "", run);
  const std::set<std::string> wanted = types.value == "auto" ? std::set<std::string>() : words_of(types.value);
  const bool is_wanted = wanted.count(layer.kind) != 0;
  if (!wanted.empty() && !is_wanted) return "layer_types does not list " + layer.kind;
  if (is_recurrent(layer.kind) && !is_wanted) return layer.kind + " is quantized only where layer_types asks for it";
  const Resolved bits = resolve(config, "bits", layer.name.empty() ? layer.tensor : layer.name, run);
  const bool is_for_layer = bits.source == "config layers" || bits.source == "call layers";
  if (layer.kind == "Embedding" && bits.value == "4" && !is_wanted && !is_for_layer) {
    return "int4 leaves an embedding as it is unless layer_types or its own settings ask for it";
  }
  return "";
}

/// The settings without what was decided here already, and with the axes that only the kinds tell.
inline Config settings_for(const Config& config, const std::vector<FoundLayer>& chosen, const Run* run) {
  Config settings(config.json());
  settings.set("layer_types", "auto");
  for (const FoundLayer& layer : chosen) {
    const std::string& name = layer.info.name.empty() ? layer.info.tensor : layer.info.name;
    const bool is_8_bits = resolve(config, "bits", name, run).value == "8";
    const std::string group = resolve(config, "group_size", name, run).value;
    const bool has_axis = resolve(config, "channel_axis", name, run).value != "auto";
    if (layer.info.kind.find("ConvTranspose") == 0 && is_8_bits && (group == "0" || group == "auto") && !has_axis) {
      settings.set_for_layers(name, "channel_axis", 1);
    }
    if (layer.info.kind == "Embedding" || is_recurrent(layer.info.kind)) {
      settings.set_for_layers(name, "bits", resolve(config, "bits", name, run).value);
    }
  }
  return settings;
}

/// What quantizing gave for one weight.
struct QuantizedLayer {
  Decoding how;
  std::map<std::string, at::Tensor> parts;  ///< "weight", "weight_scale"...
  at::Tensor values;
};

inline QuantizedLayer read_layer(const Model& quantized, const Model& dequantized, const ReportLayer& report,
                                 const FoundLayer& layer) {
  QuantizedLayer result;
  const std::string& tensor = layer.info.tensor;
  result.how = {static_cast<std::int64_t>(report.number("bits").value_or(16)),
                static_cast<std::int64_t>(report.number("group_size").value_or(0)),
                static_cast<std::int64_t>(report.number("channel_axis").value_or(0)), layer.info.shape,
                layer.info.dtype};
  if (result.how.axis < 0) result.how.axis += static_cast<std::int64_t>(layer.info.shape.size());
  for (const std::string& name : quantized.tensor_names()) {
    for (const char* suffix : {"", "_packed", "_scale", "_zero_point", "_shape"}) {
      if (name == tensor + suffix)
        result.parts["weight" + std::string(suffix)] = to_torch(quantized.tensor(name)).clone();
    }
  }
  result.values = to_torch(dequantized.tensor(tensor)).clone();
  return result;
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
  if (!is_stock(module)) return {};
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

/// A Sequential made anew, its quantized layers replaced; a module at several places stays one.
class Rebuild {
 public:
  /// layers: by the name of each weight that has them, ties included. replaced: the names that are gone, written.
  Rebuild(const std::map<std::string, const QuantizedLayer*>& layers, std::set<std::string>& replaced)
      : layers_(layers), replaced_(replaced) {}

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

  const std::map<std::string, const QuantizedLayer*>& layers_;
  std::set<std::string>& replaced_;
  std::map<const ::torch::nn::Module*, Copy> done_;
};

/// What clone() gives, in the form that AnyModule has.
struct Cloned {
  std::shared_ptr< ::torch::nn::Module> module;
  const std::shared_ptr< ::torch::nn::Module>& ptr() const { return module; }
};

/// A copy, its layers replaced where that can be.
inline std::shared_ptr< ::torch::nn::Module> copy_module(const ::torch::nn::Module& module,
                                                         const std::map<std::string, const QuantizedLayer*>& layers,
                                                         std::set<std::string>& replaced) {
  if (typeid(module) == typeid(::torch::nn::SequentialImpl)) {
    return Rebuild(layers, replaced).run(dynamic_cast<const ::torch::nn::SequentialImpl&>(module));
  }
  return clone_checked(module, "", [&] { return Cloned{module.clone()}; }).module;
}

/// Why a layer that was quantized is not replaced, at all of its places.
inline std::string reason_to_keep(const FoundLayer& layer, const std::set<std::string>& replaced) {
  if (!layer.is_stock) return "its class is derived from " + layer.info.kind + " and may compute something else";
  if (replaced.count(layer.info.tensor) != 0) return "not all that share its weight are replaced";
  return "its container calls it by a member, or in a way that has no quantized module";
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

}  // namespace detail

inline Tensor from_torch(const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.layout() != at::kStrided || !tensor.device().is_cpu() || tensor.is_quantized() ||
      !tensor.is_contiguous() || tensor.is_neg()) {
    throw Error(MNQ_E_UNSUPPORTED, "the tensor is not dense, contiguous and on the CPU",
                "pass tensor.cpu().contiguous()", "");
  }
  for (const auto& [dtype, type] : detail::kDTypes) {
    if (type != tensor.scalar_type()) continue;
    const auto owner = std::make_shared<at::Tensor>(tensor.detach());
    const auto* data = static_cast<const std::byte*>(owner->const_data_ptr());
    return Tensor::wrap(dtype, {tensor.sizes().data(), tensor.sizes().size()}, {data, tensor.nbytes()}, owner);
  }
  throw Error(MNQ_E_DTYPE, std::string("elements of ") + c10::toString(tensor.scalar_type()) + " are not known here",
              "convert the tensor first", "");
}

inline at::Tensor to_torch(Tensor tensor) {
  for (const auto& [dtype, type] : detail::kDTypes) {
    if (dtype != tensor.dtype()) continue;
    const std::vector<std::int64_t> shape(tensor.shape().begin(), tensor.shape().end());
    if (tensor.bytes().empty()) return at::empty(shape, type);
    const auto owner = std::make_shared<Tensor>(std::move(tensor));
    return at::from_blob(
        const_cast<std::byte*>(owner->bytes().data()), shape, [owner](void*) {}, type);
  }
  throw Error(MNQ_E_DTYPE, std::string("LibTorch has no ") + mnq_dtype_name(tensor.dtype()), "", "");
}

inline std::vector<LayerInfo> quantizable_layers(const ::torch::nn::Module& module) {
  std::vector<LayerInfo> layers;
  for (detail::FoundLayer& layer : detail::find_layers(module)) layers.push_back(std::move(layer.info));
  return layers;
}

inline QuantizedModule quantize(const ::torch::nn::Module& module, const Config& config, Run* run) {
  if (run != nullptr && resolve(config, "layer_types", "", run).source == "call") {
    throw Error(MNQ_E_CONFIG, "layer_types is set on the run",
                "set it on the config: modules are told apart by it here", "layer_types");
  }
  const std::vector<detail::FoundLayer> found = detail::find_layers(module);
  std::vector<LayerOutcome> outcomes;
  std::vector<detail::FoundLayer> chosen;
  std::vector<std::pair<std::string, Tensor> > weights;
  for (const detail::FoundLayer& layer : found) {
    std::string reason = layer.info.kind.empty() ? layer.info.reason : detail::reason_to_skip(layer.info, config, run);
    if (reason.empty()) {
      chosen.push_back(layer);
      weights.emplace_back(layer.info.tensor, from_torch(layer.tensor.detach().contiguous()));
    }
    outcomes.push_back({layer.info.name, layer.info.tensor, LayerOutcome::kSkipped, std::move(reason)});
  }
  const Model model = Model::from_tensors(weights);
  Quantized quantized = mono_quant::quantize(model, detail::settings_for(config, chosen, run), run);
  const Model dequantized = dequantize(quantized.model, run).model;

  std::map<std::string, detail::QuantizedLayer> layers;
  ::torch::OrderedDict<std::string, at::Tensor> codes;
  for (const ReportLayer& report : quantized.report.layers()) {
    for (LayerOutcome& outcome : outcomes) {
      if (outcome.tensor == report.text("tensor") && report.text("action") == "copy")
        outcome.reason = report.text("reason");
    }
    for (const detail::FoundLayer& layer : chosen) {
      if (layer.info.tensor != report.text("tensor") || report.text("action") == "copy") continue;
      layers[layer.info.tensor] = detail::read_layer(quantized.model, dequantized, report, layer);
      const std::string base = layer.info.tensor;
      for (const auto& [name, tensor] : layers[base].parts)
        codes.insert(base + name.substr(std::string("weight").size()), tensor);
    }
  }

  std::map<std::string, const detail::QuantizedLayer*> layers_by_place;
  for (const detail::FoundLayer& layer : chosen) {
    const auto made = layers.find(layer.info.tensor);
    if (made == layers.end()) continue;
    for (const std::string& place : detail::places_of(layer)) layers_by_place[place] = &made->second;
  }
  std::set<std::string> replaced;
  std::shared_ptr< ::torch::nn::Module> copy = detail::copy_module(module, layers_by_place, replaced);
  std::map<std::string, at::Tensor> originals, tensors;
  detail::tensors_by_name(module, module, "", originals);
  detail::tensors_by_name(module, *copy, "", tensors);
  detail::restore_tensors(found, originals, tensors);
  for (const auto& [place, layer] : layers_by_place) detail::set_values(tensors, place, layer->values);
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (layers.count(found[i].info.tensor) == 0) continue;
    bool is_replaced = true;
    for (const std::string& place : detail::places_of(found[i]))
      is_replaced = is_replaced && replaced.count(place) != 0;
    outcomes[i].how = is_replaced ? LayerOutcome::kReplaced : LayerOutcome::kDequantized;
    outcomes[i].reason = is_replaced ? "" : detail::reason_to_keep(found[i], replaced);
  }
  return {std::move(copy), std::move(quantized.report), std::move(codes), std::move(outcomes)};
}

}  // namespace mono_quant::libtorch

#endif  // C++20
#endif  // MONO_QUANT_TORCH_HPP
