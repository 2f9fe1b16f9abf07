// Every key of the configuration: name, type, what it may be, default, help. The one list behind JSON, key and value,
// the command line's help and mnq_config_list_keys. To add a key: a row in config_table.cpp, and its use.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace mnq {

enum class KeyType { kChoice, kBool, kInteger, kNumber, kSize, kList, kText };

struct ConfigKey {
  std::string_view name;
  KeyType type = KeyType::kChoice;
  std::string_view default_value = "auto";  ///< "auto": follows from other keys or from the model
  bool per_layer = false;                   ///< may be set for some layers
  std::string_view choices = "";            ///< kChoice, and of kList the items where not any will do: comma-separated
  double minimum = 0;                       ///< kInteger, kNumber, kSize: the range
  double maximum = 0;
  std::string_view help;
  bool is_of_quantizing = false;  ///< jobs that do not choose how weights are quantized have no use for it
};

std::span<const ConfigKey> all_config_keys();

/// Throws kConfig for a name that is none, with the nearest one that is.
const ConfigKey& find_config_key(std::string_view name);

/// The value as it is kept: trimmed and checked. Throws kConfig, naming the key, for one the key cannot have.
std::string normalize_value(const ConfigKey& key, std::string_view value);

/// "choice", "boolean"...
std::string_view key_type_name(KeyType type);

}  // namespace mnq
