// Tensors that lie in the storages of torch.save as a source, wherever those are.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "containers/torch_save/pytorch_objects.h"
#include "plan/own_metadata.h"

namespace mnq {

/// A storage's bytes, and where they start in the file.
struct StoragePlace {
  std::shared_ptr<const ByteSource> bytes;
  std::uint64_t offset = 0;  ///< of the storage in those bytes
  std::uint64_t file_offset = 0;
};
using StoragePlaces = std::map<std::string, StoragePlace>;

/// Scales and zero points that PyTorch has quantized weights by are read at once, and shown as tensors beside the
/// codes, as our own files have them. format: of the format table. is_big_endian: of storages. Errors: kFormat for
/// scales that are not finite and zero points that are no codes; kIo.
std::unique_ptr<TensorSource> make_pytorch_source(std::string_view format, std::shared_ptr<const ByteSource> bytes,
                                                  PytorchObjects objects, const StoragePlaces& places,
                                                  bool is_big_endian, Metadata metadata);

}  // namespace mnq
