#include "containers/torchscript/torchscript_syntax.h"

#include <algorithm>
#include <tuple>

#include "base/text/format.h"
#include "base/text/utf8.h"
#include "containers/archive_error.h"

namespace mnq {
namespace {

constexpr std::string_view kReserved[] = {
    "and",    "as",       "assert", "async",   "await", "break", "class",  "continue", "def",    "del",  "elif",
    "else",   "Ellipsis", "except", "finally", "for",   "from",  "global", "if",       "import", "in",   "is",
    "lambda", "nonlocal", "not",    "or",      "pass",  "raise", "return", "try",      "while",  "with", "yield"};
constexpr std::string_view kBases[] = {"Module", "NamedTuple", "Enum", "Interface", "ModuleInterface"};
constexpr std::string_view kNameLists[] = {"__parameters__", "__buffers__", "__forward_hooks__",
                                           "__forward_pre_hooks__"};
constexpr std::string_view kNumberWords[] = {"inf", "nan", "infj", "nanj"};
constexpr std::string_view kNamespaces[] = {"torch", "ops", "CONSTANTS", "__torch__"};
constexpr std::string_view kTypeFirst[] = {"annotate", "unchecked_cast", "uninitialized"};  // T, then perhaps a value

bool is_one_of(std::string_view text, std::span<const std::string_view> names) {
  return std::ranges::find(names, text) != names.end();
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

}  // namespace

class ScriptParser {
 public:
  explicit ScriptParser(ScriptCode& out) : out_(out), code_(*out.code_) {}

  void parse_file() {
    check_text();
    blocks_.push_back({ScriptKind::kFile, {}, 1, 0, 0});
    while (at_ < code_.size()) {
      parse_line();
      ++line_;
    }
    while (!blocks_.empty()) close_block();
    out_.root_ = operands_.front();
  }

  void parse_type_alone() {
    check_text();
    parse_type();
    if (at_ != code_.size()) fail("goes on behind a type");
    out_.root_ = operands_.front();
  }

 private:
  // A block that is being read, or a bracket.
  struct Open {
    ScriptKind kind;
    std::string_view text;
    std::uint32_t line;
    std::size_t start;  // of its parts among the operands
    std::size_t block;  // of its statements among the operands
    bool in_else = false;
    bool has_returned = false;
    std::size_t commas = 0;
  };

  [[noreturn]] void fail(const std::string& what) const { out_.fail(line_, what); }

  void check_text() const {
    if (!is_utf8(code_)) fail_record(out_.title_, out_.record_, "is no UTF-8 text");
    if (code_.find('\0') != code_.npos) fail_record(out_.title_, out_.record_, "holds a zero byte");
  }

  // --- Characters ---

  char peek() const { return at_ < code_.size() ? code_[at_] : '\0'; }
  bool sees(std::string_view text) const { return code_.substr(at_).starts_with(text); }
  bool take(std::string_view text) {
    if (!sees(text)) return false;
    at_ += text.size();
    return true;
  }
  void require(std::string_view text, std::string_view where) {
    if (!take(text)) fail(formatted("has '{}' {} where '{}' belongs", shown(rest_of_line()), where, shown(text)));
  }
  std::string_view rest_of_line() const {
    const std::string_view rest = code_.substr(at_, 30);
    return rest.substr(0, rest.find('\n'));
  }

  // Empty where there is none.
  std::string_view take_word() {
    std::size_t end = at_;
    while (end < code_.size() && (is_letter(code_[end]) || (end > at_ && is_digit(code_[end])))) ++end;
    const std::string_view word = code_.substr(at_, end - at_);
    if (is_one_of(word, kReserved)) return {};
    at_ = end;
    return word;
  }

  std::string_view require_word(std::string_view what) {
    const std::string_view word = take_word();
    if (word.empty()) fail(formatted("has '{}' where {} belongs", shown(rest_of_line()), what));
    return word;
  }

