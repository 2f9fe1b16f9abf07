// What an output is written as.
#pragma once

#include <string>

#include "formats/format.h"

namespace mnq {

/// What a folder is written as where nothing says it: as what loads the source's folder can have it.
const Format& default_folder_format(const Companion* companion);

/// Checks, before any work, that this can be written from this source: a format that is written, and nothing replaced
/// that the source reads or carries on. wanted: the name of a format, or "auto": then the extension says it, and a path
/// without one is a folder. Errors: kUnsupported, kInvalidArg.
const Format& output_format(const std::string& path, const std::string& wanted, const TensorSource& source);

}  // namespace mnq
