// A weight whose parts are found one after the other.
#pragma once

#include <initializer_list>

#include "adapted/named_tensors.h"
#include "layouts/layout.h"

namespace mnq {

class WeightInMaking {
 public:
  explicit WeightInMaking(const NamedTensors& tensors) : tensors_(tensors) {}

  QuantizedSpec spec;

  const NamedTensors& tensors() const { return tensors_; }

  /// Errors: kFormat if there is no such tensor, or it has none of the dtypes.
  const TensorInfo& add_part(const std::string& name, std::initializer_list<DType> dtypes);

  /// As above, and of that shape. Of one number it may be any.
  const TensorInfo& add_part(const std::string& name, std::initializer_list<DType> dtypes, const Shape& shape);

  /// A matrix, or a stack of them, whose channels are the rows of each.
  void set_matrix(const Scheme& scheme, Shape shape, DType weight_dtype);

  /// Columns that share their scales: all of a row are a channel.
  void set_groups(std::uint64_t group_size, DType scale_dtype);

  LogicalTensor finish(const std::string& name, const Layout& layout);

 private:
  const NamedTensors& tensors_;
  std::vector<std::size_t> parts_;
};

}  // namespace mnq
