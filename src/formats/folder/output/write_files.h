// Files of a folder in the making, which its run has claimed: each whole or not there, in the place of what was there.
#pragma once

#include <functional>
#include <string>

#include "base/files/byte_stream.h"

namespace mnq {

/// Errors: kIo.
void write_text(const std::string& path, const std::string& text);

/// Errors: kIo, also where it is changed meanwhile; kCancelled.
void copy_file(const ByteSource& from, const std::string& to, const std::function<bool()>& is_cancelled);

}  // namespace mnq
