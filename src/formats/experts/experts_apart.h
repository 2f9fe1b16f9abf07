// A checkpoint whose experts lie in one tensor, seen as a format's loaders want them: each expert's weights by
// themselves, [out, in], or those of all experts, [experts, out, in], with gate and up apart. Nothing is copied: what is
// asked for is read from where it lies.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/source_view.h"
#include "plan/storage.h"

namespace mnq {

class RearrangedExperts : public SourceView {
 public:
  /// What became of which, for people.
  virtual std::string remark() const = 0;

 protected:
  using SourceView::SourceView;
};

/// Which experts are meant.
enum class ExpertChoice {
  kAll,
  kCodes,   ///< that are quantized, and can be with their codes
  kStacks,  ///< of those, MLX's, of models whose floats transformers loads one by one
};

/// Experts as an output wants them.
struct Rearranged {
  std::unique_ptr<RearrangedExperts> experts;  ///< null: there is nothing to rearrange
  std::vector<std::size_t> unfit;  ///< the quantized ones among source.weights() that could be if they were floats
};

/// What is not taken apart: experts that are quantized so that rows have no codes of their own, or whose names in that
/// form are not known (expert_models.h). The source must outlive it. Errors: kFormat where it is not sound.
Rearranged take_experts_apart(const TensorSource& source, ExpertForm form, ExpertChoice choice = ExpertChoice::kAll);

/// The same of those that `other` has so, and not in one tensor.
Rearranged take_experts_apart_as_in(const TensorSource& source, ExpertForm form, const TensorSource& other);

}  // namespace mnq
