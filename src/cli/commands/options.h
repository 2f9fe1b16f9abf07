// What a command line asks for, whoever parsed it. One struct for all commands: each reads what concerns it.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace cli {

/// A key of the library's config and its value, as `monoquant keys` lists them.
struct Setting {
  std::optional<std::string> layer_glob;  ///< the layers it is for; none: all
  std::string key;
  std::string value;
};

struct Options {
  /// Does the work; gives the exit code. Throws Failure.
  int (*command)(const Options&) = nullptr;

  std::string text;  ///< of print_text: help or version
  std::string input;
  std::string other;              ///< compare: the second file; validate: the original; else empty
  std::string output;             ///< empty: chosen from the input's name
  std::string config;             ///< path of a JSON file; empty: none
  std::string report;             ///< path; empty: none
  std::vector<Setting> settings;  ///< of this call, in the order given: the last wins
  bool dry_run = false;
  bool json = false;     ///< one JSON document on stdout, nothing else
  bool quiet = false;    ///< nothing on stdout, no progress
  bool verbose = false;  ///< tensors that nothing happened to are listed too
};

}  // namespace cli
