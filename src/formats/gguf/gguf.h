// GGUF, version 3: what ggml's programs read. Quantized weights are tensors of blocks (layouts/ggml.h).
// Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, ggml/src/gguf.cpp
#pragma once

#include "formats/format.h"

namespace mnq {

extern const Format kGgufFormat;

bool recognises_gguf(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes);

/// Errors: kFormat naming the key or tensor; kUnsupported for other versions and types.
std::unique_ptr<TensorSource> open_gguf_source(std::shared_ptr<const ByteSource> bytes, const OpenSettings& settings);

/// As llama-quantize has it: the output head, and an embedding that serves as one, gets 8 bits, and other embeddings
/// are quantized, too. What llama.cpp runs with as floats only is told by its names, and stays.
WeightRule rule_of_gguf(const WeightRequest& request);

/// Key-values: those of the GGUF file the tensors come from; else what a config.json says, and the metadata. What GGUF
/// has no place for is stored as gguf_substitutes.h says, and noted.
std::unique_ptr<TensorSink> open_gguf_sink(const SinkRequest& request, const OpenByteSink& open);

}  // namespace mnq
