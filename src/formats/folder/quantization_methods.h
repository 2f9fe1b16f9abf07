// How a Hugging Face folder says in its config.json that its weights are quantized. To add one: its descriptor in its
// format's folder, and a row in quantization_methods.cpp.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor_source.h"
#include "base/text/json.h"
#include "plan/plan.h"

namespace mnq {

/// What a folder's config.json says of quantization.
struct FolderQuantization {
  Json config;                     ///< its quantization_config; null: none
  std::vector<std::string> notes;  ///< for the report's warnings
  std::string_view also_as = "";   ///< another member of config.json with the same; empty: none
};

struct QuantizationMethod {
  std::string_view quant_method = "";  ///< in the quantization_config; empty: our own folders have none

  /// The tensors as ours. config: the quantization_config. is_part: as below. Errors: kFormat, kUnsupported.
  std::unique_ptr<TensorSource> (*adapt)(std::unique_ptr<TensorSource> source, const Json& config,
                                         bool is_part) = nullptr;

  /// Whether tensors have the names of such weights: then the config.json beside a file is looked for.
  bool (*has_such_names)(const TensorSource& source) = nullptr;

  /// What a plan's config.json says. Errors: kUnsupported.
  FolderQuantization (*describe)(const Plan& plan, const Companion* companion) = nullptr;
};

/// The tensors as ours where the config says that they are quantized by a method that is read, or where it says nothing
/// and they explain themselves; else the source as it is. config: config.json, or null. is_part: of a checkpoint, so
/// that parts of a weight may lie in its other files. Errors: as the method's; kUnsupported for one that is not read.
std::unique_ptr<TensorSource> adapt_quantized_folder(std::unique_ptr<TensorSource> source, const Json& config,
                                                     bool is_part = false);

/// config.json without what it says of quantization elsewhere than in the members that are written: in the part of its
/// text, and under an older name.
std::string without_other_quantization(const std::string& text);

/// Whether a file by itself may be one of a quantized folder: by its tensors' names, where no metadata of ours says
/// what they are.
bool may_be_of_quantized_folder(const TensorSource& source);

}  // namespace mnq
