// The command line: a client of mono_quant.h like any other. Parses, runs one command, turns what went wrong into text
// and an exit code.
#include <algorithm>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/failure.h"
#include "cli/terminal/terminal.h"

namespace {

int run(const std::vector<std::string>& arguments) {
  const cli::Options options = cli::parse_command_line(arguments);
  return options.command(options);
}

}  // namespace

int main(int argc, char** argv) {
  cli::prepare_standard_streams();
  const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  // Asked of the arguments, so that one that cannot be parsed is told as JSON too.
  const bool json = std::ranges::find(arguments, "--json") != arguments.end();
  try {
    return run(arguments);
  } catch (const cli::Failure& failure) {
    return cli::report_failure(failure, json);
  } catch (const std::bad_alloc&) {
    return cli::report_failure({MNQ_E_OUT_OF_MEMORY, "out of memory", "", ""}, json);
  } catch (const std::exception& error) {
    return cli::report_failure({MNQ_E_INTERNAL, error.what(), "this is a defect: please report it", ""}, json);
  }
}
