#include "base/log.h"

#include <mutex>

#include "base/text/utf8.h"

namespace mnq {
namespace {

std::mutex log_mutex;
LogCallback log_callback = nullptr;
void* log_user = nullptr;

}  // namespace

void set_log_callback(LogCallback callback, void* user) {
  const std::lock_guard lock(log_mutex);
  log_callback = callback;
  log_user = user;
}

void log_message(LogLevel level, const std::string& message) {
  LogCallback callback = nullptr;
  void* user = nullptr;
  {
    const std::lock_guard lock(log_mutex);
    callback = log_callback;
    user = log_user;
  }
  if (callback != nullptr) call_log(callback, user, level, message);
}

void call_log(LogCallback callback, void* user, LogLevel level, const std::string& message) {
  try {
    callback(user, static_cast<int>(level), valid_utf8(message).c_str());
  } catch (...) {  // a C++ host's: what it failed to write must not fail the job
  }
}

}  // namespace mnq
