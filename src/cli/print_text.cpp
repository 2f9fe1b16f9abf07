// monoquant --help and --version
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/terminal.h"

namespace cli {

int print_text(const Options& options) {
  write_stdout(options.text);
  return kExitOk;
}

}  // namespace cli
