#include "config/config.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/text.h"
#include "base/threads.h"
#include "config/config_table.h"

namespace mnq {
namespace {

constexpr std::string_view kWeight = ".weight";

// The last setting for layers that matches; "auto" takes an earlier one back. A pattern stands for itself too:
// validate_settings takes it for the name of a layer.
const std::string* find_for_layer(const Settings* settings, std::string_view key, const LayerName& layer) {
  if (settings == nullptr) return nullptr;
  const auto globs = settings->globs.find(key);
  if (globs == settings->globs.end()) return nullptr;
  std::optional<std::size_t> last;
  std::string_view before;
  for (const std::string_view name : layer.all()) {
    if (name.empty() || name == before) continue;
    before = name;
    for (const auto& found : {globs->second.last_match(name), globs->second.find(name)}) {
      if (found) last = std::max(last.value_or(0), *found);
    }
  }
  if (!last) return nullptr;
  const std::string& value = settings->for_layers[*last].value;
  return value != "auto" ? &value : nullptr;
}

const std::string* find_for_all(const Settings* settings, std::string_view key) {
  if (settings == nullptr) return nullptr;
  const auto found = settings->all.find(key);
  return found != settings->all.end() && found->second != "auto" ? &found->second : nullptr;
}

bool is_for_layers(ValueSource source) { return source >= ValueSource::kConfigLayers; }

// Whether `value` was set on purpose together with `other`: not a general setting that a setting for this layer
// overrules.
bool contradicts(const FoundValue& value, const FoundValue& other) {
  return value.source != ValueSource::kDefault && is_for_layers(value.source) >= is_for_layers(other.source);
}

std::string describe(std::string_view key, const FoundValue& found) {
  return formatted("{}={} ({})", key, found.value, value_source_text(found.source));
}

[[noreturn]] void fail_combination(const LayerName& layer, std::string_view key, const std::string& what,
                                   const std::string& suggestion) {
  const std::string prefix = layer.name.empty() ? "" : formatted("layer {}: ", layer.name);
  throw Error(Status::kConfig, prefix + what, suggestion, std::string(layer.name.empty() ? key : layer.name));
}

// dtype and bits decide the scheme together: bits follow dtype where unset and the other way round; a scheme with fewer
// bits is the narrower one of its kind; anything else must agree.
const Scheme& resolve_scheme(const LayerName& layer, const FoundValue& dtype, const FoundValue& bits) {
  const Scheme& by_dtype = *find_scheme(dtype.value);
  if (bits.value == "auto") return by_dtype;
  const std::int64_t wanted = *parse_int(bits.value);
  if (has_bits(by_dtype, wanted)) return by_dtype;
  if (const Scheme* narrower = find_narrower_scheme(by_dtype, wanted)) return *narrower;
  const Scheme* by_bits = find_scheme_of_bits(wanted);
  if (dtype.source == ValueSource::kDefault && by_bits != nullptr) return *by_bits;
  // A setting for this layer overrules a general one: dtype for one layer of a job with bits=4, or bits for one.
  if (is_for_layers(dtype.source) && !is_for_layers(bits.source)) return by_dtype;
  if (is_for_layers(bits.source) && !is_for_layers(dtype.source) && by_bits != nullptr) return *by_bits;
  fail_combination(layer, "bits",
                   formatted("{} and {} cannot go together", describe("bits", bits), describe("dtype", dtype)),
                   bits_advice() + "; leave bits unset to follow dtype");
}

// Which of the two decided, to weigh other settings against: the one for this layer before a general one, else dtype.
const FoundValue& decider_of(const FoundValue& dtype, const FoundValue& bits) {
  const bool bits_are_nearer = is_for_layers(bits.source) && !is_for_layers(dtype.source);
  return bits_are_nearer || dtype.source == ValueSource::kDefault ? bits : dtype;
}

struct GroupChoice {
  Granularity granularity;
  std::uint64_t group_size;
  std::uint64_t group_rows = 1;
};

// The size of groups where each channel has some, or one scale (0).
std::uint64_t resolve_group_size(const LayerName& layer, const Scheme& scheme, const FoundValue& decider,
                                 const FoundValue& group_size) {
  const std::uint64_t by_default = scheme.group_size_default;
  if (group_size.value == "auto") return by_default;
  const auto wanted = static_cast<std::uint64_t>(*parse_int(group_size.value));
  if (!scheme.has_fixed_groups || wanted == by_default) return wanted;
  if (!contradicts(group_size, decider)) return by_default;
  fail_combination(
      layer, "group_size",
      formatted("{} has groups of {} only: {}", scheme.name, by_default, describe("group_size", group_size)),
      "leave group_size unset");
}

// One scale for each block of rows and columns; empty where that is not asked for.
std::optional<GroupChoice> resolve_blocks(const LayerName& layer, const Scheme& scheme, const FoundValue& decider,
                                          const Config& config) {
  constexpr std::uint64_t kSide = 128;
  const FoundValue block = config.find("block", layer);
  if (block.value == "auto") return std::nullopt;
  if (!scheme.may_be_in_blocks) {
    if (!contradicts(block, decider)) return std::nullopt;
    fail_combination(layer, "block", formatted("{} has no meaning for {}", describe("block", block), scheme.name),
                     "leave block unset, or use dtype=float8_e4m3");
  }
  for (const char* key : {"group_size", "per_channel"}) {
    const FoundValue other = config.find(key, layer);
    const bool is_another = other.value != "auto" && other.value != "true";
    if (!is_another || is_for_layers(other.source) < is_for_layers(block.source)) continue;
    if (is_for_layers(other.source) > is_for_layers(block.source)) return std::nullopt;
    fail_combination(layer, "block",
                     formatted("{} and {} cannot go together", describe("block", block), describe(key, other)),
                     "set one of the two");
  }
  return GroupChoice{Granularity::kGroup, kSide, kSide};
}

GroupChoice resolve_granularity(const LayerName& layer, const Scheme& scheme, const FoundValue& decider,
                                const FoundValue& per_channel, const FoundValue& group_size) {
  const bool group_is_set = group_size.value != "auto";
  const std::uint64_t wanted = resolve_group_size(layer, scheme, decider, group_size);
  if (per_channel.value == "false") {
    if (!scheme.may_be_per_tensor && contradicts(per_channel, decider)) {
      fail_combination(layer, "per_channel", formatted("{} has no single scale for a tensor", scheme.name),
                       "leave per_channel unset, or use 8 bits");
    }
    if (wanted > 0 && group_is_set && is_for_layers(group_size.source) == is_for_layers(per_channel.source)) {
      fail_combination(layer, "group_size",
                       formatted("{} and {} cannot go together", describe("per_channel", per_channel),
                                 describe("group_size", group_size)),
                       "set one of the two");
    }
    const bool group_overrules = group_is_set && is_for_layers(group_size.source);
    if (scheme.may_be_per_tensor && !group_overrules) return {Granularity::kTensor, 0};
  }
  return {wanted == 0 ? Granularity::kChannel : Granularity::kGroup, wanted};
}

void check_cast(const LayerName& layer, const Scheme& scheme, const FoundValue& decider, std::string_view key,
                const FoundValue& value) {
  if (!contradicts(value, decider) || value.value == "auto") return;
  fail_combination(layer, key, formatted("{} has no meaning for {}", describe(key, value), scheme.name),
                   formatted("leave {} unset, or use an integer dtype", key));
}

double number_of(const Config& config, std::string_view key) { return *parse_number(config.find(key).value); }

std::string bool_text(bool value) { return value ? "true" : "false"; }

}  // namespace

std::string weight_name_from(std::string_view name) {
  return std::string(name) + std::string(name.empty() || name.ends_with(kWeight) ? "" : kWeight);
}

LayerName layer_name_from(std::string_view weight) {
  const bool is_whole = !weight.ends_with(kWeight) || weight.size() == kWeight.size();
  return {is_whole ? weight : weight.substr(0, weight.size() - kWeight.size()), weight};
}

std::string_view value_source_text(ValueSource source) {
  switch (source) {
    case ValueSource::kDefault:
      return "default";
    case ValueSource::kConfig:
      return "config";
    case ValueSource::kCall:
      return "call";
    case ValueSource::kConfigLayers:
      return "config layers";
    case ValueSource::kCallLayers:
      break;
  }
  return "call layers";
}

FoundValue Config::find(std::string_view key, const LayerName& layer) const {
  const ConfigKey& row = find_config_key(key);
  if (!layer.name.empty() || !layer.tensor.empty()) {
    if (const auto* value = find_for_layer(call_, key, layer)) return {*value, ValueSource::kCallLayers};
    if (const auto* value = find_for_layer(config_, key, layer)) return {*value, ValueSource::kConfigLayers};
  }
  if (const auto* value = find_for_all(call_, key)) return {*value, ValueSource::kCall};
  if (const auto* value = find_for_all(config_, key)) return {*value, ValueSource::kConfig};
  return {std::string(row.default_value), ValueSource::kDefault};
}

std::vector<std::string> Config::list(std::string_view key) const {
  const FoundValue found = find(key);
  return found.value == "auto" ? std::vector<std::string>{} : split_list(found.value);
}

std::vector<std::string> Config::layer_globs() const {
  std::vector<std::string> globs;
  std::unordered_set<std::string_view> known;
  for (const Settings* settings : {config_, call_}) {
    if (settings == nullptr) continue;
    for (const Settings::ForLayers& item : settings->for_layers) {
      if (known.insert(item.glob).second) globs.push_back(item.glob);
    }
  }
  return globs;
}

LayerSettings resolve_layer(const Config& config, const LayerName& layer) {
  const FoundValue dtype = config.find("dtype", layer);
  const FoundValue bits = config.find("bits", layer);
  const FoundValue symmetric = config.find("symmetric", layer);
  const FoundValue per_channel = config.find("per_channel", layer);
  const FoundValue group_size = config.find("group_size", layer);
  const FoundValue channel_axis = config.find("channel_axis", layer);
  const FoundValue min_parameters = config.find("min_parameters", layer);
  LayerSettings settings;
  settings.scheme = &resolve_scheme(layer, dtype, bits);
  const Scheme& scheme = *settings.scheme;
  settings.symmetric = symmetric.value == "auto" ? scheme.symmetric_default : symmetric.value == "true";
  const FoundValue& decider = decider_of(dtype, bits);
  if (scheme.is_cast) {
    check_cast(layer, scheme, decider, "symmetric", symmetric);
    if (per_channel.value == "false") check_cast(layer, scheme, decider, "per_channel", per_channel);
    check_cast(layer, scheme, decider, "group_size", group_size);
    check_cast(layer, scheme, decider, "block", config.find("block", layer));
    settings.granularity = Granularity::kTensor;
  } else {
    if (scheme.book != nullptr && !settings.symmetric && contradicts(symmetric, decider)) {
      fail_combination(layer, "symmetric", formatted("{} has no zero points", scheme.name),
                       "leave symmetric unset, or use an integer dtype");
    }
    settings.symmetric = settings.symmetric || scheme.book != nullptr;
    const auto blocks = resolve_blocks(layer, scheme, decider, config);
    const GroupChoice choice = blocks ? *blocks : resolve_granularity(layer, scheme, decider, per_channel, group_size);
    settings.granularity = choice.granularity;
    settings.group_size = choice.group_size;
    settings.group_rows = choice.group_rows;
  }
  if (channel_axis.value != "auto") settings.channel_axis = *parse_int(channel_axis.value);
  settings.min_parameters = min_parameters.value == "auto"
                                ? scheme.min_parameters_default
                                : static_cast<std::uint64_t>(*parse_int(min_parameters.value));
  settings.copies_nonfinite = config.find("nonfinite", layer).value == "copy";
  const FoundValue method = config.find("method", layer);
  settings.is_method_set = method.value != "auto";
  settings.method = settings.is_method_set ? find_method(method.value) : &default_method(scheme);
  settings.positive_scales = config.find("positive_scales", layer).value == "true";
  return settings;
}

namespace {

// "2/3"
void resolve_part(const Config& config, JobSettings& job) {
  const std::string text = config.find("shard").value;
  if (text == "auto") return;
  const std::size_t slash = text.find('/');
  const auto part = parse_int(text.substr(0, slash));
  const auto count = slash == text.npos ? std::nullopt : parse_int(text.substr(slash + 1));
  if (!part || !count || *part < 1 || *count < *part || *count > 100000) {
    throw Error(Status::kConfig, formatted("shard: '{}' is no part I/N with I from 1 to N", text),
                "pass 1/3, 2/3 and 3/3 to split a job in three", "shard");
  }
  job.part = static_cast<std::uint32_t>(*part - 1);
  job.part_count = static_cast<std::uint32_t>(*count);
}

}  // namespace

JobSettings resolve_job(const Config& config) {
  JobSettings job;
  const std::string warning = config.find("accuracy_warning").value;
  job.accuracy_warning = warning == "error"    ? AccuracyWarning::kError
                         : warning == "ignore" ? AccuracyWarning::kIgnore
                                               : AccuracyWarning::kWarn;
  job.sqnr_warning_db = number_of(config, "sqnr_warning_db");
  job.sqnr_critical_db = number_of(config, "sqnr_critical_db");
  job.measures_experts = config.flag("expert_accuracy");
  const FoundValue threads = config.find("threads");
  job.threads = usable_thread_count(threads.value == "auto" || threads.value == "0"
                                        ? default_thread_count()
                                        : static_cast<std::uint32_t>(*parse_int(threads.value)));
  job.memory_budget = *parse_size(config.find("memory_budget").value);
  job.overwrite = config.flag("overwrite");
  const FoundValue shard_size = config.find("max_shard_size");
  job.max_shard_size = *parse_size(shard_size.value);
  job.is_shard_size_set = shard_size.source != ValueSource::kDefault;
  job.is_resumed = config.flag("resume");
  FoundValue tensors_key = config.find("tensors_key");
  if (tensors_key.value != "auto") job.tensors_key = std::move(tensors_key.value);
  resolve_part(config, job);
  if (job.sqnr_critical_db > job.sqnr_warning_db) {
    throw Error(
        Status::kConfig,
        formatted("sqnr_critical_db ({}) is above sqnr_warning_db ({})", job.sqnr_critical_db, job.sqnr_warning_db),
        "critical is the worse of the two: set it lower", "sqnr_critical_db");
  }
  return job;
}

FoundValue resolve_value(const Config& config, const LayerName& layer, std::string_view key) {
  FoundValue found = config.find(key, layer);
  const LayerSettings settings = resolve_layer(config, layer);
  if (key == "dtype") {
    // The scheme can come from bits: then whoever set those decided.
    if (found.value != settings.scheme->name) found.source = config.find("bits", layer).source;
    found.value = settings.scheme->name;
  }
  if (key == "bits") found.value = bits_text(*settings.scheme);
  if (key == "threads") found.value = std::to_string(resolve_job(config).threads);
  if (key == "min_parameters") found.value = std::to_string(settings.min_parameters);
  if (settings.scheme->is_cast) return found;
  if (key == "method") found.value = settings.method->name;
  if (key == "symmetric") found.value = bool_text(settings.symmetric);
  if (key == "per_channel") found.value = bool_text(settings.granularity != Granularity::kTensor);
  if (key == "group_size") found.value = std::to_string(settings.group_size);
  return found;
}

void validate_settings(const Config& config, const Settings& settings) {
  resolve_layer(config, {});
  for (const Settings::ForLayers& item : settings.for_layers) resolve_layer(config, {item.glob, item.glob});
  resolve_job(config);
}

}  // namespace mnq
