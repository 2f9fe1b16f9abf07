// A value that is mostly not there: a pointer's room, and a copy of its own where it is.
#pragma once

#include <memory>
#include <optional>
#include <utility>

namespace mnq {

template <class Value>
class Boxed {
 public:
  Boxed() = default;
  Boxed(std::nullopt_t) {}
  Boxed(Value value) : value_(std::make_unique<Value>(std::move(value))) {}
  Boxed(std::optional<Value> value) {
    if (value) value_ = std::make_unique<Value>(std::move(*value));
  }
  Boxed(const Boxed& other) : value_(other.value_ == nullptr ? nullptr : std::make_unique<Value>(*other.value_)) {}
  Boxed(Boxed&&) noexcept = default;
  Boxed& operator=(Boxed other) noexcept {
    value_ = std::move(other.value_);
    return *this;
  }

  bool has_value() const { return value_ != nullptr; }
  explicit operator bool() const { return has_value(); }
  const Value& operator*() const { return *value_; }
  const Value* operator->() const { return value_.get(); }

 private:
  std::unique_ptr<Value> value_;
};

}  // namespace mnq
