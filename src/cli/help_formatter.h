// How --help looks. In a header, as all that touches CLI11: only command_line.cpp pays for compiling it.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

namespace cli {

/// The groups of flags, in the order in which help shows them.
inline constexpr const char* kWhat = "What to do";
inline constexpr const char* kOutput = "Output";
inline constexpr const char* kRunning = "Running";
inline constexpr const char* kOther = "Other";

/// What the command does, usage, arguments, commands, flags in groups, examples.
class HelpFormatter final : public CLI::Formatter {
 public:
  HelpFormatter() {
    column_width(27);
    label("Positionals", "Arguments");
    label("SUBCOMMAND", "COMMAND");
  }

  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    std::string groups;
    for (const char* group : {kWhat, kOutput, kRunning, kOther}) groups += group_text(app, group);
    return app->get_description() + "\n\n" + make_usage(app, std::move(name)) + make_positionals(app) +
           make_subcommands(app, mode) + groups + "\n" + make_footer(app);
  }

 private:
  std::string group_text(const CLI::App* app, const std::string& group) const {
    const auto options = app->get_options(
        [&](const CLI::Option* option) { return option->nonpositional() && option->get_group() == group; });
    return options.empty() ? "" : make_group(group, false, options);
  }

  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    std::string name = CLI::Formatter::make_option_name(option, is_positional);
    if (const std::size_t comma = name.find(','); comma != name.npos) return name.insert(comma + 1, 1, ' ');
    return is_positional ? name : "    " + name;  // where -x, would stand
  }

  // Only what was said for it: what excludes what is told by the error.
  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_option_text().empty() ? "" : " " + option->get_option_text();
  }
};

}  // namespace cli
