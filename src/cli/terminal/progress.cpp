#include "cli/terminal/progress.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "cli/terminal/format.h"
#include "cli/terminal/human.h"

namespace cli {
namespace {

constexpr double kQuietSeconds = 0.5;  // short jobs show nothing
constexpr const char* kWipeLine = "\r\x1b[K";

std::string bar(const Screen& screen, double fraction, std::size_t width) {
  const auto filled = static_cast<std::size_t>(fraction * static_cast<double>(width));
  std::string done, left;
  for (std::size_t i = 0; i < width; ++i) {
    (i < filled ? done : left) += screen.unicode ? (i < filled ? "━" : "─") : (i < filled ? "#" : ".");
  }
  return paint(screen, Style::kGood, done) + paint(screen, Style::kDim, left);
}

std::string time_left(double seconds) {
  return seconds < 59.5 ? formatted("{:.0f} s left", std::max(1.0, seconds)) : duration_text(seconds) + " left";
}

}  // namespace

Progress::Progress(std::string verb, bool wanted) : verb_(std::move(verb)), screen_(screen_of(STDERR_FILENO)) {
  wanted_ = wanted && screen_.redraw;
}

Progress::~Progress() {
  if (drawn_) write_stderr(kWipeLine);
}

void Progress::update(std::uint64_t done_bytes, std::uint64_t total_bytes) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  if (!wanted_ || seconds < kQuietSeconds) return;
  drawn_ = true;
  write_stderr(kWipeLine + line(seconds, static_cast<double>(done_bytes), static_cast<double>(total_bytes)));
}

// Of one length all the way, so that nothing moves but the bar.
std::string Progress::facts(double seconds, double done, double total) const {
  const double fraction = total > 0 ? std::min(1.0, done / total) : 1.0;
  const std::string left = done >= total ? "finishing" : done > 0 ? time_left(seconds / done * (total - done)) : "";
  return formatted("{:3.0f} %  {:>8} of {}  {:>8}/s  {:<10}", fraction * 100, bytes_text(done), bytes_text(total),
                   bytes_text(done / seconds), left);
}

std::string Progress::line(double seconds, double done, double total) const {
  const std::string text = facts(seconds, done, total);
  // The last columns stay free: for the ^C that the terminal echoes, and because writing there wraps on some.
  const std::size_t width = screen_.width > 3 ? screen_.width - 3 : 0;
  const std::size_t taken = verb_.size() + text.size() + 6;
  constexpr std::size_t kNarrowestBar = 8;
  constexpr std::size_t kWidestBar = 40;
  if (width < taken + kNarrowestBar) return ("  " + text).substr(0, width);
  const double fraction = total > 0 ? std::min(1.0, done / total) : 1.0;
  return "  " + verb_ + "  " + bar(screen_, fraction, std::min(kWidestBar, width - taken)) + "  " + text;
}

}  // namespace cli
