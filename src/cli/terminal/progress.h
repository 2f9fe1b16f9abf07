// The line on the terminal that says how far a job is.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "cli/terminal/terminal.h"

namespace cli {

/// Draws on stderr, where that is a terminal and not under CI, once the job has taken half a second.
class Progress {
 public:
  /// verb: "quantizing"
  Progress(std::string verb, bool wanted);

  /// Wipes the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(std::uint64_t done_bytes, std::uint64_t total_bytes);

 private:
  using Clock = std::chrono::steady_clock;

  std::string facts(double seconds, double done, double total) const;
  std::string line(double seconds, double done, double total) const;

  std::string verb_;
  Screen screen_;
  bool wanted_;
  bool drawn_ = false;
  Clock::time_point start_ = Clock::now();
};

}  // namespace cli
