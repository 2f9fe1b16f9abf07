// How much LibTorch may make of a file's code while it loads it: it runs operators of which all arguments are constant,
// works out the type of every value, and goes over both again and again. A few lines can ask for gigabytes.
#pragma once

#include "containers/torchscript/torchscript_program.h"

namespace mnq {

/// What small files may ask for; there may be more in proportion to the file. LibTorch takes 60 microseconds and 8 KB
/// for a line, 8 microseconds for a part of a type, 90 for one of a tuple of constants. Real modules have some hundred
/// lines, unrolled ones ten thousands, and give tuples of up to some hundred tensors.
inline constexpr std::uint64_t kMostScriptLines = 15'000;  ///< and one more for each KB
inline constexpr std::uint64_t kMostTypeParts = 50'000;    ///< beyond one a value; those of constants ten times
inline constexpr std::uint32_t kMostTypeDepth = 15;

/// constant_parts: of the file's constants, each by its place: 0 for one that LibTorch does not compute with, such as a
/// tensor; else 1, or how many a tuple holds. file_bytes: the archive's size.
/// Errors: kUnsupported, naming the line.
void check_script_bounds(const ScriptProgram& program, const std::vector<std::uint64_t>& constant_parts,
                         std::uint64_t file_bytes);

}  // namespace mnq
