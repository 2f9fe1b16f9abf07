// What loads a folder with a checkpoint: what its weights are called there, and whether quantized ones can be had. To
// add one: a row in folder_loaders.cpp.
#pragma once

#include <string_view>

#include "base/text/json.h"
#include "formats/folder/quantization_methods.h"

namespace mnq {

struct FolderLoader {
  std::string_view name;               ///< "transformers"
  std::string_view weights = "model";  ///< its weights' file without its ending
  bool loads_compressed_tensors = false;
  bool stops_at_codes = true;  ///< it refuses a folder whose config.json says so of it

  /// Whether a folder with this config.json, which may be null, and these files besides is its own.
  bool (*is_own)(const Json& config, const Companion& companion) = nullptr;
};

/// transformers', unless another is known.
const FolderLoader& find_folder_loader(const Json& config, const Companion& companion);

/// Of the name that a companion has.
const FolderLoader& folder_loader(const Companion* companion);

/// Names of the files with a folder's weights, whole or by their index, in the order in which they are looked for.
std::vector<std::string> weight_files_in_order();

/// Of a folder in our own layout: codes under the weights' names. Its config.json says that it is quantized, and not
/// how, so that no loader takes codes for weights. Errors: kUnsupported where one would do so all the same.
FolderQuantization describe_plain_folder(const Plan& plan, const Companion* companion);

/// Whether a quantization_config is one of those.
bool is_plain_folder(const Json& quantization);

}  // namespace mnq
