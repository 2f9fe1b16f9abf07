// Another source seen otherwise: what a view does not say itself is the other's.
#pragma once

#include "base/tensor_source.h"

namespace mnq {

class SourceView : public TensorSource {
 public:
  std::string_view format() const override { return source_.format(); }
  std::string path() const override { return source_.path(); }
  std::uint64_t size_bytes() const override { return source_.size_bytes(); }
  const Companion* companion() const override { return source_.companion(); }
  const OwnMetadata* own_metadata() const override { return source_.own_metadata(); }

 protected:
  /// The source must outlive it.
  explicit SourceView(const TensorSource& source) : source_(source) {
    metadata_ = source.metadata();
    remarks_ = source.remarks();
    inputs_ = source.inputs();
  }

  const TensorSource& source_;
};

}  // namespace mnq
