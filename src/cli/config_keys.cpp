#include "cli/config_keys.h"

#include <algorithm>

#include "cli/handles.h"

namespace cli {

Json list_config_keys() { return parse_json(text_of(make<Buffer>(mnq_config_list_keys))); }

std::string values_of_key(const Json& key, std::string_view before_last) {
  if (!key.contains("choices")) return text_in(key, "type");
  const Json& choices = key["choices"];
  std::string text;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) text += i + 1 < choices.size() ? ", " : before_last;
    text += as_text(choices[i]);
  }
  return text;
}

std::string choices_of(std::string_view key) {
  const Json keys = list_config_keys();
  const auto found = std::ranges::find_if(keys, [&](const Json& each) { return text_in(each, "key") == key; });
  return found == keys.end() ? "" : values_of_key(*found, " or ");
}

}  // namespace cli
