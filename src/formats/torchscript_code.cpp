#include "formats/torchscript_code.h"

#include <algorithm>
#include <vector>

#include "base/format.h"
#include "base/utf8.h"
#include "formats/archive_error.h"

namespace mnq {
namespace {

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Goes over code once. An operator counts until the next comma or the end of its brackets or statement: all that stand in
// a row nest in the parser's tree, on one side or the other.
class DepthCounter {
 public:
  explicit DepthCounter(std::string_view code) : code_(code) {}

  int count() {
    start_line();
    while (at_ < code_.size()) step();
    return deepest_;
  }

 private:
  void step() {
    const char c = code_[at_];
    if (c == '"' || c == '\'') return skip_string(c);
    if (c == '#') return skip_comment();
    if (is_word_character(c)) return take_word();
    ++at_;
    if (c == '\n') {
      if (levels_.size() == 1) start_line();
    } else if (c == '\\' && at_ < code_.size() && code_[at_] == '\n') {
      ++at_;
    } else if (c == '(' || c == '[' || c == '{') {
      add_operator();  // a call, a subscript: f()()() nests too
      levels_.push_back(0);
      deepen(1);
    } else if (c == ')' || c == ']' || c == '}') {
      if (levels_.size() > 1) close();
    } else if (c == ',' || c == ';') {
      depth_ -= levels_.back();
      levels_.back() = 0;
    } else if (c != ' ' && c != ':' && c != '\t' && c != '\r') {
      add_operator();
    }
  }

  void add_operator() {
    ++levels_.back();
    deepen(1);
  }

  void deepen(int levels) { deepest_ = std::max(deepest_, depth_ += levels); }

  void close() {
    depth_ -= levels_.back() + 1;
    levels_.pop_back();
  }

  void take_word() {
    const std::size_t start = at_;
    while (at_ < code_.size() && is_word_character(code_[at_])) ++at_;
    const std::string_view word = code_.substr(start, at_ - start);
    for (const std::string_view each : {"if", "else", "not", "and", "or", "is", "in", "lambda", "await", "for", "as"}) {
      if (word == each) return add_operator();
    }
    if (word == "elif") {
      ++elifs_;
      deepen(1);
    }
  }

  // As the lexer has it: three quotes end with three, one ends on its line, and a backslash hides a quote.
  void skip_string(char quote) {
    const bool is_long = code_.substr(at_, 3) == std::string(3, quote);
    const std::string_view end = is_long ? code_.substr(at_, 3) : code_.substr(at_, 1);
    for (at_ += end.size(); at_ < code_.size(); ++at_) {
      if (code_[at_] == '\\') {
        ++at_;
      } else if (code_.substr(at_).starts_with(end)) {
        break;
      } else if (!is_long && code_[at_] == '\n') {
        return;
      }
    }
    at_ = std::min(at_ + end.size(), code_.size());
  }

  // As the lexer has it: to the end of the line, except that a type in a comment is code.
  void skip_comment() {
    constexpr std::string_view kType = "# type:";
    at_ = code_.substr(at_).starts_with(kType) ? at_ + kType.size() : std::min(code_.find('\n', at_), code_.size());
  }

  // A statement's depth starts with its indentation.
  void start_line() {
    const std::size_t text = std::min(code_.find_first_not_of(" \t", at_), code_.size());
    if (text < code_.size() && code_[text] != '\n' && code_[text] != '\r') {
      const std::size_t indent = text - at_;
      while (!indents_.empty() && indents_.back() > indent) indents_.pop_back();
      if (indents_.empty() || indents_.back() < indent) indents_.push_back(indent);
      if (code_.substr(text).starts_with("def ") || code_.substr(text).starts_with("class ")) elifs_ = 0;
    }
    at_ = text;
    levels_.assign(1, 0);
    depth_ = 0;
    deepen(static_cast<int>(indents_.size()) + elifs_);
  }

  std::string_view code_;
  std::size_t at_ = 0;
  std::vector<std::size_t> indents_;
  std::vector<int> levels_{0};  // for each open bracket the operators since its last comma
  int elifs_ = 0;               // since the function's start: each is an `if` in the `else` before
  int depth_ = 0;
  int deepest_ = 0;
};

}  // namespace

int code_depth(std::string_view code) { return DepthCounter(code).count(); }

void check_torchscript_code(std::string_view code, const std::string& title, std::string_view record) {
  if (!is_utf8(code)) fail_record(title, record, "is no UTF-8 text");
  if (code.find('\0') != code.npos) fail_record(title, record, "holds a zero byte");
  for (const std::string_view each : {"__setstate__", "__torch__.torch.classes"}) {
    if (code.find(each) == code.npos) continue;
    refuse_record(title, record, formatted("has {}: quantized by PyTorch already, or holds a custom class", each),
                  "give the float module, before PyTorch quantized it");
  }
  if (const int depth = code_depth(code); depth > kMostCodeDepth) {
    fail_record(title, record, formatted("its code is nested {} deep, more than {}", depth, kMostCodeDepth));
  }
}

std::string in_lower_case(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

bool defines_class(std::string_view code, std::string_view name) {
  const std::string line = "class " + std::string(name);
  for (std::size_t at = code.find(line); at != code.npos; at = code.find(line, at + 1)) {
    const bool starts = at == 0 || code[at - 1] == '\n';
    const std::size_t end = at + line.size();
    if (starts && (end == code.size() || !is_word_character(code[end]))) return true;
  }
  return false;
}

}  // namespace mnq
