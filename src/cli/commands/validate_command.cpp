// monoquant validate FILE [--against ORIGINAL]
#include "cli/commands/commands.h"
#include "cli/commands/job.h"
#include "cli/terminal/format.h"
#include "cli/terminal/human.h"
#include "cli/terminal/report_view.h"
#include "cli/terminal/utf8.h"

namespace cli {
namespace {

// Whole, however long: what is wrong is what was asked.
std::string problems_text(const Json& problems, const Screen& screen) {
  std::string text;
  for (const Json& problem : problems) {
    const std::string tensor = text_in(problem, "tensor");
    text += "  " + printable(tensor) + (tensor.empty() ? "" : ": ") +
            paint(screen, Style::kBad, printable(text_in(problem, "problem"))) + "\n";
  }
  return text.empty() ? "" : text + "\n";
}

std::string view(const Json& report, const Screen& screen, const Options& options) {
  const Json& model = report["model"];
  const bool valid = is_true(model, "valid");
  const std::string notices = notices_text(report, screen, options.verbose);
  return problems_text(report["problems"], screen) + notices + (notices.empty() ? "" : "\n") +
         facts_text({{"file", printable(options.input)},
                     {"original", printable(options.other)},
                     {"checked", counted(number_in(model, "tensors_checked"), "tensor")},
                     {"SQNR", accuracy_fact(model)},
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
