// The dicts, lists and tuples of what torch.save wrote: their keys as names, and what lies beneath them. Elements of
// lists and tuples have their index for a key. Each is looked at once, however many others share it.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "containers/pickle/pickle.h"

namespace mnq {

inline constexpr std::size_t kMostDictDepth = 32;         // of dicts in dicts
inline constexpr std::size_t kMostNameBytes = 16u << 10;  // of a key, and of a dotted name

struct DictEntry {
  std::string_view key;
  PickleIndex value;
  PickleIndex key_value = kNoPickleValue;  ///< the key itself; none of elements
};

/// A function of torch._utils and what it is called with.
struct TensorCall {
  std::string_view function;
  std::span<const PickleIndex> arguments;
};

class PytorchDicts {
 public:
  /// The pickle must outlive it.
  explicit PytorchDicts(const Pickle& pickle) : pickle_(pickle) {}

  bool is_dict(PickleIndex index) const;

  /// A dict, a list or a tuple.
  bool is_branch(PickleIndex index) const;

  /// An object of the C++ classes that quantized layers pack their weights into, with the state that it was made of.
  bool is_packed_object(PickleIndex index) const;

  /// Under text and integers, in the order they came: of a key that is there twice the last value. 1 and '1' are two
  /// keys.
  const std::vector<DictEntry>& entries(PickleIndex branch) { return dict_at(branch).entries; }

  /// Under keys that make no name: None, floats, tuples, integers beyond 64 bits, '' and more, shown as Python does.
  const std::vector<DictEntry>& nameless(PickleIndex dict) { return dict_at(dict).nameless; }

  bool is_optimizer(PickleIndex index) { return is_dict(index) && dict_at(index).is_optimizer; }

  /// Keys and values of a dict, as they came.
  std::vector<std::pair<PickleIndex, PickleIndex>> pairs(const PickleValue& dict) const;

  /// A key as a part of a name.
  std::string shown_name(PickleIndex key) const;

  /// The call that makes a tensor, out of what parameters and subclasses wrap around it.
  std::optional<TensorCall> tensor_call(PickleIndex index) const;

  /// Whether it is a tensor, a branch with tensors that have names, or an object that they were packed into.
  bool has_tensors(PickleIndex index) { return has_tensors(index, 0); }

  /// Whether any lie beneath it: in lists, in objects, anywhere.
  bool holds_tensors(PickleIndex index) { return (contents_at(index) & kTensors) != 0; }
  bool holds_arrays(PickleIndex index) { return (contents_at(index) & kArrays) != 0; }

  /// The global that a call names: a function or a class, which the old form wraps. Null where it names none.
  const PickleValue* called(const PickleValue& call) const;

  /// "a list", "an object of module.Class, which was not executed".
  std::string described(PickleIndex index) const;

  /// The same in a word or two: "module.Class", "a NumPy array", "an optimizer's state".
  std::string kind_of(PickleIndex index);

 private:
  static constexpr std::uint8_t kTensors = 1, kArrays = 2;

  struct Dict {
    std::vector<DictEntry> entries, nameless;
    bool is_optimizer = false;
  };

  const Dict& dict_at(PickleIndex index);
  Dict make_dict(const PickleValue& dict);
  Dict make_elements(const PickleValue& list);
  std::string_view kept(std::string text) { return texts_.emplace_back(std::move(text)); }
  std::string shown_key(PickleIndex index, int depth) const;
  bool has_tensors(PickleIndex index, std::size_t depth);
  std::uint8_t contents_at(PickleIndex index);
  std::uint8_t own_contents(PickleIndex index) const;

  const Pickle& pickle_;
  std::deque<std::string> texts_;  // keys that are no text of the pickle
  std::unordered_map<PickleIndex, Dict> dicts_;
  std::unordered_map<PickleIndex, bool> has_tensors_;
  std::vector<std::uint8_t> contents_;  // of each value and all beneath it; empty until it is asked for
};

/// "module.Name"
std::string global_name(const PickleValue& global);

}  // namespace mnq
