#include "cli/terminal/wrap.h"

#include <algorithm>

#include "cli/terminal/utf8.h"

namespace cli {

std::string wrap(std::string_view words, std::size_t indent, std::size_t width) {
  std::string text, line;
  const auto end_line = [&] {
    text += std::string(indent, ' ') + line + "\n";
    line.clear();
  };
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    const std::string_view word = words.substr(0, end);
    const std::size_t wanted = indent + display_width(line) + 1 + display_width(word);
    if (!line.empty() && width != 0 && wanted > width) end_line();
    line.append(line.empty() ? "" : " ").append(word);
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  if (!line.empty()) end_line();
  return text;
}

}  // namespace cli
