// Names of records in the ZIP archives we write, below their root.
#pragma once

#include <string_view>

namespace mnq {

/// The metadata of the checkpoint as JSON, text to text; PyTorch does not read it.
inline constexpr std::string_view kPytorchMetadataRecord = "/.data/metadata.json";

}  // namespace mnq
