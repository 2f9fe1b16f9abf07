// The library's JSON, read. What a compiler takes long for is done in json.cpp alone.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace cli {

using Json = nlohmann::ordered_json;

Json parse_json(std::string_view text);

/// An object whose members' texts may be very many, apart from the rest: Json, which keeps the order of members, looks
/// through all of them for each.
struct ParsedApart {
  Json rest;
  std::map<std::string, std::string> texts;
};
ParsedApart parse_apart(const std::string& text, const char* member);

/// As text in one line; what is not UTF-8 is replaced.
std::string dump(const Json& json);

/// A value that is a text.
std::string as_text(const Json& value);

/// A text of an object; "" where it has none.
std::string text_in(const Json& object, const char* name);

/// A number of an object; `otherwise` where it has none.
double number_in(const Json& object, const char* name, double otherwise = 0);

bool is_true(const Json& object, const char* name);

}  // namespace cli
