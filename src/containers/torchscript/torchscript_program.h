// All the code in a TorchScript file: which classes and functions there are and which need which. LibTorch imports what
// one needs before the one itself, recursively, and within a class compiles the methods that one calls before the one
// itself.
#pragma once

#include <map>

#include "containers/torchscript/torchscript_syntax.h"

namespace mnq {

/// LibTorch crashed on a chain of 5000 classes with a stack of 8 MiB, a 32nd of what it has here. Real modules have
/// less than 20 classes with ten methods, and one method for each call of a layer where a loop was unrolled.
inline constexpr std::uint32_t kMostClassDepth = 2000;

/// LibTorch goes over what a class holds once for each way to it: two attributes of one class, 27 times in each other,
/// are 134 million ways. Real modules have some thousands.
inline constexpr std::uint64_t kMostObjects = 1'000'000;

class ScriptProgram {
 public:
  /// One file of code: of `code/__torch__/a/b.py` the module is `__torch__.a.b`. Errors: kFormat.
  void add(const std::string& module, ScriptCode code);

  struct Definition {
    const ScriptCode* code = nullptr;
    const ScriptNode* node = nullptr;  ///< kClass or kFunction
    std::string_view base() const;     ///< of a class: Module, NamedTuple, Enum, Interface, ModuleInterface; else empty
    bool is_class() const { return node->kind == ScriptKind::kClass; }
  };

  /// By its full name: `__torch__.a.b.Net`. Null where there is none.
  const Definition* find(std::string_view name) const;

  /// What a name begins with, which may go on behind it: `__torch__.Color.RED`.
  const Definition* find_start(std::string_view name) const;

  const std::map<std::string, Definition, std::less<>>& definitions() const { return definitions_; }

  /// Errors: kFormat where a name is defined nowhere; kUnsupported for what LibTorch would run while it loads or saves
  /// the file, and for custom classes.
  void check() const;

  struct Extent {
    /// The longest chain, each class counted as often as it has methods; those that need each other count as one chain
    /// with all that need them.
    std::uint32_t depth = 0;
    /// The most objects that one of a class can hold, itself counted; no more than twice kMostObjects.
    std::uint64_t objects = 0;
  };
  Extent measure() const;

 private:
  std::vector<std::unique_ptr<const ScriptCode>> files_;
  std::map<std::string, Definition, std::less<>> definitions_;
};

}  // namespace mnq
