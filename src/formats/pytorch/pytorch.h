// What torch.save writes of a state dict: a source for both forms, the ZIP archive and, older than PyTorch 1.6, the row
// of pickles; and the sink that makes a ZIP archive which torch.load(weights_only=True) takes. Records may be deflated,
// as programs that zip a file anew leave them. Their checksums are compared as they are read, each byte being read
// once: where all of a record has been read and it is another, that is an error. Source: torch/serialization.py, 2.13
#pragma once

#include "formats/format.h"

namespace mnq {

extern const Format kPytorchFormat, kPytorchPickleFormat, kPytorchTarFormat;

bool is_zip(std::span<const std::byte> start);

/// Errors: kFormat for a ZIP that is damaged, so that it is not taken for something else; kUnsupported for one that
/// torch.save has not made.
bool recognises_pytorch_zip(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes);

/// Not checked yet: the opcodes that every pickle of PyTorch starts with.
bool recognises_pytorch_pickle(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes);

/// Errors: as read_pytorch_objects; kFormat naming the record; kUnsupported for archives older than 0.1.10 and
/// compressed tensors.
std::unique_ptr<TensorSource> open_pytorch_zip_source(std::shared_ptr<const ByteSource> bytes,
                                                      const OpenSettings& settings);
std::unique_ptr<TensorSource> open_pytorch_pickle_source(std::shared_ptr<const ByteSource> bytes,
                                                         const OpenSettings& settings);

/// Tensors in the order given, each aligned to 64 bytes; tied names refer to one storage. Metadata is kept in a record
/// that PyTorch does not read. Errors: kUnsupported for a dtype that PyTorch has not.
std::unique_ptr<TensorSink> open_pytorch_sink(const SinkRequest& request, const OpenByteSink& open);

}  // namespace mnq
