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

/// Which of the files it is that llama-gguf-split has cut a model into: each has some of the tensors, and the first one
/// all other key-values.
struct GgufPartNumber {
  std::uint64_t number = 0;  ///< from 0
  std::uint64_t count = 1;
  std::uint64_t tensor_count = 0;  ///< of all parts; 0: not said
};

struct GgufHeader {
  Metadata metadata;                ///< all key-values as text; arrays say what they hold
  std::string architecture;         ///< general.architecture
  std::string values;               ///< key-values that go along into another GGUF file, as they are stored
  std::uint64_t value_count = 0;    ///< in `values`
  std::vector<GgufTensor> tensors;  ///< in the order of their data
  GgufPartNumber part;              ///< of a model in parts
};

/// Errors: kFormat naming the key or tensor; kUnsupported for other versions and types.
GgufHeader read_gguf_header(const ByteSource& bytes);

}  // namespace mnq
