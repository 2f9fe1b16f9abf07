// Text from values, by fmt. Only format.cpp compiles fmt itself, which takes longer than the rest of a file.
#pragma once

#include <fmt/core.h>

#include <string>

namespace cli {

std::string format_values(fmt::string_view text, fmt::format_args values);

/// formatted("{} of {}", 1, "two"): numbers and texts. The text is checked when it is compiled.
template <class... Values>
std::string formatted(fmt::format_string<Values...> text, Values&&... values) {
  return format_values(text, fmt::make_format_args(values...));
}

}  // namespace cli
