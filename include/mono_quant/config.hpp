// config.hpp - part of mono_quant.hpp: settings.
#ifndef MONO_QUANT_CONFIG_HPP
#define MONO_QUANT_CONFIG_HPP

#include <charconv>
#include <string>
#include <type_traits>

#include "handle.hpp"
#include "mono_quant.h"

namespace mono_quant {

namespace detail {

/// A number or truth value as settings take it, the same in every locale.
template <class Value>
std::string value_text(Value value) {
  if constexpr (std::is_same_v<Value, bool>) {
    return value ? "true" : "false";
  } else {
    char digits[32];  // more than the shortest form of any double or 64 bit integer
    return {digits, std::to_chars(digits, digits + sizeof digits, value).ptr};
  }
}

}  // namespace detail

/// Settings as keys and values; keys_json() lists them, "Who wins" in mono_quant.h says which holds.
class Config : public detail::Owning<mnq_config, mnq_config_free> {
 public:
  using Owning::Owning;
  Config() : Config("{}") {}
  explicit Config(const std::string& json)
      : Owning(detail::make<mnq_config>(mnq_config_create, detail::c_text(json))) {}

  Config& set(const std::string& key, const std::string& value) {
    detail::call(mnq_config_set, get(), detail::c_text(key), detail::c_text(value));
    return *this;
  }
  Config& set(const std::string& key, detail::Number auto value) { return set(key, detail::value_text(value)); }

  Config& set_for_layers(const std::string& glob, const std::string& key, const std::string& value) {
    detail::call(mnq_config_set_for_layers, get(), detail::c_text(glob), detail::c_text(key), detail::c_text(value));
    return *this;
  }
  Config& set_for_layers(const std::string& glob, const std::string& key, detail::Number auto value) {
    return set_for_layers(glob, key, detail::value_text(value));
  }

  /// Throws Error (CONFIG) for a combination that cannot be.
  void validate() const { detail::call(mnq_config_validate, get()); }
  std::string json() const { return detail::text(mnq_config_to_json, get()); }
  static std::string keys_json() { return detail::text(mnq_config_list_keys); }
};

}  // namespace mono_quant

#endif  // MONO_QUANT_CONFIG_HPP
