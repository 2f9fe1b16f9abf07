// Which classes and functions in a TorchScript file's code need which: LibTorch imports what one needs before the one
// itself, recursively, and within a class compiles the methods that one calls before the one itself.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mnq {

/// LibTorch crashed on a chain of 5000 classes with a stack of 8 MiB; real modules have less than 20 with ten methods.
inline constexpr std::uint32_t kMostClassDepth = 500;

/// LibTorch goes over what a class holds once for each way to it: two attributes of one class, 27 times in each other, are
/// 134 million ways. Real modules have some thousands.
inline constexpr std::uint64_t kMostObjects = 1'000'000;

class TorchScriptClasses {
 public:
  /// All that one file of code defines, as `__torch__.a` for `code/__torch__/a.py`; in lower case, as LibTorch finds
  /// records whatever their case is.
  void add(const std::string& module, std::string_view code);

  struct Extent {
    /// The longest chain, each class counted as often as it has methods; those that need each other count as one chain with
    /// all that need them.
    std::uint32_t depth = 0;
    /// The most objects that one of a class can hold, itself counted; no more than twice kMostObjects.
    std::uint64_t objects = 0;
  };
  Extent measure() const;

 private:
  struct Definition {
    std::vector<std::string> names;       // that stand in it, each once
    std::vector<std::string> attributes;  // of a class: the classes of what it holds, once for each
    std::uint32_t methods = 0;
  };
  std::string_view definition_of(std::string_view name) const;

  std::map<std::string, Definition, std::less<>> definitions_;
};

}  // namespace mnq
