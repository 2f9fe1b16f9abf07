// What a GGUF file says of itself before its data: key-values and the list of its tensors, checked.
#pragma once

#include <string>
#include <vector>

#include "base/files/byte_stream.h"
#include "base/tensor_source.h"
#include "formats/gguf/gguf_substitutes.h"
#include "formats/gguf/gguf_types.h"

namespace mnq {

struct GgufTensor {
  TensorInfo info;  ///< as it was before it came into the file; of blocks: the weight they stand for
  const GgufType* type = nullptr;
  const GgufSubstitute* substitute = nullptr;  ///< what is stored for it; null: itself
  std::uint64_t start = 0;                     ///< of its data in the file
};

struct GgufHeader {
  Metadata metadata;                ///< all key-values as text; arrays say what they hold
  std::string architecture;         ///< general.architecture
  std::string values;               ///< key-values that go along into another GGUF file, as they are stored
  std::uint64_t value_count = 0;    ///< in `values`
  std::vector<GgufTensor> tensors;  ///< in the order of their data
};

/// Errors: kFormat naming the key or tensor; kUnsupported for other versions and types, and for models in parts.
GgufHeader read_gguf_header(const ByteSource& bytes);

}  // namespace mnq
