// JSON whose text is to be kept: config.json of a Hugging Face folder, as Python's json writes it and as people edit
// it.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/text/json.h"

namespace mnq {

/// As parse_json, but takes NaN, Infinity and -Infinity, which Python's json writes: they are null.
Json parse_python_json(std::string_view text);

/// The text of an object, with this member; without it where the value is null. Every other byte is kept.
/// text: parse_python_json takes it.
std::string with_member(const std::string& text, std::string_view name, const Json& value);

using WriteText = std::function<void(std::string_view)>;

/// Hands over a text as JSON has it, in pieces of whole characters: of a long one there is never a second copy.
void write_quoted(std::string_view text, const WriteText& write);

/// The same without the quotes around it: for one of several pieces of whole characters.
void write_escaped(std::string_view text, const WriteText& write);

}  // namespace mnq
