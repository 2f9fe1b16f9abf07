// Any bytes as a checkpoint: an error of ours, or tensors that can be read, never a crash, and no more memory than the
// file's size justifies (-malloc_limit_mb, -rss_limit_mb). ./dev fuzz runs it over the files of tests/data.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "base/error.h"
#include "formats/format_table.h"
#include "formats/torchscript_archive.h"
#include "formats/zip_archive.h"
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

// A module is checked as it would be before LibTorch sees it.
void open_everything(std::span<const std::byte> bytes) {
  const auto source = memory_bytes(bytes);
  const bool is_zip = bytes.size() > 2 && bytes[0] == std::byte{'P'} && bytes[1] == std::byte{'K'};
  if (is_zip && is_torchscript(ZipArchive(source))) {
    check_torchscript(ZipArchive(source), 1);
  } else {
    read_everything(*open_memory(bytes));
  }
}

}  // namespace
}  // namespace mnq

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    mnq::open_everything(std::as_bytes(std::span(data, size)));
  } catch (const mnq::Error& error) {
    if (error.status() == mnq::Status::kInternal) std::abort();
  }
  return 0;
}
