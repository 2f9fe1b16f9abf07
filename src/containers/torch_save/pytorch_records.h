// Names of records in the ZIP archives we write, below their root.
#pragma once

#include <string_view>

namespace mnq {

/// The metadata of the checkpoint as JSON, text to text; PyTorch does not read it.
inline constexpr std::string_view kPytorchMetadataRecord = "/.data/metadata.json";

/// Dotted path of the dict with the model's tensors, as it was chosen in the checkpoint that this one was made of: with
/// other dicts left out and weights quantized, another might be found.
inline constexpr std::string_view kPytorchTensorsKeyRecord = "/.data/tensors_key";

}  // namespace mnq
