// model.hpp - part of mono_quant.hpp: checkpoints held open, and their layers.
#ifndef MONO_QUANT_MODEL_HPP
#define MONO_QUANT_MODEL_HPP

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "buffer.hpp"
#include "config.hpp"
#include "handle.hpp"
#include "mono_quant.h"
#include "run.hpp"
#include "streams.hpp"
#include "tensor.hpp"
#include "values.hpp"

namespace mono_quant {

/// A tensor of a model, and what settings make of it.
struct Layer {
  std::string name;    ///< "encoder.0.query"
  std::string tensor;  ///< "encoder.0.query.weight"
  std::string kind;    ///< "Linear"; empty where it is no layer's weight
  std::string action;  ///< "quantize", "cast" or "copy"
  std::string scheme;  ///< "int8 per channel"; empty where it is copied
  std::string reason;  ///< why it is copied
  std::vector<std::int64_t> shape;
  mnq_dtype dtype = 0;
  std::vector<std::string> ties;  ///< other names of the same weight, in a module
};

/// A tensor of a model whose layers its maker knows: see mnq_model_from_layers.
struct LayerTensor {
  std::string name;                      ///< of the tensor: "encoder.0.weight"
  Tensor tensor = Tensor(nullptr);       ///< may be missing where tied_to is set
  std::optional<std::string> kind = {};  ///< "Linear"; empty: no layer's weight; nothing: name and shape tell
  std::int64_t channel_axis = -1;        ///< of the weight; -1: the kind's
  std::string tied_to = {};              ///< the name of another tensor, which this one is; empty: none
};

/// A checkpoint held open, float or quantized. Immutable.
class Model : public detail::Owning<mnq_model, mnq_model_free> {
 public:
  using Owning::Owning;

  /// The file must stay: tensors are read when they are asked for.
  static Model open(const std::filesystem::path& path) {
    return Model(detail::make<mnq_model>(mnq_model_open, detail::c_text(path)));
  }
  static Model open(const std::filesystem::path& path, const Run& run) {
    return Model(detail::make<mnq_model>(mnq_model_open_with, detail::c_text(path), run.get()));
  }

  /// The bytes stay the caller's, unchanged and alive until the model and all that was made from it are gone.
  static Model open_memory(std::span<const std::byte> bytes) {
    return Model(detail::make<mnq_model>(mnq_model_open_memory, static_cast<const void*>(bytes.data()), bytes.size()));
  }

  /// The same, kept alive by `owner`, which the model and all that was made from it share.
  static Model open_memory(std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
    auto kept = std::make_unique<std::shared_ptr<const void> >(std::move(owner));
    mnq_model* model = nullptr;
    detail::call(mnq_model_wrap_memory, static_cast<const void*>(bytes.data()), bytes.size(), &free_owner,
                 static_cast<void*>(kept.get()), static_cast<const mnq_run*>(nullptr), &model);
    static_cast<void>(kept.release());  // free_owner has it now
    return Model(model);
  }

  /// What the program reads itself.
  static Model open(const Reader& reader, const Run* run = nullptr) {
    return Model(detail::make<mnq_model>(mnq_model_open_reader, reader.get(), detail::handle(run)));
  }

  /// The names must be different and not empty. The model shares the tensors' data.
  static Model from_tensors(std::span<const std::pair<std::string, Tensor> > tensors) {
    std::vector<const char*> names;
    std::vector<const mnq_tensor*> handles;
    for (const auto& [name, tensor] : tensors) {
      names.push_back(detail::c_text(name));
      handles.push_back(tensor.get());
    }
    return Model(detail::make<mnq_model>(mnq_model_from_tensors, names.data(), handles.data(), names.size()));
  }

  /// As from_tensors, where the caller knows the layers.
  static Model from_layers(std::span<const LayerTensor> tensors) {
    std::vector<mnq_layer_tensor> entries;
    for (const LayerTensor& one : tensors) {
      entries.push_back({sizeof(mnq_layer_tensor), detail::c_text(one.name), one.tensor.get(),
                         one.kind ? detail::c_text(*one.kind) : nullptr, one.channel_axis,
                         one.tied_to.empty() ? nullptr : detail::c_text(one.tied_to)});
    }
    return Model(detail::make<mnq_model>(mnq_model_from_layers, entries.data(), entries.size()));
  }

