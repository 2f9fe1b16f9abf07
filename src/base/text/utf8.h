// UTF-8, which is what all text of the library is.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mnq {

/// One character at the start of a text. A byte that starts none is a character of its own that is not valid.
struct Character {
  char32_t code = 0;       ///< of a byte that is not valid: the byte
  std::size_t length = 1;  ///< in bytes
  bool is_valid = false;
};

/// The first character of a text that is not empty. Valid are shortest forms only, no surrogates, nothing beyond
/// U+10FFFF.
Character first_character(std::string_view text);

bool is_utf8(std::string_view text);

/// The text with U+FFFD for each byte that is not valid, as JSON has it: for texts that hold a path or the bytes of a
/// file.
std::string valid_utf8(std::string_view text);

}  // namespace mnq
