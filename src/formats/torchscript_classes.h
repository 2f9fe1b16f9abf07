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

class TorchScriptClasses {
 public:
  /// All that one file of code defines, as `__torch__.a` for `code/__torch__/a.py`; in lower case, as LibTorch finds
  /// records whatever their case is.
  void add(const std::string& module, std::string_view code);

  /// The longest chain, each class counted as often as it has methods; those that need each other count as one chain with
  /// all that need them.
  std::uint32_t depth() const;

 private:
  struct Definition {
    std::vector<std::string> names;  // that stand in it
    std::uint32_t methods = 0;
  };
  std::map<std::string, Definition, std::less<>> definitions_;
};

}  // namespace mnq
