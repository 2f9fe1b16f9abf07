// Text from values, by fmt. Only format.cpp compiles fmt itself: in every file that used it directly that took longer
// than all the rest of the file.
#pragma once

#include <fmt/core.h>

#include <string>

namespace mnq {

std::string format_values(fmt::string_view text, fmt::format_args values);

/// formatted("{} of {}", 1, "two"): numbers, texts and booleans. The text is checked when it is compiled.
template <class... Values>
std::string formatted(fmt::format_string<Values...> text, Values&&... values) {
  return format_values(text, fmt::make_format_args(values...));
}

}  // namespace mnq
