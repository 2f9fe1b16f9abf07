// The integer kernels, as the library that runs modules calls them: from weights as a module stores them to panels.
#pragma once

#include "module/backend.h"

namespace mnq {

const IntegerKernels& integer_kernels();

}  // namespace mnq
