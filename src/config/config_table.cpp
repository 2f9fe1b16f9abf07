#include "config/config_table.h"

#include <algorithm>
#include <deque>
#include <vector>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/text.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

constexpr double kMebi = 1024.0 * 1024.0;

constexpr std::string_view kLayerKinds =
    "Linear,Conv1d,Conv2d,Conv3d,ConvTranspose1d,ConvTranspose2d,ConvTranspose3d,Embedding,LSTM,GRU,RNN,LSTMCell,"
    "GRUCell,RNNCell,Conv1D,Experts";

// Where a help ends with a colon or "where unset", what the scheme table says follows: see kOfSchemes.
constexpr ConfigKey kKeys[] = {
    {.name = "dtype",
     .per_layer = true,
     .help = "what weights become; where unset it follows bits",
     .is_of_quantizing = true},
    {.name = "bits",
     .per_layer = true,
     .help = "bits a weight; follows dtype where unset; fewer than those of an integer dtype mean its narrower kind",
     .is_of_quantizing = true},
    {.name = "symmetric",
     .type = KeyType::kBool,
     .per_layer = true,
     .help = "zero point 0; where unset the scheme decides: ",
     .is_of_quantizing = true},
    {.name = "per_channel",
     .type = KeyType::kBool,
     .default_value = "true",
     .per_layer = true,
     .help = "a scale for each output channel; false: one for the whole tensor (8 bits only)",
     .is_of_quantizing = true},
    {.name = "group_size",
     .type = KeyType::kInteger,
     .per_layer = true,
     .minimum = 0,
     .maximum = 65536,
     .help = "consecutive input elements that share a scale; 0: a whole channel; where unset ",
     .is_of_quantizing = true},
    {.name = "block",
     .per_layer = true,
     .choices = "128x128",
     .help =
         "a scale for each block of so many outputs and inputs, in place of channels and groups: for floats of 8 bits",
     .is_of_quantizing = true},
    {.name = "channel_axis",
     .type = KeyType::kInteger,
     .per_layer = true,
     .minimum = -16,
     .maximum = 15,
     .help = "the axis of the output channels; negative counts from the end; where unset it follows the layer's kind",
     .is_of_quantizing = true},
    {.name = "method",
     .per_layer = true,
     .choices = "minmax,search",
     .help = "how scales are chosen: for the largest weight, or by a search for those whose codes lose least; where "
             "unset a search below 8 bits",
     .is_of_quantizing = true},
    {.name = "positive_scales",
     .type = KeyType::kBool,
     .default_value = "false",
     .per_layer = true,
     .help = "keep the scales of a search above 0, for readers that need it; costs accuracy",
     .is_of_quantizing = true},
    {.name = "kind",
     .per_layer = true,
     .choices = kLayerKinds,
     .help = "what a layer is, where its name and shape do not tell or mislead: give it for layers",
     .is_of_quantizing = true},
    {.name = "layer_types",
     .type = KeyType::kList,
     .choices = kLayerKinds,
     .help = "quantize only layers of these kinds",
     .is_of_quantizing = true},
    {.name = "only",
     .type = KeyType::kList,
     .help = "quantize only layers whose name, or whose tensor's name, matches one of these patterns",
     .is_of_quantizing = true},
    {.name = "skip",
     .type = KeyType::kList,
     .help = "leave layers that match one of these patterns as they are; a layer that `only` names exactly is not "
             "skipped",
     .is_of_quantizing = true},
    {.name = "min_parameters",
     .type = KeyType::kInteger,
     .per_layer = true,
     .minimum = 0,
     .maximum = 9e15,
     .help = "leave smaller weights as they are; where unset ",
     .is_of_quantizing = true},
    {.name = "nonfinite",
     .default_value = "error",
     .per_layer = true,
     .choices = "error,copy",
     .help = "a weight with NaN or infinity: stop, or keep that tensor as it was and say so",
     .is_of_quantizing = true},
    {.name = "accuracy_warning",
     .default_value = "warn",
     .choices = "warn,error,ignore",
     .help = "what to do with a layer below sqnr_warning_db",
     .is_of_quantizing = true},
    {.name = "sqnr_warning_db",
     .type = KeyType::kNumber,
     .default_value = "20",
     .minimum = -1000,
     .maximum = 1000,
     .help = "accuracy below which a layer is warned of",
     .is_of_quantizing = true},
    {.name = "sqnr_critical_db",
     .type = KeyType::kNumber,
     .default_value = "10",
     .minimum = -1000,
     .maximum = 1000,
     .help = "accuracy below which the warning is critical",
     .is_of_quantizing = true},
    {.name = "expert_accuracy",
     .type = KeyType::kBool,
     .default_value = "false",
     .help = "report the accuracy of each expert, too, where one tensor holds them all",
     .is_of_quantizing = true},
    {.name = "threads",
     .type = KeyType::kInteger,
     .minimum = 0,
     .maximum = 1024,
     .help = "threads that work, at most one for each CPU; where unset, or 0, that many"},
    {.name = "memory_budget",
     .type = KeyType::kSize,
     .default_value = "256MiB",
     .minimum = 16 * kMebi,
     .maximum = 1e18,
     .help = "memory for the weights that are being worked on; the model's list of tensors and one tensor's scales "
             "come on top"},
    {.name = "activations",
     .default_value = "dynamic",
     .choices = "dynamic,float",
     .help = "when a module runs here: in integers Linear layers and 1 x 1 convolutions of int8 and int4, and other "
             "convolutions of int8 on CPUs that add their products exactly; or as the file holds them"},
    {.name = "symmetric_activations",
     .type = KeyType::kBool,
     .default_value = "false",
     .help = "packed layers (mnq_linear): quantize activations without a zero point"},
    {.name = "format",
     .choices = "safetensors,pytorch,gguf,torchscript,compressed-tensors,folder,gptq,mlx,awq,fp8,comfyui,bitsandbytes",
     .help = "what to write; where unset the output's extension says it, and a folder is compressed-tensors"},
    {.name = "float_dtype",
     .choices = "bfloat16,float16,float32",
     .help = "what quantized weights become when they are dequantized; where unset what they were"},
    {.name = "tensors_key",
     .type = KeyType::kText,
     .help = "of a PyTorch checkpoint: the dict with the tensors, as model.ema; where unset it is found"},
    {.name = "max_shard_size",
     .type = KeyType::kSize,
     .default_value = "5GiB",
     .minimum = 1,
     .maximum = 1e18,
     .help = "folders: bytes of a shard, unless one tensor alone has more; where unset and shard=I/N, N shards at "
             "least"},
    {.name = "shard",
     .type = KeyType::kText,
     .help = "folders: I/N makes the I-th of N parts only, merge puts them together"},
    {.name = "resume",
     .type = KeyType::kBool,
     .default_value = "false",
     .help = "folders: go on with what an earlier run of the same job has finished"},
    {.name = "activation_bits",
     .per_layer = true,
     .choices = "8,none",
     .help = "compressed-tensors: 8 lets readers quantize the activations of int8 layers too (W8A8); none takes it "
             "back for some layers"},
    {.name = "overwrite",
     .type = KeyType::kBool,
     .default_value = "false",
     .help = "replace an output file that is there already"},
};

