#include "cli/terminal/utf8.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <utility>

namespace cli {
namespace {

struct Character {
  char32_t code = 0;
  std::size_t length = 1;  // bytes
  bool valid = false;
};

// The first character of a text that is not empty.
Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return {lead, 1, false};
  char32_t code = lead & (0xffu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {lead, 1, false};
    code = code << 6 | (byte(i) & 0x3fu);
  }
  constexpr std::array<char32_t, 5> kSmallest{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kSmallest[length] || code > 0x10ffff || surrogate) return {lead, 1, false};
  return {code, length, true};
}

struct Range {
  char32_t first;
  char32_t last;
};

template <std::size_t count>
bool is_in(const std::array<Range, count>& ranges, char32_t code) {
  return std::ranges::any_of(ranges, [&](const Range& range) { return code >= range.first && code <= range.last; });
}

std::size_t width_of(char32_t code) {
  constexpr std::array kCombining{Range{0x300, 0x36f},   Range{0x1ab0, 0x1aff}, Range{0x200b, 0x200d},
                                  Range{0x20d0, 0x20ff}, Range{0xfe00, 0xfe0f}, Range{0xfe20, 0xfe2f}};
  constexpr std::array kWide{Range{0x1100, 0x115f},   Range{0x2e80, 0x303e},  Range{0x3041, 0xa4cf},
                             Range{0xac00, 0xd7a3},   Range{0xf900, 0xfaff},  Range{0xfe30, 0xfe6f},
                             Range{0xff00, 0xff60},   Range{0xffe0, 0xffe6},  Range{0x1f300, 0x1f64f},
                             Range{0x1f900, 0x1f9ff}, Range{0x20000, 0x3fffd}};
  if (code < 0x300) return 1;
  return is_in(kCombining, code) ? 0 : is_in(kWide, code) ? 2 : 1;
}

// Controls, and what changes the direction of the text around it.
bool is_control(char32_t code) {
  constexpr std::array kControls{Range{0, 0x1f}, Range{0x7f, 0x9f}, Range{0x200e, 0x200f}, Range{0x2028, 0x202e},
                                 Range{0x2066, 0x2069}};
  return is_in(kControls, code);
}

// As many whole characters from the start as fit.
std::string_view head(std::string_view text, std::size_t width) {
  std::size_t end = 0;
  while (end < text.size()) {
    const Character character = first_character(text.substr(end));
    const std::size_t columns = width_of(character.code);
    if (columns > width) break;
    width -= columns;
    end += character.length;
  }
  return text.substr(0, end);
}

// As many whole characters to the end as fit.
std::string_view tail(std::string_view text, std::size_t width) {
  while (display_width(text) > width) text.remove_prefix(first_character(text).length);
  return text;
}

}  // namespace

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const Character character = first_character(text);
    width += width_of(character.code);
    text.remove_prefix(character.length);
  }
  return width;
}

std::string printable(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const Character character = first_character(text);
    if (character.valid && !is_control(character.code)) {
      result.append(text.substr(0, character.length));
    } else {
      char escaped[16];
      std::snprintf(escaped, sizeof escaped, character.code > 0xff ? "\\u%04x" : "\\x%02x",
                    static_cast<unsigned>(character.code));
      result += escaped;
    }
    text.remove_prefix(character.length);
  }
  return result;
}

std::string shorten_middle(std::string_view text, std::size_t width, std::string_view ellipsis) {
  if (display_width(text) <= width) return std::string(text);
  const std::size_t kept = width - std::min(width, display_width(ellipsis));
  const std::string_view start = head(text, kept / 2);
  return std::string(start).append(ellipsis).append(tail(text, kept - display_width(start)));
}

std::string pad_right(std::string text, std::size_t width) {
  text.append(width - std::min(width, display_width(text)), ' ');
  return text;
}

}  // namespace cli
