// Opens libmono_quant_torch when LibTorch is first asked for.
#pragma once

#include "module/backend.h"

namespace mnq {

/// The backend, loaded at the first call from the folder of this library, or from MONO_QUANT_TORCH (the file or its
/// folder), and never unloaded. Any thread. Errors: kUnsupported, with the loader's own words, where it or its LibTorch
/// cannot be loaded; the next call tries again.
const Backend& require_backend();

/// Whether it can be had: loads it, too.
bool has_backend();

/// LibTorch's version where the backend is loaded already, else empty.
std::string loaded_libtorch_version();

}  // namespace mnq
