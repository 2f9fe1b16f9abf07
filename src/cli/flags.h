// The flags of a command, put into options as they are parsed. Most are a key of the library's config under another
// name: what they can be is the library's to check.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands/options.h"
#include "cli/help_formatter.h"

namespace cli {

class Flags {
 public:
  Flags(CLI::App& app, Options& options) : app_(app), options_(options) {}

  void argument(const char* name, std::string& into, const char* help) {
    app_.add_option(name, into, help)->required();
  }

  CLI::Option* text(const char* flag, std::string& into, const char* value, const char* group, const char* help) {
    return app_.add_option(flag, into, help)->group(group)->option_text(value);
  }

  CLI::Option* truth(const char* flag, bool& into, const char* group, const char* help) {
    return app_.add_flag(flag, into, help)->group(group);
  }

  /// A flag whose value is that of a key.
  void setting(const char* flag, const char* key, const char* value, const char* group, const std::string& help) {
    repeatable(flag, value, group, help, [this, key](const std::string& text) { set(key, text); });
  }

  /// A flag that gives a key a value.
  CLI::Option* setting_flag(const char* flag, const char* key, const char* value, const char* group, const char* help) {
    return app_
        .add_flag_callback(
            flag, [this, key, value] { set(key, value); }, help)
        ->group(group)
        ->trigger_on_parse();
  }

  /// A flag whose values together are the list that is a key's value.
  void list(const char* flag, const char* key, const char* value, const char* group, const char* help) {
    repeatable(flag, value, group, help, [this, key, place = kNowhere](const std::string& text) mutable {
      if (place == kNowhere) {
        place = options_.settings.size();
        set(key, text);
      } else {
        options_.settings[place].value += "," + text;
      }
    });
  }

  void any_setting(const char* group) {
    repeatable(
        "--set", "key=value", group, "any key that `monoquant keys` lists; repeatable",
        [this](const std::string& word) { options_.settings.push_back(parse_setting("--set", std::nullopt, word)); });
  }

  void layer_settings(const char* group) {
    const auto take = [this](const std::vector<std::string>& words) {
      options_.settings.push_back(parse_setting("--layer", words.at(0), words.at(1)));
    };
    app_.add_option_function<std::vector<std::string>>("--layer", take, "for layers that match only; repeatable")
        ->expected(2)
        ->allow_extra_args(false)
        ->group(group)
        ->option_text("GLOB key=value ...")
        ->trigger_on_parse();
  }

 private:
  static constexpr std::size_t kNowhere = ~std::size_t{0};

  static Setting parse_setting(const std::string& flag, const std::optional<std::string>& glob,
                               const std::string& word) {
    const std::size_t equals = word.find('=');
    if (equals == word.npos || equals == 0) throw CLI::ValidationError(flag, "'" + word + "' is not key=value");
    return {glob, word.substr(0, equals), word.substr(equals + 1)};
  }

  // Taken as it is parsed, so that settings stay in the order of the command line.
  void repeatable(const char* flag, const char* value, const char* group, const std::string& help,
                  std::function<void(const std::string&)> take) {
    app_.add_option_function<std::string>(flag, std::move(take), help)
        ->group(group)
        ->option_text(value)
        ->trigger_on_parse();
  }

  void set(const char* key, const std::string& value) { options_.settings.push_back({std::nullopt, key, value}); }

  CLI::App& app_;
  Options& options_;
};

/// "--layer GLOB a=1 b=2" -> "--layer GLOB a=1 --layer GLOB b=2": CLI11 has no flag that takes one word and then as
/// many as look like key=value.
inline std::vector<std::string> split_layer_flags(const std::vector<std::string>& arguments) {
  const auto is_setting = [](const std::string& word) {
    const std::size_t end = word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_");
    return end != word.npos && end > 0 && word[end] == '=';
  };
  std::vector<std::string> result;
  bool only_files = false;  // after "--"
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    result.push_back(arguments[i]);
    only_files = only_files || arguments[i] == "--";
    if (only_files || arguments[i] != "--layer" || i + 2 >= arguments.size()) continue;
    const std::string glob = arguments[i + 1];
    result.insert(result.end(), {glob, arguments[i + 2]});
    for (i += 2; i + 1 < arguments.size() && is_setting(arguments[i + 1]); ++i) {
      result.insert(result.end(), {"--layer", glob, arguments[i + 1]});
    }
  }
  return result;
}

}  // namespace cli
