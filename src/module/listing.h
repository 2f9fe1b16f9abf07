// What bounds the list of a module's tensors, and what a report says of those that are kept as they are: the same for
// LibTorch's reading of a module and for ours.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/text/format.h"

namespace mnq {

/// Views may repeat a few bytes as often as they like: beyond this, and as much as the storages have, they are not laid
/// out in memory.
inline constexpr std::size_t kMostExpandedBytes = 64u << 20;

/// Modules may hang at several places; those in them then have more places than the file has bytes.
inline constexpr std::size_t kMostPlaces = 1'000'000;

[[noreturn]] inline void fail_too_many_places() {
  throw Error(Status::kUnsupported, formatted("its modules and tensors hang at more than {} places", kMostPlaces),
              "save the module without submodules that are shared many times over");
}

inline std::string not_dense_remark(std::string_view name) {
  return formatted("{}: kept as it is, it is no dense tensor of a dtype that is known here", name);
}

inline std::string expanded_remark(std::string_view name, std::uint64_t storage_bytes, std::uint64_t bytes) {
  return formatted("{}: kept as it is, it shows {} bytes as {}, and others do so, too", name, storage_bytes, bytes);
}

/// A tuple, a list or an object of a script class is copied as it is, and its tensors are no layers' weights.
inline std::string container_remark(std::string_view weight, std::string_view container) {
  return formatted("{}: {} holds it, too, and keeps it as it is", weight, container);
}

}  // namespace mnq
