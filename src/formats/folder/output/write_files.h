// Files of a folder in the making, which its run has claimed: each whole or not there, in the place of what was there.
#pragma once

#include <functional>
#include <string>

#include "base/files/byte_stream.h"
#include "base/text/json_text.h"

namespace mnq {

/// Errors: kIo.
void write_text(const std::string& path, const std::string& text);

/// The same of a text that is handed over piece by piece.
void write_text(const std::string& path, const std::function<void(const WriteText&)>& hand_over);

/// Errors: kIo, also where it is changed meanwhile; kCancelled.
void copy_file(const ByteSource& from, const std::string& to, const std::function<bool()>& is_cancelled);

}  // namespace mnq
