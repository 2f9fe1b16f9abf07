#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <utility>

#include "cli/commands/command_table.h"
#include "cli/failure.h"
#include "cli/flags.h"
#include "cli/help_formatter.h"
#include "mono_quant.h"

namespace cli {
namespace {

std::string version_text() { return std::string("monoquant ") + mnq_version() + "\n"; }

Options options_to_print(std::string text) {
  Options options;
  options.command = print_text;
  options.text = std::move(text);
  return options;
}

std::string chosen_command(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? "" : chosen.front()->get_name();
}

// "--bits: needs N"
std::string missing_value(const CLI::App& app, const std::string& message) {
  const std::string flag = message.substr(0, message.find(':'));
  const auto chosen = app.get_subcommands();
  const CLI::Option* option = chosen.empty() ? nullptr : chosen.front()->get_option_no_throw(flag);
  return option == nullptr ? message : flag + ": needs " + option->get_option_text();
}

// What is wrong, in our words where CLI11's are about its own terms.
std::string usage_problem(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> left_over = app.remaining(true);
  const bool has_command = !app.get_subcommands().empty();
  if (!has_command) return left_over.empty() ? "no command is given" : left_over.front() + ": is not a command";
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) return missing_value(app, error.what());
  if (dynamic_cast<const CLI::ExtrasError*>(&error) == nullptr || left_over.empty()) return error.what();
  return left_over.front() +
         (left_over.front().starts_with('-') ? ": is not one of its flags" : ": is one argument too many");
}

[[noreturn]] void fail_usage(const CLI::App& app, const CLI::ParseError& error) {
  const std::string command = chosen_command(app);
  throw Failure{MNQ_E_INVALID_ARG, (command.empty() ? "usage" : command) + ": " + usage_problem(app, error),
                "see monoquant " + command + (command.empty() ? "" : " ") + "--help", ""};
}

// The parser, and what its callbacks point to.
class Parser {
 public:
  Parser() {
    app_.formatter(std::make_shared<HelpFormatter>());
    app_.set_help_flag("-h,--help", "print this")->group(kOther);
    app_.set_version_flag("-V,--version", version_text(), "print the version")->group(kOther);
    app_.footer(kMainFooter);
    app_.require_subcommand(1);
    for (const Command& command : kCommands) add(command);
  }

  Options parse(const std::vector<std::string>& arguments) {
    std::vector<std::string> reversed = split_layer_flags(arguments);  // CLI11 takes them from the back
    std::ranges::reverse(reversed);
    try {
      app_.parse(reversed);
    } catch (const CLI::CallForHelp&) {
      return options_to_print(app_.help());
    } catch (const CLI::CallForVersion&) {
      return options_to_print(version_text());
    } catch (const CLI::ParseError& error) {
      fail_usage(app_, error);
    }
    return std::move(options_);
  }

 private:
  void add(const Command& command) {
    CLI::App* app = app_.add_subcommand(command.name, command.summary)->group("Commands");
    app->footer(command.footer);
    flags_.push_back(std::make_unique<Flags>(*app, options_));
    command.add_flags(*flags_.back(), options_);
    app->callback([this, &command] { options_.command = command.run; });
  }

  Options options_;
  CLI::App app_{"monoquant: quantize the weights of PyTorch checkpoints, and say what it cost.", "monoquant"};
  std::vector<std::unique_ptr<Flags>> flags_;
};

}  // namespace

Options parse_command_line(const std::vector<std::string>& arguments) { return Parser().parse(arguments); }

}  // namespace cli
