#include "containers/torchscript/torchscript_lexer.h"

#include <algorithm>
#include <utility>

#include "base/text/format.h"
#include "base/text/utf8.h"
#include "containers/archive_error.h"

namespace mnq {
namespace {

constexpr std::string_view kReserved[] = {
    "and",    "as",       "assert", "async",   "await", "break", "class",  "continue", "def",    "del",  "elif",
    "else",   "Ellipsis", "except", "finally", "for",   "from",  "global", "if",       "import", "in",   "is",
    "lambda", "nonlocal", "not",    "or",      "pass",  "raise", "return", "try",      "while",  "with", "yield"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

}  // namespace

ScriptLexer::ScriptLexer(std::string_view code, const std::string& title, const std::string& record)
    : code_(code), title_(title), record_(record) {
  if (!is_utf8(code_)) fail_record(title_, record_, "is no UTF-8 text");
  if (code_.find('\0') != code_.npos) fail_record(title_, record_, "holds a zero byte");
}

bool ScriptLexer::sees_number() const { return peek() == '-' || is_digit(peek()); }

void ScriptLexer::require(std::string_view text, std::string_view where) {
  if (!take(text)) fail(formatted("has '{}' {} where '{}' belongs", shown(rest_of_line()), where, shown(text)));
}

std::size_t ScriptLexer::take_blanks() {
  const std::size_t end = std::min(code_.find_first_not_of(' ', at_), code_.size());
  return end - std::exchange(at_, end);
}

std::string_view ScriptLexer::rest_of_line() const {
  const std::string_view rest = code_.substr(at_, 30);
  return rest.substr(0, rest.find('\n'));
}

// Empty where there is none.
std::string_view ScriptLexer::take_word() {
  std::size_t end = at_;
  while (end < code_.size() && (is_letter(code_[end]) || (end > at_ && is_digit(code_[end])))) ++end;
  const std::string_view word = code_.substr(at_, end - at_);
  if (std::ranges::find(kReserved, word) != std::end(kReserved)) return {};
  at_ = end;
  return word;
}

std::string_view ScriptLexer::take_keyword() {
  const std::size_t start = at_;
  const std::string_view word = take_word();
  if (!word.empty() && take("=")) return word;
  at_ = start;
  return {};
}

std::string_view ScriptLexer::require_word(std::string_view what) {
  const std::string_view word = take_word();
  if (word.empty()) fail_where_belongs(what);
  return word;
}

std::string_view ScriptLexer::require_dotted_name() {
  const std::size_t start = at_;
  do {
    require_word("a name");
  } while (take("."));
  return code_.substr(start, at_ - start);
}

std::string_view ScriptLexer::require_text() {
  const char quote = peek();
  if (quote != '"' && quote != '\'') fail_where_belongs("a text");
  const std::size_t start = ++at_;
  for (; peek() != quote; ++at_) {
    if (peek() == '\\') ++at_;
    if (static_cast<unsigned char>(peek()) < ' ' && peek() != '\t') fail("has a text without an end");
  }
  const std::string_view text = code_.substr(start, at_++ - start);
  if (peek() == '"' || peek() == '\'') fail("has two texts in a row");
  return text;
}

void ScriptLexer::skip_number() {
  if (take("inf") || take("nan")) return;
  const std::size_t start = at_;
  while (is_digit(peek())) ++at_;
  if (at_ == start) fail_where_belongs("a number");
  if (take(".")) {
    while (is_digit(peek())) ++at_;
  }
  if (!take("e")) return;
  if (!take("+")) take("-");
  if (!is_digit(peek())) fail("has an exponent without digits");
  while (is_digit(peek())) ++at_;
}

std::string_view ScriptLexer::require_number() {
  const std::size_t start = at_;
  take("-");
  skip_number();
  if (!take("j") && (take("+") || take("-"))) {
    skip_number();
    require("j", "in a complex number");
  }
  if (is_letter(peek()) || is_digit(peek())) fail("has a number that goes on as a name");
  return code_.substr(start, at_ - start);
}

std::string_view ScriptLexer::take_until(std::string_view ends) {
  const std::size_t start = at_;
  at_ = std::min(code_.find_first_of(ends, at_), code_.size());
  return code_.substr(start, at_ - start);
}

void ScriptLexer::fail(const std::string& what) const {
  fail_record(title_, record_, formatted("line {} {}", line_, what));
}

void ScriptLexer::fail_where_belongs(std::string_view what) const {
  fail(formatted("has '{}' where {} belongs", shown(rest_of_line()), what));
}

}  // namespace mnq