// What holds where a key is unset, scheme by scheme.
struct SchemeDefault {
  std::string_view key;
  std::string (*of)(const Scheme& scheme);
};
constexpr SchemeDefault kOfSchemes[] = {
    {"symmetric", [](const Scheme& scheme) -> std::string { return scheme.symmetric_default ? "true" : "false"; }},
    {"group_size", [](const Scheme& scheme) { return std::to_string(scheme.group_size_default); }},
    {"min_parameters", [](const Scheme& scheme) { return std::to_string(scheme.min_parameters_default); }},
};

// A text that lives as long as the keys.
std::string_view keep(std::string text) {
  static std::deque<std::string> kept;
  return kept.emplace_back(std::move(text));
}

std::vector<ConfigKey> make_keys() {
  std::vector<ConfigKey> keys(std::begin(kKeys), std::end(kKeys));
  const auto at = [&](std::string_view name) -> ConfigKey& { return *std::ranges::find(keys, name, &ConfigKey::name); };
  at("dtype").default_value = default_scheme().name;
  at("dtype").choices = keep(list_chosen_schemes());
  at("bits").choices = keep(list_code_bits());
  for (const SchemeDefault& row : kOfSchemes) {
    at(row.key).help = keep(std::string(at(row.key).help) + list_by_default(row.of));
  }
  return keys;
}

