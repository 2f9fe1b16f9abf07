#include "base/text/glob.h"

#include <optional>

#include "base/text/utf8.h"

namespace mnq {
namespace {

char32_t take_character(std::string_view& text) {
  const Character character = first_character(text);
  text.remove_prefix(character.length);
  return character.code;
}

// Takes a set, after its [, off the pattern: whether the character is in it. Empty where the set has no end.
std::optional<bool> take_set(std::string_view& glob, char32_t character) {
  std::string_view rest = glob;
  const bool is_negated = rest.starts_with('!') || rest.starts_with('^');
  if (is_negated) rest.remove_prefix(1);
  bool found = false;
  for (bool is_first = true; !rest.empty(); is_first = false) {
    const char32_t low = take_character(rest);
    if (low == ']' && !is_first) {
      glob = rest;
      return found != is_negated;
    }
    char32_t high = low;
    if (rest.size() >= 2 && rest[0] == '-' && rest[1] != ']') {
      rest.remove_prefix(1);
      high = take_character(rest);
    }
    found = found || (low <= character && character <= high);
  }
  return std::nullopt;
}

// Takes what stands for one character off a pattern that does not start with *: whether it stands for this one.
bool take_item(std::string_view& glob, char32_t character) {
  if (glob.empty()) return false;
  const char32_t item = take_character(glob);
  if (item == '?') return true;
  if (item == '[') {
    if (const auto is_in_set = take_set(glob, character)) return *is_in_set;
  }
  if (item == '\\' && !glob.empty()) return take_character(glob) == character;
  return item == character;
}

}  // namespace

bool matches_glob(std::string_view glob, std::string_view text) {
  // A mismatch lets the last * take one character more. Earlier ones need not: what came after them matched already.
  bool has_star = false;
  std::string_view glob_after_star, text_after_star;
  for (;;) {
    if (glob.starts_with('*')) {
      glob.remove_prefix(1);
      has_star = true;
      glob_after_star = glob;
      text_after_star = text;
      continue;
    }
    if (text.empty() && glob.empty()) return true;
    if (!text.empty() && take_item(glob, take_character(text))) continue;
    if (!has_star || text_after_star.empty()) return false;
    take_character(text_after_star);
    glob = glob_after_star;
    text = text_after_star;
  }
}

}  // namespace mnq
