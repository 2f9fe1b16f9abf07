// The quantized weights of a compressed-tensors folder: names find their parts, and the shapes of the parts say, with the
// groups of config.json, how each is quantized.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/tensor_source.h"
#include "formats/compressed_tensors/compressed_tensors_groups.h"

namespace mnq {

/// The tensors of a source by name. The source must outlive it.
class NamedTensors {
 public:
  explicit NamedTensors(const TensorSource& source);

  const TensorSource& source() const { return source_; }
  const std::map<std::string, std::size_t>& by_name() const { return by_name_; }
  std::optional<std::size_t> find(const std::string& name) const;

  /// Errors: kFormat if there is no such tensor.
  std::size_t require(const std::string& name) const;

  /// Throws kFormat: the tensor is not what config.json makes of it.
  [[noreturn]] void fail(const std::string& tensor, const std::string& what) const;

 private:
  const TensorSource& source_;
  std::map<std::string, std::size_t> by_name_;
};

/// In the order of their codes; parts are indices of the source's tensors. Errors: kFormat; kUnsupported.
std::vector<LogicalTensor> find_compressed_weights(const NamedTensors& tensors,
                                                   std::span<const CompressedGroup> groups);

}  // namespace mnq
