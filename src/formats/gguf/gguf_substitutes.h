// What stands in a GGUF file for a tensor that GGUF has no place for: a dtype it has not, more than 4 dimensions, a
// name of 64 bytes. One such buffer must not keep a model from being written, and what is read back must be what went
// in, so that the file says in key-values what each stands for:
//   mono_quant.dtype.NAME      text, the tensor's dtype: "U8". The table below says what is stored.
//   mono_quant.shape.NAME      array of integers, its shape: of bytes that stand for other elements
//   comfy.gguf.orig_shape.NAME array of integers, likewise: of a tensor whose first dimensions are one in the file
//   mono_quant.name.NAME       text, its whole name
//   mono_quant.metadata.KEY    text of a key that GGUF's readers would take for one of theirs
// NAME is the one in the file. Source of the second: ComfyUI-GGUF, loader.py
#pragma once

#include <string>
#include <string_view>

#include "base/tensor_source.h"

namespace mnq {

inline constexpr std::string_view kDTypePrefix = "mono_quant.dtype.";
inline constexpr std::string_view kShapePrefix = "mono_quant.shape.";
inline constexpr std::string_view kFoldedShapePrefix = "comfy.gguf.orig_shape.";
inline constexpr std::string_view kNamePrefix = "mono_quant.name.";
inline constexpr std::string_view kTextPrefix = "mono_quant.metadata.";

inline constexpr std::size_t kMostGgufNameBytes = 63;
inline constexpr std::size_t kMostGgufDimensions = 4;

/// How elements of a dtype are stored as others.
struct GgufSubstitute {
  DType dtype;                    ///< the tensor's
  DType stored;                   ///< one that GGUF has
  std::size_t element_bytes = 1;  ///< of the dtype, where the two below are there
  std::size_t stored_bytes = 1;   ///< of what stands for one
  std::string_view text;          ///< for people: "I16, which has all its values"

  /// `count` elements to stored ones and back; false for one that stands for none. Null: the bytes are the same.
  void (*widen)(const std::byte* from, std::size_t count, std::byte* to) = nullptr;
  bool (*narrow)(const std::byte* from, std::size_t count, std::byte* to) = nullptr;
};

/// The substitute of a dtype; null where GGUF has the dtype itself.
const GgufSubstitute* find_gguf_substitute(DType dtype);

/// The shape of what stands for a tensor, before it is folded.
Shape stored_gguf_shape(const GgufSubstitute* substitute, const TensorInfo& tensor);

/// The last dimensions of a shape as they are, and the first as one.
Shape folded_shape(const Shape& shape);

/// A name of at most 63 bytes, made of the start and the end of a longer one and a hash of it; another for another
/// `attempt`.
std::string short_gguf_name(const std::string& name, std::size_t attempt);

}  // namespace mnq
