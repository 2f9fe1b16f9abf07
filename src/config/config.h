// Settings and what they come to for one layer or for the whole job.
//
// Who wins: settings for layers (the last whose glob matches) over settings for all; among each, those of the call over
// those of the config; then the defaults. "auto" is as good as unset.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/quantized_weight.h"
#include "base/text/glob_set.h"
#include "methods/method.h"
#include "schemes/scheme.h"

namespace mnq {

/// Keys and values as they were set; every key and value in it was checked.
struct Settings {
  struct ForLayers {
    std::string glob;
    std::string key;
    std::string value;
  };
  std::map<std::string, std::string, std::less<>> all;
  std::vector<ForLayers> for_layers;                  ///< in the order they were set
  std::map<std::string, GlobSet, std::less<>> globs;  ///< of each key; ranks are indices of for_layers
};

/// Errors of all: kConfig, naming the key.
void set_value(Settings& settings, std::string_view key, std::string_view value);
void set_value_for_layers(Settings& settings, std::string_view glob, std::string_view key, std::string_view value);
Settings parse_settings(const std::string& json);
std::string settings_json(const Settings& settings);

/// Every key as a JSON list of objects: "key", "type", "default", "per_layer", "help".
std::string config_keys_json();

/// A layer as settings see it: its dotted name and the name of its weight. Both empty: no layer in particular. Views of
/// what the source holds: with 100,000 layers copies of both took 16 MB.
struct LayerName {
  std::string_view name;
  std::string_view tensor;
  std::string_view origin = {};  ///< the tensor of the input that it is a part of; empty: none but its own

  /// All by which settings may call it; some may be empty, or the same.
  std::array<std::string_view, 3> all() const { return {name, tensor, origin}; }
};

/// "encoder.0.query.weight" where a layer is given by either of its names: "encoder.0.query" or that.
std::string weight_name_from(std::string_view name);

/// A layer by the name of its weight, of which it is a view.
LayerName layer_name_from(std::string_view weight);

enum class ValueSource { kDefault, kConfig, kCall, kConfigLayers, kCallLayers };
std::string_view value_source_text(ValueSource source);

struct FoundValue {
  std::string value;
  ValueSource source = ValueSource::kDefault;
};

/// The settings of a config and of the call that uses it. Either may be null. A view: valid while both are.
class Config {
 public:
  Config(const Settings* config, const Settings* call) : config_(config), call_(call) {}

  /// The value that holds, as it was set; "auto" or the default where nobody set it.
  FoundValue find(std::string_view key, const LayerName& layer = {}) const;

  bool flag(std::string_view key) const { return find(key).value == "true"; }
  std::vector<std::string> list(std::string_view key) const;

  /// The globs of all settings for layers, each once.
  std::vector<std::string> layer_globs() const;

 private:
  const Settings* config_;
  const Settings* call_;
};

/// What the settings make of one layer. Errors: kConfig for a combination that cannot be, with what would be right.
struct LayerSettings {
  const Scheme* scheme = nullptr;
  Granularity granularity = Granularity::kChannel;
  bool symmetric = true;
  std::uint64_t group_size = 0;
  std::uint64_t group_rows = 1;
  std::optional<std::int64_t> channel_axis;  ///< as set; may be negative
  std::uint64_t min_parameters = 0;
  bool copies_nonfinite = false;
  const Method* method = nullptr;
  bool is_method_set = false;  ///< not its default
  bool positive_scales = false;
};
LayerSettings resolve_layer(const Config& config, const LayerName& layer);

enum class AccuracyWarning { kWarn, kError, kIgnore };

/// What the settings make of the job as a whole. Errors: kConfig.
struct JobSettings {
  AccuracyWarning accuracy_warning = AccuracyWarning::kWarn;
  double sqnr_warning_db = 20;
  double sqnr_critical_db = 10;
  bool measures_experts = false;  ///< each by itself, where a weight is of them all
  std::uint32_t threads = 1;
  std::uint64_t memory_budget = 0;  ///< bytes
  bool overwrite = false;
  std::uint64_t max_shard_size = 0;  ///< bytes
  bool is_shard_size_set = false;    ///< not its default
  bool is_resumed = false;
  std::uint32_t part = 0;        ///< from 0, of part_count
  std::uint32_t part_count = 0;  ///< 0: not split
  std::string tensors_key;       ///< empty: found
};
JobSettings resolve_job(const Config& config);

/// The value that holds for a key, with those resolved that follow from others. Errors: kConfig.
FoundValue resolve_value(const Config& config, const LayerName& layer, std::string_view key);

/// Checks every combination that settings can come to: for no layer in particular and for each glob. Errors: kConfig.
void validate_settings(const Config& config, const Settings& settings);

}  // namespace mnq
