// Settings as keys and values, and as JSON.
#include <cmath>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/json.h"
#include "base/text/text.h"
#include "base/text/utf8.h"
#include "config/config.h"
#include "config/config_table.h"

namespace mnq {
namespace {

// 4.0 is 4: many languages have one kind of number.
std::string number_text(const Json& value) {
  constexpr double kExact = 9007199254740992;  // 2^53
  const double number = value.get<double>();
  const bool is_whole = number == std::floor(number) && std::abs(number) <= kExact;
  return value.is_integer() || !is_whole ? value.dump() : std::to_string(static_cast<std::int64_t>(number));
}

// true -> "true", 4 -> "4", ["a", "b"] -> "a,b", null -> "auto"
std::string value_text(const std::string& key, const Json& value) {
  if (value.is_string()) return value.text();
  if (value.is_null()) return "auto";
  if (value.is_boolean()) return value.dump();
  if (value.is_number()) return number_text(value);
  if (value.is_array()) {
    std::string text;
    for (const Json& item : value) {
      const bool is_item = item.is_string() && item.text().find(',') == std::string::npos;
      if (!is_item) {
        throw Error(Status::kConfig, formatted("{}: a list must hold texts without commas only", key),
                    "write a list such as [\"encoder.*\", \"head\"]", key);
      }
      text += (text.empty() ? "" : ",") + item.text();
    }
    return text;
  }
  throw Error(Status::kConfig, formatted("{}: an object is not a value", key),
              "settings for some layers go into \"layers\": [{\"name\": GLOB, key: value}]", key);
}

void parse_for_layers(Settings& settings, const Json& list) {
  if (!list.is_array()) {
    throw Error(Status::kConfig, "layers: must be a list", "write \"layers\": [{\"name\": GLOB, key: value}]",
                "layers");
  }
  for (const Json& item : list) {
    if (!item.is_object() || !item.contains("name") || !item["name"].is_string()) {
      throw Error(Status::kConfig, "layers: each item must be an object with a \"name\"",
                  "write {\"name\": GLOB, key: value}", "layers");
    }
    const auto glob = item["name"].text();
    for (const auto& [key, value] : item.members()) {
      if (key != "name") set_value_for_layers(settings, glob, key, value_text(key, value));
    }
  }
}

void require_utf8(std::string_view what, std::string_view text) {
  if (is_utf8(text)) return;
  throw Error(Status::kConfig, formatted("{} '{}' is no UTF-8", what, valid_utf8(text)), "encode the text as UTF-8");
}

}  // namespace

void set_value(Settings& settings, std::string_view key, std::string_view value) {
  require_utf8("the key", key);
  require_utf8("the value", value);
  const ConfigKey& row = find_config_key(key);
  settings.all.insert_or_assign(std::string(row.name), normalize_value(row, value));
}

void set_value_for_layers(Settings& settings, std::string_view glob, std::string_view key, std::string_view value) {
  for (const std::string_view text : {glob, key, value}) require_utf8("a setting for layers", text);
  const ConfigKey& row = find_config_key(key);
  if (!row.per_layer) {
    throw Error(Status::kConfig, formatted("{}: cannot be set for some layers only", row.name),
                "set it for the whole job", std::string(row.name));
  }
  if (glob.empty()) throw Error(Status::kConfig, "the pattern for layers is empty", "use * for all layers");
  settings.for_layers.push_back({std::string(glob), std::string(row.name), normalize_value(row, value)});
  try {
    settings.globs[std::string(row.name)].insert(glob, settings.for_layers.size() - 1);
  } catch (...) {
    settings.for_layers.pop_back();
    throw;
  }
}

Settings parse_settings(const std::string& text) {
  Json json;
  try {
    json = parse_json(text);
  } catch (const Error& error) {
    throw Error(Status::kConfig, formatted("the configuration is not JSON: {}", error.message()),
                "pass an object such as {\"bits\": 4, \"group_size\": 128}");
  }
  if (!json.is_object()) {
    throw Error(Status::kConfig, "the configuration is JSON, but no object",
                "pass an object such as {\"bits\": 4, \"group_size\": 128}");
  }
  Settings settings;
  for (const auto& [key, value] : json.members()) {
    if (key == "layers") {
      parse_for_layers(settings, value);
    } else {
      set_value(settings, key, value_text(key, value));
    }
  }
  return settings;
}

std::string settings_json(const Settings& settings) {
  Json json = Json::object();
  for (const auto& [key, value] : settings.all) json.add(key, value);
  for (const Settings::ForLayers& item : settings.for_layers) {
    json["layers"].push_back({{"name", item.glob}, {item.key, item.value}});
  }
  return json.dump();
}

std::string config_keys_json() {
  Json keys = Json::array();
  for (const ConfigKey& key : all_config_keys()) {
    Json row{{"key", key.name}, {"type", key_type_name(key.type)}, {"default", key.default_value}};
    if (!key.choices.empty()) row["choices"] = split_list(key.choices);
    if (key.minimum < key.maximum) {
      row["minimum"] = key.minimum;
      row["maximum"] = key.maximum;
    }
    row["per_layer"] = key.per_layer;
    row["help"] = key.help;
    keys.push_back(std::move(row));
  }
  return keys.dump();
}

}  // namespace mnq
