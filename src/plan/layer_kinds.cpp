#include "plan/layer_kinds.h"

#include "base/text/format.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

namespace mnq {
namespace {

// Where several kinds share a rank, the first is what a weight of that rank is unless its name says otherwise.
constexpr std::array kKinds{
    LayerKind{"Linear", "linear", 2, 0},
    LayerKind{"Conv1d", "convolution", 3, 0},
    LayerKind{"Conv2d", "convolution", 4, 0},
    LayerKind{"Conv3d", "convolution", 5, 0},
    LayerKind{"Embedding", "embedding", 2, 0, true},
    LayerKind{"LSTM", "recurrent", 2, 0, false, true},
    LayerKind{"GRU", "recurrent", 2, 0, false, true},
    LayerKind{"RNN", "recurrent", 2, 0, false, true},
    LayerKind{"LSTMCell", "recurrent", 2, 0, false, true},
    LayerKind{"GRUCell", "recurrent", 2, 0, false, true},
    LayerKind{"RNNCell", "recurrent", 2, 0, false, true},
    LayerKind{"ConvTranspose1d", "convolution", 3, 1},
    LayerKind{"ConvTranspose2d", "convolution", 4, 1},
    LayerKind{"ConvTranspose3d", "convolution", 5, 1},
    LayerKind{"Conv1D", "linear", 2, 1},
    LayerKind{"Experts", "experts", 3, 1, false, false, 1},
};

using ShapesByName = std::map<std::string_view, const Shape*>;

// All that is known of the model.
struct Known {
  ShapesByName shapes;
  std::set<std::string_view> above_experts;  // modules with the weights of all experts in one tensor, and those above
  std::vector<std::string> conv1d_roots;     // what the names of its Conv1D layers start with
  bool turns_experts = false;                // by its type: see kTurnedExperts

