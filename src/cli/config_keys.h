// The keys of the library's config, as it lists them itself.
#pragma once

#include <string>
#include <string_view>

#include "cli/json.h"

namespace cli {

/// All keys: "key", "type", "default", "choices" and so on. Errors: those of the library.
Json list_config_keys();

/// What a key may be: its choices, with the last one behind `before_last`, or its type.
std::string values_of_key(const Json& key, std::string_view before_last = ", ");

/// "qint8, quint8 or float16", of a key with choices.
std::string choices_of(std::string_view key);

}  // namespace cli
