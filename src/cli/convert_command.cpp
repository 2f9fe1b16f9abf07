// monoquant convert IN -o OUT
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/job.h"
#include "cli/report_view.h"
#include "cli/utf8.h"

namespace cli {
namespace {

std::string view(const Json& report, const Screen& screen, const Options& options) {
  const Json& model = report["model"];
  return layer_table(report["layers"], screen, {}) +
         untouched_table(report["layers"], screen, "copied as they are", options.verbose) +
         warnings_text(report["warnings"], screen, options.verbose) + "\n" +
         facts_text({{"size", size_fact(model, screen)},
                     {"SQNR", accuracy_fact(model)},
                     {"time", effort_fact(report)},
                     {"written to", printable(options.output)}},
                    screen);
}

}  // namespace

int run_convert(const Options& options) {
  Job job(options);
  job.start("converting", options.output);
  const Report report = make<Report>(mnq_convert_file, options.input.c_str(), options.output.c_str(), job.run());
  job.finish(report, [&](const Json& json, const Screen& screen) { return view(json, screen, options); });
  return kExitOk;
}

}  // namespace cli
