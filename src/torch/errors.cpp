#include "torch/errors.h"

#include <algorithm>
#include <optional>

#include "base/own_stack.h"
#include "base/text/format.h"
#include "torch/libtorch.h"

namespace mnq::libtorch {
namespace {

constexpr std::string_view kBlank = " \n";

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// What LibTorch's words mean to who reads them here. The status: of what is reported in place of a failure in general.
struct KnownFailure {
  std::string_view words;
  std::optional<Status> status;
  const char* suggestion;
};
constexpr const char* kSameDType = "give inputs of the dtype of the module's weights";
constexpr KnownFailure kKnownFailures[] = {
    {"Unknown builtin op", Status::kUnsupported,
     "operators of another library, such as torchvision, are not part of LibTorch: export the module without them"},
    {"have the same dtype", std::nullopt, kSameDType},
    {"expected scalar type", std::nullopt, kSameDType},
    {"should be the same", std::nullopt, kSameDType},
    {"shapes cannot be multiplied", std::nullopt, "give inputs of the shape that the module was made for"},
    {"expected input", std::nullopt, "give inputs of the shape that the module was made for"},
};

[[noreturn]] void fail(Status status, const std::string& what, const std::string& message) {
  const auto* known = std::ranges::find_if(
      kKnownFailures, [&](const KnownFailure& failure) { return message.find(failure.words) != std::string::npos; });
  const bool is_known = known != std::end(kKnownFailures);
  throw Error(is_known ? known->status.value_or(status) : status, formatted("{}: {}", what, short_message(message)),
              is_known ? known->suggestion : "", what);
}

}  // namespace

std::string short_message(const std::string& message) {
  // After each traceback comes what was raised, in the first line that is not indented.
  constexpr std::string_view kMark = "<--- HERE";
  const std::string text = trimmed(message);
  const std::size_t mark = text.rfind(kMark);
  if (mark == std::string::npos) return text;
  std::size_t line = text.find('\n', mark);
  while (line != std::string::npos && (text[line + 1] == ' ' || text[line + 1] == '\n')) {
    line = text.find('\n', line + 1);
  }
  return line == std::string::npos ? text.substr(0, text.find('\n')) : text.substr(line + 1);
}

void guarded(Status status, const std::string& what, const std::function<void()>& work) {
  try {
    on_own_stack(work);
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
