// The quantization_config of a compressed-tensors folder.
#include <algorithm>
#include <array>
#include <iterator>

#include "base/text/format.h"
#include "formats/compressed_tensors/compressed_tensors.h"
#include "formats/compressed_tensors/compressed_tensors_groups.h"
#include "formats/compressed_tensors/compressed_tensors_layout.h"
#include "formats/compressed_tensors/compressed_tensors_models.h"
#include "formats/experts/expert_models.h"
#include "formats/folder/folder_loaders.h"
#include "formats/written/linear_layers.h"
#include "layouts/layouts.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

Json weights_json(const QuantizedSpec& spec) {
  const bool is_in_blocks = spec.group_rows > 1;
  const bool grouped = spec.granularity == Granularity::kGroup && !is_in_blocks;
  const CodeNumbers numbers = code_numbers(spec);
  Json json{{"num_bits", numbers.width},
            {"type", numbers.type},
            {"symmetric", spec.symmetric},
            {"strategy", numbers.strategy},
            {"group_size", grouped ? Json(spec.group_size) : Json(nullptr)},
            {"dynamic", false},
            {"actorder", nullptr},
            {"observer", "minmax"},
            {"observer_kwargs", Json::object()}};
  if (is_in_blocks) json.add("block_structure", std::vector<std::uint64_t>{spec.group_rows, spec.group_size});
  if (!numbers.scale_dtype.empty()) json.add("scale_dtype", numbers.scale_dtype);
  return json;
}

Json activations_json() {
  return Json{{"num_bits", 8},
              {"type", "int"},
              {"symmetric", true},
              {"strategy", "token"},
              {"dynamic", true},
              {"observer", nullptr},
              {"observer_kwargs", Json::object()}};
}

// Layers that are quantized alike.
struct Group {
  Json weights;
  const Layout* layout = nullptr;
  bool has_activations = false;
  std::vector<std::string> layers;
  bool has_experts = false;

  bool has_packed_integers() const { return layout == &kPackQuantizedLayout; }
  bool is_packed() const { return layout->name.ends_with(kPackQuantizedLayout.name); }
  bool is_like(const Group& other) const {
    return weights == other.weights && layout == other.layout && has_activations == other.has_activations;
  }
};

// The layers of a plan: those that are quantized, in groups, and Linear layers that are not.
struct Layers {
  std::vector<Group> groups;
  std::vector<std::string> left;
  std::size_t conv1d = 0;  // of those that are left
};

void add_to_group(std::vector<Group>& groups, Group group) {
  const auto found = std::ranges::find_if(groups, [&](const Group& other) { return other.is_like(group); });
  if (found == groups.end()) {
    groups.push_back(std::move(group));
  } else {
    found->layers.push_back(std::move(group.layers.front()));
    found->has_experts = found->has_experts || group.has_experts;
  }
}

Layers sort_layers(const Plan& plan) {
  Layers layers;
  for (const PlannedTensor& planned : plan.tensors) {
    const LogicalTensor& tensor = plan.logical[planned.logical];
    const std::string layer(planned.layer.name.name);
    if (has_codes(planned, tensor)) {
      const QuantizedSpec& spec = planned.spec;
      add_to_group(layers.groups,
                   {weights_json(spec), planned.layout, spec.activation_bits != 0, {layer}, is_of_one_expert(layer)});
    } else if (planned.layer.kind != nullptr && planned.layer.kind->name == "Linear") {
      layers.left.push_back(layer);
    } else if (planned.layer.kind != nullptr && planned.layer.kind->name == "Conv1D") {
      layers.left.push_back(layer);
      ++layers.conv1d;
    } else if (planned.action == Action::kCopy && is_plain_float8(tensor)) {
      layers.left.emplace_back(layer_name_from(tensor.name).name);
    }
  }
  // The largest stands for all Linear layers. It comes last: compressed-tensors warns of names that a group before
  // theirs has taken.
  const auto largest =
      std::ranges::max_element(layers.groups, {}, [](const Group& group) { return group.layers.size(); });
  if (largest != layers.groups.end()) std::rotate(largest, largest + 1, layers.groups.end());
  return layers;
}

// Heads that share the embedding's weight are Linear layers without a tensor of their own. Those that have one may have
// another name as modules, and a model may be a part of another.
void add_heads(std::vector<std::string>& ignore, const Plan& plan, const Companion* companion) {
  for (const std::string& head : output_heads(companion)) {
    const auto of_head = [&](std::string_view layer) { return is_module(layer, head); };
    const bool is_there = std::ranges::any_of(
        plan.tensors, [&](const PlannedTensor& planned) { return of_head(planned.layer.name.name); });
    const bool is_left = std::ranges::any_of(ignore, of_head);
    if (std::ranges::find(ignore, head) != ignore.end()) continue;
    if (!is_there) ignore.push_back(head);
    if (is_there ? is_left : companion->model_types.size() > 1) ignore.push_back("re:.*\\b" + head + "$");
  }
}

std::vector<std::string> patterns_of(const std::vector<std::string>& names, bool has_prefix) {
  std::vector<std::string> patterns;
  for (const std::string& name : names) patterns.push_back(target_pattern(name, has_prefix));
  return patterns;
}

// Patterns only, but for the last group: so transformers finds that of the experts.
Json groups_json(const std::vector<Group>& groups, bool is_mixed, const Companion* companion) {
  Json json = Json::object();
  for (const Group& group : groups) {
    Json each{{"targets", &group == &groups.back() ? std::vector<std::string>{"Linear"}
                                                   : patterns_of(group.layers, renames_modules(companion))},
              {"weights", group.weights},
              {"input_activations", group.has_activations ? activations_json() : Json(nullptr)},
              {"output_activations", nullptr}};
    if (is_mixed || (!group.has_packed_integers() && !group.has_activations)) each["format"] = group.layout->name;
    json.add(formatted("group_{}", &group - groups.data()), std::move(each));
  }
  return json;
}

