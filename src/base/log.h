// Messages for the host, who may listen with one callback; nothing is ever printed.
#pragma once

#include <string>

namespace mnq {

enum class LogLevel { kWarning = 1, kInfo = 2 };  // MNQ_LOG_*
using LogCallback = void (*)(void* user, int level, const char* message);

void set_log_callback(LogCallback callback, void* user);
void log_message(LogLevel level, const std::string& message);

/// Calls one callback with a message as UTF-8. What it throws is nobody's.
void call_log(LogCallback callback, void* user, LogLevel level, const std::string& message);

}  // namespace mnq
