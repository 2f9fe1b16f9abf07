// Types, values and literals in the code of a TorchScript file. Brackets that are open lie on a stack, so that deeper
// code takes no more of the machine's.
#pragma once

#include <string_view>
#include <vector>

#include "containers/torchscript/torchscript_builder.h"
#include "containers/torchscript/torchscript_lexer.h"

namespace mnq {

/// The brackets that are open, innermost last; each becomes a node once it is closed.
class ScriptBrackets {
 public:
  struct Open {
    ScriptKind kind;
    std::string_view text;
    std::size_t start;  ///< of its parts in the builder
    std::size_t commas = 0;
    bool takes_types = false;  ///< isinstance
  };

  ScriptBrackets(const ScriptLexer& lexer, ScriptBuilder& builder) : lexer_(lexer), builder_(builder) {}

  std::size_t size() const { return open_.size(); }
  Open& innermost() { return open_.back(); }
  bool are_in(ScriptKind kind) const { return !open_.empty() && open_.back().kind == kind; }
  void open(ScriptKind kind, std::string_view text, std::size_t start);
  void close();
  void drop() { open_.pop_back(); }  ///< (x) is x

 private:
  const ScriptLexer& lexer_;
  ScriptBuilder& builder_;
  std::vector<Open> open_;
};

/// What is read becomes one node more in the builder. Errors: kFormat.
class ScriptExpressions {
 public:
  ScriptExpressions(ScriptLexer& lexer, ScriptBuilder& builder)
      : lexer_(lexer), builder_(builder), brackets_(lexer, builder) {}

  void parse_type();

  /// A value and what follows it, until neither a bracket is open nor anything else belongs to it.
  void parse_value();

  /// Numbers, texts, None, True, False, and tuples, lists and dicts of them, as IValue::repr prints them: with a type,
  /// as a named tuple, a device, an enumeration's value or a constant of the file.
  void parse_literal();

 private:
  void parse_types();
  bool open_operand();
  void open_operands();
  void parse_atom();
  bool continue_operand();
  void open_call(std::size_t callee);
  bool close_operand();
  bool close_tuple();
  bool close_list(std::string_view end);
  bool close_call();

  ScriptLexer& lexer_;
  ScriptBuilder& builder_;
  ScriptBrackets brackets_;
  bool is_callable_ = false;  // the value before: a name or an attribute, not in brackets
};

}  // namespace mnq
