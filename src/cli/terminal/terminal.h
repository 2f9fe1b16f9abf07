// What stdout or stderr can show, and writing to it.
#pragma once

#include <string>
#include <string_view>

namespace cli {

/// What can be shown on a descriptor.
struct Screen {
  bool is_terminal = false;
  bool color = false;    ///< a terminal, and none of NO_COLOR, CI and TERM=dumb
  bool redraw = false;   ///< a terminal that can rewrite a line, and no CI
  bool unicode = false;  ///< the locale's text is UTF-8
  unsigned width = 0;    ///< columns; 0: no limit

  std::string_view arrow() const { return unicode ? "→" : "->"; }
  std::string_view times() const { return unicode ? "×" : "x"; }
  std::string_view ellipsis() const { return unicode ? "…" : "..."; }
};

Screen screen_of(int descriptor);

enum class Style { kPlain, kBold, kDim, kGood, kWarning, kBad };

/// The text in a style, where the screen has colour.
std::string paint(const Screen& screen, Style style, std::string_view text);

/// Writes all of it to stdout. Throws Failure (IO) where that cannot be done.
void write_stdout(std::string_view text);

/// Writes what can be written: there is nowhere to complain.
void write_stderr(std::string_view text);

/// Makes descriptors 0 to 2 exist, so that no file that is opened later takes their place, and a broken pipe or a file
/// beyond the limit an error instead of a death.
void prepare_standard_streams();

}  // namespace cli
