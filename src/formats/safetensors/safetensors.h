// safetensors: 8 bytes of header length N, N bytes of JSON, then the data of all tensors without gaps.
// Source: https://github.com/huggingface/safetensors, README. What is refused beyond it: keys that appear twice.
#pragma once

#include "formats/format.h"

namespace mnq {

extern const Format kSafetensorsFormat;

/// A length that fits into the file, and an opening brace.
bool recognises_safetensors(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes);

/// Reads and checks the header; the data is read when asked for. Errors: kFormat naming the tensor and field; kIo.
std::unique_ptr<TensorSource> open_safetensors_source(std::shared_ptr<const ByteSource> bytes,
                                                      const OpenSettings& settings);

/// Of a file that we wrote: takes each tensor as it goes by, and returns what its metadata has under the key. Holds one
/// tensor at a time. Errors: as open_safetensors_source.
std::optional<std::string> list_safetensors(const ByteSource& bytes, std::string_view key,
                                            const std::function<void(const TensorInfo&)>& take);

/// Orders tensors by dtype, the widest first, then by name; pads the header to a multiple of 8. Our own metadata
/// has room in it for the accuracies that are known at the end. Errors: kFormat where the header would exceed
/// 100 MB; kIo.
std::unique_ptr<TensorSink> open_safetensors_sink(const SinkRequest& request, const OpenByteSink& open);

/// The same without our own metadata.
std::unique_ptr<TensorSink> open_plain_safetensors_sink(const PlanSlice& plan, const Metadata& metadata,
                                                        const OpenByteSink& open);

}  // namespace mnq