  std::string_view require_dotted_name() {
    const std::size_t start = at_;
    do {
      require_word("a name");
    } while (take("."));
    return code_.substr(start, at_ - start);
  }

  // --- Nodes ---

  // A node of the operands from start on; it takes their place.
  void add(ScriptKind kind, std::string_view text, std::size_t start, std::uint32_t line) {
    const auto index = static_cast<ScriptIndex>(out_.nodes_.size());
    ScriptNode node{kind, line, text};
    for (std::size_t i = operands_.size(); i > start; --i) {
      out_.nodes_[operands_[i - 1]].next = node.first;
      node.first = operands_[i - 1];
    }
    operands_.resize(start);
    out_.nodes_.push_back(node);
    operands_.push_back(index);
  }
  void add(ScriptKind kind, std::string_view text, std::size_t start) { add(kind, text, start, line_); }
  void add_leaf(ScriptKind kind, std::string_view text = {}) { add(kind, text, operands_.size()); }
  const ScriptNode& last() const { return out_.nodes_[operands_.back()]; }

  // --- Types ---

  void parse_type() {
    const std::size_t outer = brackets_.size();
    for (;;) {
      if (brackets_.size() > outer && take("()")) {
        add_leaf(ScriptKind::kType);
      } else {
        const std::string_view name = require_dotted_name();
        if (take("[")) {
          open_bracket(ScriptKind::kType, name, operands_.size());
          continue;
        }
        add_leaf(ScriptKind::kType, name);
      }
      while (brackets_.size() > outer && take("]")) close_bracket();
      if (brackets_.size() == outer) return;
      require(", ", "in a type");
    }
  }

  // The second argument of isinstance.
  void parse_types() {
    if (!take("(")) return parse_type();
    const std::size_t start = operands_.size();
    do {
      parse_type();
    } while (take(", "));
    require(")", "behind types");
    add(ScriptKind::kType, {}, start);
  }

  // --- Expressions ---

  void open_bracket(ScriptKind kind, std::string_view text, std::size_t start) {
    if (brackets_.size() >= kMostScriptNesting) fail(formatted("nests more than {} deep", kMostScriptNesting));
    brackets_.push_back({kind, text, line_, start, 0});
  }

  void close_bracket() {
    const Open bracket = brackets_.back();
    brackets_.pop_back();
    add(bracket.kind, bracket.text, bracket.start);
  }

  // A value and what follows it, until neither a bracket is open nor anything else belongs to it.
  void parse_expression() {
    const std::size_t outer = brackets_.size();
    do {
      while (open_operand()) {
      }
      while (continue_operand() || (brackets_.size() > outer && close_operand())) {
      }
    } while (brackets_.size() > outer);
  }

  // An opening bracket: true, and a value is expected still. Else a whole value.
  bool open_operand() {
    is_callable_ = false;
    for (const auto& [open, close, kind] :
         {std::tuple{"(", ")", ScriptKind::kTuple}, {"[", "]", ScriptKind::kList}, {"{", "}", ScriptKind::kDict}}) {
      if (!take(open)) continue;
      open_bracket(kind, {}, operands_.size());
      if (!take(close)) return true;
      close_bracket();
      return false;
    }
    if (!brackets_.empty() && brackets_.back().kind == ScriptKind::kCall && take_keyword()) return true;
    parse_atom();
    return false;
  }

  bool take_keyword() {
    const std::size_t start = at_;
    const std::string_view word = take_word();
    if (!word.empty() && take("=")) {
      open_bracket(ScriptKind::kKeyword, word, operands_.size());
      return true;
    }
    at_ = start;
    return false;
  }

