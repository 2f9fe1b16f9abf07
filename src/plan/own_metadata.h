// Our own metadata: what a quantized checkpoint must say of itself so that it can be read back. One key, "mono_quant",
// holds JSON: {"version": 1, "tensors": {X: {"scheme", "granularity", "symmetric", "group_size", "channel_axis",
// "stacked_axes", "dtype", "shape", "sqnr_db"}}}. Two containers store it, safetensors and what torch.save writes (in a
// module's archive too); it is text there and nowhere else.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/tensor_source.h"
#include "base/text/json_text.h"
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

/// Whether a plan's output has something to say in it: a weight that is quantized.
bool has_own_metadata(const PlanSlice& plan);

/// Hands over the key's value for what becomes of the weights of a plan, in pieces of whole characters: there is never
/// all of it. sqnr_db: as TensorSink::commit gets it; it is written with four digits.
void write_own_metadata(const PlanSlice& plan, std::span<const double> sqnr_db, const WriteText& write);

/// A value of that form which is no shorter, whatever the accuracies will be.
void reserve_own_metadata(const PlanSlice& plan, const WriteText& write);

/// Hands over a JSON object of texts: a container's metadata, our own among it in the order of the keys where write_own
/// is there.
void write_metadata_json(const Metadata& metadata, const std::function<void(const WriteText&)>& write_own,
                         const WriteText& write);

/// The same for who keeps it as it is.
std::optional<OwnMetadata> own_metadata_of(const PlanSlice& plan, std::span<const double> sqnr_db);

/// A source whose container may say so what its tensors are.
class DescribedSource : public TensorSource {
 public:
  const OwnMetadata* own_metadata() const override { return own_ ? &*own_ : nullptr; }

 protected:
  /// All of a container's metadata, our own among it.
  void set_metadata(Metadata metadata);

  LogicalTensors find_weights() const override { return complete(find_own_weights()); }

  /// The quantized weights alone, and what is wrong with them.
  LogicalTensors find_own_weights() const;

  std::optional<OwnMetadata> own_;
  const Layout* layout_ = &kRowsLayout;  ///< of its quantized weights
};

}  // namespace mnq
