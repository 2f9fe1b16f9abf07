// What LibTorch throws, as errors of ours.
#pragma once

#include <functional>
#include <string>

#include "base/error.h"

namespace mnq::libtorch {

/// Runs work() on a stack of our own, whatever the caller's is like: LibTorch recurses. Whatever LibTorch throws
/// becomes Error(status, "what: message") without a backtrace.
void guarded(Status status, const std::string& what, const std::function<void()>& work);

/// The last words of a message of TorchScript's interpreter: what went wrong, without the way there.
std::string short_message(const std::string& message);

}  // namespace mnq::libtorch
