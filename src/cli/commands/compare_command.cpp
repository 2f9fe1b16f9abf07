// monoquant compare A B
#include <algorithm>

#include "cli/commands/commands.h"
#include "cli/commands/job.h"
#include "cli/terminal/human.h"
#include "cli/terminal/report_view.h"
#include "cli/terminal/table.h"

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
         notices_text(report, screen, options.verbose) + "\n" +
         facts_text({{"compared", counted(number_in(model, "tensors_compared"), "tensor")},
                     {"the same", counted(count_same(report["layers"]), "tensor")},
                     {"size", size_fact(model, screen)},
                     {"SQNR", accuracy_fact(model)},
                     {"time", effort_fact(report)}},
                    screen);
}

// tensors_key is for the side that has dicts to choose from; both may have them.
Model open_side(const std::string& path, const Job& job, bool& has_dicts) {
  try {
    return make<Model>(mnq_model_open_with, path.c_str(), job.run());
  } catch (const Failure& failure) {
    if (failure.status != MNQ_E_CONFIG || failure.subject != "tensors_key") throw;
  }
  has_dicts = false;
  return make<Model>(mnq_model_open, path.c_str());
}

}  // namespace

int run_compare(const Options& options) {
  Job job(options);
  bool reference_has_dicts = true, other_has_dicts = true;
  const Model reference = open_side(options.input, job, reference_has_dicts);
  const Model other = open_side(options.other, job, other_has_dicts);
  if (!reference_has_dicts && !other_has_dicts) make<Model>(mnq_model_open_with, options.input.c_str(), job.run());
  job.start("comparing", "");
  const Report report = make<Report>(mnq_compare, reference.get(), other.get(), job.run());
  job.finish(report, [&](const Json& json, const Screen& screen) { return view(json, screen, options); });
  return kExitOk;
}

}  // namespace cli
