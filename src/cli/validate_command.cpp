// monoquant validate FILE [--against ORIGINAL]
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/human.h"
#include "cli/job.h"
#include "cli/report_view.h"
#include "cli/table.h"
#include "cli/utf8.h"

namespace cli {
namespace {

std::string problem_table(const Json& report, const Screen& screen) {
  Table table({{"tensor"}, {"problem"}});
  for (const Json& problem : report["problems"]) {
    table.add_row({{text_in(problem, "tensor")}, {text_in(problem, "problem"), Style::kBad}});
  }
  const std::string text = table.text(screen);
  return text.empty() ? "" : text + "\n";
}

std::string view(const Json& report, const Screen& screen, const Options& options) {
  const Json& model = report["model"];
  const bool valid = is_true(model, "valid");
  return problem_table(report, screen) +
         facts_text({{"file", printable(options.input)},
                     {"original", printable(options.other)},
                     {"checked", counted(number_in(model, "tensors_checked"), "tensor")},
                     {"result", valid ? paint(screen, Style::kGood, "valid") : paint(screen, Style::kBad, "not valid")},
                     {"time", effort_fact(report)}},
                    screen);
}

}  // namespace

int run_validate(const Options& options) {
  Job job(options);
  job.start("validating", "");
  const char* original = options.other.empty() ? nullptr : options.other.c_str();
  const Report report = make<Report>(mnq_validate_file, options.input.c_str(), original, job.run());
  job.finish(report, [&](const Json& json, const Screen& screen) { return view(json, screen, options); });
  const auto problems = static_cast<double>(mnq_report_problem_count(report.get()));
  if (problems == 0) return kExitOk;
  write_stderr(
      formatted("monoquant: {}: not valid: {} found\n", printable(options.input), counted(problems, "problem")));
  return kExitValidation;
}

}  // namespace cli
