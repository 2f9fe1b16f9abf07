// Where a plan becomes the shards of a folder.
#pragma once

#include "quantize/write/write_output.h"

namespace mnq {

/// Goes on with what is there already. Errors: as write_output.
Outcome write_folder(const Work& work);

}  // namespace mnq
