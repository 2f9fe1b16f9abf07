// Text as a terminal shows it: what it takes in columns, and what must not reach it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cli {

/// The columns that UTF-8 text takes: 0 for what combines, 2 for wide characters and emoji, 1 for any other, invalid
/// bytes included.
std::size_t display_width(std::string_view text);

/// The text without control characters: a tensor's name is the file's, and must not move the cursor. They, and bytes
/// that are not UTF-8, become \x1b and the like.
std::string printable(std::string_view text);

/// Text of at most `width` columns: the middle gives way to the ellipsis. Nothing but the ellipsis where it is narrower
/// than that.
std::string shorten_middle(std::string_view text, std::size_t width, std::string_view ellipsis);

/// Text padded with blanks at its end, to `width` columns.
std::string pad_right(std::string text, std::size_t width);

}  // namespace cli
