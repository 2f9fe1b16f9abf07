// A source as a job sees it: with experts as the output's format wants them, or as another model has them.
#pragma once

#include <memory>
#include <vector>

#include "formats/experts/experts_apart.h"
#include "quantize/report.h"

namespace mnq {

class ExpertsView {
 public:
  /// The source must outlive it. What is quantized and cannot be rearranged with its codes is decoded where `choice` is
  /// all. Errors of both: as take_experts_apart.
  ExpertsView(const TensorSource& source, ExpertForm form, ExpertChoice choice = ExpertChoice::kAll);

  /// As `other` has them, and the source has not.
  ExpertsView(const TensorSource& source, const TensorSource& other);

  const TensorSource& get() const { return steps_.empty() ? source_ : *steps_.back(); }

  /// What became of them.
  void add_remarks(Report& report) const;

 private:
  template <class Rearrange>
  bool add(const Rearrange& rearrange, bool may_decode);

  const TensorSource& source_;
  std::vector<std::unique_ptr<TensorSource>> steps_;  ///< each of what the one before it shows
  std::vector<std::string> remarks_;
};

}  // namespace mnq
