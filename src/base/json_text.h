// JSON whose text is to be kept: config.json of a Hugging Face folder, as Python's json writes it and as people edit it.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace mnq {

/// As parse_json, but takes NaN, Infinity and -Infinity, which Python's json writes: they are null.
Json parse_python_json(std::string_view text);

/// The text of an object, with this member; without it where the value is null. Every other byte is kept.
/// text: parse_python_json takes it.
std::string with_member(const std::string& text, std::string_view name, const Json& value);

}  // namespace mnq
