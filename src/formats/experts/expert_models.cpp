#include "formats/experts/expert_models.h"

#include <algorithm>
#include <array>

#include "base/text/format.h"

namespace mnq {
namespace {

constexpr ExpertNames kNamed{"gate_proj", "up_proj", "down_proj"};
constexpr ExpertNames kNumbered{"w1", "w3", "w2"};
constexpr ExpertNames kUnnamed{"", "fc1", "fc2"};
constexpr std::string_view kSwitch = "switch_mlp", kExperts = "experts";
constexpr ExpertBlock kSparse{"block_sparse_moe", "gate"}, kSparseOfRouter{"block_sparse_moe", "router"};

// Sources: transformers 5.24, conversion_mapping.py: what it merges, and quantizers/base.py for llama4; vLLM's
// load_weights of granitemoe and qwen3_vl_moe, and its modules where there is a block; mlx-lm, models/*.py: the modules
// that its own files name.
constexpr auto kModels = std::to_array<ExpertModel>({
    {"Klear", nullptr, kExperts},
    {"afmoe", &kNamed, kExperts},
    {"axk1", &kNamed},
    {"axk2", &kNamed},
    {"bailing_hybrid", &kNamed, kSwitch},
    {"cohere2_moe", &kNamed},
    {"deepseek_v2", &kNamed, kSwitch},
    {"deepseek_v3", &kNamed, kSwitch},
    {"deepseek_v32", &kNamed, kSwitch},
    {"deepseek_v4", &kNumbered},
    {"dots1", &kNamed, kExperts},
    {"ernie4_5_moe", &kNamed, kSwitch},
    {"exaone_moe", &kNamed, kSwitch},
    {"flex_olmo", &kNamed},
    {"gemma4", nullptr, "experts.switch_glu"},
    {"gemma4_text", nullptr, "experts.switch_glu"},
    {"glm4_moe", &kNamed, kSwitch},
    {"glm4_moe_lite", &kNamed, kSwitch},
    {"glm4v_moe", &kNamed},
    {"glm5_next", &kNamed},
    {"glm5_next_text", &kNamed},
    {"glm_moe_dsa", &kNamed, kSwitch},
    {"gpt_oss", nullptr, kExperts, nullptr, false, true},
    {"granitemoe", &kNumbered, kSwitch, nullptr, true},
    {"granitemoehybrid", &kNumbered, kSwitch, nullptr, true},
    {"granitemoeshared", &kNumbered, "", nullptr, true},
    {"hunyuan_v1_moe", &kNamed},
    {"hy_v3", &kNamed},
    {"jamba", &kNamed, kSwitch},
    {"kimi_k3", nullptr, ""},
    {"kimi_linear", &kNumbered, "", &kSparse},
    {"laguna", &kNamed, kSwitch},
    {"lfm2_moe", &kNumbered, kSwitch},
    {.type = "llama4", .apart = &kNamed, .stacked = kExperts, .is_apart_as_codes = true},
    {.type = "llama4_text", .apart = &kNamed, .stacked = kExperts, .is_apart_as_codes = true},
    {"longcat_flash", &kNamed, kSwitch},
    {"mellum", &kNamed, kSwitch},
    {"mimo_v2_flash", &kNamed, kSwitch},
    {"minimax", &kNumbered, kSwitch, &kSparse},
    {"minimax_m2", &kNumbered, kSwitch, &kSparse},
    {"mistral4", nullptr, kSwitch},
    {"mixtral", &kNumbered, kSwitch, &kSparse},
    {.type = "nemotron_h", .apart = &kNamed, .stacked = kSwitch, .in_stack = &kUnnamed},
    {"olmoe", &kNamed, kSwitch},
    {"phimoe", &kNumbered, kSwitch, &kSparseOfRouter},
    {"qwen2_moe", &kNamed, kSwitch},
    {"qwen3_5_moe", &kNamed, kSwitch},
    {"qwen3_5_moe_text", &kNamed, kSwitch},
    {"qwen3_moe", &kNamed, kSwitch},
    {"qwen3_next", &kNamed},  // of stacks mlx-lm does not take norms as the model's files have them
    {"qwen3_omni_moe", &kNamed},
    {"qwen3_vl_moe", &kNamed, kSwitch, nullptr, true},
    {"qwen3_vl_moe_text", &kNamed, kSwitch, nullptr, true},
    {"solar_open", &kNamed, kSwitch},
});

// The first layer of one expert that has codes; empty: there is none.
std::string_view find_coded_expert(const Plan& plan) {
  for (const PlannedTensor& planned : plan.tensors) {
    const std::string_view name = planned.layer.name.name;
    if (has_codes(planned, plan.logical[planned.logical]) && is_of_one_expert(name)) return name;
  }
  return "";
}

bool is_numbered(std::string_view layer) {
  const std::string_view name = layer.substr(layer.rfind('.') + 1);
  return name == kNumbered.gate || name == kNumbered.up || name == kNumbered.down;
}

}  // namespace

const ExpertModel* find_expert_model(const Companion* companion) {
  if (companion == nullptr) return nullptr;
  for (const std::string& type : companion->model_types) {
    const auto found = std::ranges::find(kModels, std::string_view(type), &ExpertModel::type);
    if (found != kModels.end()) return &*found;
  }
  return nullptr;
}

// mlx-lm's models that are in no row have all the same name for it.
std::string_view stacked_module(const Companion& companion) {
  if (companion.model_types.empty()) return "";
  const ExpertModel* model = find_expert_model(&companion);
  return model == nullptr ? kSwitch : model->stacked;
}

std::span<const ExpertNames> names_apart() {
  static constexpr std::array<ExpertNames, 2> kAll{kNamed, kNumbered};
  return kAll;
}

const ExpertNames& names_in_stack(const ExpertModel* model) {
  return model == nullptr || model->in_stack == nullptr ? kNamed : *model->in_stack;
}

bool is_stack_in_mlx(std::string_view tensor) {
  for (const ExpertNames& names : {kNamed, kUnnamed}) {
    for (const std::string_view name : {names.gate, names.up, names.down}) {
      if (!name.empty() && tensor.ends_with(formatted(".{}.weight", name))) return true;
    }
  }
  return false;
}

bool has_floats_apart(const ExpertModel& model) {
  return model.apart != nullptr && !model.is_for_vllm_only && !model.is_apart_as_codes;
}

std::string note_on_float_experts(const TensorSource& source) {
  const ExpertModel* model = find_expert_model(source.companion());
  if (model == nullptr || has_floats_apart(*model)) return "";
  for (const LogicalTensor& tensor : source.weights()) {
    if (is_of_one_expert(tensor.name)) {
      return formatted("floats of experts one by one, as {}, are not loaded by transformers of a {}", tensor.name,
                       model->type);
    }
    if (tensor.shape.size() == 3 && is_stack_in_mlx(tensor.name)) {
      return formatted("floats of experts in stacks, as {}, are loaded by mlx-lm, but not by transformers, of a {}",
                       tensor.name, model->type);
    }
  }
  return "";
}

void add_note_on_experts(std::vector<std::string>& notes, const Plan& plan, const Companion* companion) {
  const ExpertModel* model = find_expert_model(companion);
  if (model == nullptr || !model->is_for_vllm_only || find_coded_expert(plan).empty()) return;
  notes.push_back(
      formatted("the experts of this {} lie one by one, as vLLM loads them: transformers does not", model->type));
}

void add_note_on_modules_of_experts(std::vector<std::string>& notes, const Plan& plan, const Companion* companion) {
  const std::string_view expert = find_coded_expert(plan);
  const ExpertModel* model = find_expert_model(companion);
  if (expert.empty()) return;
  if (is_numbered(expert)) {
    notes.emplace_back(
        "the experts are quantized one by one as w1, w2 and w3, as vLLM has them: gptqmodel and transformers do not "
        "load them");
  } else if (model != nullptr && model->is_for_vllm_only) {
    add_note_on_experts(notes, plan, companion);
  } else {
    notes.emplace_back("the experts are quantized one by one, as gptqmodel loads them: transformers does not");
  }
}

void add_names_in_transformers(std::vector<std::string>& layers, const Companion* companion) {
  const ExpertModel* model = find_expert_model(companion);
  if (model == nullptr || model->block == nullptr) return;
  const std::string module = formatted(".{}.", model->block->name);
  for (std::size_t i = 0, count = layers.size(); i < count; ++i) {
    const std::size_t at = layers[i].find(module);
    if (at == std::string::npos) continue;
    const std::string rest = layers[i].substr(at + module.size());
    layers.push_back(formatted("{}.mlp.{}", layers[i].substr(0, at), rest == "gate" ? model->block->router : rest));
  }
}

std::string reason_for_one_tensor(const Companion* companion) {
  if (companion == nullptr || companion->model_types.empty()) return "which no config.json says how to take apart";
  const std::string& type = companion->model_types.front();
  const ExpertModel* model = find_expert_model(companion);
  if (model != nullptr && model->apart != nullptr)
    return "which is taken apart where each row has codes of its own, and by quantize";
  return model != nullptr ? formatted("which none of its loaders is known to have otherwise in a {}", type)
                          : formatted("which it is not known how to take apart in a {}", type);
}

}  // namespace mnq
