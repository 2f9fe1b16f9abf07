// safetensors: 8 bytes of header length N, N bytes of JSON, then the data of all tensors without gaps.
// Source: https://github.com/huggingface/safetensors, README. What is refused beyond it: keys that appear twice.
#pragma once

#include "formats/format_table.h"

namespace mnq {

/// A length that fits into the file, and an opening brace.
bool recognises_safetensors(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes);

/// Reads and checks the header; the data is read when asked for. Errors: kFormat naming the tensor and field; kIo.
std::unique_ptr<TensorSource> open_safetensors_source(std::shared_ptr<const ByteSource> bytes,
                                                      const OpenSettings& settings);

/// Orders tensors by dtype, the widest first, then by name; pads the header to a multiple of 8. commit() may be given
/// other metadata of the same keys, with values that are no longer. Errors: kFormat where the header would exceed
/// 100 MB; kIo.
std::unique_ptr<TensorSink> open_safetensors_sink(const SinkRequest& request, const OpenByteSink& open);

}  // namespace mnq