  const Shape* find(const std::string& name) const {
    const auto found = shapes.find(name);
    return found == shapes.end() ? nullptr : found->second;
  }
  bool has(const std::string& name) const { return find(name) != nullptr; }
  bool has_below(const std::string& start) const {
    const auto found = shapes.lower_bound(start);
    return found != shapes.end() && found->first.starts_with(start);
  }
};

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
  constexpr std::array<std::string_view, 8> kWords{"embed", "embedding", "embeddings", "emb",
                                                   "embd",  "wte",       "wpe",        "embeds"};
  constexpr std::array<std::string_view, 7> kOthers{"proj",   "projection", "mapping", "out",
                                                    "linear", "dense",      "project"};
  constexpr std::array<std::string_view, 2> kTokens{"token", "tokens"};  // as the last word: iou_token, mask_tokens
  const std::size_t last_word = name.rfind('_') + 1;
  // T5's, BART's, Pix2Struct's, EoMT's, SpeechT5's, Phi-4's and Canine's
  constexpr std::array<std::string_view, 8> kWhole{
      "relative_attention_bias", "shared", "row_embedder", "column_embedder",
      "queries_embedder",        "pe_k",   "bias_values",  "codebook"};
  const bool is_called_so =
      std::ranges::find(kWhole, name) != kWhole.end() || name.starts_with("hashbucketcodepointembedder");
  return is_called_so || has_word(std::string_view(name).substr(last_word), kTokens) ||
         (has_word(name, kWords) && !has_word(name, kOthers));
}

// No embedding has a bias: time_embed.0 of diffusion models is a Linear.
bool is_embedding(std::string_view module, const Known& known) {
  return is_embedding_name(module) && !known.has(std::string(module) + ".bias");
}

// Of transformers' models that hold all experts in one tensor, those that hold them [experts, in, out]. Shapes know
// better where they tell. Source: transformers 5.17, models/*/modeling_*.py and conversion_mapping.py
constexpr auto kTurnedExperts =
    std::to_array<std::string_view>({"aria", "aria_text", "gpt_oss", "llama4", "llama4_text", "openai_privacy_filter",
                                     "qwen3_vl_moe", "qwen3_vl_moe_text"});

// What goes into the experts, and what comes out of them.
struct ExpertPair {
  std::string_view up;
  std::string_view down;
};
constexpr std::array kExpertPairs{ExpertPair{"gate_up_proj", "down_proj"},
                                  ExpertPair{"gate_and_up_projs", "down_projs"},
                                  ExpertPair{"up_proj", "down_proj"},
                                  ExpertPair{"gate_proj", "down_proj"},
                                  ExpertPair{"input_linear", "output_linear"},
                                  ExpertPair{"w1", "w2"},
                                  ExpertPair{"w3", "w2"},
                                  ExpertPair{"v1", "w2"},
                                  ExpertPair{"fc1", "fc2"},
                                  ExpertPair{"wi", "wo"},
                                  ExpertPair{"ffn_gate_exps", "ffn_down_exps"},
                                  ExpertPair{"ffn_up_exps", "ffn_down_exps"}};

bool is_expert_part(std::string_view name) {
  return std::ranges::any_of(kExpertPairs,
                             [&](const ExpertPair& pair) { return name == pair.up || name == pair.down; });
}

// "experts", "moe": what holds them all; those of "experts.3" are modules of their own.
bool is_below_experts(std::string_view module) {
  for (; !module.empty(); module = split_last(module).parent) {
    const std::string_view last = split_last(module).last;
    if (is_number(last)) return false;
    if (last == "experts" || last.ends_with("_experts") || last == "moe" || last.ends_with("_moe")) return true;
    if (last == "switch_mlp") return true;  // mlx-lm's
  }
  return false;
}

// The name of the module or parameter that holds a weight: of "x.experts.w1" and "x.input_linear.weight" itself.
std::string_view holder_of(std::string_view tensor) {
  const DottedName dotted = split_last(tensor);
  return dotted.last == "weight" ? dotted.parent : tensor;
}

// Whether it is the weights of all experts: [experts, rows, columns], or all their rows one below the other.
bool holds_experts(const LogicalTensor& tensor) {
  const std::string_view holder = holder_of(tensor.name);
  const DottedName dotted = split_last(holder);
  if (tensor.shape.size() == 2) {
    constexpr std::array<std::string_view, 4> kRowsOfAll{"w1", "w2", "w3", "v1"};
    return holder.size() == tensor.name.size() && is_below_experts(dotted.parent) &&
           std::ranges::find(kRowsOfAll, dotted.last) != kRowsOfAll.end();
  }
  if (tensor.shape.size() != 3) return false;
  constexpr std::array<std::string_view, 2> kAlone{"input_linear", "output_linear"};
  if (dotted.last.ends_with("_exps") || std::ranges::find(kAlone, dotted.last) != kAlone.end()) return true;
  if (!is_below_experts(dotted.parent)) return false;
  constexpr std::array<std::string_view, 4> kOthers{"bias", "scale", "scales", "norm"};
  return is_expert_part(dotted.last) ||
         (split_last(dotted.parent).last == "experts" && !has_word(dotted.last, kOthers));
}

// Another weight of the same experts.
const Shape* find_part(const Known& known, std::string_view holder, std::string_view tensor, std::string_view part) {
  const std::string_view parent = split_last(holder).parent;
  return known.find((parent.empty() ? "" : std::string(parent) + ".") + std::string(part) +
                    std::string(tensor.substr(holder.size())));
}

// The axis of the outputs of [experts, a, b]: 1 or 2 where the bias says it, or the weights that go with it; else 0.
// What goes into the experts is as wide as what comes out of them, and a gate doubles what is between.
std::int64_t told_axis(const LogicalTensor& tensor, const Known& known) {
  const std::string_view holder = holder_of(tensor.name);
  const bool is_module = holder.size() < tensor.name.size();
  const Shape& shape = tensor.shape;
  const Shape* bias = known.find(std::string(holder) + (is_module ? ".bias" : "_bias"));
  if (bias != nullptr && bias->size() == 2 && shape[1] != shape[2]) {
    if ((*bias)[1] == shape[1]) return 1;
    if ((*bias)[1] == shape[2]) return 2;
  }
  const std::string_view last = split_last(holder).last;
  for (const ExpertPair& pair : kExpertPairs) {
    const Shape* up = last == pair.up     ? &shape
                      : last == pair.down ? find_part(known, holder, tensor.name, pair.up)
                                          : nullptr;
    const Shape* down = last == pair.down ? &shape
                        : last == pair.up ? find_part(known, holder, tensor.name, pair.down)
                                          : nullptr;
    if (up == nullptr || down == nullptr || up->size() != 3 || down->size() != 3) continue;
    const auto fits = [](std::int64_t wide, std::int64_t inner) {
      return wide == inner || (wide % 2 == 0 && wide / 2 == inner);
    };
    const bool in_rows = (*up)[2] == (*down)[1] && fits((*up)[1], (*down)[2]);
    const bool in_columns = (*up)[1] == (*down)[2] && fits((*up)[2], (*down)[1]);
    if (in_rows != in_columns) return in_rows ? 1 : 2;
  }
  return 0;
}

std::int64_t expert_axis(const LogicalTensor& tensor, const Known& known) {
  if (tensor.shape.size() == 2) return 0;
  const std::int64_t told = told_axis(tensor, known);
  return told != 0 ? told : known.turns_experts ? 2 : 1;
}

// Whether experts lie below a module: modules of their own or all in one tensor.
bool has_experts(const Known& known, std::string_view module) {
  return known.has_below((module.empty() ? "" : std::string(module) + ".") + "experts.") ||
         known.above_experts.contains(module);
}

// What chooses among the experts beside it: "mlp.gate" and "mlp.experts...", "ffn.router.layer", "mlp.gate.wg".
bool is_router_name(std::string_view module, const Known& known) {
  const DottedName dotted = split_last(module), above = split_last(dotted.parent);
  constexpr std::array<std::string_view, 6> kSure{
      "router", "router_gate", "shared_expert_gate", "shared_experts_gate", "ffn_gate_inp", "ffn_gate_inp_shexp"};
  constexpr std::array<std::string_view, 4> kBesideExperts{"gate", "wg", "gating", "gate_network"};
  if (std::ranges::find(kSure, dotted.last) != kSure.end()) return true;
  if (std::ranges::find(kBesideExperts, dotted.last) != kBesideExperts.end() && has_experts(known, dotted.parent)) {
    return true;
  }
  return (above.last == "router" || above.last == "gate") && has_experts(known, above.parent);
}

// In a model whose Linear layers are Conv1D: those that are.
bool is_conv1d_layer(std::string_view module, const Known& known) {
  constexpr auto kLayers = std::to_array<std::string_view>({"c_attn", "q_attn", "c_proj", "c_fc"});
  return std::ranges::find(kLayers, split_last(module).last) != kLayers.end() &&
         std::ranges::any_of(known.conv1d_roots, [&](const std::string& root) { return module.starts_with(root); });
}

// "transformer.h.3.attn.c_attn.weight" [n, 3n] -> "transformer.h.": as a Linear layer it would be [3n, n].
std::string conv1d_root(std::string_view tensor, const Shape& shape) {
  constexpr std::string_view kEnd = ".attn.c_attn.weight";
  if (!tensor.ends_with(kEnd) || shape.size() != 2 || shape[1] % 3 != 0 || shape[1] / 3 != shape[0]) return "";
  const DottedName block = split_last(tensor.substr(0, tensor.size() - kEnd.size()));
  if (!is_number(block.last) || split_last(block.parent).last != "h") return "";
  return std::string(block.parent) + ".";
}

Known know(std::span<const LogicalTensor> tensors, const Companion* companion) {
  Known known;
  known.turns_experts = has_model_type(companion, kTurnedExperts);
  if (is_conv1d_model(companion)) known.conv1d_roots.emplace_back();
  const bool is_named = companion != nullptr && !companion->model_types.empty();
  for (const LogicalTensor& tensor : tensors) {
    known.shapes.emplace(tensor.name, &tensor.shape);
    if (holds_experts(tensor)) {
      const std::string_view module = split_last(holder_of(tensor.name)).parent;
      known.above_experts.insert({module, split_last(module).parent});
    }
    std::string root = is_named ? std::string() : conv1d_root(tensor.name, tensor.shape);
    if (!root.empty() && (known.conv1d_roots.empty() || known.conv1d_roots.back() != root)) {
      known.conv1d_roots.push_back(std::move(root));
    }
  }
  return known;
}

// A tensor of which a module makes its weight anew whenever it runs.
struct Remade {
  std::string_view module;         // empty where it has more weights than one
  const Shape* lengths = nullptr;  // of weight_norm, whose weight is lengths · v / |v|; null: another way
};

// What weight_norm, spectral_norm and pruning leave of a weight, in both of PyTorch's forms.
std::optional<Remade> find_remade(std::string_view name, const Known& known) {
  const DottedName dotted = split_last(name);
  const std::string prefix(name.substr(0, name.size() - dotted.last.size()));
  if (dotted.last.ends_with("_v")) {
    const std::string stem(dotted.last.substr(0, dotted.last.size() - 2));
    const Shape* lengths = known.find(prefix + stem + "_g");
    if (lengths != nullptr) return Remade{stem == "weight" ? dotted.parent : "", lengths};
  }
  if (dotted.last == "weight_orig" && (known.has(prefix + "weight_u") || known.has(prefix + "weight_mask"))) {
    return Remade{dotted.parent};
  }
  const DottedName weight = split_last(dotted.parent), list = split_last(weight.parent);
  if (list.last != "parametrizations") return std::nullopt;
  const std::string_view module = weight.last == "weight" ? list.parent : "";
  const Shape* lengths = known.find(prefix + "original0");
  if (dotted.last == "original1" && lengths != nullptr) return Remade{module, lengths};
  if (dotted.last == "original" && known.has(prefix + "0._u")) return Remade{module};
  return std::nullopt;
}

// The axis along which weight_norm takes lengths: a scale for each index of it makes no difference to v / |v|. Empty
// where these are no lengths of v.
std::optional<std::int64_t> axis_of_lengths(const Shape& lengths, const Shape& v, std::int64_t otherwise) {
  if (element_count(lengths) == 1) return otherwise;
  if (lengths.size() != v.size()) return std::nullopt;
  std::optional<std::int64_t> axis;
  for (std::size_t i = 0; i < v.size(); ++i) {
    if (lengths[i] == 1) continue;
    if (axis || lengths[i] != v[i]) return std::nullopt;
    axis = static_cast<std::int64_t>(i);
  }
  return axis;
}

bool are_lengths(std::string_view name, const Known& known) {
  constexpr std::string_view kOriginal = "original0";
  if (name.ends_with("_g")) return known.has(std::string(name.substr(0, name.size() - 2)) + "_v");
  if (!name.ends_with(kOriginal)) return false;
  return find_remade(std::string(name.substr(0, name.size() - 1)) + "1", known).has_value();
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
const LayerKind* recurrent_kind(std::string_view name, const Known& known) {
  const DottedName dotted = split_last(name);
  const std::string suffix(dotted.last.substr(std::string_view("weight_ih").size()));
  const std::string prefix = dotted.parent.empty() ? "" : std::string(dotted.parent) + ".";
  if (known.has(prefix + "weight_hr" + suffix)) return find_layer_kind("LSTM");
  const Shape* recurrent = known.find(prefix + "weight_hh" + suffix);
  if (recurrent == nullptr || recurrent->size() != 2) return nullptr;
  const std::int64_t rows = (*recurrent)[0];
  const std::int64_t hidden = (*recurrent)[1];
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
  if (last.ends_with("_bias") || (tensor.shape.size() == 1 && last == "bias")) return "bias";
  if (tensor.shape.size() == 1) return "one-dimensional: norm or buffer";
  return "";
}

bool is_output_head(const Layer& layer) {
  constexpr std::array<std::string_view, 3> kNames{"lm_head", "embed_out", "unembed"};
  return std::ranges::find(kNames, split_last(layer.name.name).last) != kNames.end();
}

// Of models without a head of their own, embeddings serve as it: their weights are tied. llama.cpp's head is "output".
void mark_heads(std::vector<Layer>& layers) {
  const auto is_head = [](const Layer& layer) {
    return layer.kind != nullptr && (is_output_head(layer) || layer.name.name == "output");
  };
  const bool has_head = std::ranges::any_of(layers, is_head);
  for (Layer& layer : layers) {
    layer.serves_as_head = has_head ? is_head(layer) : layer.kind != nullptr && layer.kind->is_sensitive;
  }
}

// What a source says that knows its layers.
Layer find_hinted_layer(const LogicalTensor& tensor, const Known& known) {
  const LayerHint& hint = *tensor.hint;
  Layer layer;
  layer.name = {tensor.name, tensor.name, hint.origin};
  layer.reason = tensor.spec ? "" : reason_against(tensor, split_last(tensor.name).last);
  if (!layer.reason.empty()) return layer;
  layer.kind = find_layer_kind(hint.kind);
  if (layer.kind == nullptr) {
    layer.reason = hint.reason;
    return layer;
  }
  layer.name.name = hint.layer;
  layer.channel_axis = hint.channel_axis;
  layer.stacked_axes = layer.kind->rank == tensor.shape.size() ? layer.kind->stacked_axes : 0;
  layer.is_sensitive = layer.kind->is_sensitive || is_output_head(layer);
  layer.is_router = is_router_name(layer.name.name, known);
  layer.is_on_request = layer.kind->is_recurrent;
  return layer;
}

// Sets the kind and its axes; or the reason why there is none.
void find_kind(Layer& layer, const LogicalTensor& tensor, const Known& known, const std::optional<Remade>& remade) {
  const DottedName dotted = split_last(tensor.name);
  const std::size_t rank = tensor.shape.size();
  const auto take = [&](std::string_view kind) { layer.kind = find_layer_kind(kind); };
  const auto take_rank = [&] {
    layer.kind = kind_for_rank(rank);
    if (layer.kind == nullptr) layer.reason = formatted("no layer has a weight of {} dimensions", rank);
  };
  if (are_lengths(tensor.name, known)) {
    layer.reason = "the lengths of weight_norm";
  } else if (is_recurrent_name(dotted.last)) {
    layer.kind = recurrent_kind(tensor.name, known);
    if (layer.kind == nullptr)
      layer.reason = "named as a recurrent weight, but its sizes are those of no LSTM, GRU or RNN";
  } else if (holds_experts(tensor)) {
    take("Experts");
  } else if (remade) {
    take_rank();
  } else if (dotted.last != "weight" && !dotted.last.ends_with("_weight")) {
    layer.reason = "not named as a layer's weight";
  } else if (is_norm_name(dotted.parent)) {
    layer.reason = "norm";
  } else if (rank == 2 && is_embedding(dotted.parent, known)) {
    take("Embedding");
  } else if (rank == 2 && is_conv1d_layer(dotted.parent, known)) {
    take("Conv1D");
  } else {
    take_rank();
  }
  if (layer.kind == nullptr) return;
  layer.channel_axis = layer.kind->channel_axis;
  layer.stacked_axes = layer.kind->rank == rank ? layer.kind->stacked_axes : 0;
  if (layer.kind->stacked_axes > 0) layer.channel_axis = expert_axis(tensor, known);
  if (!remade || remade->lengths == nullptr) return;
  const auto axis = axis_of_lengths(*remade->lengths, tensor.shape, layer.channel_axis);
  if (axis) {
    layer.channel_axis = *axis;
  } else {
    layer.kind = nullptr;
    layer.reason = "named as a weight of weight_norm, but the lengths beside it do not fit it";
  }
}

Layer find_layer(const LogicalTensor& tensor, const Known& known) {
  const bool has_name_only = tensor.hint && tensor.hint->kind.empty() && !tensor.hint->origin.empty();
  if (tensor.hint && !has_name_only) return find_hinted_layer(tensor, known);
  const DottedName dotted = split_last(tensor.name);
  Layer layer;
  layer.name = {tensor.name, tensor.name, has_name_only ? std::string_view(tensor.hint->origin) : ""};
  layer.reason = reason_against(tensor, dotted.last);
  if (!layer.reason.empty()) return layer;
  const std::optional<Remade> remade = find_remade(tensor.name, known);
  find_kind(layer, tensor, known, remade);
  if (layer.kind == nullptr) return layer;
  // "weight" alone belongs to the module; in_proj_weight and weight_ih_l0 are one of several of theirs.
  const std::string_view module = remade ? remade->module : dotted.last == "weight" ? dotted.parent : "";
  if (!module.empty()) layer.name.name = module;
  layer.is_sensitive = layer.kind->is_sensitive || is_output_head(layer);
  layer.is_router = is_router_name(layer.name.name, known);
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

std::vector<Layer> find_layers(std::span<const LogicalTensor> tensors, const Companion* companion) {
  const Known known = know(tensors, companion);
  std::vector<Layer> layers;
  layers.reserve(tensors.size());
  for (const LogicalTensor& tensor : tensors) layers.push_back(find_layer(tensor, known));
  mark_heads(layers);
  return layers;
}

void set_kind(Layer& layer, const LogicalTensor& tensor, const LayerKind& kind) {
  layer.kind = nullptr;
  layer.reason = reason_against(tensor, split_last(tensor.name).last);
  if (!layer.reason.empty()) return;
  layer.kind = &kind;
  layer.channel_axis = kind.channel_axis;
  layer.stacked_axes = kind.stacked_axes;
  layer.is_sensitive = kind.is_sensitive || is_output_head(layer);
}

bool is_of_one_expert(std::string_view layer) {
  constexpr std::string_view kModule = "experts.";
  const std::size_t at = layer.find(kModule);
  if (at == std::string_view::npos || (at > 0 && layer[at - 1] != '.')) return false;
  const std::string_view number = layer.substr(at + kModule.size(), 1);
  return !number.empty() && number[0] >= '0' && number[0] <= '9';
}

std::string_view role_of(const Layer& layer) {
  if (layer.kind == nullptr) return "other";
  if (layer.is_router) return "router";
  if ((layer.is_sensitive || layer.serves_as_head) && !layer.kind->is_sensitive) return "head";
  return is_of_one_expert(layer.name.name) ? "experts" : layer.kind->role;
}

bool has_model_type(const Companion* companion, std::span<const std::string_view> types) {
  return companion != nullptr && std::ranges::any_of(companion->model_types, [&](const std::string& type) {
           return std::ranges::find(types, type) != types.end();
         });
}

bool is_conv1d_model(const Companion* companion) {
  constexpr auto kModels =
      std::to_array<std::string_view>({"gpt2", "openai-gpt", "imagegpt", "decision_transformer", "clvp_decoder"});
  return has_model_type(companion, kModels);
}

}  // namespace mnq
