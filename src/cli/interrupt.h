// Ctrl-C and SIGTERM, turned into a cancel of the job that runs.
#pragma once

#include "mono_quant.h"

namespace cli {

/// While it lives, the first SIGINT, SIGTERM or SIGHUP cancels the run; a second one ends the process at once. One at a
/// time.
class CancelOnSignal {
 public:
  explicit CancelOnSignal(mnq_run* run);
  ~CancelOnSignal();
  CancelOnSignal(const CancelOnSignal&) = delete;
  CancelOnSignal& operator=(const CancelOnSignal&) = delete;
};

/// The signal that cancelled last; 0 for none.
int last_interrupt();

}  // namespace cli