[[noreturn]] void fail_value(const ConfigKey& key, std::string_view value, const std::string& expected) {
  throw Error(Status::kConfig, formatted("{}: '{}' is not {}", key.name, value, expected),
              suggest_name(value, split_list(key.choices), formatted("{}: {}", key.name, key.help)),
              std::string(key.name));
}

void check_choice(const ConfigKey& key, std::string_view value) {
  const auto choices = split_list(key.choices);
  if (std::ranges::find(choices, value) == choices.end()) fail_value(key, value, formatted("one of {}", key.choices));
}

void check_range(const ConfigKey& key, std::string_view value, double number) {
  if (!(number >= key.minimum && number <= key.maximum)) {
    fail_value(key, value, formatted("between {} and {}", key.minimum, key.maximum));
  }
}

}  // namespace

std::span<const ConfigKey> all_config_keys() {
  static const std::vector<ConfigKey> keys = make_keys();
  return keys;
}

const ConfigKey& find_config_key(std::string_view name) {
  const auto keys = all_config_keys();
  const auto found = std::ranges::find(keys, name, &ConfigKey::name);
  if (found != keys.end()) return *found;
  std::vector<std::string> names;
  for (const ConfigKey& key : keys) names.emplace_back(key.name);
  throw Error(Status::kConfig, formatted("'{}' is not a configuration key", name),
              suggest_name(name, names, "the list of keys says which there are"), std::string(name));
}

std::string normalize_value(const ConfigKey& key, std::string_view text) {
  const std::string_view value = trimmed(text);
  if (value == "auto") return std::string(value);  // unset: the default holds
  switch (key.type) {
    case KeyType::kChoice:
      check_choice(key, value);
      break;
    case KeyType::kBool:
      if (value != "true" && value != "false") fail_value(key, value, "true or false");
      break;
    case KeyType::kInteger: {
      const auto number = parse_int(value);
      if (!number) fail_value(key, value, "a whole number");
      check_range(key, value, static_cast<double>(*number));
      break;
    }
    case KeyType::kNumber: {
      const auto number = parse_number(value);
      if (!number) fail_value(key, value, "a number");
      check_range(key, value, *number);
      break;
    }
    case KeyType::kSize: {
      const auto size = parse_size(value);
      if (!size) fail_value(key, value, "a size such as 1048576, 64MiB or 5GB");
      check_range(key, value, static_cast<double>(*size));
      break;
    }
    case KeyType::kList:
      if (key.choices.empty()) break;
      for (const std::string& item : split_list(value)) check_choice(key, item);
      break;
    case KeyType::kText:
      break;
  }
  return std::string(value);
}

std::string_view key_type_name(KeyType type) {
  switch (type) {
    case KeyType::kChoice:
      return "choice";
    case KeyType::kBool:
      return "boolean";
    case KeyType::kInteger:
      return "integer";
    case KeyType::kNumber:
      return "number";
    case KeyType::kSize:
      return "size";
    case KeyType::kText:
      return "text";
    case KeyType::kList:
      break;
  }
  return "list";
}

}  // namespace mnq
