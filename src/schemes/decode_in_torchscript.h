// The TorchScript that decodes weights, a column of the scheme table. What is written here stays in modules for ever: a
// function that is called in an archive is found again by its name, with these arguments.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/script_decoder.h"
#include "schemes/scheme.h"

namespace mnq {

/// How the code of modules decodes the weights of a scheme. A scheme with functions of its own has them in its file.
struct SchemeScript {
  std::string_view text;                                         ///< defines the functions: see ScriptLibrary
  ScriptDecoder (*decode)(const QuantizedSpec& spec) = nullptr;  ///< the calls of them
};

extern const SchemeScript kBytesScript;       ///< integers in codes of 8 bits
extern const SchemeScript kFloatBytesScript;  ///< floats of 8 bits
extern const SchemeScript kNibblesScript;     ///< integers in codes of 4 bits, packed
extern const SchemeScript kCastScript;

/// The functions of all schemes.
const ScriptLibrary& script_library();

/// Empty where modules cannot hold a weight of this spec.
std::optional<ScriptDecoder> find_script_decoder(const QuantizedSpec& spec);

/// Why modules cannot hold a weight of this spec; empty: they can.
std::string find_script_obstacle(const QuantizedSpec& spec);

}  // namespace mnq
