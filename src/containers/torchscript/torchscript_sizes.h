// How large the types of the values in a file's code are, and which of them are constant: LibTorch works types out
// while it loads the file, and computes with what is constant.
#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include "containers/torchscript/torchscript_program.h"

namespace mnq {

struct ScriptSize {
  std::uint64_t parts = 1;  ///< of its type
  std::uint32_t depth = 1;
  bool is_constant = false;
  bool has_text = false;  ///< a constant: may be or hold a text
};

/// The larger of two, as a type.
void widen(ScriptSize& value, const ScriptSize& other);

/// A type or a tuple gets one part more.
void add_part(ScriptSize& whole, const ScriptSize& part);

/// What is known beyond the expressions themselves.
struct KnownSizes {
  const ScriptProgram& program;
  const std::vector<std::uint64_t>& constant_parts;
  std::uint64_t parts_left;  ///< that values may have yet
  std::unordered_map<const ScriptProgram::Definition*, ScriptSize> named_tuples;
  std::unordered_map<std::string_view, ScriptSize> members;  ///< attributes and methods' results, by their names
  ScriptSize largest_result;
  std::unordered_map<std::string_view, ScriptSize> variables;  ///< of the function that is gone through
};

/// Of the expressions and types of one code.
class ScriptSizes {
 public:
  ScriptSizes(const ScriptCode& code, KnownSizes& known) : code_(code), known_(known), sizes_(code.nodes().size()) {}

  /// Of an expression, and of all in it. Errors: kUnsupported.
  const ScriptSize& evaluate(const ScriptNode& whole);
  const ScriptSize& of(const ScriptNode& node) const { return sizes_[index_of(node)]; }  ///< once it was evaluated

  /// LibTorch works a type out for each value that is made. Errors: kUnsupported if there are too many parts.
  void charge(const ScriptNode& node, const ScriptSize& size, std::uint64_t times);

 private:
  std::size_t index_of(const ScriptNode& node) const { return static_cast<std::size_t>(&node - code_.nodes().data()); }
  ScriptSize evaluate_node(const ScriptNode& node);
  ScriptSize value_of_type(const ScriptNode& type);
  ScriptSize value_of_parts(const ScriptNode& node);
  ScriptSize value_of_name(std::string_view name);
  ScriptSize value_of_call(const ScriptNode& call);
  ScriptSize value_of_definition(std::string_view name, const ScriptSize& arguments, ScriptSize tuple);
  ScriptSize folded(const ScriptNode& call, std::string_view name, const ScriptSize& arguments);

  const ScriptCode& code_;
  KnownSizes& known_;
  std::vector<ScriptSize> sizes_;  // of each node
};

}  // namespace mnq
