// The kinds of layers whose weights can be quantized, and how a checkpoint shows them: by name and shape alone.
// To add a kind: a row in layer_kinds.cpp.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/quantized_weight.h"
#include "base/tensor.h"
#include "base/tensor_source.h"
#include "config/config.h"

namespace mnq {

struct LayerKind {
  std::string_view name;  ///< PyTorch's or transformers': "Linear", "Conv1D"
  std::string_view role;  ///< what reports call it in sums: Conv1d and Conv2d are convolutions
  std::size_t rank = 2;   ///< of the weight
  std::int64_t channel_axis = 0;
  bool is_sensitive = false;      ///< schemes below 8 bits leave it as it is unless it is selected
  bool is_recurrent = false;      ///< in a module it is left as it is unless it is selected
  std::int64_t stacked_axes = 0;  ///< of a weight of this rank: see QuantizedSpec
};

std::span<const LayerKind> all_layer_kinds();
const LayerKind* find_layer_kind(std::string_view name);

/// A tensor of the model, in its order. Its names are views of the tensor's own, and of what its hint says.
struct Layer {
  LayerName name;                   ///< for a tensor that is no weight, both are the tensor's name
  const LayerKind* kind = nullptr;  ///< null: nothing that can be quantized
  std::int64_t channel_axis = 0;    ///< of the weight; the kind's, unless the source or the shapes know better
  std::int64_t stacked_axes = 0;    ///< of the weight
  bool is_sensitive = false;        ///< the kind is, or it is the output head
  bool serves_as_head = false;      ///< it is the output head, or an embedding of a model that has no other
  bool is_router = false;           ///< it chooses among experts
  bool is_on_request = false;       ///< left as it is unless it is selected
  std::string reason;               ///< why there is no kind
};

/// One Layer for each tensor, which must outlive it. companion: of the source, null: nothing is known of the model but
/// its tensors. Never fails.
std::vector<Layer> find_layers(std::span<const LogicalTensor> tensors, const Companion* companion);

/// Makes it a layer of this kind, where the tensor can hold a weight at all; else its reason says why not.
void set_kind(Layer& layer, const LogicalTensor& tensor, const LayerKind& kind);

/// Whether it is a layer of one expert: "model.layers.0.mlp.experts.3.up_proj".
bool is_of_one_expert(std::string_view layer);

/// What a model has it for: "linear", "experts", "embedding", "head", "router", "convolution", "recurrent", or "other":
/// norms, biases, buffers.
std::string_view role_of(const Layer& layer);

/// Whether the config names one of these types of models, or of their parts. companion: null: there is none.
bool has_model_type(const Companion* companion, std::span<const std::string_view> types);

/// Whether the config names a model of transformers whose Linear layers are Conv1D, with weights [in, out].
bool is_conv1d_model(const Companion* companion);

/// The kind of a weight that was asked for by its name, whatever that looks like; null where its rank fits none.
const LayerKind* kind_for_rank(std::size_t rank);

}  // namespace mnq
