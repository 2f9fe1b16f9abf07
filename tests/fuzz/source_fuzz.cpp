// Any bytes as a checkpoint: an error of ours, or tensors that can be read, never a crash, and no more memory than the
// file's size justifies (-malloc_limit_mb, -rss_limit_mb). ./dev fuzz runs it over the files of tests/data.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "base/error.h"
#include "formats/format_table.h"
#include "plan/logical_tensors.h"

namespace mnq {
namespace {

constexpr std::uint64_t kMostBytesRead = 1u << 20;  // of a tensor: a view may repeat its bytes

void read_everything(const TensorSource& source) {
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    std::vector<std::byte> bytes(std::min(source.tensors()[i].size_bytes, kMostBytesRead));
    source.read(i, 0, bytes);
  }
  require_logical_tensors(source);
}

}  // namespace
}  // namespace mnq

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    mnq::read_everything(*mnq::open_memory(std::as_bytes(std::span(data, size))));
  } catch (const mnq::Error& error) {
    if (error.status() == mnq::Status::kInternal) std::abort();
  }
  return 0;
}
