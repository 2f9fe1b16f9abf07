#include "torch/errors.h"

#include "base/format.h"
#include "torch/libtorch.h"

namespace mnq::libtorch {
namespace {

std::string trimmed_end(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

[[noreturn]] void fail(Status status, const std::string& what, const std::string& message) {
  throw Error(status, formatted("{}: {}", what, short_message(message)), "", what);
}

}  // namespace

std::string short_message(const std::string& message) {
  // After each traceback comes what was raised, in the first line that is not indented.
  constexpr std::string_view kMark = "<--- HERE";
  const std::size_t mark = message.rfind(kMark);
  if (mark == std::string::npos) return trimmed_end(message);
  std::size_t line = message.find('\n', mark);
  while (line != std::string::npos && line + 1 < message.size() &&
         (message[line + 1] == ' ' || message[line + 1] == '\n')) {
    line = message.find('\n', line + 1);
  }
  if (line == std::string::npos || line + 1 >= message.size())
    return trimmed_end(message.substr(0, message.find('\n')));
  return trimmed_end(message.substr(line + 1));
}

void guarded(Status status, const std::string& what, const std::function<void()>& work) {
  try {
    work();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const c10::OutOfMemoryError&) {
    throw std::bad_alloc();
  } catch (const c10::Error& error) {
    fail(status, what, error.what_without_backtrace());
  } catch (const std::exception& error) {
    fail(status, what, error.what());
  } catch (...) {
    fail(status, what, "LibTorch failed without a reason");
  }
}

}  // namespace mnq::libtorch
