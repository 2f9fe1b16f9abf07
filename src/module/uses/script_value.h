// What is known of a value while code is followed without running it: which tensors it may be or share memory with,
// which object of the file, which literal, or the same of its items.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "module/torchscript_tree.h"

namespace mnq {

/// A tensor that a value may be.
struct ScriptAlias {
  ScriptTree::TensorIndex tensor = 0;
  bool is_same = true;  ///< with the same values, axes swapped or not; else the value shares memory with it
  bool transposed = false;
  auto operator<=>(const ScriptAlias&) const = default;
};

struct ScriptValue {
  std::vector<ScriptAlias> aliases;     ///< sorted
  PickleIndex object = kNoPickleValue;  ///< an object of the file
  std::vector<PickleIndex> containers;  ///< attributes that hold tensors, or what came out of them
  const ScriptNode* literal = nullptr;  ///< a number, a text, True, False or None
  const ScriptProgram::Definition* function = nullptr;
  std::shared_ptr<const std::vector<ScriptValue>> items;  ///< of a tuple, a list or a dict
  bool is_tuple = false;
  std::uint32_t size = 1;  ///< of all items, theirs included

  bool is_plain() const;
  bool operator==(const ScriptValue& other) const;
  std::optional<std::int64_t> integer() const;  ///< a literal one
  std::optional<bool> flag() const;             ///< likewise

  /// What it costs to copy.
  std::size_t weight() const { return aliases.size() + containers.size() + size; }
};

struct ScriptArguments {
  std::vector<ScriptValue> positional;
  std::vector<std::pair<std::string_view, ScriptValue>> keywords;
};

/// Unites what is sorted.
void unite(std::vector<ScriptAlias>& into, const std::vector<ScriptAlias>& more);

/// From here on the value only shares memory with what it was.
void blur_aliases(ScriptValue& value);

/// Blurs all items: LibTorch does not follow to the operators what a tuple carries over a call.
void blur_items(ScriptValue& value);

/// Adds to a value that it shares memory with another one.
void share(ScriptValue& value, const ScriptValue& with);

/// A value of too many items becomes one that shares memory with all of them, so that tuples of tuples do not double at
/// every turn.
void set_items(ScriptValue& value, std::shared_ptr<const std::vector<ScriptValue>> items);

/// The value is what it was, or the other one.
void merge(ScriptValue& into, const ScriptValue& other);

/// The item at an index; without one, any item. count: of the items, where that is known; else 0.
ScriptValue item_of(const ScriptValue& whole, std::optional<std::int64_t> index, std::size_t count);

/// The same text for the same call with the same values.
std::string key_of_call(const ScriptFunction& function, const ScriptArguments& arguments);

}  // namespace mnq
