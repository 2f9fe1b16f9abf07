// Prose on a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cli {

/// Words in lines of at most `width` columns (0: no limit), each line after `indent` blanks, each with its line break.
std::string wrap(std::string_view words, std::size_t indent, std::size_t width);

}  // namespace cli