  void parse_atom() {
    const char c = peek();
    if (c == '"' || c == '\'') return parse_text();
    if (c == '-' || is_digit(c)) return parse_number();
    const std::size_t start = at_;
    const std::string_view name = require_dotted_name();
    if (name == "None") return add_leaf(ScriptKind::kNone);
    if (name == "True") return add_leaf(ScriptKind::kTrue);
    if (name == "False") return add_leaf(ScriptKind::kFalse);
    if (is_one_of(name, kNumberWords)) {
      at_ = start;
      return parse_number();
    }
    const bool is_operator = name.starts_with("torch.") || name.starts_with("ops.");
    if (is_one_of(name, kNamespaces) || (is_operator && !sees("("))) fail(formatted("has {} as a value", shown(name)));
    is_callable_ = true;
    add_leaf(ScriptKind::kName, name);
  }

  void parse_text() {
    const char quote = peek();
    if (quote != '"' && quote != '\'') fail(formatted("has '{}' where a text belongs", shown(rest_of_line())));
    const std::size_t start = ++at_;
    for (; peek() != quote; ++at_) {
      if (peek() == '\\') ++at_;
      if (static_cast<unsigned char>(peek()) < ' ' && peek() != '\t') fail("has a text without an end");
    }
    add_leaf(ScriptKind::kText, code_.substr(start, at_++ - start));
    if (peek() == '"' || peek() == '\'') fail("has two texts in a row");
  }

  // Without its sign.
  void take_number() {
    if (take("inf") || take("nan")) return;
    const std::size_t start = at_;
    while (is_digit(peek())) ++at_;
    if (at_ == start) fail(formatted("has '{}' where a number belongs", shown(rest_of_line())));
    if (take(".")) {
      while (is_digit(peek())) ++at_;
    }
    if (peek() != 'e') return;
    ++at_;
    if (!take("+")) take("-");
    if (!is_digit(peek())) fail("has an exponent without digits");
    while (is_digit(peek())) ++at_;
  }

  void parse_number() {
    const std::size_t start = at_;
    take("-");
    take_number();
    if (!take("j") && (peek() == '+' || peek() == '-')) {
      ++at_;
      take_number();
      require("j", "in a complex number");
    }
    if (is_letter(peek()) || is_digit(peek())) fail("has a number that goes on as a name");
    add_leaf(ScriptKind::kNumber, code_.substr(start, at_ - start));
  }

  // What goes on behind a value: `.name`, `(`, `[`. True where it is whole again.
  bool continue_operand() {
    const std::size_t operand = operands_.size() - 1;
    if (sees(".")) {
      const bool has_attributes = last().kind != ScriptKind::kText && last().kind != ScriptKind::kNumber;
      if (!has_attributes) fail("has an attribute of a text or a number");
      ++at_;
      add(ScriptKind::kAttribute, require_word("a name"), operand);
      return is_callable_ = true;
    }
    if (sees("(")) {
      if (!is_callable_) fail("calls what is no function");
      ++at_;
      return open_call(operand);
    }
    if (!take("[")) return false;
    open_bracket(ScriptKind::kIndex, {}, operand);
    while (open_operand()) {
    }
    return true;
  }

  bool open_call(std::size_t operand) {
    const std::string_view callee = last().kind == ScriptKind::kName ? last().text : std::string_view();
    open_bracket(ScriptKind::kCall, {}, operand);
    brackets_.back().text = callee == "isinstance" ? callee : std::string_view();
    is_callable_ = false;
    if (take(")")) {
      close_call();
    } else if (is_one_of(callee, kTypeFirst)) {
      parse_type();
    } else {
      while (open_operand()) {
      }
    }
    return true;
  }

  void close_call() {
    brackets_.back().text = {};
    close_bracket();
  }

  // A comma or a closing bracket behind a value: true where a whole value stands before it.
  bool close_operand() {
    Open& bracket = brackets_.back();
    is_callable_ = false;
    switch (bracket.kind) {
      case ScriptKind::kKeyword:
        close_bracket();
        return true;
      case ScriptKind::kTuple:
        return close_tuple(bracket);
      case ScriptKind::kList:
        return close_list("]");
      case ScriptKind::kCall:
        if (bracket.text == "isinstance" && take(", ")) {
          parse_types();
          if (!sees(")")) fail("gives isinstance more than types");
        }
        if (take(")") || take(",)") || take(", )")) {
          close_call();
          return true;
        }
        require(", ", "between arguments");
        return false;
      case ScriptKind::kDict:
        if ((operands_.size() - bracket.start) % 2 == 1) {
          require(": ", "behind a key");
          return false;
        }
        return close_list("}");
      case ScriptKind::kIndex:
        if (take(":")) {
          bracket.kind = ScriptKind::kSlice;
          return false;
        }
        [[fallthrough]];
      default:
        require("]", "behind an index");
        close_bracket();
        return true;
    }
  }

