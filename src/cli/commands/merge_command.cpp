// monoquant merge OUT
#include "cli/commands/commands.h"
#include "cli/commands/job.h"
#include "cli/terminal/format.h"
#include "cli/terminal/terminal.h"
#include "cli/terminal/utf8.h"

namespace cli {

int run_merge(const Options& options) {
  const Job job(options);
  call(mnq_merge_folder, options.input.c_str(), job.run());
  if (!options.quiet) write_stdout(formatted("merged into {}\n", printable(options.input)));
  return kExitOk;
}

}  // namespace cli
