#include "cli/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "cli/failure.h"

namespace cli {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

std::atomic<mnq_run*> the_run{nullptr};
std::atomic<int> the_signal{0};
static_assert(std::atomic<mnq_run*>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void cancel_run(int signal_number) {
  if (the_signal.exchange(signal_number) != 0) ::_exit(kExitSignal + signal_number);  // the second one
  mnq_run_cancel(the_run);
}

}  // namespace

CancelOnSignal::CancelOnSignal(mnq_run* run) {
  the_run = run;
  for (const int each : kSignals) {
    struct sigaction action {};
    ::sigaction(each, nullptr, &action);
    if (action.sa_handler != SIG_IGN) std::signal(each, cancel_run);  // nohup stays respected
  }
}

CancelOnSignal::~CancelOnSignal() {
  for (const int each : kSignals) {
    struct sigaction action {};
    ::sigaction(each, nullptr, &action);
    if (action.sa_handler == cancel_run) std::signal(each, SIG_DFL);
  }
  the_run = nullptr;
}

int last_interrupt() { return the_signal; }

}  // namespace cli