  bool close_tuple(Open& bracket) {
    if (take(")")) {
      if (bracket.commas > 0) {
        close_bracket();
      } else {
        brackets_.pop_back();  // (x) is x
      }
      return true;
    }
    if (take(",)")) {
      close_bracket();
      return true;
    }
    require(", ", "in a tuple");
    ++bracket.commas;
    return false;
  }

  bool close_list(std::string_view end) {
    if (!take(end)) {
      require(", ", "between values");
      if (!take(end)) return false;  // the lists of names in classes: ["weight", ]
    }
    close_bracket();
    return true;
  }

  // Numbers, texts, None, True, False, and tuples, lists and dicts of them, as IValue::repr prints them: with a type,
  // as a named tuple, a device, an enumeration's value or a constant of the file.
  void parse_literal() {
    const std::size_t first = out_.nodes_.size();
    parse_expression();
    for (std::size_t i = first; i < out_.nodes_.size(); ++i) {
      if (!is_part_of_literal(out_.nodes_[i])) {
        fail("gives a default or a constant that is more than a plain value: LibTorch would run it to load the file");
      }
    }
  }

  static bool is_part_of_literal(const ScriptNode& node) {
    switch (node.kind) {
      case ScriptKind::kNumber:
      case ScriptKind::kText:
      case ScriptKind::kNone:
      case ScriptKind::kTrue:
      case ScriptKind::kFalse:
      case ScriptKind::kTuple:
      case ScriptKind::kList:
      case ScriptKind::kDict:
      case ScriptKind::kType:
      case ScriptKind::kCall:
        return true;
      case ScriptKind::kName:
        return node.text == "annotate" || node.text == "torch.device" || node.text.starts_with("CONSTANTS.c") ||
               node.text.starts_with("__torch__.");
      default:
        return false;
    }
  }

  // --- Statements ---

  void parse_line() {
    const std::size_t text = std::min(code_.find_first_not_of(' ', at_), code_.size());
    const std::size_t indentation = text - at_;
    at_ = text;
    if (peek() == '\n' || at_ == code_.size()) fail("is an empty line");
    while (indentation < 2 * (blocks_.size() - 1)) {
      if (indentation == 2 * (blocks_.size() - 2) && take_else()) return;
      close_block();
    }
    if (indentation != 2 * (blocks_.size() - 1)) fail("is indented otherwise than its block");
    switch (blocks_.back().kind) {
      case ScriptKind::kFile:
        parse_definition();
        break;
      case ScriptKind::kClass:
        parse_member();
        break;
      default:
        parse_statement();
    }
    require("\n", "behind a statement");
  }

  void open_block(ScriptKind kind, std::string_view text, std::size_t start) {
    if (blocks_.size() > kMostScriptBlocks) fail(formatted("has blocks nested more than {} deep", kMostScriptBlocks));
    blocks_.push_back({kind, text, line_, start, operands_.size()});
  }

  bool take_else() {
    Open& block = blocks_.back();
    if (block.kind != ScriptKind::kIf || block.in_else || !take("else:\n")) return false;
    close_statements();
    block.in_else = true;
    block.block = operands_.size();
    return true;
  }

  void close_statements() {
    const Open& block = blocks_.back();
    if (operands_.size() == block.block) fail("has a block without statements before it");
    add(ScriptKind::kBlock, {}, block.block, block.line);
  }

