// Weights that other tools quantized, found by the names, dtypes and shapes of their tensors. To add a kind: a file
// with its finder, and its row in weight_finders.cpp.
#pragma once

#include "adapted/adapted_source.h"
#include "adapted/named_tensors.h"
#include "base/text/json.h"

namespace mnq {

/// What a finder goes by.
struct FinderInput {
  const NamedTensors& tensors;
  const Json& config;                 ///< what config.json says of quantization; null: nothing
  DType weight_dtype = DType::kBF16;  ///< of weights whose files do not say what they were
  std::vector<std::string>& remarks;  ///< for what cannot be known, or is not kept
  std::set<std::size_t>& dropped;     ///< for tensors that only running the model needs
  bool is_part = false;               ///< of a checkpoint: what is missing may lie in its other files
};

/// The weight whose codes a tensor has; empty for other tensors. Errors: kFormat, kUnsupported.
using WeightFinder = std::optional<LogicalTensor> (*)(const FinderInput& input, const TensorInfo& codes);

std::optional<LogicalTensor> find_float8_weight(const FinderInput& input, const TensorInfo& codes);
std::optional<LogicalTensor> find_small_float_weight(const FinderInput& input, const TensorInfo& codes);
std::optional<LogicalTensor> find_gpt_oss_weight(const FinderInput& input, const TensorInfo& codes);
std::optional<LogicalTensor> find_gptq_weight(const FinderInput& input, const TensorInfo& codes);
std::optional<LogicalTensor> find_bitsandbytes_weight(const FinderInput& input, const TensorInfo& codes);
std::optional<LogicalTensor> find_mlx_weight(const FinderInput& input, const TensorInfo& codes);

/// Errors: kUnsupported for groups' scales of ComfyUI, which it stores in an order of its own.
void refuse_swizzled(const FinderInput& input, const TensorInfo& codes);

/// All of them. is_part: see FinderInput. Errors: as the finders'; kFormat for what a weight lacks.
AdaptedWeights find_known_weights(const TensorSource& source, const Json& config, bool is_part);

/// Whether config.json may call the method of such weights so.
bool is_known_method(std::string_view quant_method);

/// The source with its weights as we know them; as it is where it has none. Errors: as above.
std::unique_ptr<TensorSource> adapt_known_weights(std::unique_ptr<TensorSource> source, const Json& config,
                                                  bool is_part);

/// Whether a tensor looks like one of them, by its name and dtype and those beside it.
bool has_known_weights(const TensorSource& source);

/// The float dtype of a model: as its config.json says, else that of most of its tensors.
DType model_dtype_of(const TensorSource& source);

/// A number of the config; `otherwise` where it says none.
std::int64_t number_in(const Json& config, std::string_view key, std::int64_t otherwise);

/// What the config says is true or false.
bool is_true_in(const Json& config, std::string_view key, bool otherwise);

/// A text of the config; empty where it says none.
std::string text_in(const Json& config, std::string_view key);

}  // namespace mnq