// What transformers decodes of experts: all of a layer at once, by one scheme.
bool is_loaded_of_experts(const Group& group) {
  const bool has_rows = group.weights["strategy"] == "channel" || group.weights["strategy"] == "tensor";
  if (group.has_activations) return false;
  return (group.layout == &kFloatQuantizedLayout && has_rows) ||
         (group.has_packed_integers() && group.weights["symmetric"] == true);
}

void note_experts(std::vector<std::string>& notes, const Layers& layers) {
  const auto groups = std::ranges::count_if(layers.groups, &Group::has_experts);
  if (groups == 0) return;
  const Group& experts = *std::ranges::find_if(layers.groups, &Group::has_experts);
  if (groups == 1 && is_loaded_of_experts(experts) && std::ranges::none_of(layers.left, is_of_one_expert)) return;
  notes.emplace_back(
      "transformers loads experts only where all have one scheme, float8_e4m3 or integers that are symmetric and "
      "without activation_bits: this folder it cannot load");
}

bool is_of_sentence_transformers(const Companion* companion) {
  return companion != nullptr &&
         std::ranges::find(companion->files, "modules.json", &CompanionFile::name) != companion->files.end();
}

std::vector<std::string> notes_of(const Layers& layers, const Companion* companion) {
  std::vector<std::string> notes;
  if (!layers.groups.empty() && is_of_sentence_transformers(companion)) {
    notes.emplace_back(
        "sentence-transformers 6 does not decode compressed-tensors, 5 and transformers do: for 6 write fp8 or "
        "bitsandbytes");
  }
  if (layers.conv1d > 0) {
    notes.push_back(formatted("{} layers are Conv1D, which compressed-tensors cannot hold: they stay float{}",
                              layers.conv1d,
                              layers.groups.empty() ? "; for smaller weights write safetensors or GGUF" : ""));
  }
  const bool is_plain = needs_plain_weights(companion);
  if (std::ranges::any_of(layers.groups, &Group::is_packed)) add_note_on_plain_models(notes, companion);
  if (!is_plain && std::ranges::any_of(layers.groups, [](const Group& group) {
        return group.has_packed_integers() && group.weights["symmetric"] == false;
      })) {
    notes.emplace_back(
        "zero points beside packed weights are loaded by vLLM and by transformers 5.17, and refused by transformers "
        "5.24 with compressed-tensors 0.20: symmetric weights are loaded by all");
  }
  if (is_plain && std::ranges::any_of(layers.groups, [](const Group& group) {
        return group.layout == &kIntQuantizedLayout && !group.has_activations;
      })) {
    notes.emplace_back(
        "int8 is stored as int-quantized, as transformers needs it for this model; vLLM takes that with "
        "activation_bits=8 "
        "only");
  }
  if (layers.groups.size() > 1 && renames_modules(companion)) {
    notes.emplace_back(
        "modules of this model may have other names than its tensors, and the config names layers by their tensors: "
        "load "
        "the folder to see, or use one scheme for all layers");
  }
  note_experts(notes, layers);
  return notes;
}

}  // namespace

FolderQuantization describe_compressed_tensors(const Plan& plan, const Companion* companion) {
  const Layers layers = sort_layers(plan);
  FolderQuantization result{nullptr, notes_of(layers, companion)};
  if (layers.groups.empty()) return result;
  if (const FolderLoader& loader = folder_loader(companion); !loader.loads_compressed_tensors) {
    result.notes.push_back(formatted("{} does not load compressed-tensors: monoquant reads this folder", loader.name));
  }
  add_note_on_experts(result.notes, plan, companion);
  std::vector<std::string> ignore = layers.left;
  if (renames_modules(companion)) std::ranges::copy(patterns_of(layers.left, true), std::back_inserter(ignore));
  add_names_in_transformers(ignore, companion);
  add_heads(ignore, plan, companion);
  const std::string_view layout = layers.groups.front().layout->name;
  const bool is_mixed =
      std::ranges::any_of(layers.groups, [&](const Group& group) { return group.layout->name != layout; });
  result.config = Json{{"quant_method", kCompressedTensorsMethod.quant_method},
                       {"format", is_mixed ? "mixed-precision" : layout},
                       {"quantization_status", "compressed"},
                       {"ignore", ignore},
                       {"kv_cache_scheme", nullptr},
                       {"config_groups", groups_json(layers.groups, is_mixed, companion)}};
  return result;
}

// What its readers look for beside a weight, whatever its scheme.
constexpr std::array kSuffixes{compressed_tensors::kPackedSuffix, compressed_tensors::kScaleSuffix,
                               compressed_tensors::kZeroPointSuffix, compressed_tensors::kShapeSuffix,
                               compressed_tensors::kGlobalScaleSuffix};

const Format kCompressedTensorsFormat{
    .name = "compressed-tensors",
    .open_sink = open_compressed_tensors_sink,
    .storage = {.title = "compressed-tensors",
                .advice = "leave the key unset, or write safetensors",
                .layout = &kPackQuantizedLayout,
                .rule = rule_of_compressed_tensors,
                .choose_layout = layout_for_model,
                .suffixes = kSuffixes,
                .is_for_fused_layers = true,
                .experts = ExpertForm::kApart},
    .is_folder = true,
    .quantization = &kCompressedTensorsMethod,
};

}  // namespace mnq
