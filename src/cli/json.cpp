#include "cli/json.h"

namespace cli {

Json parse_json(std::string_view text) { return Json::parse(text); }

ParsedApart parse_apart(const std::string& text, const char* member) {
  auto whole = nlohmann::json::parse(text);
  ParsedApart parsed;
  for (const auto& [name, value] : whole[member].items()) parsed.texts.emplace(name, value.get<std::string>());
  whole.erase(member);
  parsed.rest = whole;
  return parsed;
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string as_text(const Json& value) { return value.get<std::string>(); }

std::string text_in(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

double number_in(const Json& object, const char* name, double otherwise) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<double>() : otherwise;
}

bool is_true(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

}  // namespace cli
