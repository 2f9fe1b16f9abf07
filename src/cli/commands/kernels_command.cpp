// monoquant kernels
#include <unistd.h>

#include "cli/commands/commands.h"
#include "cli/handles.h"
#include "cli/json.h"
#include "cli/terminal/human.h"
#include "cli/terminal/report_view.h"
#include "cli/terminal/table.h"

namespace cli {
namespace {

std::string joined(const Json& list) {
  std::string text;
  for (const Json& item : list) text += (text.empty() ? "" : ", ") + as_text(item);
  return text;
}

std::string kernel_table(const Json& kernels, const Screen& screen) {
  Table table({{"kernel"}, {"runs on"}});
  for (const auto& [name, isa] : kernels.items()) table.add_row({{name}, {as_text(isa)}});
  return table.text(screen);
}

std::string view(const Json& info, const Screen& screen) {
  return facts_text({{"in use", paint(screen, Style::kGood, text_in(info, "isa"))},
                     {"this CPU has", joined(info["isa_available"])},
                     {"threads", count_text(number_in(info, "threads"))},
                     {"schemes", joined(info["schemes"])},
                     {"methods", joined(info["methods"])},
                     {"library", text_in(info, "version") + ", ABI " + text_in(info, "abi_version")},
                     {"built by", text_in(info, "compiler") + ", " + text_in(info, "build_type")}},
                    screen) +
         "\n" + kernel_table(info["kernels"], screen);
}

}  // namespace

int run_kernels(const Options& options) {
  const std::string json = text_of(make<Buffer>(mnq_build_info));
  write_stdout(options.json ? json + "\n" : view(parse_json(json), screen_of(STDOUT_FILENO)));
  return kExitOk;
}

}  // namespace cli
