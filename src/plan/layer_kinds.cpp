#include "plan/layer_kinds.h"

#include "base/format.h"

#include <algorithm>
#include <array>
#include <map>

namespace mnq {
namespace {

// Where several kinds share a rank, the first is what a weight of that rank is unless its name says otherwise.
constexpr std::array kKinds{
    LayerKind{"Linear", 2, 0},
    LayerKind{"Conv1d", 3, 0},
    LayerKind{"Conv2d", 4, 0},
    LayerKind{"Conv3d", 5, 0},
    LayerKind{"Embedding", 2, 0, true},
    LayerKind{"LSTM", 2, 0, false, true},
    LayerKind{"GRU", 2, 0, false, true},
    LayerKind{"RNN", 2, 0, false, true},
    LayerKind{"LSTMCell", 2, 0, false, true},
    LayerKind{"GRUCell", 2, 0, false, true},
    LayerKind{"RNNCell", 2, 0, false, true},
    LayerKind{"ConvTranspose1d", 3, 1},
    LayerKind{"ConvTranspose2d", 4, 1},
    LayerKind{"ConvTranspose3d", 5, 1},
};

using ShapesByName = std::map<std::string_view, const Shape*>;

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return result;
}

// "a.b.c" -> "a.b" and "c"; "c" -> "" and "c"
struct DottedName {
  std::string_view parent;
  std::string_view last;
};
DottedName split_last(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {"", name};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

// "token_embedding" has the word "embedding"; "LayerNorm" has none of them: words are parted by _ only.
bool has_word(std::string_view text, std::span<const std::string_view> words) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('_'), text.size());
    if (std::ranges::find(words, text.substr(0, end)) != words.end()) return true;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return false;
}

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_norm_name(std::string_view module) {
  const std::string name = lower(split_last(module).last);
  constexpr std::array<std::string_view, 2> kWords{"ln", "bn"};
  const bool numbered =
      (name.starts_with("ln") || name.starts_with("bn")) && is_number(std::string_view(name).substr(2));
  return name.find("norm") != std::string::npos || numbered || has_word(name, kWords);
}

// Of a list, "point_embed.0", the list's name tells.
bool is_embedding_name(std::string_view module) {
  while (is_number(split_last(module).last)) module = split_last(module).parent;
  const std::string name = lower(split_last(module).last);
  constexpr std::array<std::string_view, 9> kWords{"embed", "embedding", "embeddings", "emb",   "embd",
                                                   "wte",   "wpe",       "shared",     "embeds"};
  constexpr std::array<std::string_view, 7> kOthers{"proj",   "projection", "mapping", "out",
                                                    "linear", "dense",      "project"};
  constexpr std::array<std::string_view, 2> kTokens{"token", "tokens"};  // as the last word: iou_token, mask_tokens
  const std::size_t last_word = name.rfind('_') + 1;
  return name == "relative_attention_bias" || has_word(std::string_view(name).substr(last_word), kTokens) ||
         (has_word(name, kWords) && !has_word(name, kOthers));
}

// No embedding has a bias: time_embed.0 of diffusion models is a Linear.
bool is_embedding(std::string_view module, const ShapesByName& shapes) {
  return is_embedding_name(module) && !shapes.contains(std::string(module) + ".bias");
}

// What chooses among the experts beside it: "mlp.gate" and "mlp.experts...". Models hold it as a parameter of its own.
bool is_router_name(std::string_view module, const ShapesByName& shapes) {
  const DottedName dotted = split_last(module);
  if (dotted.last != "gate" && dotted.last != "router") return false;
  const std::string experts = std::string(dotted.parent) + ".experts.";
  const auto found = shapes.lower_bound(experts);
  return found != shapes.end() && found->first.starts_with(experts);
}

// weight_ih_l0, weight_hh_l1_reverse, weight_hr_l0; weight_ih and weight_hh of cells
bool is_recurrent_name(std::string_view last) {
  for (const std::string_view start : {"weight_ih", "weight_hh", "weight_hr"}) {
    if (last.starts_with(start)) return last.size() == start.size() || last.substr(start.size()).starts_with("_l");
  }
  return false;
}

// The gates are told by the recurrent weight [gates × hidden, hidden]: four are an LSTM, three a GRU, one a plain RNN.
// A weight_hr says that the LSTM projects its hidden state, and then hidden is the second size of weight_hr.
const LayerKind* recurrent_kind(std::string_view name, const ShapesByName& shapes) {
  const DottedName dotted = split_last(name);
  const std::string suffix(dotted.last.substr(std::string_view("weight_ih").size()));
  const std::string prefix = dotted.parent.empty() ? "" : std::string(dotted.parent) + ".";
  if (shapes.contains(prefix + "weight_hr" + suffix)) return find_layer_kind("LSTM");
  const auto recurrent = shapes.find(prefix + "weight_hh" + suffix);
  if (recurrent == shapes.end() || recurrent->second->size() != 2) return nullptr;
  const std::int64_t rows = (*recurrent->second)[0];
  const std::int64_t hidden = (*recurrent->second)[1];
  if (hidden == 0 || rows % hidden != 0) return nullptr;
  switch (rows / hidden) {
    case 4:
      return find_layer_kind("LSTM");
    case 3:
      return find_layer_kind("GRU");
    case 1:
      return find_layer_kind("RNN");
    default:
      return nullptr;
  }
}

