// What can be asked for, as JSON: for programs that offer a choice, and for people.
#pragma once

#include "base/text/json.h"

namespace mnq {

/// What mnq_list_capabilities gives, from the tables alone.
Json list_capabilities();

}  // namespace mnq
