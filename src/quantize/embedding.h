// An embedding of a model: rows of its table as floats, decoded as they are gathered.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/tensor_source.h"
#include "quantize/loop/weight_reader.h"

namespace mnq {

class Embedding {
 public:
  /// Of a layer by its name or its weight's. Whatever codes or floats it has stay where they are: a file is read when
  /// rows are. Errors: kNotFound; kUnsupported for a weight that is no matrix of weights; kIo, kFormat.
  Embedding(std::shared_ptr<const TensorSource> source, const std::string& layer);

  std::uint64_t row_count() const { return static_cast<std::uint64_t>(tensor_.shape[0]); }
  std::uint64_t row_length() const { return static_cast<std::uint64_t>(tensor_.shape[1]); }

  /// out [count, row_length] of `dtype`, a float dtype. From several threads. Errors: kInvalidArg for an index that no
  /// row has; kDType; kIo.
  void gather(const std::int64_t* indices, std::size_t count, DType dtype, void* out) const;

  /// As a JSON object.
  std::string describe() const;

 private:
  std::shared_ptr<const TensorSource> source_;
  const LogicalTensor& tensor_;
  WeightReader reader_;
};

}  // namespace mnq
