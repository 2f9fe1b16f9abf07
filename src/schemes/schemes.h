// The schemes there are, declared by the rows of scheme_rows.inc.
#pragma once

#include "schemes/scheme.h"

namespace mnq {

#define MNQ_SCHEME(scheme) extern const Scheme scheme;
#include "schemes/scheme_rows.inc"
#undef MNQ_SCHEME

}  // namespace mnq
