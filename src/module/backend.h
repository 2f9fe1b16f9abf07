// What the core asks of LibTorch, in plain types: libmono_quant_torch implements it, loader.h opens that library.
// Errors are mnq::Error, with kTorch for what LibTorch itself refuses; no exception of LibTorch comes through.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/files/byte_stream.h"
#include "base/quantized_weight.h"
#include "base/script_decoder.h"
#include "base/tensor_source.h"

namespace mnq {

/// A tensor of a module: a parameter, a buffer, another tensor attribute, or a constant of frozen code. Tensors that
/// are tied are listed once, under the first of their names.
struct ModuleTensor {
  TensorInfo info;                        ///< name: dotted, as in the state dict
  std::shared_ptr<const std::byte> data;  ///< [info.size_bytes], row-major; null where empty
  LayerHint hint;
  std::vector<std::string> ties;  ///< other names of the same tensor
};

/// What becomes of a weight: its stored parts where it gets quantized, its values where it becomes a float again.
struct WeightChange {
  struct Part {
    std::string suffix;  ///< "" or "_scale": the attribute is the weight's name with it
    Tensor tensor;       ///< I32: words of packed codes, which lie in a module as bytes
  };
  std::string name;                       ///< of the weight
  QuantizedSpec spec;                     ///< how it is, or was, quantized
  ScriptDecoder decoder;                  ///< how the code of the module decodes it
  bool quantized = true;                  ///< false: it was, and becomes parts[0], its values
  std::vector<Part> parts;                ///< quantized: codes, scale, zero point...
  std::vector<std::string> old_suffixes;  ///< not quantized: of the parts it had
};

/// What goes into a method and comes out of it, flat: nested tuples, lists and dicts by names such as "0.hidden".
struct ModuleValue {
  std::string name;
  std::variant<std::monostate, Tensor, std::int64_t, double, bool, std::string> value;
};

/// Weights [output_count, row_length] of a layer as a module stores them: see layouts/rows.cpp.
struct StoredIntegers {
  std::size_t output_count = 0;
  std::size_t row_length = 0;
  bool has_nibbles = false;                   ///< codes in words of 4 bits, and zero points packed along the rows
  std::uint8_t code_xor = 0;                  ///< what makes codes and zero points of a byte signed
  std::size_t group_size = 0;                 ///< 0, or no less than the row: whole rows
  bool has_one_scale = false;                 ///< in all, and one zero point of a byte
  const std::uint8_t* codes = nullptr;        ///< those of a byte [output_count, row_length]
  const float* scales = nullptr;              ///< [output_count, groups]
  const std::uint8_t* zero_points = nullptr;  ///< as scales; null: all zero
  const float* bias = nullptr;                ///< [output_count]; null: none
};

/// The integer kernels that layers use when a module runs here: see linear/linear.h.
struct IntegerKernels {
  /// Null where the weights cannot be packed.
  std::shared_ptr<const void> (*pack)(const StoredIntegers& stored) = nullptr;

  /// out [row_count, output_count] of packed weights and rows [row_count, row_length], which are quantized one by one;
  /// a row that is not finite has NaN. dtype: of both, F32 or BF16.
  void (*run)(const void* packed, const void* rows, std::size_t row_count, void* out, DType dtype) = nullptr;

  /// Codes of a byte for values [count], all with one scale and zero point: value = (code - zero point) * scale. False
  /// where a value is not finite.
  bool (*code)(const float* values, std::size_t count, std::uint8_t* codes, float* scale,
               std::int32_t* zero_point) = nullptr;
};

/// A TorchScript module. Immutable: what runs is a private copy of it. Every member may be called from several threads.
class Module {
 public:
  virtual ~Module() = default;

  virtual const std::vector<ModuleTensor>& tensors() const = 0;

  /// Files that travel in the archive, by name.
  virtual const std::map<std::string, std::string>& extra_files() const = 0;

  /// What is kept as it is though it is no plain tensor: sparse ones and the like; a text each.
  virtual const std::vector<std::string>& remarks() const = 0;

  /// A copy with its own tensors and its own code, in which these weights are changed and the extra files are these.
  virtual std::shared_ptr<const Module> change(const std::vector<WeightChange>& changes,
                                               std::map<std::string, std::string> extra_files) const = 0;

  /// The same module, its tensors shared, in the state it had when it was loaded or made.
  virtual std::shared_ptr<const Module> fresh() const = 0;

  /// Writes the archive from its first byte to its last. What write throws comes back once the module is through; it is
  /// not called again.
  virtual void save(const std::function<void(std::span<const std::byte>)>& write) const = 0;

  /// Runs a method. integer_linear: layers of int8 and int4 in integers.
  /// Errors: kInvalidArg for inputs that do not fit the method; kNotFound; kTorch with TorchScript's message.
  virtual std::vector<ModuleValue> run(const std::string& method, const std::vector<ModuleValue>& inputs,
                                       bool integer_linear) const = 0;
};

/// LibTorch, once it is loaded.
class Backend {
 public:
  virtual ~Backend() = default;

  /// Of LibTorch: "2.13.0".
  virtual std::string libtorch_version() const = 0;

  /// Loads an archive that was checked. Errors: kFormat, kTorch.
  virtual std::shared_ptr<const Module> load(std::shared_ptr<const ByteSource> bytes,
                                             const std::vector<std::string>& extra_files) const = 0;
};

/// What libmono_quant_torch exports. The version, kVersion of the library it was built with, is asked for first: all
/// else here may differ between versions. Null, and why in refusal, with a LibTorch that it was not built for.
inline constexpr const char* kBackendVersionSymbol = "mono_quant_torch_version";  // const char* ()
inline constexpr const char* kBackendSymbol = "mono_quant_torch_backend";         // BackendFunction
using BackendFunction = const Backend*(const IntegerKernels* kernels, const ScriptLibrary* library,
                                       std::string* refusal);

}  // namespace mnq
