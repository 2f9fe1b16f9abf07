#include "containers/torchscript/torchscript_expressions.h"

#include <algorithm>
#include <tuple>

#include "base/text/format.h"
#include "containers/archive_error.h"

namespace mnq {
namespace {

constexpr std::string_view kNumberWords[] = {"inf", "nan", "infj", "nanj"};
constexpr std::string_view kNamespaces[] = {"torch", "ops", "CONSTANTS", "__torch__"};
constexpr std::string_view kTypeFirst[] = {"annotate", "unchecked_cast", "uninitialized"};  // T, then perhaps a value

bool is_one_of(std::string_view text, std::span<const std::string_view> names) {
  return std::ranges::find(names, text) != names.end();
}

bool is_part_of_literal(const ScriptNode& node) {
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

}  // namespace

void ScriptBrackets::open(ScriptKind kind, std::string_view text, std::size_t start) {
  if (open_.size() >= kMostScriptNesting) lexer_.fail(formatted("nests more than {} deep", kMostScriptNesting));
  open_.push_back({kind, text, start});
}

void ScriptBrackets::close() {
  const Open bracket = open_.back();
  open_.pop_back();
  builder_.add(bracket.kind, bracket.text, bracket.start);
}

void ScriptExpressions::parse_type() {
  const std::size_t outer = brackets_.size();
  for (;;) {
    if (brackets_.size() > outer && lexer_.take("()")) {
      builder_.add_leaf(ScriptKind::kType);
    } else {
      const std::string_view name = lexer_.require_dotted_name();
      if (lexer_.take("[")) {
        brackets_.open(ScriptKind::kType, name, builder_.size());
        continue;
      }
      builder_.add_leaf(ScriptKind::kType, name);
    }
    while (brackets_.size() > outer && lexer_.take("]")) brackets_.close();
    if (brackets_.size() == outer) return;
    lexer_.require(", ", "in a type");
  }
}

// The second argument of isinstance.
void ScriptExpressions::parse_types() {
  if (!lexer_.take("(")) return parse_type();
  const std::size_t start = builder_.size();
  do {
    parse_type();
  } while (lexer_.take(", "));
  lexer_.require(")", "behind types");
  builder_.add(ScriptKind::kType, {}, start);
}

void ScriptExpressions::parse_value() {
  const std::size_t outer = brackets_.size();
  do {
    open_operands();
    while (continue_operand() || (brackets_.size() > outer && close_operand())) {
    }
  } while (brackets_.size() > outer);
}

void ScriptExpressions::parse_literal() {
  const std::size_t first = builder_.nodes().size();
  parse_value();
  if (!std::all_of(builder_.nodes().begin() + static_cast<std::ptrdiff_t>(first), builder_.nodes().end(),
                   is_part_of_literal)) {
    lexer_.fail(
        "gives a default or a constant that is more than a plain value: LibTorch would run it to load the file");
  }
}

// Up to a whole value.
void ScriptExpressions::open_operands() {
  while (open_operand()) {
  }
}

// An opening bracket: true, and a value is expected still. Else a whole value.
bool ScriptExpressions::open_operand() {
  is_callable_ = false;
  for (const auto& [open, close, kind] :
       {std::tuple{"(", ")", ScriptKind::kTuple}, {"[", "]", ScriptKind::kList}, {"{", "}", ScriptKind::kDict}}) {
    if (!lexer_.take(open)) continue;
    brackets_.open(kind, {}, builder_.size());
    if (!lexer_.take(close)) return true;
    brackets_.close();
    return false;
  }
  if (brackets_.are_in(ScriptKind::kCall)) {
    const std::string_view keyword = lexer_.take_keyword();
    if (!keyword.empty()) {
      brackets_.open(ScriptKind::kKeyword, keyword, builder_.size());
      return true;
    }
  }
  parse_atom();
  return false;
}

void ScriptExpressions::parse_atom() {
  if (lexer_.sees("\"") || lexer_.sees("'")) return builder_.add_leaf(ScriptKind::kText, lexer_.require_text());
  if (lexer_.sees_number()) return builder_.add_leaf(ScriptKind::kNumber, lexer_.require_number());
  const std::string_view name = lexer_.require_dotted_name();
  if (name == "None") return builder_.add_leaf(ScriptKind::kNone);
  if (name == "True") return builder_.add_leaf(ScriptKind::kTrue);
  if (name == "False") return builder_.add_leaf(ScriptKind::kFalse);
  if (is_one_of(name, kNumberWords)) {
    lexer_.give_back(name);
    return builder_.add_leaf(ScriptKind::kNumber, lexer_.require_number());
  }
  const bool is_operator = name.starts_with("torch.") || name.starts_with("ops.");
  if (is_one_of(name, kNamespaces) || (is_operator && !lexer_.sees("("))) {
    lexer_.fail(formatted("has {} as a value", shown(name)));
  }
  is_callable_ = true;
  builder_.add_leaf(ScriptKind::kName, name);
}

// What goes on behind a value: `.name`, `(`, `[`. True where it is whole again.
bool ScriptExpressions::continue_operand() {
  const std::size_t operand = builder_.size() - 1;
  if (lexer_.sees(".")) {
    const ScriptKind kind = builder_.last().kind;
    if (kind == ScriptKind::kText || kind == ScriptKind::kNumber) lexer_.fail("has an attribute of a text or a number");
    lexer_.take(".");
    builder_.add(ScriptKind::kAttribute, lexer_.require_word("a name"), operand);
    return is_callable_ = true;
  }
  if (lexer_.sees("(")) {
    if (!is_callable_) lexer_.fail("calls what is no function");
    lexer_.take("(");
    open_call(operand);
    return true;
  }
  if (!lexer_.take("[")) return false;
  brackets_.open(ScriptKind::kIndex, {}, operand);
  open_operands();
  return true;
}

void ScriptExpressions::open_call(std::size_t callee) {
  const ScriptNode& node = builder_.at(callee);
  const std::string_view name = node.kind == ScriptKind::kName ? node.text : std::string_view();
  brackets_.open(ScriptKind::kCall, {}, callee);
  brackets_.innermost().takes_types = name == "isinstance";
  is_callable_ = false;
  if (lexer_.take(")")) {
    brackets_.close();
  } else if (is_one_of(name, kTypeFirst)) {
    parse_type();
  } else {
    open_operands();
  }
}

// A comma or a closing bracket behind a value: true where a whole value stands before it.
bool ScriptExpressions::close_operand() {
  ScriptBrackets::Open& bracket = brackets_.innermost();
  is_callable_ = false;
  switch (bracket.kind) {
    case ScriptKind::kKeyword:
      brackets_.close();
      return true;
    case ScriptKind::kTuple:
      return close_tuple();
    case ScriptKind::kList:
      return close_list("]");
    case ScriptKind::kCall:
      return close_call();
    case ScriptKind::kDict:
      if ((builder_.size() - bracket.start) % 2 == 0) return close_list("}");
      lexer_.require(": ", "behind a key");
      return false;
    case ScriptKind::kIndex:
      if (lexer_.take(":")) {
        bracket.kind = ScriptKind::kSlice;
        return false;
      }
      [[fallthrough]];
    default:
      lexer_.require("]", "behind an index");
      brackets_.close();
      return true;
  }
}

bool ScriptExpressions::close_tuple() {
  const bool has_comma = brackets_.innermost().commas > 0;
  if (!has_comma && lexer_.take(")")) {
    brackets_.drop();
    return true;
  }
  if (lexer_.take(")") || lexer_.take(",)")) {
    brackets_.close();
    return true;
  }
  lexer_.require(", ", "in a tuple");
  ++brackets_.innermost().commas;
  return false;
}

bool ScriptExpressions::close_list(std::string_view end) {
  if (!lexer_.take(end)) {
    lexer_.require(", ", "between values");
    if (!lexer_.take(end)) return false;  // the lists of names in classes: ["weight", ]
  }
  brackets_.close();
  return true;
}

bool ScriptExpressions::close_call() {
  if (brackets_.innermost().takes_types && lexer_.take(", ")) {
    parse_types();
    if (!lexer_.sees(")")) lexer_.fail("gives isinstance more than types");
  }
  if (lexer_.take(")") || lexer_.take(",)") || lexer_.take(", )")) {
    brackets_.close();
    return true;
  }
  lexer_.require(", ", "between arguments");
  return false;
}

}  // namespace mnq
