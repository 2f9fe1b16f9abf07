// The one exception of the library: a status, what went wrong, what to do about it, and what it is about.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

namespace mnq {

// The values are those of MNQ_* in mono_quant.h and are never renumbered.
enum class Status : std::int32_t {
  kOk = 0,
  kInvalidArg = 1,
  kConfig = 2,
  kNotFound = 3,
  kIo = 4,
  kFormat = 5,
  kUnsupported = 6,
  kShape = 7,
  kDType = 8,
  kCalibration = 9,
  kValidation = 10,
  kCancelled = 11,
  kBufferTooSmall = 12,
  kState = 13,
  kOutOfMemory = 14,
  kTorch = 15,
  kAbi = 16,
  kInternal = 99,
};

class Error : public std::exception {
 public:
  /// message     what is wrong, naming the file, tensor or key at fault
  /// suggestion  what to do about it; may be empty
  /// subject     the file, tensor, layer or key alone, for programs; may be empty
  /// They are copied here, in one place: each of the hundreds that throw would have code for three strings otherwise.
  Error(Status status, std::string_view message, std::string_view suggestion = {}, std::string_view subject = {});
  Error(const Error&);
  ~Error() override;

  const char* what() const noexcept override { return message_.c_str(); }
  Status status() const noexcept { return status_; }
  const std::string& message() const noexcept { return message_; }
  const std::string& suggestion() const noexcept { return suggestion_; }
  const std::string& subject() const noexcept { return subject_; }

 private:
  Status status_;
  std::string message_;
  std::string suggestion_;
  std::string subject_;
};

}  // namespace mnq
