// A folder in our own layout: shards of safetensors.
#pragma once

#include "formats/format.h"

namespace mnq {

extern const Format kFolderFormat;

}  // namespace mnq
