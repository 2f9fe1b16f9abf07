#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <utility>

#include "cli/commands.h"
#include "cli/failure.h"
#include "mono_quant.h"

namespace cli {
namespace {

constexpr const char* kWhat = "What to do";
constexpr const char* kOutput = "Output";
constexpr const char* kRunning = "Running";

// CLI11's own layout, with our words, the examples last, and blank lines where they belong.
class HelpFormatter final : public CLI::Formatter {
 public:
  HelpFormatter() {
    column_width(27);
    label("Positionals", "Arguments");
    label("Subcommands", "Commands");
    label("SUBCOMMAND", "COMMAND");
    label("REQUIRED", "");
  }

  std::string make_group(std::string group, bool is_positional, std::vector<const CLI::Option*> opts) const override {
    std::string text = "\n" + group + ":\n";
    for (const CLI::Option* option : opts) text += make_option(option, is_positional);
    return text;
  }

  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    std::string groups = make_groups(app, mode);
    for (std::size_t at; (at = groups.find("\n\n\n")) != groups.npos;) groups.erase(at, 1);
    return app->get_description() + "\n\n" + make_usage(app, std::move(name)) + make_positionals(app) +
           make_subcommands(app, mode) + groups + "\n" + make_footer(app);
  }
};

// The flags of one command, put into options as they are parsed, in their order.
class Flags {
 public:
  Flags(CLI::App& app, Options& options) : app_(app), options_(options) {}

  void argument(const char* name, std::string& into, const char* help) {
    app_.add_option(name, into, help)->required()->option_text(" ");
  }
  void text(const char* flag, std::string& into, const char* type, const char* group, const char* help) {
    app_.add_option(flag, into, help)->group(group)->option_text(type);
  }
  CLI::Option* truth(const char* flag, bool& into, const char* group, const char* help) {
    return app_.add_flag(flag, into, help)->group(group);
  }

  /// A flag with a value that is a key of the config.
  void setting(const char* flag, const char* key, const char* type, const char* group, const char* help) {
    value(flag, type, group, help, [this, key](const std::string& value) { set(key, value); });
  }

  /// A flag without a value that gives a key one.
  CLI::Option* setting_flag(const char* flag, const char* key, const char* value, const char* group, const char* help) {
    return app_
        .add_flag_callback(
            flag, [this, key, value] { set(key, value); }, help)
        ->group(group)
        ->trigger_on_parse();
  }

  /// A flag that can be repeated; its values together are one list.
  void list(const char* flag, const char* key, const char* type, const char* group, const char* help) {
    value(flag, type, group, help, [this, key, index = std::size_t{0}](const std::string& value) mutable {
      if (index == 0) {
        set(key, value);
        index = options_.settings.size();
      } else {
        options_.settings[index - 1].value += "," + value;
      }
    });
  }

  /// --layer GLOB key=value
  void layer_settings() {
    app_.add_option_function<std::vector<std::string>>(
            "--layer",
            [this](const std::vector<std::string>& words) {
              options_.settings.push_back(parse_setting("--layer", words.at(1)));
              options_.settings.back().layer_glob = words.at(0);
            },
            "settings of the layers that match; repeatable")
        ->expected(2)
        ->group(kWhat)
        ->option_text("GLOB key=value...")
        ->trigger_on_parse();
  }

  void any_setting() {
    value("--set", "key=value", kRunning, "any key that `monoquant keys` lists; repeatable",
          [this](const std::string& word) { options_.settings.push_back(parse_setting("--set", word)); });
  }

  /// What every command that reads weights has.
  void job() {
    text("--report", options_.report, "FILE", kOutput, "write the report as JSON, once all is done");
    CLI::Option* json = truth("--json", options_.json, kOutput, "print the report as JSON, and nothing else");
    truth("-q,--quiet", options_.quiet, kOutput, "print nothing but errors")->excludes(json);
    truth("-v,--verbose", options_.verbose, kOutput, "list the tensors that nothing happened to");
    setting("-j,--threads", "threads", "N", kRunning, "threads to work with; else one for each CPU");
    any_setting();
  }

 private:
  static Setting parse_setting(const std::string& flag, const std::string& word) {
    const std::size_t equals = word.find('=');
    if (equals == word.npos || equals == 0) throw CLI::ValidationError(flag, "'" + word + "' is not key=value");
    return {"", word.substr(0, equals), word.substr(equals + 1)};
  }

  void value(const char* flag, const char* type, const char* group, const char* help,
             std::function<void(const std::string&)> take) {
    app_.add_option_function<std::string>(flag, std::move(take), help)
        ->group(group)
        ->option_text(type)
        ->trigger_on_parse();
  }

