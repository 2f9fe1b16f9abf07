// Any bytes as a checkpoint: an error of ours, or tensors that can be read, never a crash, and no more memory than the
// file's size justifies (-malloc_limit_mb, -rss_limit_mb).
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mnq;
  fuzz::expect_answer([&] { fuzz::read_everything(*open_memory(std::as_bytes(std::span(data, size)))); });
  return 0;
}
