#include "containers/torchscript/torchscript_syntax.h"

#include <algorithm>
#include <tuple>

#include "base/text/format.h"
#include "containers/archive_error.h"
#include "containers/torchscript/torchscript_builder.h"
#include "containers/torchscript/torchscript_expressions.h"
#include "containers/torchscript/torchscript_lexer.h"

namespace mnq {
namespace {

constexpr std::string_view kBases[] = {"Module", "NamedTuple", "Enum", "Interface", "ModuleInterface"};
constexpr std::string_view kNameLists[] = {"__parameters__", "__buffers__", "__forward_hooks__",
                                           "__forward_pre_hooks__"};

// The file, and the classes, functions and statements in it that are open at a line, innermost last: two blanks a
// level. Each becomes a node behind its last line.
class ScriptBlocks {
 public:
  struct Open {
    ScriptKind kind;
    std::string_view text;
    std::uint32_t line;
    std::size_t start;       // of its parts in the builder
    std::size_t statements;  // likewise
    bool in_else = false;
    bool has_returned = false;
  };

  ScriptBlocks(ScriptLexer& lexer, ScriptBuilder& builder) : lexer_(lexer), builder_(builder) {
    open_.push_back({ScriptKind::kFile, {}, 1, 0, 0});
  }

  Open& innermost() { return open_.back(); }

  void open(ScriptKind kind, std::string_view text, std::size_t start) {
    if (open_.size() > kMostScriptBlocks) {
      lexer_.fail(formatted("has blocks nested more than {} deep", kMostScriptBlocks));
    }
    open_.push_back({kind, text, lexer_.line(), start, builder_.size()});
  }

  // Closes what ends before a line. True if an else took the whole line.
  bool close_to(std::size_t indentation) {
    while (indentation < 2 * (open_.size() - 1)) {
      if (indentation == 2 * (open_.size() - 2) && take_else()) return true;
      close();
    }
    if (indentation != 2 * (open_.size() - 1)) lexer_.fail("is indented otherwise than its block");
    return false;
  }

  void close_all() {
    while (!open_.empty()) close();
  }

 private:
  bool take_else() {
    Open& block = open_.back();
    if (block.kind != ScriptKind::kIf || block.in_else || !lexer_.take("else:\n")) return false;
    close_statements();
    block.in_else = true;
    block.statements = builder_.size();
    return true;
  }

  void close_statements() {
    const Open& block = open_.back();
    if (builder_.size() == block.statements) lexer_.fail("has a block without statements before it");
    builder_.add(ScriptKind::kBlock, {}, block.statements, block.line);
  }

  void close() {
    const Open& block = open_.back();
    if (block.kind == ScriptKind::kIf && !block.in_else) lexer_.fail("has an if without an else before it");
    if (block.kind != ScriptKind::kFile && block.kind != ScriptKind::kClass) close_statements();
    builder_.add(block.kind, block.text, block.start, block.line);
    open_.pop_back();
  }

  ScriptLexer& lexer_;
  ScriptBuilder& builder_;
  std::vector<Open> open_;
};

// Definitions and statements, a line each.
class ScriptParser {
 public:
  ScriptParser(std::string_view code, const std::string& title, const std::string& record)
      : lexer_(code, title, record), builder_(lexer_), values_(lexer_, builder_), blocks_(lexer_, builder_) {}

  std::pair<std::vector<ScriptNode>, ScriptIndex> parse_file() {
    for (; !lexer_.is_at_end(); lexer_.next_line()) parse_line();
    blocks_.close_all();
    return builder_.take_tree();
  }

  std::pair<std::vector<ScriptNode>, ScriptIndex> parse_type_alone() {
    values_.parse_type();
    if (!lexer_.is_at_end()) lexer_.fail("goes on behind a type");
    return builder_.take_tree();
  }

 private:
  void parse_line() {
    const std::size_t indentation = lexer_.take_blanks();
    if (lexer_.peek() == '\n' || lexer_.is_at_end()) lexer_.fail("is an empty line");
    if (blocks_.close_to(indentation)) return;
    switch (blocks_.innermost().kind) {
      case ScriptKind::kFile:
        parse_definition();
        break;
      case ScriptKind::kClass:
        parse_member();
        break;
      default:
        parse_statement();
    }
    lexer_.require("\n", "behind a statement");
  }

