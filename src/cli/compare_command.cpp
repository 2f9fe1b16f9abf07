// monoquant compare A B
#include <algorithm>

#include "cli/commands.h"
#include "cli/human.h"
#include "cli/job.h"
#include "cli/report_view.h"
#include "cli/table.h"

namespace cli {
namespace {

bool is_same(const Json& tensor) { return text_in(tensor, "action") == "compare" && is_true(tensor, "exact"); }

double count_same(const Json& layers) { return static_cast<double>(std::ranges::count_if(layers, is_same)); }

// The tensors that both have; those that are the same only where asked for.
Json pairs_to_show(const Json& layers, bool with_same) {
  Json shown = Json::array();
  for (const Json& tensor : layers) {
    if (with_same || !is_same(tensor)) shown.push_back(tensor);
  }
  return shown;
}

std::string view(const Json& report, const Screen& screen, const Options& options) {
  const Json& model = report["model"];
  return layer_table(pairs_to_show(report["layers"], options.verbose), screen, {}) +
         untouched_table(report["layers"], screen, "not compared", options.verbose) +
         warnings_text(report["warnings"], screen, options.verbose) + "\n" +
         facts_text({{"compared", counted(number_in(model, "tensors_compared"), "tensor")},
                     {"the same", counted(count_same(report["layers"]), "tensor")},
                     {"size", size_fact(model, screen)},
                     {"SQNR", accuracy_fact(model)},
                     {"time", effort_fact(report)}},
                    screen);
}

}  // namespace

int run_compare(const Options& options) {
  Job job(options);
  const Model reference = make<Model>(mnq_model_open, options.input.c_str());
  const Model other = make<Model>(mnq_model_open, options.other.c_str());
  job.start("comparing", "");
  const Report report = make<Report>(mnq_compare, reference.get(), other.get(), job.run());
  job.finish(report, [&](const Json& json, const Screen& screen) { return view(json, screen, options); });
  return kExitOk;
}

}  // namespace cli
