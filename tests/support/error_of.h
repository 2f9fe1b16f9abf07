// What an action of the core threw, to look at its parts.
#pragma once

#include "base/error.h"

namespace mnq::test {

/// kOk where it threw nothing.
template <class Action>
Error error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  return Error(Status::kOk, "nothing was thrown");
}

}  // namespace mnq::test
