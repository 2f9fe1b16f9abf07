// Tensors of one checkpoint against those of another: by numbers where both are floats, quantized or not, else byte for
// byte.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "quantize/loop/block_loop.h"
#include "quantize/loop/lazy.h"
#include "quantize/loop/weight_reader.h"
#include "quantize/report.h"

namespace mnq {

/// Two tensors of one name, and what was found of them.
struct TensorPair {
  const LogicalTensor* a = nullptr;          ///< the reference
  const LogicalTensor* b = nullptr;          ///< null: there is none
  bool is_weight = false;                    ///< as floats; else byte for byte
  std::int64_t stacked_axes = 0;             ///< the more of the two
  Accuracy accuracy;                         ///< of b
  bool differs = false;                      ///< not is_weight: bytes that are not the same
  std::optional<std::uint64_t> bad_element;  ///< not finite in one of the two, and not the same in both

  Lazy<WeightReader> reader_a;
  Lazy<WeightReader> reader_b;
};

/// Why a pair cannot be compared; empty where it can.
std::string reason_to_skip(const LogicalTensor& a, const LogicalTensor* b);

/// Whether the pair counts for the model's accuracy: weights that were quantized, cast or changed. What was copied
/// would only make the number look better, and the report of the job that made the file leaves it out as well.
bool is_changed(const TensorPair& pair);

class TensorComparison {
 public:
  /// Both must outlive it.
  TensorComparison(const TensorSource& a, const TensorSource& b) : a_(a), b_(b) {}

  /// A pair with no reason to skip it; it is filled by run(), and must outlive that.
  void add(TensorPair& pair);

  /// Errors: kIo, kCancelled.
  void run(const JobSettings& job, RunControl& control);

 private:
  void work(const Block& block, Scratch& scratch) const;
  void compare_floats(TensorPair& pair, const Block& block, Scratch& scratch) const;
  static void compare_doubles(const double* a, const double* b, std::uint64_t begin, std::uint64_t count,
                              Scratch& scratch);
  void finish(const Block& block, Scratch& scratch) const;

  const TensorSource& a_;
  const TensorSource& b_;
  const kernels::KernelTable& kernels_ = kernels::kernel_table();
  std::vector<TensorPair*> pairs_;
  std::vector<Block> blocks_;
};

}  // namespace mnq