  /// A copy in memory, independent of the file or buffers this came from.
  Model clone() const { return Model(detail::make<mnq_model>(mnq_model_clone, get())); }

  /// To a file, as its extension says (.safetensors; for a module also .pt), or to memory.
  void save(const std::filesystem::path& path, Run* run = nullptr) const {
    detail::call_job(run, mnq_model_save, get(), detail::c_text(path), detail::handle(run));
    detail::rethrow(run);
  }
  Buffer save_memory(Run* run = nullptr) const {
    mnq_buffer* buffer = nullptr;
    detail::call_job(run, mnq_model_save_memory, get(), detail::handle(run), &buffer);
    Buffer saved(buffer);
    detail::rethrow(run);
    return saved;
  }

  void save(Writer& writer, Run* run = nullptr) const {
    detail::call_job(run, mnq_model_save_to_writer, get(), writer.get(), detail::handle(run));
    detail::rethrow(run);
  }

  std::vector<std::string> tensor_names() const {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < mnq_model_tensor_count(get()); ++i) names.emplace_back(mnq_model_tensor_name(get(), i));
    return names;
  }
  Tensor tensor(const std::string& name) const {
    return Tensor(detail::make<mnq_tensor>(mnq_model_get_tensor, get(), detail::c_text(name)));
  }
  /// One weight as floats, however it is stored.
  Tensor weight(const std::string& name, Run* run = nullptr) const {
    mnq_tensor* tensor = nullptr;
    detail::call_job(run, mnq_model_get_float, get(), detail::c_text(name), detail::handle(run), &tensor);
    Tensor floats(tensor);
    detail::rethrow(run);
    return floats;
  }
  std::string describe_json() const { return detail::text(mnq_model_describe, get()); }

  /// Every tensor in the model's order: the layers that can be quantized, and the rest with its reason.
  std::vector<Layer> layers(const Config* config = nullptr, const Run* run = nullptr) const {
    const detail::Owner<mnq_layers, mnq_layers_free> owner(
        detail::make<mnq_layers>(mnq_model_list_layers, get(), detail::handle(config), detail::handle(run)));
    const mnq_layers* handle = owner.get();
    std::vector<Layer> layers;
    for (std::size_t i = 0; i < mnq_layers_count(handle); ++i) {
      const std::int64_t* shape = mnq_layers_shape(handle, i);
      layers.push_back({mnq_layers_name(handle, i), mnq_layers_tensor(handle, i), mnq_layers_kind(handle, i),
                        mnq_layers_action(handle, i), mnq_layers_scheme(handle, i), mnq_layers_reason(handle, i),
                        std::vector<std::int64_t>(shape, shape + mnq_layers_rank(handle, i)),
                        mnq_layers_dtype(handle, i), ties_of(handle, i)});
    }
    return layers;
  }

  /// Runs a method of a module. Of the run one key applies: activations.
  Values forward(const Values& inputs, const Run* run = nullptr) const { return call("forward", inputs, run); }
  Values call(const std::string& method, const Values& inputs, const Run* run = nullptr) const {
    return Values(
        detail::make<mnq_values>(mnq_model_forward, get(), detail::c_text(method), inputs.get(), detail::handle(run)));
  }

 private:
  static void free_owner(void* owner) { delete static_cast<std::shared_ptr<const void>*>(owner); }

  static std::vector<std::string> ties_of(const mnq_layers* layers, std::size_t index) {
    std::vector<std::string> ties;
    for (std::size_t i = 0; i < mnq_layers_tie_count(layers, index); ++i)
      ties.emplace_back(mnq_layers_tie(layers, index, i));
    return ties;
  }
};

}  // namespace mono_quant

#endif  // MONO_QUANT_MODEL_HPP