  void set(const char* key, const std::string& value) { options_.settings.push_back({"", key, value}); }

  CLI::App& app_;
  Options& options_;
};

void add_quantize_flags(Flags& flags, Options& options) {
  flags.argument("IN", options.input, "the checkpoint: a .safetensors file");
  flags.text("-o,--output", options.output, "OUT", kOutput, "where to; else beside IN, as IN-int8 and the like");
  flags.setting_flag("-f,--force", "overwrite", "true", kOutput, "replace an output that is there already");
  flags.truth("-n,--dry-run", options.dry_run, kOutput, "say what would be done; read no weight, write nothing");
  flags.setting("-b,--bits", "bits", "N", kWhat, "8 (the default), 4 or 16");
  flags.setting("-d,--dtype", "dtype", "NAME", kWhat, "qint8, quint8, qint4 or float16");
  flags.setting("-g,--group-size", "group_size", "N", kWhat, "inputs that share a scale; 0: a whole channel");
  CLI::Option* symmetric = flags.setting_flag("--symmetric", "symmetric", "true", kWhat, "zero point 0");
  flags.setting_flag("--asymmetric", "symmetric", "false", kWhat, "a zero point for each scale")->excludes(symmetric);
  flags.setting_flag("--per-tensor", "per_channel", "false", kWhat, "one scale for a whole tensor");
  flags.list("--only", "only", "GLOB", kWhat, "quantize only layers that match; repeatable");
  flags.list("--skip", "skip", "GLOB", kWhat, "leave layers that match as they are; repeatable");
  flags.layer_settings();
  flags.text("-c,--config", options.config, "FILE", kWhat, "JSON with keys and values; flags win over it");
  flags.job();
}

void add_dequantize_flags(Flags& flags, Options& options) {
  flags.argument("IN", options.input, "a quantized checkpoint");
  flags.text("-o,--output", options.output, "OUT", kOutput, "where to (required)");
  flags.setting_flag("-f,--force", "overwrite", "true", kOutput, "replace an output that is there already");
  flags.job();
}

void add_compare_flags(Flags& flags, Options& options) {
  flags.argument("A", options.input, "the reference, float or quantized");
  flags.argument("B", options.other, "the checkpoint to compare with it");
  flags.job();
}

void add_validate_flags(Flags& flags, Options& options) {
  flags.argument("FILE", options.input, "the checkpoint to check, float or quantized");
  flags.text("-a,--against", options.other, "ORIGINAL", kWhat, "also check names, shapes and dtypes against this file");
  flags.job();
}

void add_json_flag(Flags& flags, Options& options) { flags.truth("--json", options.json, kOutput, "print it as JSON"); }

void add_info_flags(Flags& flags, Options& options) {
  flags.argument("FILE", options.input, "a checkpoint, float or quantized");
  add_json_flag(flags, options);
}

struct Command {
  const char* name;
  const char* summary;
  int (*run)(const Options&);
  void (*add_flags)(Flags&, Options&);
  const char* examples;
};

constexpr Command kCommands[] = {
    {"quantize", "Make a checkpoint smaller: int8, uint8, int4 or float16.", run_quantize, add_quantize_flags,
     "Examples:\n"
     "  monoquant quantize model.safetensors\n"
     "      int8, a scale for each channel, into model-int8.safetensors\n"
     "  monoquant quantize model.safetensors --bits 4 --group-size 64 -o small.safetensors\n"
     "  monoquant quantize model.safetensors --bits 4 --layer 'encoder.0.*' bits=8 --skip lm_head\n"
     "      4 bits, the first block with 8, the head as it is\n"
     "  monoquant quantize model.safetensors --bits 4 --dry-run\n"
     "      what would become of each tensor, without doing it"},
    {"info", "Say what is in a checkpoint.", run_info, add_info_flags,
     "Examples:\n"
     "  monoquant info model.safetensors\n"
     "  monoquant info model.safetensors --json | jq '.tensors[].name'"},
    {"compare", "Give the accuracy of each tensor of B against the one of the same name in A.", run_compare,
     add_compare_flags,
     "Examples:\n"
     "  monoquant compare model.safetensors model-int8.safetensors\n"
     "  monoquant compare model-int8.safetensors model-int4.safetensors --verbose"},
    {"validate", "Check a checkpoint: finite values, usable scales, shapes that fit.", run_validate, add_validate_flags,
     "Examples:\n"
     "  monoquant validate model-int8.safetensors\n"
     "  monoquant validate model-int8.safetensors --against model.safetensors\n"
     "      also that every tensor of the original is there, and none besides\n\n"
     "Exit code 4 where something is wrong with it."},
    {"dequantize", "Turn a quantized checkpoint back into floats that load anywhere.", run_dequantize,
     add_dequantize_flags,
     "Examples:\n"
     "  monoquant dequantize model-int8.safetensors -o model-float.safetensors"},
    {"kernels", "Show what this CPU gets: instruction sets and kernels.", run_kernels, add_json_flag,
     "MNQ_ISA=generic, avx2 or avx512 in the environment forces one.\n\n"
     "Examples:\n"
     "  monoquant kernels\n"
     "  MNQ_ISA=avx2 monoquant kernels"},
    {"keys", "List the keys of --set, --layer and --config.", run_keys, add_json_flag,
     "Examples:\n"
     "  monoquant keys\n"
     "  monoquant quantize model.safetensors --set min_parameters=4096 --set memory_budget=1GiB"},
};

constexpr const char* kMainFooter =
    "Examples:\n"
    "  monoquant quantize model.safetensors              into model-int8.safetensors\n"
    "  monoquant quantize model.safetensors --bits 4     into model-int4.safetensors\n"
    "  monoquant compare model.safetensors model-int4.safetensors\n"
    "\n"
    "`monoquant COMMAND --help` has the flags of a command, and more examples.\n"
    "\n"
    "Exit codes: 0 ok, 1 general, 2 usage or configuration, 3 quantization,\n"
    "4 validation, 5 file, 130 stopped by Ctrl-C.";

// CLI11 has no flag that takes one word and then as many as look like key=value: each becomes a flag of its own.
// "--layer GLOB a=1 b=2" -> "--layer GLOB a=1 --layer GLOB b=2"
std::vector<std::string> split_layer_flags(const std::vector<std::string>& arguments) {
  const auto is_setting = [](const std::string& word) {
    const std::size_t end = word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_");
    return end != word.npos && end > 0 && word[end] == '=';
  };
  std::vector<std::string> result;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    result.push_back(arguments[i]);
    if (arguments[i] == "--") {
      result.insert(result.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, arguments.end());
      break;
    }
    if (arguments[i] != "--layer" || i + 2 >= arguments.size()) continue;
    const std::string& glob = arguments[i + 1];
    result.insert(result.end(), {glob, arguments[i + 2]});
    for (i += 2; i + 1 < arguments.size() && is_setting(arguments[i + 1]); ++i) {
      result.insert(result.end(), {"--layer", glob, arguments[i + 1]});
    }
  }
  return result;
}

