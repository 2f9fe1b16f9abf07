// A model in one GGUF file, or in several: NAME-00001-of-00003.gguf and those beside it.
// Source: llama.cpp, tools/gguf-split
#pragma once

#include <memory>
#include <vector>

#include "formats/gguf/gguf_header.h"

namespace mnq {

struct GgufPart {
  std::shared_ptr<const ByteSource> bytes;
  GgufHeader header;
};

/// All parts of the model that a file is of, whichever it is, in order. Errors: as read_gguf_header; kNotFound for a
/// part that is missing; kFormat for parts that are not of one model; kUnsupported where it is not known where they
/// are.
std::vector<GgufPart> open_gguf_parts(std::shared_ptr<const ByteSource> bytes);

}  // namespace mnq
