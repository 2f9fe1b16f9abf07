// The schemes there are: one file each.
#pragma once

#include "schemes/scheme.h"

namespace mnq {

extern const Scheme kInt8Scheme;     // int8.cpp
extern const Scheme kUint8Scheme;    // uint8.cpp
extern const Scheme kInt4Scheme;     // int4.cpp
extern const Scheme kQ4_1Scheme;     // q4_1.cpp
extern const Scheme kFloat16Scheme;  // float16.cpp

}  // namespace mnq
