#include "config/config_table.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"
#include "base/format.h"
#include "base/text.h"

namespace mnq {
namespace {

constexpr double kMebi = 1024.0 * 1024.0;

constexpr std::array kKeys{
    ConfigKey{"dtype", KeyType::kChoice, "qint8", true, "qint8,quint8,qint4,float16", 0, 0,
              "what weights become; where unset it follows bits", true},
    ConfigKey{"bits", KeyType::kChoice, "auto", true, "4,8,16", 0, 0,
              "bits a weight; follows dtype where unset; 4 with qint8 means qint4", true},
    ConfigKey{"symmetric", KeyType::kBool, "auto", true, "", 0, 0,
              "zero point 0; where unset the scheme decides: true for qint8 and qint4, false for quint8", true},
    ConfigKey{"per_channel", KeyType::kBool, "true", true, "", 0, 0,
              "a scale for each output channel; false: one for the whole tensor (8 bits only)", true},
    ConfigKey{
        "group_size", KeyType::kInteger, "auto", true, "", 0, 65536,
        "consecutive input elements that share a scale; 0: a whole channel; where unset 128 for qint4, 0 for others",
        true},
    ConfigKey{"channel_axis", KeyType::kInteger, "auto", true, "", -16, 15,
              "the axis of the output channels; negative counts from the end; where unset it follows the layer's kind",
              true},
    ConfigKey{
        "layer_types", KeyType::kList, "auto", false,
        "Linear,Conv1d,Conv2d,Conv3d,ConvTranspose1d,ConvTranspose2d,ConvTranspose3d,Embedding,LSTM,GRU,RNN,LSTMCell,"
        "GRUCell,RNNCell,Conv1D,Experts",
        0, 0, "quantize only layers of these kinds", true},
    ConfigKey{"only", KeyType::kList, "auto", false, "", 0, 0,
              "quantize only layers whose name, or whose tensor's name, matches one of these patterns", true},
    ConfigKey{
        "skip", KeyType::kList, "auto", false, "", 0, 0,
        "leave layers that match one of these patterns as they are; a layer that `only` names exactly is not skipped",
        true},
    ConfigKey{"min_parameters", KeyType::kInteger, "auto", true, "", 0, 9e15,
              "leave smaller weights as they are; where unset 512 for qint4, 0 for others", true},
    ConfigKey{"nonfinite", KeyType::kChoice, "error", true, "error,copy", 0, 0,
              "a weight with NaN or infinity: stop, or keep that tensor as it was and say so", true},
    ConfigKey{"accuracy_warning", KeyType::kChoice, "warn", false, "warn,error,ignore", 0, 0,
              "what to do with a layer below sqnr_warning_db", true},
    ConfigKey{"sqnr_warning_db", KeyType::kNumber, "20", false, "", -1000, 1000,
              "accuracy below which a layer is warned of", true},
    ConfigKey{"sqnr_critical_db", KeyType::kNumber, "10", false, "", -1000, 1000,
              "accuracy below which the warning is critical", true},
    ConfigKey{"threads", KeyType::kInteger, "auto", false, "", 0, 1024,
              "threads that work, at most one for each CPU; where unset, or 0, that many"},
    ConfigKey{"memory_budget", KeyType::kSize, "256MiB", false, "", 16 * kMebi, 1e18,
              "memory for the weights that are being worked on; the model's list of tensors and one tensor's scales "
              "come on top"},
    ConfigKey{"activations", KeyType::kChoice, "dynamic", false, "dynamic,float", 0, 0,
              "when a module runs here: Linear layers of int8 in integer arithmetic, or as the file holds them"},
    ConfigKey{"format", KeyType::kChoice, "auto", false,
              "safetensors,pytorch,gguf,torchscript,compressed-tensors,folder", 0, 0,
              "what to write; where unset the output's extension says it, and a folder is compressed-tensors"},
    ConfigKey{"tensors_key", KeyType::kText, "auto", false, "", 0, 0,
              "of a PyTorch checkpoint: the dict with the tensors, as model.ema; where unset it is found"},
    ConfigKey{
        "max_shard_size", KeyType::kSize, "5GiB", false, "", 1, 1e18,
        "folders: bytes of a shard, unless one tensor alone has more; where unset and shard=I/N, N shards at least"},
    ConfigKey{"shard", KeyType::kText, "auto", false, "", 0, 0,
              "folders: I/N makes the I-th of N parts only, merge puts them together"},
    ConfigKey{"resume", KeyType::kBool, "false", false, "", 0, 0,
              "folders: go on with what an earlier run of the same job has finished"},
    ConfigKey{"activation_bits", KeyType::kChoice, "auto", true, "8,none", 0, 0,
              "compressed-tensors: 8 lets readers quantize the activations of int8 layers too (W8A8); none takes it "
              "back for some layers"},
    ConfigKey{"overwrite", KeyType::kBool, "false", false, "", 0, 0, "replace an output file that is there already"},
};

[[noreturn]] void fail_value(const ConfigKey& key, std::string_view value, const std::string& expected) {
  const std::string nearest = nearest_name(value, split_list(key.choices));
  throw Error(Status::kConfig, formatted("{}: '{}' is not {}", key.name, value, expected),
              nearest.empty() ? formatted("{}: {}", key.name, key.help) : formatted("did you mean '{}'?", nearest),
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

std::span<const ConfigKey> all_config_keys() { return kKeys; }

const ConfigKey& find_config_key(std::string_view name) {
  const auto found = std::ranges::find(kKeys, name, &ConfigKey::name);
  if (found != kKeys.end()) return *found;
  std::vector<std::string> names;
  for (const ConfigKey& key : kKeys) names.emplace_back(key.name);
  const std::string nearest = nearest_name(name, names);
  throw Error(Status::kConfig, formatted("'{}' is not a configuration key", name),
              nearest.empty() ? "the list of keys says which there are" : formatted("did you mean '{}'?", nearest),
              std::string(name));
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
