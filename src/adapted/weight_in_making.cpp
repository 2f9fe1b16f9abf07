#include "adapted/weight_in_making.h"

#include <algorithm>

#include "base/text/format.h"

namespace mnq {

const TensorInfo& WeightInMaking::add_part(const std::string& name, std::initializer_list<DType> dtypes) {
  parts_.push_back(tensors_.require(name));
  const TensorInfo& info = tensors_.source().tensors()[parts_.back()];
  if (std::ranges::find(dtypes, info.dtype) == dtypes.end()) {
    tensors_.fail(name, formatted("is {}, which is no dtype for it", dtype_name(info.dtype)));
  }
  return info;
}

const TensorInfo& WeightInMaking::add_part(const std::string& name, std::initializer_list<DType> dtypes,
                                           const Shape& shape) {
  const TensorInfo& info = add_part(name, dtypes);
  const bool is_one = element_count(shape) == 1 && element_count(info.shape) == 1;
  if (info.shape != shape && !is_one) {
    tensors_.fail(name, formatted("is {}, but must be {}", shape_text(info.shape), shape_text(shape)));
  }
  return info;
}

void WeightInMaking::set_matrix(const Scheme& scheme, Shape shape, DType weight_dtype) {
  spec.scheme = scheme.name;
  spec.symmetric = scheme.symmetric_default;
  spec.shape = std::move(shape);
  spec.channel_axis = spec.stacked_axes = static_cast<std::int64_t>(spec.shape.size()) - 2;
  spec.weight_dtype = weight_dtype;
}

void WeightInMaking::set_groups(std::uint64_t group_size, DType scale_dtype) {
  const bool is_channel = group_size >= static_cast<std::uint64_t>(spec.shape.back());
  spec.granularity = is_channel && spec.channel_axis == 0 ? Granularity::kChannel : Granularity::kGroup;
  spec.group_size = spec.granularity == Granularity::kGroup ? group_size : 0;
  spec.scale_dtype = scale_dtype;
}

LogicalTensor WeightInMaking::finish(const std::string& name, const Layout& layout) {
  LogicalTensor made;
  made.name = name;
  made.dtype = spec.weight_dtype;
  made.shape = spec.shape;
  made.spec = spec;
  made.layout = &layout;
  made.parts = std::move(parts_);
  return made;
}

}  // namespace mnq
