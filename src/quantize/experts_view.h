// A source as a job sees it: with experts as the output's format wants them, or as another model has them.
#pragma once

#include <memory>
#include <vector>

#include "formats/experts/experts_apart.h"
#include "quantize/report.h"

namespace mnq {

class ExpertsView {
 public:
  /// The source must outlive it. Errors of both: as take_experts_apart.
  ExpertsView(const TensorSource& source, ExpertForm form);

  /// As `other` has them, and the source has not.
  ExpertsView(const TensorSource& source, const TensorSource& other);

  const TensorSource& get() const { return apart_ ? *apart_ : source_; }

  /// What became of them.
  void add_remarks(Report& report) const;

 private:
  const TensorSource& source_;
  std::unique_ptr<TensorSource> decoded_;  ///< where experts that are quantized were to be taken apart
  std::unique_ptr<ExpertsApart> apart_;
  std::vector<std::string> remarks_;
};

}  // namespace mnq
