// The layouts there are, declared by the rows of layout_rows.inc.
#pragma once

#include "layouts/layout.h"

namespace mnq {

#define MNQ_LAYOUT(layout) extern const Layout layout;
#include "layouts/layout_rows.inc"
#undef MNQ_LAYOUT

}  // namespace mnq
