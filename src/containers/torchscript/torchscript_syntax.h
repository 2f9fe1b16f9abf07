// The code in a TorchScript file as a tree. LibTorch's own parser takes far more than torch.jit.save ever prints, and
// evaluates or expands some of it while it loads; here there is one strict grammar, that of the printed form: one
// statement a line, two blanks a level, ", " between parts, no operators, no comments. Whatever else a file holds is
// refused before LibTorch sees it, and what is left can be asked about without LibTorch.
//
//   const ScriptCode code(text, title, "m/code/__torch__.py");
//   for (const ScriptNode& definition : code.parts(code.root()))
//     if (definition.kind == ScriptKind::kClass) ... code.parts(definition) ...
//
// Source: torch/csrc/jit/serialization/python_print.cpp, aten/src/ATen/core/ivalue.cpp (IValue::repr), 2.13
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mnq {

/// What a node is; behind it its text and its parts.
enum class ScriptKind : std::uint8_t {
  kFile,       ///< its classes and functions
  kClass,      ///< name: kName of its base, or kNone; then kNames, kField, kConstant, kFunction
  kNames,      ///< __parameters__, __buffers__, __forward_hooks__, __forward_pre_hooks__: kText each
  kField,      ///< an attribute's name: its type; of a NamedTuple perhaps a default, too
  kConstant,   ///< a class constant's name: its type and value; of an Enum: its value alone
  kFunction,   ///< name: kParameter each, perhaps the type of what it returns, kBlock
  kParameter,  ///< name: its type, if it has one, and its default, if it has one

  kBlock,       ///< its statements
  kAssign,      ///< target and value; a kTuple of targets: of a kTuple of values each one, else they are what it holds
  kDeclare,     ///< name: type and value
  kExpression,  ///< an expression for its effect
  kReturn,      ///< the value
  kIf,          ///< condition, kBlock, kBlock
  kWhile,       ///< condition, kBlock
  kFor,         ///< name, which counts: the number of rounds, kBlock
  kWith,        ///< name, or none: the context, kBlock
  kPass,        ///< nothing

  kName,       ///< dotted, as it stands: "self.weight", "torch.add", "CONSTANTS.c0"
  kAttribute,  ///< name: of which value
  kCall,       ///< what is called, then the arguments
  kKeyword,    ///< an argument's name: its value
  kIndex,      ///< of what, which
  kSlice,      ///< of what, from where, to where
  kTuple,
  kList,
  kDict,    ///< keys and values in turn
  kNumber,  ///< as it stands: "-1", "2.5e-05", "inf", "1.+2.j"
  kText,    ///< as it stands, between its quotes
  kNone,
  kTrue,
  kFalse,
  kType,  ///< dotted name: its arguments; without a name: (), or the choices of isinstance
};

using ScriptIndex = std::uint32_t;
inline constexpr ScriptIndex kNoScriptNode = 0xffffffff;

struct ScriptNode {
  ScriptKind kind = ScriptKind::kNone;
  std::uint32_t line = 0;             ///< from 1
  std::string_view text;              ///< into the code
  ScriptIndex first = kNoScriptNode;  ///< of its parts
  ScriptIndex next = kNoScriptNode;   ///< beside it in what it is a part of
};

/// Real modules nest blocks 10 and expressions and types 15 deep.
inline constexpr std::size_t kMostScriptBlocks = 60;
inline constexpr std::size_t kMostScriptNesting = 60;

class ScriptCode {
 public:
  /// title and record are for messages. Linear in time and memory, and takes no more stack for deeper code. Errors:
  /// kFormat, naming the line.
  ScriptCode(std::string code, std::string title, std::string record);

  /// A type alone, as pickles name them: "Dict[str, List[int]]".
  static ScriptCode type(std::string text, std::string title, std::string record);

  const ScriptNode& root() const { return nodes_[root_]; }
  const ScriptNode& at(ScriptIndex index) const { return nodes_[index]; }
  const std::vector<ScriptNode>& nodes() const {
    return nodes_;
  }  ///< all there are, parts before what they are parts of

  class Parts {
   public:
    class Iterator {
     public:
      Iterator(const ScriptCode* code, ScriptIndex index) : code_(code), index_(index) {}
      const ScriptNode& operator*() const { return code_->at(index_); }
      const ScriptNode* operator->() const { return &code_->at(index_); }
      Iterator& operator++() {
        index_ = code_->at(index_).next;
        return *this;
      }
      bool operator==(const Iterator& other) const { return index_ == other.index_; }

     private:
      const ScriptCode* code_;
      ScriptIndex index_;
    };
    Parts(const ScriptCode* code, ScriptIndex first) : code_(code), first_(first) {}
    Iterator begin() const { return {code_, first_}; }
    Iterator end() const { return {code_, kNoScriptNode}; }
    bool empty() const { return first_ == kNoScriptNode; }
    const ScriptNode& front() const { return code_->at(first_); }

   private:
    const ScriptCode* code_;
    ScriptIndex first_;
  };
  Parts parts(const ScriptNode& node) const { return {this, node.first}; }

  /// A node and all below it: parts before what they are parts of.
  std::span<const ScriptNode> under(const ScriptNode& node) const;

  const std::string& record() const { return record_; }
  [[noreturn]] void fail(std::uint32_t line, const std::string& what) const;  ///< kFormat
  [[noreturn]] void refuse(std::uint32_t line, const std::string& what,
                           const std::string& suggestion) const;  ///< kUnsupported

 private:
  ScriptCode() = default;

  std::unique_ptr<const std::string> code_;
  std::string title_, record_;
  std::vector<ScriptNode> nodes_;
  ScriptIndex root_ = kNoScriptNode;
};

}  // namespace mnq