  // Old files begin with their version and name those that they need; LibTorch skips both.
  void parse_definition() {
    const std::size_t start = builder_.size();
    if (lexer_.take("class ")) {
      const std::string_view name = lexer_.require_word("a class's name");
      if (lexer_.take("(")) {
        const std::string_view base = lexer_.require_word("a base");
        const bool is_known = std::ranges::find(kBases, base) != std::end(kBases);
        if (!is_known) lexer_.fail(formatted("has a class of the base {}", shown(base)));
        lexer_.require(")", "behind a base");
        builder_.add_leaf(ScriptKind::kName, base);
      } else {
        builder_.add_leaf(ScriptKind::kNone);
      }
      lexer_.require(":", "behind a class's name");
      blocks_.open(ScriptKind::kClass, name, start);
    } else if (lexer_.take("def ")) {
      parse_function();
    } else if (lexer_.line() == 1 && lexer_.take("op_version_set = ")) {
      lexer_.skip_number();
    } else if (lexer_.take("import ")) {
      lexer_.require_dotted_name();
    } else {
      lexer_.fail(formatted("begins with '{}', and no class or function", shown(lexer_.rest_of_line())));
    }
  }

  void parse_member() {
    const std::string_view base = builder_.at(blocks_.innermost().start).text;
    const std::size_t start = builder_.size();
    if (lexer_.take("def ")) return parse_function();
    const std::string_view name = lexer_.require_word("an attribute");
    if (name == "__annotations__") return parse_annotation(start);
    if (std::ranges::find(kNameLists, name) != std::end(kNameLists)) {
      lexer_.require(" = [", "behind an attribute");
      for (bool is_first = true; !lexer_.take("]"); is_first = false) {
        if (!is_first) lexer_.require(", ", "between names");
        if (is_first || !lexer_.sees("]")) builder_.add_leaf(ScriptKind::kText, lexer_.require_text());
      }
      return builder_.add(ScriptKind::kNames, name, start);
    }
    if (base == "Enum") {
      lexer_.require(" = ", "behind a value's name");
      values_.parse_literal();
      return builder_.add(ScriptKind::kConstant, name, start);
    }
    lexer_.require(" : ", "behind an attribute");
    const bool is_constant = lexer_.take("Final[");
    values_.parse_type();
    if (is_constant) lexer_.require("]", "behind a constant's type");
    if (is_constant || (base == "NamedTuple" && lexer_.sees(" = "))) {
      lexer_.require(" = ", "behind a constant's type");
      values_.parse_literal();
    }
    builder_.add(is_constant ? ScriptKind::kConstant : ScriptKind::kField, name, start);
  }

  // Of attributes whose names are no words: __annotations__["0"] = int
  void parse_annotation(std::size_t start) {
    if (lexer_.take(" = []")) return;
    lexer_.require("[\"", "behind __annotations__");
    const std::string_view name = lexer_.take_until("\"\\\n");
    lexer_.require("\"] = ", "behind an attribute's name");
    values_.parse_type();
    builder_.add(ScriptKind::kField, name, start);
  }

  void parse_function() {
    const std::size_t start = builder_.size();
    const std::string_view name = lexer_.require_word("a function's name");
    lexer_.require("(", "behind a function's name");
    if (!lexer_.take(")")) {
      parse_parameter();
      while (!lexer_.take(")")) {
        if (lexer_.take(",\n    ")) {
          lexer_.next_line();
        } else {
          lexer_.require(", ", "between parameters");
        }
        parse_parameter();
      }
    }
    if (lexer_.take(" -> ")) values_.parse_type();
    lexer_.require(":", "behind a function's parameters");
    blocks_.open(ScriptKind::kFunction, name, start);
  }

  // Of an object itself the type may be left out.
  void parse_parameter() {
    const std::size_t start = builder_.size();
    const std::string_view name = lexer_.require_word("a parameter");
    if (lexer_.take(": ")) {
      values_.parse_type();
      if (lexer_.take("=")) values_.parse_literal();
    }
    builder_.add(ScriptKind::kParameter, name, start);
  }

