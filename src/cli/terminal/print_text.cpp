// monoquant --help and --version
#include "cli/commands/commands.h"
#include "cli/failure.h"
#include "cli/terminal/terminal.h"

namespace cli {

int print_text(const Options& options) {
  write_stdout(options.text);
  return kExitOk;
}

}  // namespace cli
