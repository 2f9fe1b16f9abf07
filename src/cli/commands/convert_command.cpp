// monoquant convert IN -o OUT, monoquant dequantize IN -o OUT
#include "cli/commands/commands.h"
#include "cli/commands/job.h"
#include "cli/terminal/human.h"
#include "cli/terminal/report_view.h"
#include "cli/terminal/utf8.h"

namespace cli {
namespace {

std::string view(const Json& report, const Screen& screen, const Options& options) {
  const Json& model = report["model"];
  const double dequantized = number_in(model, "layers_dequantized");
  return layer_table(report["layers"], screen, {}) +
         untouched_table(report["layers"], screen, "copied as they are", options.verbose) +
         notices_text(report, screen, options.verbose) + "\n" +
         facts_text({{"dequantized", dequantized > 0 ? counted(dequantized, "layer") : ""},
                     {"size", size_fact(model, screen)},
                     {"SQNR", accuracy_fact(model)},
                     {"time", effort_fact(report)},
                     {"written to", printable(options.output)}},
                    screen);
}

int run_job(const Options& options, const char* verb, decltype(mnq_convert_file)* function) {
  Job job(options);
  job.start(verb, options.output);
  const Report report = make<Report>(function, options.input.c_str(), options.output.c_str(), job.run());
  job.finish(report, [&](const Json& json, const Screen& screen) { return view(json, screen, options); });
  return kExitOk;
}

}  // namespace

int run_convert(const Options& options) { return run_job(options, "converting", mnq_convert_file); }

int run_dequantize(const Options& options) { return run_job(options, "dequantizing", mnq_dequantize_file); }

}  // namespace cli