  void close_block() {
    const Open block = blocks_.back();
    if (block.kind == ScriptKind::kIf && !block.in_else) fail("has an if without an else before it");
    if (block.kind != ScriptKind::kFile && block.kind != ScriptKind::kClass) close_statements();
    add(block.kind, block.text, block.start, block.line);
    blocks_.pop_back();
  }

  // Old files begin with their version and name those that they need; LibTorch skips both.
  void parse_definition() {
    const std::size_t start = operands_.size();
    if (take("class ")) {
      const std::string_view name = require_word("a class's name");
      if (take("(")) {
        const std::string_view base = require_word("a base");
        if (!is_one_of(base, kBases)) fail(formatted("has a class of the base {}", shown(base)));
        require(")", "behind a base");
        add_leaf(ScriptKind::kName, base);
      } else {
        add_leaf(ScriptKind::kNone);
      }
      require(":", "behind a class's name");
      open_block(ScriptKind::kClass, name, start);
    } else if (take("def ")) {
      parse_function();
    } else if (line_ == 1 && take("op_version_set = ")) {
      take_number();
    } else if (take("import ")) {
      require_dotted_name();
    } else {
      fail(formatted("begins with '{}', and no class or function", shown(rest_of_line())));
    }
  }

  void parse_member() {
    const std::string_view base = out_.nodes_[operands_[blocks_.back().start]].text;
    const std::size_t start = operands_.size();
    if (take("def ")) return parse_function();
    const std::string_view name = require_word("an attribute");
    if (name == "__annotations__") return parse_annotation(start);
    if (is_one_of(name, kNameLists)) {
      require(" = [", "behind an attribute");
      for (bool is_first = true; !take("]"); is_first = false) {
        if (!is_first) require(", ", "between names");
        if (is_first || !sees("]")) parse_text();
      }
      return add(ScriptKind::kNames, name, start);
    }
    if (base == "Enum") {
      require(" = ", "behind a value's name");
      parse_literal();
      return add(ScriptKind::kConstant, name, start);
    }
    require(" : ", "behind an attribute");
    const bool is_constant = take("Final[");
    parse_type();
    if (is_constant) require("]", "behind a constant's type");
    if (is_constant || (base == "NamedTuple" && sees(" = "))) {
      require(" = ", "behind a constant's type");
      parse_literal();
    }
    add(is_constant ? ScriptKind::kConstant : ScriptKind::kField, name, start);
  }

  // Of attributes whose names are no words: __annotations__["0"] = int
  void parse_annotation(std::size_t start) {
    if (take(" = []")) return;
    require("[\"", "behind __annotations__");
    const std::size_t name = at_;
    at_ = std::min(code_.find_first_of("\"\\\n", at_), code_.size());
    const std::string_view text = code_.substr(name, at_ - name);
    require("\"] = ", "behind an attribute's name");
    parse_type();
    add(ScriptKind::kField, text, start);
  }

  void parse_function() {
    const std::size_t start = operands_.size();
    const std::string_view name = require_word("a function's name");
    require("(", "behind a function's name");
    if (!take(")")) {
      parse_parameter();
      while (!take(")")) {
        if (take(",\n    ")) {
          ++line_;
        } else {
          require(", ", "between parameters");
        }
        parse_parameter();
      }
    }
    if (take(" -> ")) parse_type();
    require(":", "behind a function's parameters");
    open_block(ScriptKind::kFunction, name, start);
  }

  // Of an object itself the type may be left out.
  void parse_parameter() {
    const std::size_t start = operands_.size();
    const std::string_view name = require_word("a parameter");
    if (take(": ")) {
      parse_type();
      if (take("=")) parse_literal();
    }
    add(ScriptKind::kParameter, name, start);
  }

