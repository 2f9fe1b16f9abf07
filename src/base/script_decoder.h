// How the code of a TorchScript module decodes a quantized weight, as plain data: the schemes say it, the library that
// rewrites modules puts it into their code. A use of a weight becomes a call of one of these functions, and by their
// names such a use is found again.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "base/shape.h"

namespace mnq {

/// How a function that decodes integers takes them: (codes, scale, zero point or None, constants..., dtype). Channels
/// and groups are of rows, which lie behind one index of the first axis.
enum class IntegerForm {
  kChannels,      ///< codes of a byte in the shape of the weight; the constant is the axis of its channels
  kGroups,        ///< the same; the constant is the size of groups
  kPackedGroups,  ///< codes in words of 4 bits; the constants are the shape of the weight, and the size of groups
};

/// All functions that the code of a module may call. A text travels with a module whose code calls one of its
/// functions, and so the texts of other schemes change nothing in it.
struct ScriptLibrary {
  std::string_view prefix;              ///< of the functions' names in an archive: "__torch__.mono_quant.v1"
  std::vector<std::string_view> texts;  ///< definitions; those of one text see each other, and no name stands in two
  std::string_view anchor;              ///< (dtype: int, like: Tensor) -> int: the dtype, known once the module runs
  std::string_view integer_linear;      ///< the `linear` that the integer kernels can take the place of

  struct IntegerWeight {
    std::string_view function;
    IntegerForm form;
  };
  std::vector<IntegerWeight> integer_weights;  ///< what decodes weights for which they can do so
};

/// A call that decodes, without the tensors that every such call begins with.
struct ScriptCall {
  std::string_view function;                                 ///< empty: there is none
  std::vector<std::variant<std::int64_t, Shape>> constants;  ///< arguments in front of the dtype
};

/// The calls for the weights of one spec. `tensors` stand for the parts behind the codes; one that a weight does not
/// have is None.
struct ScriptDecoder {
  std::vector<std::string_view> tensors;  ///< suffixes; the first one's dtype follows that of a float32 weight
  ScriptCall weight;                      ///< (codes, tensors, constants, dtype): the whole weight
  ScriptCall embedding;                   ///< (indices, codes, tensors, padding_idx, constants, dtype): some rows
  std::string_view linear;                ///< (x, codes, tensors, bias): scales on the output; empty: there is none
};

}  // namespace mnq
