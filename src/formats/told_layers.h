// Models in memory whose layers are told by who makes them, where names and shapes could mislead.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/tensor_source.h"

namespace mnq {

/// A tensor, and what is known of the layer that it belongs to.
struct ToldTensor {
  std::string name;
  std::optional<Tensor> tensor;  ///< may be missing where tied_to says whose it is
  std::optional<std::string>
      kind;  ///< a row of the layer kinds; "": no layer's weight; missing: its name and shape tell
  std::int64_t channel_axis = -1;      ///< of the weight; -1: the kind's
  std::optional<std::string> tied_to;  ///< the name of another tensor of the model, which this one is
};

/// A tensor that is tied is another name of the one it is tied to. Where the kind of one of them is sensitive, as an
/// embedding is that serves as the output layer, too, it is the kind of both. Errors: kInvalidArg for a name that is
/// empty, not UTF-8, there twice or unknown, for a kind that is unknown and for an axis that is outside the shape;
/// kShape and kDType for a tensor that differs from the one it is tied to.
std::shared_ptr<const TensorSource> make_told_source(const std::vector<ToldTensor>& tensors);

}  // namespace mnq
