// The code in a TorchScript file, as far as LibTorch's parser must be kept from overflowing the stack.
#pragma once

#include <string>
#include <string_view>

namespace mnq {

/// The levels that LibTorch recurses into for a text: open brackets, operators in a row, indentation, `elif`s in a row.
/// It crashed with 20000 brackets or 10000 operators on a stack of 8 MiB; real modules have less than 40.
inline constexpr int kMostCodeDepth = 400;

/// The deepest level of code or of a type's name ("Dict[str, List[int]]").
int code_depth(std::string_view code);

/// Errors: kFormat (no UTF-8, too deep); kUnsupported (__setstate__, custom classes).
void check_torchscript_code(std::string_view code, const std::string& title, std::string_view record);

/// Whether the code has `class NAME` at the start of a line.
bool defines_class(std::string_view code, std::string_view name);

/// Of ASCII letters: LibTorch finds records whatever their case is.
std::string in_lower_case(std::string text);

}  // namespace mnq
