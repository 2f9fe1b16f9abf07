// The program's own input and output, read and written by functions that it gave us: an object in a store, a member of
// an archive, something encrypted.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/files/byte_stream.h"

namespace mnq {

/// Both return 0, or what the program says went wrong. They may throw: that is the program's failure, too.
using HostRead = std::function<std::int32_t(std::uint64_t offset, std::span<std::byte> into)>;
using HostWrite = std::function<std::int32_t(std::uint64_t offset, std::span<const std::byte> bytes)>;

struct HostOutput {
  HostWrite write;
  std::function<std::int32_t(std::uint64_t size_bytes)> commit;
  std::function<void()> abort;  ///< what was written is to be forgotten; called where there is no commit, or it failed
};

/// Never asked for bytes outside `size`, nor for none. Errors of read: kIo.
std::shared_ptr<const ByteSource> host_bytes(std::uint64_t size, HostRead read);

/// `output` must outlive what it opens. Errors of its sink: kIo.
OpenByteSink host_sink(const HostOutput& output);

}  // namespace mnq
