// GGUF, version 3: what ggml's programs read. Quantized weights are tensors of blocks (layouts/ggml.h).
// Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, ggml/src/gguf.cpp
#pragma once

#include "formats/format.h"

namespace mnq {

extern const Format kGgufFormat;

bool recognises_gguf(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes);

/// Errors: kFormat naming the key or tensor; kUnsupported for other versions and types.
std::unique_ptr<TensorSource> open_gguf_source(std::shared_ptr<const ByteSource> bytes, const OpenSettings& settings);

/// As llama-quantize has it: 8 bits are Q8_0, 4 bits Q4_0, asymmetric 4 bits Q4_1, by ggml's own rules. Embeddings are
/// quantized, too; the output head, and an embedding that serves as one, gets 8 bits. Rows that are no multiple of 32 become
/// float16. What llama.cpp runs with as floats only is told by its names, and stays.
Fit fit_gguf(const FitRequest& request);

/// Key-values: those of the GGUF file the tensors come from; else what a config.json says, and the metadata. What GGUF has no
/// place for is stored as gguf_substitutes.h says, and noted.
std::unique_ptr<TensorSink> open_gguf_sink(const SinkRequest& request, const OpenByteSink& open);

}  // namespace mnq
