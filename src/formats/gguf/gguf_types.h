// The types of GGUF tensors by their numbers in the file.
#pragma once

#include <optional>
#include <string_view>

#include "layouts/ggml.h"

namespace mnq {

struct GgufType {
  std::uint32_t id = 0;
  std::string_view name;
  std::optional<DType> dtype = std::nullopt;  ///< of plain ones
  std::uint32_t file_type = 0;                ///< general.file_type of a file that is mostly this
  const GgmlBlock* block = nullptr;           ///< of blocks
};

std::span<const GgufType> all_gguf_types();

/// Whether rows of this shape are whole blocks, where the type has any.
bool has_whole_rows(const GgufType& type, const Shape& shape);

}  // namespace mnq