  void parse_statement() {
    ScriptBlocks::Open& block = blocks_.innermost();
    const std::size_t start = builder_.size();
    if (block.has_returned) lexer_.fail("has a statement behind a return");
    if (lexer_.take("return ")) {
      if (block.kind != ScriptKind::kFunction) lexer_.fail("returns from within a block");
      block.has_returned = true;
      values_.parse_value();
      return builder_.add(ScriptKind::kReturn, {}, start);
    }
    if (lexer_.sees("pass\n") && lexer_.take("pass")) return builder_.add_leaf(ScriptKind::kPass);
    if (lexer_.take("def ")) return parse_function();
    if (lexer_.take("if ")) return parse_header(ScriptKind::kIf, {});
    if (lexer_.take("while ")) return parse_header(ScriptKind::kWhile, {});
    if (lexer_.take("with ")) return parse_header(ScriptKind::kWith, {});
    if (lexer_.take("for ")) {
      const std::string_view counter = lexer_.require_word("a counter");
      lexer_.require(" in range(", "behind a counter");
      values_.parse_value();
      lexer_.require("):", "behind a range");
      return blocks_.open(ScriptKind::kFor, counter, start);
    }
    parse_assignment();
  }

  void parse_header(ScriptKind kind, std::string_view text) {
    const std::size_t start = builder_.size();
    values_.parse_value();
    if (kind == ScriptKind::kWith && lexer_.take(" as ")) text = lexer_.require_word("a name");
    lexer_.require(":", "behind a header");
    blocks_.open(kind, text, start);
  }

  // "a = x", "a, b = x, y", "a, b = f()", "a, = t", "self.a = x", "a : int = x", or a value for its effect.
  void parse_assignment() {
    const std::size_t start = builder_.size();
    values_.parse_value();
    if (lexer_.sees("\n")) return builder_.add(ScriptKind::kExpression, {}, start);
    if (lexer_.take(" : ") || lexer_.take(": ")) {
      const std::string_view name = require_variable();
      builder_.forget_from(start);
      values_.parse_type();
      lexer_.require(" = ", "behind a variable's type");
      values_.parse_value();
      return builder_.add(ScriptKind::kDeclare, name, start);
    }
    bool is_tuple = false;
    while (!lexer_.take(" = ")) {
      lexer_.require(", ", "behind a target");
      require_variable();
      is_tuple = true;
      if (lexer_.take("= ")) break;
      values_.parse_value();
    }
    if (is_tuple) {
      require_variable();
      builder_.add(ScriptKind::kTuple, {}, start);
    } else if (builder_.last().kind != ScriptKind::kName && builder_.last().kind != ScriptKind::kAttribute) {
      lexer_.fail("gives a value to what is no variable");
    }
    const std::size_t value = builder_.size();
    values_.parse_value();
    while (lexer_.take(", ")) values_.parse_value();
    if (builder_.size() > value + 1) builder_.add(ScriptKind::kTuple, {}, value);
    builder_.add(ScriptKind::kAssign, {}, start);
  }

  std::string_view require_variable() const {
    const bool is_variable =
        builder_.last().kind == ScriptKind::kName && builder_.last().text.find('.') == std::string_view::npos;
    if (!is_variable) lexer_.fail("gives a value to what is no variable");
    return builder_.last().text;
  }

  ScriptLexer lexer_;
  ScriptBuilder builder_;
  ScriptExpressions values_;
  ScriptBlocks blocks_;
};

}  // namespace

ScriptCode::ScriptCode(std::string code, std::string title, std::string record)
    : code_(std::make_unique<const std::string>(std::move(code))),
      title_(std::move(title)),
      record_(std::move(record)) {
  std::tie(nodes_, root_) = ScriptParser(*code_, title_, record_).parse_file();
}

ScriptCode ScriptCode::type(std::string text, std::string title, std::string record) {
  ScriptCode result;
  result.code_ = std::make_unique<const std::string>(std::move(text));
  result.title_ = std::move(title);
  result.record_ = std::move(record);
  std::tie(result.nodes_, result.root_) = ScriptParser(*result.code_, result.title_, result.record_).parse_type_alone();
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