void add_command(CLI::App& app, const Command& command, Options& options,
                 std::vector<std::unique_ptr<Flags>>& flags_of_commands) {
  CLI::App* parser = app.add_subcommand(command.name, command.summary);
  parser->footer(command.examples);
  parser->get_help_ptr()->group("Other")->description("print this");
  flags_of_commands.push_back(std::make_unique<Flags>(*parser, options));
  command.add_flags(*flags_of_commands.back(), options);
  parser->callback([&options, &command] { options.command = command.run; });
}

Options text_options(std::string text) {
  Options options;
  options.command = print_text;
  options.text = std::move(text);
  return options;
}

std::string version_text() { return std::string("monoquant ") + mnq_version() + "\n"; }

[[noreturn]] void fail_usage(const CLI::App& app, const std::string& message) {
  const auto chosen = app.get_subcommands();
  const std::string command = chosen.empty() ? "" : chosen.front()->get_name() + " ";
  const std::string prefix = chosen.empty() ? "" : chosen.front()->get_name() + ": ";
  throw Failure{MNQ_E_INVALID_ARG, prefix + message, "see `monoquant " + command + "--help`", ""};
}

}  // namespace

Options parse_command_line(const std::vector<std::string>& arguments) {
  Options options;
  CLI::App app("monoquant: quantize the weights of PyTorch checkpoints, and say what it cost.", "monoquant");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag("-h,--help", "print this")->group("Other");
  app.set_version_flag("-V,--version", version_text(), "print the version")->group("Other");
  app.footer(kMainFooter);
  app.require_subcommand(1);
  std::vector<std::unique_ptr<Flags>> flags_of_commands;
  for (const Command& command : kCommands) add_command(app, command, options, flags_of_commands);
  std::vector<std::string> reversed = split_layer_flags(arguments);
  std::ranges::reverse(reversed);
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    return text_options(app.help());
  } catch (const CLI::CallForVersion&) {
    return text_options(version_text());
  } catch (const CLI::ParseError& error) {
    fail_usage(app, error.what());
  }
  return options;
}

}  // namespace cli
