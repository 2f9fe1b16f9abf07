// Nodes of code that is being read. Those that are whole, but not yet part of another one, lie on a stack: what is read
// next becomes a part of the node that is made of all from some place on.
#pragma once

#include <utility>
#include <vector>

#include "containers/torchscript/torchscript_lexer.h"
#include "containers/torchscript/torchscript_syntax.h"

namespace mnq {

class ScriptBuilder {
 public:
  explicit ScriptBuilder(const ScriptLexer& lexer) : lexer_(lexer) {}

  std::size_t size() const { return open_.size(); }  ///< of the stack
  const ScriptNode& at(std::size_t place) const { return nodes_[open_[place]]; }
  const ScriptNode& last() const { return nodes_[open_.back()]; }

  /// Makes a node of those from start on; it takes their place.
  void add(ScriptKind kind, std::string_view text, std::size_t start, std::uint32_t line) {
    const auto index = static_cast<ScriptIndex>(nodes_.size());
    ScriptNode node{kind, line, text};
    for (std::size_t i = open_.size(); i > start; --i) {
      nodes_[open_[i - 1]].next = node.first;
      node.first = open_[i - 1];
    }
    open_.resize(start);
    nodes_.push_back(node);
    open_.push_back(index);
  }
  void add(ScriptKind kind, std::string_view text, std::size_t start) { add(kind, text, start, lexer_.line()); }
  void add_leaf(ScriptKind kind, std::string_view text = {}) { add(kind, text, open_.size()); }
  void forget_from(std::size_t start) { open_.resize(start); }

  const std::vector<ScriptNode>& nodes() const { return nodes_; }
  std::pair<std::vector<ScriptNode>, ScriptIndex> take_tree() { return {std::move(nodes_), open_.front()}; }

 private:
  const ScriptLexer& lexer_;
  std::vector<ScriptNode> nodes_;
  std::vector<ScriptIndex> open_;
};

}  // namespace mnq
