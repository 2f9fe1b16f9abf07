// What is made by the first thread that asks for it, and gone once nobody will ask again.
#pragma once

#include <memory>
#include <mutex>

namespace mnq {

template <class Value>
class Lazy {
 public:
  /// From any thread. make() -> std::unique_ptr<Value>; it is tried again where it threw.
  template <class Make>
  Value& get(const Make& make) {
    std::call_once(made_, [&] { value_ = make(); });
    return *value_;
  }

  /// When no other thread uses it. It is not made again.
  void reset() { value_.reset(); }

 private:
  std::once_flag made_;
  std::unique_ptr<Value> value_;
};

}  // namespace mnq
