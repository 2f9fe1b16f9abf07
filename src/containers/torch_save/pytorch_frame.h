// What stands around the tensors of a PyTorch checkpoint: the dicts and lists that they lie in, and the texts, numbers
// and small tensors beside them. A job that makes a .pt of a .pt puts the tensors it made into the same frame, so that
// whoever loads the one loads the other.
//
// A frame is a pickle of torch.save's own protocol with gaps where the tensors were. It holds only what
// torch.load(weights_only=True) takes: plain data, OrderedDicts and calls of torch's own functions for tensors, none of
// which is ever called here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/files/byte_stream.h"

namespace mnq {

class PytorchFrame {
 public:
  enum class GapKind : std::uint8_t {
    kEntry,    ///< of a dict: its key stands in the pickle, to be left out with the tensor
    kElement,  ///< of a list or tuple: None where there is no such tensor
    kRest      ///< at the end of a dict: for tensors that had no place before, as a scale
  };
  struct Gap {
    std::uint64_t at = 0;  ///< in the pickle
    std::uint32_t key_bytes = 0;
    GapKind kind = GapKind::kEntry;
    std::uint64_t name_end = 0;  ///< in `names`, behind that of the gap before
  };

  /// A storage that is carried on byte for byte, as carried_key(its index).
  struct Storage {
    std::shared_ptr<const ByteSource> bytes;
    std::uint64_t offset = 0, size = 0;
  };
  static std::string carried_key(std::size_t index);

  void add_gap(std::uint64_t at, std::uint64_t key_bytes, GapKind kind, std::string_view name) {
    names += name;
    gaps.push_back({at, static_cast<std::uint32_t>(key_bytes), kind, names.size()});
  }

  /// Of the tensor; kRest: what the names of those in the dict start with.
  std::string_view name(std::size_t gap) const {
    const std::uint64_t begin = gap == 0 ? 0 : gaps[gap - 1].name_end;
    return std::string_view(names).substr(begin, gaps[gap].name_end - begin);
  }

  std::string pickle;       ///< with its start and without its end
  std::vector<Gap> gaps;    ///< by where they are
  std::string names;        ///< of all gaps
  std::string tensors_key;  ///< dotted path of the dict whose tensors they are
  std::vector<Storage> storages;
};

}  // namespace mnq
