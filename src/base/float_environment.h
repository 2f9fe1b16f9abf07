// Codes are the same bits wherever they are made, so a host that rounds upwards or flushes small numbers to zero for
// work of its own must not be seen in them.
#pragma once

#include <cfenv>

namespace mnq {

/// While it lives, this thread computes as IEEE 754 has it by default: rounding to nearest, gradual underflow, no
/// traps. What the host had set, its flags too, is there again afterwards.
class DefaultFloatEnvironment {
 public:
  DefaultFloatEnvironment() {
    std::fegetenv(&before_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloatEnvironment() { std::fesetenv(&before_); }
  DefaultFloatEnvironment(const DefaultFloatEnvironment&) = delete;
  DefaultFloatEnvironment& operator=(const DefaultFloatEnvironment&) = delete;

 private:
  std::fenv_t before_{};
};

}  // namespace mnq
