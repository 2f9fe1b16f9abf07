// The version of the library: the one place that says it. CMakeLists.txt reads it from here.
#pragma once

namespace mnq {

inline constexpr const char* kVersion = "1.2.0";

}  // namespace mnq
