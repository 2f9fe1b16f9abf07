// monoquant quantize IN [-o OUT]
#include <charconv>
#include <filesystem>
#include <map>

#include "cli/commands/commands.h"
#include "cli/commands/job.h"
#include "cli/read_file.h"
#include "cli/terminal/format.h"
#include "cli/terminal/human.h"
#include "cli/terminal/report_view.h"
#include "cli/terminal/utf8.h"

namespace cli {
namespace {

Config make_config(const Options& options) {
  if (options.config.empty()) return make<Config>(mnq_config_create, static_cast<const char*>(nullptr));
  const std::string json = read_file(options.config);
  try {
    return make<Config>(mnq_config_create, json.c_str());
  } catch (Failure& failure) {
    failure.message = options.config + ": " + failure.message;
    throw;
  }
}

// What holds for all layers, as text.
std::string resolve(const Config& config, const Job& job, const char* key) {
  mnq_buffer* value = nullptr;
  call(mnq_config_resolve, config.get(), job.run(), static_cast<const char*>(nullptr), key, &value,
       static_cast<const char**>(nullptr));
  return text_of(Buffer(value));
}

double resolve_number(const Config& config, const Job& job, const char* key) {
  const std::string text = resolve(config, job, key);
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// "model.safetensors" -> "model-int8.safetensors", the folder "model" -> "model-int8"
std::string output_beside(std::string input, std::string dtype) {
  if (dtype.starts_with('q')) dtype.erase(0, 1);  // qint8
  std::error_code error;
  if (std::filesystem::is_directory(input, error)) {
    while (input.size() > 1 && input.ends_with('/')) input.pop_back();
    return input + "-" + dtype;
  }
  constexpr std::string_view kIndex = ".index.json";
  if (input.ends_with(kIndex)) {
    const std::filesystem::path weights(input.substr(0, input.size() - kIndex.size()));
    return (weights.parent_path() / (weights.stem().string() + "-" + dtype + "/")).string();
  }
  std::filesystem::path path(input);
  path.replace_filename(path.stem().string() + "-" + dtype + path.extension().string());
  return path.string();
}

// "40 int8 per channel, 2 float16"
std::string schemes_fact(const Json& layers) {
  std::map<std::string, int> counts;
  for (const Json& layer : layers) {
    const std::string action = text_in(layer, "action");
    if (action == "quantize" || action == "cast") ++counts[text_in(layer, "scheme")];
  }
  std::string text;
  for (const auto& [scheme, count] : counts) text += formatted("{}{} {}", text.empty() ? "" : ", ", count, scheme);
  return text.empty() ? "no layer" : text;
}

std::string view(const Json& report, const Screen& screen, const AccuracyLimits& limits, const std::string& output,
                 const Options& options) {
  const Json& model = report["model"];
  const double dequantized = number_in(model, "layers_dequantized");
  return layer_table(report["layers"], screen, limits) +
         untouched_table(report["layers"], screen, "copied as they are", options.verbose) +
         role_table(report["layers"], screen, limits) + notices_text(report, screen, options.verbose) + "\n" +
         facts_text({{"quantized", schemes_fact(report["layers"])},
                     {"dequantized", dequantized > 0 ? counted(dequantized, "layer") : ""},
                     {"size", size_fact(model, screen)},
                     {"SQNR", accuracy_fact(model)},
                     {"time", options.dry_run ? "" : effort_fact(report)},
                     {options.dry_run ? "would go to" : "written to", printable(output)}},
                    screen);
}

// The format that an output of this name would have: a folder where no file's extension tells another.
std::string format_of_output(const std::string& output) {
  const std::string extension = std::filesystem::path(output).extension().string();
  const Json info = parse_json(text_of(make<Buffer>(mnq_build_info)));
  for (const Json& format : info["formats"]) {
    for (const Json& each : format["extensions"]) {
      if (each == extension && format["writes"] == true) return text_in(format, "name");
    }
  }
  return "compressed-tensors";
}

Report plan(const Options& options, const Config& config, const Job& job, const std::string& output) {
  if (resolve(config, job, "format") == "auto") {
    call(mnq_run_set, job.run(), "format", format_of_output(output).c_str());
  }
  const Model model = make<Model>(mnq_model_open_with, options.input.c_str(), job.run());
  return make<Report>(mnq_plan, model.get(), config.get(), job.run());
}

}  // namespace

int run_quantize(const Options& options) {
  const Config config = make_config(options);
  Job job(options);
  const std::string output =
      options.output.empty() ? output_beside(options.input, resolve(config, job, "dtype")) : options.output;
  const AccuracyLimits limits{resolve_number(config, job, "sqnr_warning_db"),
                              resolve_number(config, job, "sqnr_critical_db")};
  job.start("quantizing", output);
  const Report report =
      options.dry_run ? plan(options, config, job, output)
                      : make<Report>(mnq_quantize_file, options.input.c_str(), output.c_str(), config.get(), job.run());
  job.finish(report,
             [&](const Json& json, const Screen& screen) { return view(json, screen, limits, output, options); });
  return kExitOk;
}

}  // namespace cli
