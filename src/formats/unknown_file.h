// What a file is that no format recognises: most often not the file that was meant.
#pragma once

#include "base/byte_stream.h"

namespace mnq {

/// Says what the bytes look like, and what to do: a git-LFS pointer, a page with an error, an archive, another framework's
/// file. others: advice where they look like nothing. Errors: kFormat where they are no model, kUnsupported where they may
/// hold one.
[[noreturn]] void refuse_unknown(const ByteSource& bytes, const std::string& others);

/// Whether it can only be read as safetensors, which has no magic number: one that is cut off or damaged.
bool may_be_safetensors(const ByteSource& bytes);

}  // namespace mnq
