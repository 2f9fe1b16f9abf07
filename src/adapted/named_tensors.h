// The tensors of a source by their names, for what finds the parts of weights among them.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/tensor_source.h"

namespace mnq {

/// The source must outlive it.
class NamedTensors {
 public:
  explicit NamedTensors(const TensorSource& source);

  const TensorSource& source() const { return source_; }
  const std::map<std::string, std::size_t>& by_name() const { return by_name_; }
  std::optional<std::size_t> find(const std::string& name) const;

  /// Null if there is no such tensor.
  const TensorInfo* find_info(const std::string& name) const;

  /// Errors: kFormat if there is no such tensor.
  std::size_t require(const std::string& name) const;

  /// Throws kFormat: the tensor is not what config.json makes of it.
  [[noreturn]] void fail(const std::string& tensor, const std::string& what) const;

  /// Throws kUnsupported: the weights are quantized in a way that is not read.
  [[noreturn]] void refuse(const std::string& tensor, const std::string& what) const;

 private:
  const TensorSource& source_;
  std::map<std::string, std::size_t> by_name_;
};

/// "L" of "L.weight"; of another name all of it.
std::string stem_of(const std::string& weight);

}  // namespace mnq