// Empty where the tensor can hold a layer's weight, by its dtype and shape.
std::string reason_against(const LogicalTensor& tensor, std::string_view last) {
  if (!is_weight_dtype(tensor.dtype)) return formatted("{} is no dtype that is quantized", dtype_name(tensor.dtype));
  if (tensor.shape.empty()) return "a single value";
  if (element_count(tensor.shape) == 0) return "empty";
  if (tensor.shape.size() == 1) return last.ends_with("bias") ? "bias" : "one-dimensional: norm or buffer";
  return "";
}

bool is_output_head(const Layer& layer) { return split_last(layer.name.name).last == "lm_head"; }

// What a source says that knows its layers.
Layer find_hinted_layer(const LogicalTensor& tensor) {
  const LayerHint& hint = *tensor.hint;
  Layer layer;
  layer.name = {tensor.name, tensor.name};
  layer.reason = tensor.spec ? "" : reason_against(tensor, split_last(tensor.name).last);
  if (!layer.reason.empty()) return layer;
  layer.kind = find_layer_kind(hint.kind);
  if (layer.kind == nullptr) {
    layer.reason = hint.reason;
    return layer;
  }
  layer.name.name = hint.layer;
  layer.channel_axis = hint.channel_axis;
  layer.is_sensitive = layer.kind->is_sensitive || is_output_head(layer);
  layer.is_on_request = layer.kind->is_recurrent;
  return layer;
}

Layer find_layer(const LogicalTensor& tensor, const ShapesByName& shapes) {
  if (tensor.hint) return find_hinted_layer(tensor);
  const DottedName dotted = split_last(tensor.name);
  Layer layer;
  layer.name = {tensor.name, tensor.name};
  layer.reason = reason_against(tensor, dotted.last);
  if (!layer.reason.empty()) return layer;
  const bool is_weight = dotted.last == "weight" || dotted.last.ends_with("_weight");
  if (is_recurrent_name(dotted.last)) {
    layer.kind = recurrent_kind(tensor.name, shapes);
    if (layer.kind == nullptr)
      layer.reason = "named as a recurrent weight, but its sizes are those of no LSTM, GRU or RNN";
  } else if (!is_weight) {
    layer.reason = "not named as a layer's weight";
  } else if (is_norm_name(dotted.parent)) {
    layer.reason = "norm";
  } else if (tensor.shape.size() == 2 && is_embedding(dotted.parent, shapes)) {
    layer.kind = find_layer_kind("Embedding");
  } else {
    layer.kind = kind_for_rank(tensor.shape.size());
    if (layer.kind == nullptr) layer.reason = formatted("no layer has a weight of {} dimensions", tensor.shape.size());
  }
  if (layer.kind == nullptr) return layer;
  // "weight" alone belongs to the module; in_proj_weight and weight_ih_l0 are one of several of theirs.
  if (dotted.last == "weight" && !dotted.parent.empty()) layer.name.name = std::string(dotted.parent);
  layer.channel_axis = layer.kind->channel_axis;
  layer.is_sensitive = layer.kind->is_sensitive || is_output_head(layer);
  layer.is_router = is_router_name(layer.name.name, shapes);
  return layer;
}

}  // namespace

std::span<const LayerKind> all_layer_kinds() { return kKinds; }

const LayerKind* find_layer_kind(std::string_view name) {
  const auto found = std::ranges::find(kKinds, name, &LayerKind::name);
  return found == kKinds.end() ? nullptr : &*found;
}

const LayerKind* kind_for_rank(std::size_t rank) {
  const auto found = std::ranges::find(kKinds, rank, &LayerKind::rank);
  return found == kKinds.end() ? nullptr : &*found;
}

std::vector<Layer> find_layers(std::span<const LogicalTensor> tensors) {
  ShapesByName shapes;
  for (const LogicalTensor& tensor : tensors) shapes.emplace(tensor.name, &tensor.shape);
  std::vector<Layer> layers;
  layers.reserve(tensors.size());
  for (const LogicalTensor& tensor : tensors) {
    layers.push_back(find_layer(tensor, shapes));
    layers.back().ties = tensor.ties;
  }
  return layers;
}

}  // namespace mnq
