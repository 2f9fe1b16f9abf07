// What ends a command early, and the exit code it ends with. The codes are a promise to scripts.
#pragma once

#include <string>

#include "mono_quant.h"

namespace cli {

enum ExitCode {
  kExitOk = 0,
  kExitGeneral = 1,
  kExitUsage = 2,         // configuration or usage
  kExitQuantization = 3,  // weights, shapes or dtypes that cannot be quantized
  kExitValidation = 4,    // validate found problems
  kExitFile = 5,          // a file cannot be read, understood or written
  kExitSignal = 128,      // plus the number of the signal
};

struct Failure {
  mnq_status status = MNQ_E_INTERNAL;
  std::string message;  // "<what>: <why>"
  std::string hint;     // what to do about it; may be empty
  std::string subject;  // the file, tensor, layer, key or option at fault; may be empty
};

/// A failure of the operating system on a file. action: "cannot be written"
[[noreturn]] void fail_file(const std::string& path, const char* action, int error_number);

/// Tells the user on stderr, and on stdout as a JSON document where json; gives the exit code.
int report_failure(const Failure& failure, bool json);

}  // namespace cli
