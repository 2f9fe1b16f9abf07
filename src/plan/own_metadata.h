// Our own metadata: what a quantized checkpoint must say of itself so that it can be read back. One key, "mono_quant",
// holds JSON: {"version": 1, "tensors": {X: {"scheme", "granularity", "symmetric", "group_size", "channel_axis",
// "stacked_axes", "dtype", "shape", "sqnr_db"}}}. Two containers store it, safetensors and what torch.save writes (in a
// module's archive too); it is text there and nowhere else.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/tensor_source.h"
#include "plan/plan.h"

namespace mnq {

inline constexpr std::string_view kMetadataKey = "mono_quant";

/// What is said of one quantized weight.
struct QuantizedEntry {
  std::string name;
  QuantizedSpec spec;
  std::optional<double> sqnr_db;
};

struct OwnMetadata {
  std::vector<QuantizedEntry> entries;
  std::vector<Problem> problems;  ///< of the text itself, and of entries that are wrong
};

/// Takes our key out of a container's metadata. Never fails: what is wrong is a problem. Empty where it is not there.
std::optional<OwnMetadata> take_own_metadata(Metadata& metadata);

/// The key's value for what becomes of the weights of a plan. sqnr_db: as TensorSink::commit gets it; it is written with four
/// digits. Empty where nothing is quantized.
std::string write_own_metadata(const PlanSlice& plan, std::span<const double> sqnr_db);

/// A value of that form which is no shorter, whatever the accuracies will be.
std::string reserve_own_metadata(const PlanSlice& plan);

/// The same for who keeps it as it is.
std::optional<OwnMetadata> own_metadata_of(const PlanSlice& plan, std::span<const double> sqnr_db);

/// A source whose container may say so what its tensors are.
class DescribedSource : public TensorSource {
 public:
  const OwnMetadata* own_metadata() const override { return own_ ? &*own_ : nullptr; }

 protected:
  /// All of a container's metadata, our own among it.
  void set_metadata(Metadata metadata);

  LogicalTensors find_weights() const override;

  std::optional<OwnMetadata> own_;
  const Layout* layout_ = &kRowsLayout;  ///< of its quantized weights
};

}  // namespace mnq
