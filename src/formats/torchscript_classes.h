// Which classes and functions in a TorchScript file's code need which: LibTorch imports what one needs before the one
// itself, recursively.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mnq {

/// LibTorch crashed on a chain of 5000 classes with a stack of 8 MiB; real modules have less than 20.
inline constexpr std::uint32_t kMostClassDepth = 500;

class TorchScriptClasses {
 public:
  /// All that one file of code defines, as `__torch__.a` for `code/__torch__/a.py`.
  void add(const std::string& module, std::string_view code);

  /// The longest chain; those that need each other count as one chain with all that need them.
  std::uint32_t depth() const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> needs_;  // each with the names that stand in it
};

}  // namespace mnq
