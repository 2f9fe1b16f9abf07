#include "containers/archive_error.h"

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/utf8.h"

namespace mnq {
namespace {

[[noreturn]] void fail(Status status, const std::string& title, std::string_view record, const std::string& what,
                       const std::string& suggestion) {
  if (record.empty()) throw Error(status, formatted("{}: {}", title, what), suggestion, title);
  throw Error(status, formatted("{}: record {}: {}", title, shown(record), what), suggestion, shown(record));
}

}  // namespace

std::string shown(std::string_view text) {
  constexpr std::size_t kMostBytes = 200;
  std::string result;
  while (!text.empty()) {
    if (result.size() > kMostBytes) return result + "...";
    const Character next = first_character(text);
    if (next.is_valid && next.code >= ' ' && next.code != 0x7f) {
      result += text.substr(0, next.length);
    } else {
      result += formatted("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(text[0])));
    }
    text.remove_prefix(next.is_valid ? next.length : 1);
  }
  return result;
}

std::string joined(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 32;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kMost; ++i) text += (i == 0 ? "" : ", ") + shown(names[i]);
  if (names.size() > kMost) text += formatted(" and {} more", names.size() - kMost);
  return text;
}

void fail_record(const std::string& title, std::string_view record, const std::string& what) {
  fail(Status::kFormat, title, record, what, "the file is damaged: fetch or save it again");
}

void refuse_record(const std::string& title, std::string_view record, const std::string& what,
                   const std::string& suggestion) {
  fail(Status::kUnsupported, title, record, what, suggestion);
}

}  // namespace mnq
