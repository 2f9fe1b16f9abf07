#include "formats/written/linear_layers.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/text/format.h"
#include "formats/compressed_tensors/compressed_tensors_models.h"
#include "formats/experts/expert_models.h"
#include "layouts/stored_specs.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

// Weights that transformers cuts in parts for several modules as it loads them, and scales of blocks not with them.
// Source: conversion_mapping.py, 5.24
struct Split {
  std::string_view type, end;               // in config.json; of the layer's name
  std::array<std::string_view, 3> modules;  // ends of their names
};
constexpr std::string_view kQuery = "self_attn.q_proj", kKey = "self_attn.k_proj", kValue = "self_attn.v_proj";
constexpr auto kSplit = std::to_array<Split>({
    {"gte", ".attention.qkv_proj", {kQuery, kKey, kValue}},
    {"gte", ".mlp.up_gate_proj", {"mlp.up_proj", "mlp.gate_proj"}},
    {"jina_embeddings_v3", ".mixer.Wqkv", {kQuery, kKey, kValue}},
    {"nomic_bert", ".attn.Wqkv", {kQuery, kKey, kValue}},
    {"radio", ".attn.qkv", {"attention.q_proj", "attention.k_proj", "attention.v_proj"}},
});

}  // namespace

bool is_output_head(std::string_view layer, const Companion* companion) {
  return std::ranges::any_of(output_heads(companion), [&](const std::string& head) { return is_module(layer, head); });
}

std::string reason_to_stay_float(std::string_view title, const WeightRequest& request) {
  const Layer& layer = request.layer;
  const std::string_view kind = layer.kind == nullptr ? "" : layer.kind->name, name = layer.name.name;
  const std::string only = formatted("{} holds Linear layers only", title);
  if (kind == "Conv1D") return only + ", and in this model it is a Conv1D";
  if (kind == "Experts") {
    return formatted("{}, and this is all experts in one tensor, {}", only, reason_for_one_tensor(request.companion));
  }
  if (kind != "Linear" || !layer.name.tensor.ends_with(".weight") || request.wanted.shape.size() != 2) return only;
  if (layer.is_router) return only + ", and the router of experts is none";
  const bool is_head = layer.is_sensitive || is_output_head(name, request.companion);
  if (is_head && !request.is_selected && !request.is_stored) {
    return formatted("{} leaves {} as it is unless it is selected", title, name.substr(name.rfind('.') + 1));
  }
  return "";
}

std::string reason_against_split(const WeightRequest& request) {
  const bool is_split = !request.is_held && std::ranges::any_of(kSplit, [&](const Split& each) {
    return request.layer.name.name.ends_with(each.end) && has_model_type(request.companion, {&each.type, 1});
  });
  return is_split ? "transformers splits this weight as it loads it" : "";
}

bool is_plain_float8(const LogicalTensor& tensor) {
  return !tensor.spec && find_float8_scheme(tensor.dtype) != nullptr && tensor.shape.size() == 2 &&
         tensor.name.ends_with(".weight");
}

LinearLayers find_linear_layers(const Plan& plan) {
  LinearLayers layers;
  for (const PlannedTensor& planned : plan.tensors) {
    const std::string name(planned.layer.name.name);
    const std::string_view kind = planned.layer.kind == nullptr ? "" : planned.layer.kind->name;
    const LogicalTensor& tensor = plan.logical[planned.logical];
    if (has_codes(planned, tensor)) {
      layers.coded.push_back({name, &planned});
    } else if (kind == "Linear" || kind == "Conv1D") {
      layers.left.push_back(name);
    } else if (planned.action == Action::kCopy && is_plain_float8(tensor)) {
      layers.left.emplace_back(layer_name_from(tensor.name).name);
    }
  }
  return layers;
}

// Heads that stay float by the module's name, too, which files may have otherwise; so what a weight is split into.
std::vector<std::string> names_left(const LinearLayers& layers, const Companion* companion) {
  std::vector<std::string> names = layers.left;
  for (const std::string& head : output_heads(companion)) {
    const bool is_coded =
        std::ranges::any_of(layers.coded, [&](const CodedLayer& layer) { return is_module(layer.name, head); });
    const bool is_named = std::ranges::find(names, head) != names.end();
    if (!is_coded && !is_named) names.push_back(head);
  }
  for (const Split& each : kSplit) {
    if (!has_model_type(companion, {&each.type, 1})) continue;
    for (const std::string_view module : each.modules) {
      if (!module.empty()) names.emplace_back(module);
    }
  }
  return names;
}

void add_note_on_heads(std::vector<std::string>& notes, const LinearLayers& layers, const Companion* companion) {
  for (const CodedLayer& layer : layers.coded) {
    if (!is_output_head(layer.name, companion)) continue;
    notes.push_back(formatted("{} is quantized: gptqmodel loads it, transformers does not", layer.name));
  }
}

Json most_frequent(std::span<const Json> layers) {
  std::map<std::string, std::size_t> counts;
  for (const Json& settings : layers) ++counts[settings.dump()];
  const auto most = std::ranges::max_element(counts, {}, [](const auto& row) { return row.second; });
  return parse_json(most->first);
}

std::string pattern_of_name(std::string_view name) {
  std::string pattern = "^";
  for (const char c : name) pattern += c == '.' ? std::string("\\.") : std::string(1, c);
  return pattern + "$";
}

void add_rules_for_left(Json& dynamic, const LinearLayers& layers, const Companion* companion) {
  for (const std::string& name : layers.left) {
    if (!is_output_head(name, companion)) dynamic.add("-:" + pattern_of_name(name), Json::object());
  }
}

}  // namespace mnq
