// Our own metadata: what a quantized checkpoint must say of itself so that it can be read back. One key, "mono_quant",
// holds JSON: {"version": 1, "tensors": {X: {"scheme", "granularity", "symmetric", "group_size", "channel_axis",
// "stacked_axes", "dtype", "shape", "sqnr_db"}}}. With it, stored tensors become logical ones: weights that know their parts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/quantized_weight.h"
#include "base/tensor_source.h"

namespace mnq {

inline constexpr std::string_view kMetadataKey = "mono_quant";

/// Something a file gets wrong about its quantized weights.
struct Problem {
  std::string tensor;  ///< may be empty: the metadata itself
  std::string text;
};

struct LogicalTensors {
  std::vector<LogicalTensor> tensors;  ///< in the order of the data, by the first part
  std::vector<Problem> problems;       ///< weights whose parts are missing or do not fit: they are left out
};

/// Never fails: what does not fit is a problem, and its stored tensors stay as they are.
LogicalTensors find_logical_tensors(const TensorSource& source);

/// As find_logical_tensors, for who needs a sound model. Throws kFormat at the first problem.
std::vector<LogicalTensor> require_logical_tensors(const TensorSource& source);

struct QuantizedEntry {
  std::string name;
  QuantizedSpec spec;
  std::optional<double> sqnr_db;
};

/// The value of the metadata key. SQNR is written with four digits.
std::string write_quantized_metadata(const std::vector<QuantizedEntry>& entries);

}  // namespace mnq