  void parse_statement() {
    Open& block = blocks_.back();
    const std::size_t start = operands_.size();
    if (block.has_returned) fail("has a statement behind a return");
    if (take("return ")) {
      if (block.kind != ScriptKind::kFunction) fail("returns from within a block");
      block.has_returned = true;
      parse_expression();
      return add(ScriptKind::kReturn, {}, start);
    }
    if (sees("pass\n")) {
      at_ += 4;
      return add_leaf(ScriptKind::kPass);
    }
    if (take("def ")) return parse_function();
    if (take("if ")) return parse_header(ScriptKind::kIf, {});
    if (take("while ")) return parse_header(ScriptKind::kWhile, {});
    if (take("with ")) return parse_header(ScriptKind::kWith, {});
    if (take("for ")) {
      const std::string_view counter = require_word("a counter");
      require(" in range(", "behind a counter");
      parse_expression();
      require("):", "behind a range");
      return open_block(ScriptKind::kFor, counter, start);
    }
    parse_assignment();
  }

  void parse_header(ScriptKind kind, std::string_view text) {
    const std::size_t start = operands_.size();
    parse_expression();
    if (kind == ScriptKind::kWith && take(" as ")) text = require_word("a name");
    require(":", "behind a header");
    open_block(kind, text, start);
  }

  // "a = x", "a, b = x, y", "a, b = f()", "a, = t", "self.a = x", "a : int = x", or a value for its effect.
  void parse_assignment() {
    const std::size_t start = operands_.size();
    parse_expression();
    if (sees("\n")) return add(ScriptKind::kExpression, {}, start);
    if (take(" : ") || take(": ")) {
      const std::string_view name = require_variable();
      operands_.resize(start);
      parse_type();
      require(" = ", "behind a variable's type");
      parse_expression();
      return add(ScriptKind::kDeclare, name, start);
    }
    bool is_tuple = false;
    while (!take(" = ")) {
      require(", ", "behind a target");
      require_variable();
      is_tuple = true;
      if (take("= ")) break;
      parse_expression();
    }
    if (is_tuple) {
      require_variable();
      add(ScriptKind::kTuple, {}, start);
    } else if (last().kind != ScriptKind::kName && last().kind != ScriptKind::kAttribute) {
      fail("gives a value to what is no variable");
    }
    const std::size_t value = operands_.size();
    parse_expression();
    while (take(", ")) parse_expression();
    if (operands_.size() > value + 1) add(ScriptKind::kTuple, {}, value);
    add(ScriptKind::kAssign, {}, start);
  }

  std::string_view require_variable() const {
    const bool is_variable = last().kind == ScriptKind::kName && last().text.find('.') == std::string_view::npos;
    if (!is_variable) fail("gives a value to what is no variable");
    return last().text;
  }

  ScriptCode& out_;
  std::string_view code_;
  std::size_t at_ = 0;
  std::uint32_t line_ = 1;
  bool is_callable_ = false;  // the value before: a name or an attribute, not in brackets
  std::vector<ScriptIndex> operands_;
  std::vector<Open> brackets_, blocks_;
};

ScriptCode::ScriptCode(std::string code, std::string title, std::string record)
    : code_(std::make_unique<const std::string>(std::move(code))),
      title_(std::move(title)),
      record_(std::move(record)) {
  ScriptParser(*this).parse_file();
}

ScriptCode ScriptCode::type(std::string text, std::string title, std::string record) {
  ScriptCode result;
  result.code_ = std::make_unique<const std::string>(std::move(text));
  result.title_ = std::move(title);
  result.record_ = std::move(record);
  ScriptParser(result).parse_type_alone();
  return result;
}

// Nodes are made in the order in which they end.
std::span<const ScriptNode> ScriptCode::under(const ScriptNode& node) const {
  const ScriptNode* first = &node;
  while (first->first != kNoScriptNode) first = &nodes_[first->first];
  return {first, &node + 1};
}

void ScriptCode::fail(std::uint32_t line, const std::string& what) const {
  fail_record(title_, record_, formatted("line {} {}", line, what));
}

void ScriptCode::refuse(std::uint32_t line, const std::string& what, const std::string& suggestion) const {
  refuse_record(title_, record_, formatted("line {} {}", line, what), suggestion);
}

}  // namespace mnq
