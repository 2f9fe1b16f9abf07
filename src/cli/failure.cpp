#include "cli/failure.h"

#include <cerrno>
#include <system_error>

#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/terminal/terminal.h"
#include "cli/terminal/utf8.h"

namespace cli {
namespace {

int exit_code(mnq_status status) {
  switch (status) {
    case MNQ_OK:
      return kExitOk;
    case MNQ_E_INVALID_ARG:
    case MNQ_E_CONFIG:
      return kExitUsage;
    case MNQ_E_VALIDATION:
    case MNQ_E_SHAPE:
    case MNQ_E_DTYPE:
      return kExitQuantization;
    case MNQ_E_NOT_FOUND:
    case MNQ_E_IO:
    case MNQ_E_FORMAT:
    case MNQ_E_UNSUPPORTED:
    case MNQ_E_STATE:
      return kExitFile;
    case MNQ_E_CANCELLED:
      return kExitSignal + last_interrupt();
    default:
      return kExitGeneral;
  }
}

// The library speaks of keys; here they have flags.
std::string in_flags(std::string hint) {
  constexpr std::pair<std::string_view, std::string_view> kFlags[] = {{"overwrite=true", "--force"},
                                                                      {"resume=true", "--resume"}};
  for (const auto& [key, flag] : kFlags) {
    if (const std::size_t at = hint.find(key); at != hint.npos) hint.replace(at, key.size(), flag);
  }
  return hint;
}

// "<what>: <why>"
std::string full_message(const Failure& failure) {
  const bool says_what = failure.subject.empty() || failure.message.find(": ") != failure.message.npos;
  return says_what ? failure.message : failure.subject + ": " + failure.message;
}

}  // namespace

void fail_file(const std::string& path, const char* action, int error_number) {
  const bool is_missing = error_number == ENOENT || error_number == ENOTDIR;
  throw Failure{is_missing ? MNQ_E_NOT_FOUND : MNQ_E_IO,
                path + ": " + action + ": " + std::generic_category().message(error_number),
                is_missing ? "check the path" : "", path};
}

int report_failure(const Failure& failure, bool json) {
  const Screen screen = screen_of(2);
  const std::string hint = in_flags(failure.hint);
  std::string text = paint(screen, Style::kBad, "monoquant:") + " " + printable(full_message(failure)) + "\n";
  if (!hint.empty()) text += paint(screen, Style::kDim, "hint:") + " " + printable(hint) + "\n";
  write_stderr(text);
  if (json) {
    const Json document{{"error",
                         {{"status", mnq_status_name(failure.status)},
                          {"message", failure.message},
                          {"suggestion", hint},
                          {"subject", failure.subject}}}};
    try {
      write_stdout(dump(document) + "\n");
    } catch (const Failure&) {  // stderr has said what matters
    }
  }
  return exit_code(failure.status);
}

}  // namespace cli
