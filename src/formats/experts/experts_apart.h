// A checkpoint whose experts lie in one tensor, seen as a format's loaders want them: each expert's weights by
// themselves, [out, in], or those of all experts, [experts, out, in], with gate and up apart. Nothing is copied: what is
// asked for is read from where it lies.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/tensor_source.h"
#include "plan/storage.h"

namespace mnq {

class ExpertsApart : public TensorSource {
 public:
  /// What was taken apart, for people.
  virtual std::string remark() const = 0;
};

/// Null where there is nothing to take apart: no experts, or only such as are quantized already or whose names in that
/// form are not known (expert_models.h). The source must outlive it. Errors: kFormat where it is not sound.
std::unique_ptr<ExpertsApart> take_experts_apart(const TensorSource& source, ExpertForm form);

/// Of the quantized ones among source.weights() those that could be taken apart if they were floats, and that have to
/// be.
std::vector<std::size_t> find_quantized_experts(const TensorSource& source, ExpertForm form);

/// As take_experts_apart, of those that `other` has so, and not in one tensor.
std::unique_ptr<ExpertsApart> take_experts_apart_as_in(const TensorSource& source, const TensorSource& other);

}  // namespace mnq
