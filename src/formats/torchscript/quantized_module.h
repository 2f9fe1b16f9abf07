// A TorchScript file of a module that PyTorch quantized: a source of its weights, and no module that could run here.
#pragma once

#include <memory>

#include "base/tensor_source.h"
#include "containers/zip/zip_archive.h"

namespace mnq {

/// Null where the module is none of those. Errors: as add_module_tensors; kFormat for records that are missing or do
/// not fit.
std::unique_ptr<TensorSource> open_quantized_module(const ZipArchive& archive,
                                                    const std::shared_ptr<const ByteSource>& bytes);

}  // namespace mnq
