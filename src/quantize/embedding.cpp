#include "quantize/embedding.h"

#include <cstring>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/json.h"
#include "kernels/float_conversions.h"
#include "quantize/weight_of_layer.h"

namespace mnq {
namespace {

const LogicalTensor& require_table(const LogicalTensor& tensor) {
  if (tensor.shape.size() == 2 && (tensor.spec || is_weight_dtype(tensor.dtype))) return tensor;
  throw Error(Status::kUnsupported,
              formatted("{} is {} {}", tensor.name, dtype_name(tensor.dtype), shape_text(tensor.shape)),
              "an embedding is a matrix of floats, or quantized", tensor.name);
}

}  // namespace

Embedding::Embedding(std::shared_ptr<const TensorSource> source, const std::string& layer)
    : source_(std::move(source)),
      tensor_(require_table(weight_of_layer(*source_, layer))),
      reader_(*source_, tensor_) {}

void Embedding::gather(const std::int64_t* indices, std::size_t count, DType dtype, void* out) const {
  if (!is_weight_dtype(dtype)) {
    throw Error(Status::kDType, formatted("out of {}", dtype_name(dtype)), "pass a float dtype", "out_dtype");
  }
  ReadBuffers buffers;
  const std::uint64_t length = row_length(), width = dtype_bits(dtype) / 8;
  for (std::size_t i = 0; i < count; ++i) {
    const auto row = static_cast<std::uint64_t>(indices[i]);
    if (row >= row_count()) {
      throw Error(Status::kInvalidArg, formatted("indices: {} at {} is none of {} rows", indices[i], i, row_count()),
                  "", "indices");
    }
    if (length == 0) continue;
    if (dtype == DType::kF64) {  // of a table of F64 as it is
      std::memcpy(static_cast<std::byte*>(out) + i * length * width, reader_.read_double(row * length, length, buffers),
                  length * width);
      continue;
    }
    const float* values = reader_.read(row * length, length, buffers);
    kernels::from_float32(kernels::kernel_table(), dtype, values, length,
                          static_cast<std::byte*>(out) + i * length * width);
  }
}

std::string Embedding::describe() const {
  return Json{{"name", tensor_.name},
              {"scheme", tensor_.spec ? scheme_text(*tensor_.spec) : std::string(dtype_name(tensor_.dtype))},
              {"row_count", row_count()},
              {"row_length", row_length()}}
      .dump();
}

}  // namespace mnq
