// Pickles as plain values: how PyTorch writes the objects of checkpoints and modules. The machine knows the opcodes
// of protocols 1 to 5 (0, which is text, is refused) and builds what a pickle says; nothing is ever imported or called.
// A class or function is a value that names it, a call is a value that holds function and arguments: the reader decides
// what it knows and refuses or skips the rest.
//
//   const Pickle pickle(bytes, title, "archive/data.pkl");
//   const PickleValue& root = pickle.root();
//   for (auto [key, value] : pickle.pairs(root)) ...            // a dict
//   if (pickle.is_call(value, "torch._utils", "_rebuild_tensor_v2")) ... pickle.items(pickle.at(value.arguments)) ...
//
// Values stand in one list and refer to each other by index. They may be shared and, in a hostile pickle, hold
// themselves: who walks them recursively calls check_nesting first.
// Source: https://github.com/python/cpython/blob/main/Lib/pickletools.py
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mnq {

enum class PickleKind : std::uint8_t {
  kNone,
  kBool,
  kInt,
  kLong,  ///< an integer beyond 64 bits: its bytes, little-endian two's complement
  kFloat,
  kBytes,
  kText,
  kTuple,
  kList,
  kDict,
  kSet,
  kGlobal,      ///< a class or function: module and name
  kCall,        ///< of a function or class: function, arguments, perhaps state
  kPersistent,  ///< what only the pickle's owner knows: a storage; in PyTorch's old form also a class
};

using PickleIndex = std::uint32_t;
inline constexpr PickleIndex kNoPickleValue = 0xffffffff;

struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  bool is_new_object = false;              ///< kCall: class.__new__(arguments), not class(arguments)
  PickleIndex function = kNoPickleValue;   ///< kCall: the function, kGlobal or kPersistent; kPersistent: the id
  PickleIndex arguments = kNoPickleValue;  ///< kCall: mostly, but not always, a tuple
  PickleIndex state = kNoPickleValue;      ///< kCall: what BUILD gave it
  std::uint32_t children = 0;              ///< tuples, lists, dicts, sets; calls that were filled like one: see items()
  std::uint32_t tuple_size = 0;            ///< kTuple: how many they are
  union {
    std::int64_t integer = 0;  ///< kInt; kBool: 0 or 1
    double real;               ///< kFloat
  };
  std::string_view text;    ///< kText (UTF-8), kBytes, kLong; kGlobal: the name
  std::string_view module;  ///< kGlobal
};

/// Whether integers and truth values that are equal may be one value of the list. A checkpoint of 100,000 tensors says
/// 700,000 of them, mostly the same few.
enum class PickleNumbers { kApart, kShared };

class Pickle {
 public:
  /// Reads one pickle from the start of the bytes, which must outlive it; title and record are for messages.
  /// Memory is at most about 100 times the pickle. Errors: kFormat (cut off, damaged); kUnsupported (an unknown opcode,
  /// more than 16 million values); each names record, byte and opcode.
  Pickle(std::string_view bytes, std::string title, std::string record, PickleNumbers numbers = PickleNumbers::kApart);

  const PickleValue& root() const { return values_[root_]; }
  PickleIndex root_index() const { return root_; }
  const PickleValue& at(PickleIndex index) const { return values_[index]; }
  std::span<const PickleValue> values() const { return values_; }  ///< all there are, those not under the root too
  std::size_t size_bytes() const { return size_; }                 ///< up to its end: another pickle may follow

  /// What readers may hold of it: a pickle can say the same things again and again under many names.
  std::uint64_t most_held_bytes() const { return (std::uint64_t{1} << 20) + 100 * size_; }

  /// Of tuples, lists and sets the elements; of dicts keys and values in turn; of calls the elements or keys and values
  /// that were put into what they return, as into an OrderedDict; else empty.
  std::span<const PickleIndex> items(const PickleValue& value) const;
  /// Of dicts and calls: (key, value); a key may be there twice: the last one holds.
  std::vector<std::pair<PickleIndex, PickleIndex>> pairs(const PickleValue& value) const;

  /// Calls take(index) with all that a value refers to.
  template <class Take>
  void for_each_part(const PickleValue& value, Take&& take) const {
    for (const PickleIndex part : items(value)) take(part);
    for (const PickleIndex part : {value.function, value.arguments, value.state}) {
      if (part != kNoPickleValue) take(part);
    }
  }

  bool is_global(const PickleValue& value, std::string_view module, std::string_view name) const {
    return value.kind == PickleKind::kGlobal && value.module == module && value.text == name;
  }
  bool is_call(const PickleValue& value, std::string_view module, std::string_view name) const {
    return value.kind == PickleKind::kCall && is_global(at(value.function), module, name);
  }

  /// Errors: kFormat where any value is nested deeper, or holds itself.
  void check_nesting(std::uint32_t max_depth) const;

  [[noreturn]] void fail(const std::string& what) const;  ///< kFormat, naming file and record

 private:
  friend class PickleMachine;

  std::vector<PickleIndex> parts(PickleIndex index) const;

  std::string title_, record_;
  std::vector<PickleValue> values_;
  std::vector<std::vector<PickleIndex>> children_;  // of what may grow; [0] is empty
  std::vector<PickleIndex> tuple_items_;            // of one tuple behind those of the other
  PickleIndex root_ = kNoPickleValue;
  std::size_t size_ = 0;
};

}  // namespace mnq
