#include <array>

#include "methods/method.h"

namespace mnq {

std::span<const Method* const> all_methods() {
  static constexpr std::array kMethods{&kMinmaxMethod, &kGgmlMethod};
  return kMethods;
}

}  // namespace mnq
