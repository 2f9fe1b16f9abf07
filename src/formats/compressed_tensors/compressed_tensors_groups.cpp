#include "formats/compressed_tensors/compressed_tensors_groups.h"

#include <algorithm>
#include <array>

#include "adapted/left_layers.h"
#include "adapted/weight_finders.h"
#include "base/error.h"
#include "base/text/format.h"

namespace mnq {
namespace {

// All that the names of weights' tensors tell apart.
constexpr std::array<std::string_view, 3> kFormats{"dense", "mixed-precision", "naive-quantized"};
constexpr std::string_view kAnyFormat = "-quantized";
constexpr std::array<std::string_view, 5> kStrategies{"tensor", "channel", "group", "block", "tensor_group"};

bool is_known_format(std::string_view format) {
  return format.ends_with(kAnyFormat) || std::ranges::find(kFormats, format) != kFormats.end();
}

// vLLM makes one layer of several, under a name that it looks for first.
struct Fused {
  std::string_view part;
  std::string_view pattern;
};
constexpr std::array kFused{Fused{"q_proj", "(q|qkv)_proj"}, Fused{"gate_proj", "(gate|gate_up)_proj"}};

// The text of a member, or what stands for it where there is none.
std::string text_of(const Json& json, std::string_view name, const char* otherwise) {
  const Json* found = json.find(name);
  return found != nullptr && found->is_string() ? found->text() : otherwise;
}

// The only activations that an output can have.
bool is_dynamic_int8(const Json& activations) {
  const Json* bits = activations.find("num_bits");
  return bits != nullptr && *bits == 8 && text_of(activations, "type", "int") == "int" &&
         text_of(activations, "strategy", "") == "token" && is_true_in(activations, "dynamic", false) &&
         is_true_in(activations, "symmetric", true);
}

// Rows and columns that share a scale.
void read_block(CompressedGroup& read, const Json& weights) {
  if (read.group_size > 0) read.block = {1, read.group_size};
  const Json* block = weights.find("block_structure");
  const bool is_pair = block != nullptr && block->is_array() && block->size() == 2 && (*block)[0].is_integer() &&
                       (*block)[1].is_integer();
  if (is_pair) read.block = {(*block)[0].get<std::int64_t>(), (*block)[1].get<std::int64_t>()};
}

CompressedGroup read_group(const std::string& title, const std::string& key, const Json& group, const Json& weights) {
  CompressedGroup read;
  const Json* bits = weights.find("num_bits");
  const std::string type = text_of(weights, "type", "int");
  if (bits == nullptr || !bits->is_integer() || (type != "int" && type != "float")) {
    refuse_compressed(title, formatted("the weights of its {} are neither integers nor floats", key));
  }
  if (type == "int") read.width = bits->get<std::int64_t>();
  read.is_symmetric = is_true_in(weights, "symmetric", true);
  const std::string order = text_of(weights, "actorder", "");
  read.is_ordered = order == "group" || order == "dynamic" || is_true_in(weights, "actorder", false);
  const std::string strategy = text_of(weights, "strategy", "tensor");
  if (std::ranges::find(kStrategies, strategy) == kStrategies.end()) {
    refuse_compressed(title, formatted("the strategy {} of its {} is not supported", strategy, key));
  }
  const Json* size = weights.find("group_size");
  if (size != nullptr && size->is_integer()) read.group_size = size->get<std::int64_t>();
  read_block(read, weights);
  const Json* targets = group.find("targets");
  if (targets == nullptr || !targets->is_array()) return read;
  for (const Json& target : *targets) {
    if (target.is_string()) read.targets.push_back(target.text());
  }
  return read;
}

void read_activations(CompressedGroup& read, const std::string& key, const Json& group,
                      std::vector<std::string>& remarks) {
  const bool has_inputs = has_object(group, "input_activations");
  read.runs_int8 = has_inputs && read.width == 8 && is_dynamic_int8(group["input_activations"]);
  if (has_inputs && !read.runs_int8) {
    remarks.push_back(
        formatted("how {} quantizes activations is not kept: only 8 bits, symmetric, dynamic and per "
                  "token, with weights of 8 bits, are",
                  key));
  }
  if (has_object(group, "output_activations")) {
    remarks.push_back(formatted("how {} quantizes its outputs is not kept", key));
  }
}

constexpr std::string_view kLinear = "Linear";

const CompressedGroup* find_group_with(std::span<const CompressedGroup> groups, std::string_view target) {
  const auto found = std::ranges::find_if(groups, [&](const CompressedGroup& group) {
    return std::ranges::find(group.targets, target) != group.targets.end();
  });
  return found == groups.end() ? nullptr : &*found;
}

// By its name, or by its target_pattern.
const CompressedGroup* find_named_group(std::span<const CompressedGroup> groups, const std::string& layer) {
  for (const std::string& target : {layer, target_pattern(layer, false), target_pattern(layer, true)}) {
    if (const CompressedGroup* found = find_group_with(groups, target)) return found;
  }
  return nullptr;
}

}  // namespace

std::vector<CompressedGroup> read_groups(const std::string& title, const Json& config,
                                         std::vector<std::string>& remarks) {
  const std::string format = text_of(config, "format", "dense");
  if (!is_known_format(format)) {
    refuse_compressed(title, formatted("compressed-tensors format {} is not supported", format));
  }
  if (!has_object(config, "config_groups")) refuse_compressed(title, "its quantization_config has no config_groups");
  if (has_object(config, "transform_config") && has_object(config["transform_config"], "config_groups") &&
      !config["transform_config"]["config_groups"].members().empty()) {
    refuse_compressed(title, "its weights are rotated (transform_config), which is not undone");
  }
  std::vector<CompressedGroup> groups;
  for (const auto& [key, group] : config["config_groups"].members()) {
    if (!group.is_object()) refuse_compressed(title, formatted("its {} is no object", key));
    if (!has_object(group, "weights")) continue;
    groups.push_back(read_group(title, key, group, group["weights"]));
    read_activations(groups.back(), key, group, remarks);
  }
  if (has_object(config, "kv_cache_scheme")) remarks.emplace_back("the kv_cache_scheme is not kept");
  return groups;
}

std::string target_pattern(const std::string& name, bool has_prefix) {
  const std::size_t last = name.rfind('.') + 1;
  std::string pattern = has_prefix ? "re:.*\\b" : "re:";
  for (const char c : name.substr(0, last)) pattern += c == '.' ? std::string("\\.") : std::string(1, c);
  const auto fused = std::ranges::find(kFused, std::string_view(name).substr(last), &Fused::part);
  return pattern + (fused == kFused.end() ? name.substr(last) : std::string(fused->pattern)) + "$";
}

const CompressedGroup* find_group(std::span<const CompressedGroup> groups, const std::string& layer) {
  const CompressedGroup* named = find_named_group(groups, layer);
  return named != nullptr ? named : find_group_with(groups, kLinear);
}

bool all_groups_are(std::span<const CompressedGroup> groups, const std::string& layer,
                    const std::function<bool(const CompressedGroup&)>& predicate) {
  if (std::ranges::none_of(groups, predicate)) return false;  // of many layers the patterns take long
  if (const CompressedGroup* named = find_named_group(groups, layer)) return predicate(*named);
  const auto may_name = [&](const CompressedGroup& group) {
    return std::ranges::any_of(group.targets,
                               [&](const std::string& target) { return target == kLinear || may_mean(target, layer); });
  };
  return std::ranges::any_of(groups, may_name) && std::ranges::all_of(groups, [&](const CompressedGroup& group) {
           return !may_name(group) || predicate(group);
         });
}

bool has_object(const Json& json, std::string_view name) {
  const Json* found = json.find(name);
  return found != nullptr && found->is_object();
}

void refuse_compressed(const std::string& title, const std::string& what) {
  throw Error(Status::kUnsupported, formatted("{}: {}", title, what),
              "pass the float checkpoint it was made from: its provider has it", title);
}

}  // namespace mnq
