#include "cli/terminal/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "cli/failure.h"

namespace cli {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// As setlocale would choose, without its cost.
bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string_view value = environment(name);
    if (value.empty()) continue;
    for (const char* spelling : {"UTF-8", "utf-8", "UTF8", "utf8"}) {
      if (value.find(spelling) != value.npos) return true;
    }
    return false;
  }
  return false;
}

unsigned terminal_width(int descriptor) {
  winsize size{};
  constexpr unsigned kUsualWidth = 80;
  return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsualWidth;
}

// 0, or the errno.
int write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(descriptor, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return 0;
}

const char* style_code(Style style) {
  switch (style) {
    case Style::kBold:
      return "\x1b[1m";
    case Style::kDim:
      return "\x1b[2m";
    case Style::kGood:
      return "\x1b[32m";
    case Style::kWarning:
      return "\x1b[33m";
    case Style::kBad:
      return "\x1b[31m";
    case Style::kPlain:
      break;
  }
  return "";
}

}  // namespace

Screen screen_of(int descriptor) {
  Screen screen;
  screen.unicode = locale_is_utf8();
  screen.is_terminal = ::isatty(descriptor) == 1;
  if (!screen.is_terminal) return screen;
  screen.width = terminal_width(descriptor);
  screen.redraw = environment("CI").empty() && environment("TERM") != "dumb";
  screen.color = screen.redraw && environment("NO_COLOR").empty();
  return screen;
}

std::string paint(const Screen& screen, Style style, std::string_view text) {
  if (!screen.color || style == Style::kPlain || text.empty()) return std::string(text);
  return std::string(style_code(style)).append(text).append("\x1b[0m");
}

void write_stdout(std::string_view text) {
  if (const int error_number = write_all(STDOUT_FILENO, text)) {
    fail_file("standard output", "cannot be written", error_number);
  }
}

void write_stderr(std::string_view text) { write_all(STDERR_FILENO, text); }

void prepare_standard_streams() {
  for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; ++descriptor) {
    // Read-only: writing to a stdout that was closed stays an error.
    if (::fcntl(descriptor, F_GETFD) < 0) ::open("/dev/null", O_RDONLY);
  }
  for (const int each : {SIGPIPE, SIGXFSZ}) std::signal(each, SIG_IGN);  // the writes fail, and say it
}

}  // namespace cli
