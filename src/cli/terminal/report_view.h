// A report as people read it. Each function gives a piece of text that ends in a line break, or "".
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cli/json.h"
#include "cli/terminal/terminal.h"

namespace cli {

/// From where on a layer's accuracy stands out, in dB.
struct AccuracyLimits {
  double warning_db = 20;
  double critical_db = 10;
};

/// The layers that something happened to (action neither copy nor skip), with their accuracy and size.
std::string layer_table(const Json& layers, const Screen& screen, const AccuracyLimits& limits);

/// The other tensors by reason, under a title; each one where verbose.
std::string untouched_table(const Json& layers, const Screen& screen, const char* title, bool verbose);

/// What became of the layers of each role, the largest first: "experts", how many there are of a scheme, the lowest
/// SQNR. "" where that is said of each layer anyway.
std::string role_table(const Json& layers, const Screen& screen, const AccuracyLimits& limits);

/// Lines of a name and a text that line up, the empty ones left out. The texts are shown as they are.
std::string facts_text(const std::vector<std::pair<std::string, std::string>>& facts, const Screen& screen);

/// "90.9 MB → 22.9 MB, 3.97 times smaller", of a report's model.
std::string size_fact(const Json& model, const Screen& screen);

/// "41.2 dB, maximum error 0.0123" or "exact"; "" where there is none.
std::string accuracy_fact(const Json& model);

/// "120 ms, 2 threads, avx2"
std::string effort_fact(const Json& report);

/// The warnings and then the remarks of a report or a description; the first few of each unless verbose.
std::string notices_text(const Json& report, const Screen& screen, bool verbose);

}  // namespace cli
