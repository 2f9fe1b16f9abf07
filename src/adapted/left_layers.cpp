#include "adapted/left_layers.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/text/glob.h"

namespace mnq {
namespace {

constexpr std::string_view kRegex = "re:";

// Behind the bracket that closes the one at `start`; the end where none does.
std::size_t skip_brackets(std::string_view text, std::size_t start) {
  const char open = text[start], close = open == '(' ? ')' : open == '[' ? ']' : '}';
  std::size_t depth = 0;
  for (std::size_t i = start; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == open) {
      ++depth;
    } else if (text[i] == close && --depth == 0) {
      return i + 1;
    }
  }
  return text.size();
}

// A glob that matches whatever the expression does, and maybe more: what is repeated, a choice or a class becomes a *.
std::string glob_of(std::string_view regex) {
  std::string glob;
  for (std::size_t i = 0; i < regex.size();) {
    const char c = regex[i];
    if (c == '|') return "*";
    if (c == '*' || c == '+' || c == '?' || c == '{') {
      if (!glob.empty()) glob.pop_back();
      glob += '*';
      i = c == '{' ? skip_brackets(regex, i) : i + 1;
    } else if (c == '(' || c == '[') {
      glob += '*';
      i = skip_brackets(regex, i);
    } else if (c == '\\') {
      glob += regex.substr(i + 1, 1) == "." ? '.' : '*';
      i += 2;
    } else {
      if (c != '^' && c != '$') glob += c == '.' ? '?' : c;
      ++i;
    }
  }
  return regex.ends_with('$') ? glob : glob + "*";
}

}  // namespace

bool may_mean(std::string_view pattern, std::string_view layer) {
  if (pattern.starts_with(kRegex)) return matches_glob(glob_of(pattern.substr(kRegex.size())), layer);
  return layer.find(pattern) != std::string_view::npos || matches_glob(pattern, layer) ||
         pattern.ends_with("." + std::string(layer));
}

bool may_leave(const Json& config, std::string_view layer) {
  constexpr std::array<std::string_view, 4> kLists{"ignore", "ignored_layers", "modules_to_not_convert",
                                                   "exclude_modules"};
  return std::ranges::any_of(kLists, [&](std::string_view key) {
    const Json* list = config.is_object() ? config.find(key) : nullptr;
    return list != nullptr && list->is_array() && std::ranges::any_of(list->elements(), [&](const Json& pattern) {
             return pattern.is_string() && may_mean(pattern.text(), layer);
           });
  });
}

}  // namespace mnq
