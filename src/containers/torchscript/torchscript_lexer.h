// The characters of a TorchScript file's code: words, texts and numbers in the order in which they stand, with the line
// for messages. What they mean together is the parsers' matter (torchscript_expressions.h, torchscript_syntax.cpp).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mnq {

class ScriptLexer {
 public:
  /// All must outlive it. Errors: kFormat if the code is no UTF-8 text or holds a zero byte.
  ScriptLexer(std::string_view code, const std::string& title, const std::string& record);

  std::uint32_t line() const { return line_; }
  void next_line() { ++line_; }
  bool is_at_end() const { return at_ == code_.size(); }

  char peek() const { return at_ < code_.size() ? code_[at_] : '\0'; }
  bool sees(std::string_view text) const { return code_.substr(at_).starts_with(text); }
  bool sees_number() const;
  bool take(std::string_view text) {
    if (!sees(text)) return false;
    at_ += text.size();
    return true;
  }
  void require(std::string_view text, std::string_view where);

  std::string_view rest_of_line() const;                           ///< its next 30 characters
  std::size_t take_blanks();                                       ///< how many
  void give_back(std::string_view taken) { at_ -= taken.size(); }  ///< what was taken last

  /// A name before "=" alone; else empty, and nothing is taken.
  std::string_view take_keyword();
  std::string_view require_word(std::string_view what);
  std::string_view require_dotted_name();

  std::string_view require_text();    ///< what stands between quotes
  std::string_view require_number();  ///< with its sign; perhaps a complex one
  void skip_number();                 ///< without a sign
  std::string_view take_until(std::string_view ends);

  [[noreturn]] void fail(const std::string& what) const;              ///< kFormat, naming the line
  [[noreturn]] void fail_where_belongs(std::string_view what) const;  ///< showing what stands there

 private:
  std::string_view take_word();

  std::string_view code_;
  const std::string& title_;
  const std::string& record_;
  std::size_t at_ = 0;
  std::uint32_t line_ = 1;
};

}  // namespace mnq
