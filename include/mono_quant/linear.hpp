// linear.hpp - part of mono_quant.hpp: Linear layers and embeddings by themselves.
#ifndef MONO_QUANT_LINEAR_HPP
#define MONO_QUANT_LINEAR_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "config.hpp"
#include "handle.hpp"
#include "kernels.hpp"
#include "model.hpp"
#include "mono_quant.h"
#include "run.hpp"
#include "tensor.hpp"

namespace mono_quant {

/// A Linear layer, packed once and multiplied in integers. Immutable, and independent of what it was made from.
class Linear : public detail::Owning<mnq_linear, mnq_linear_free> {
 public:
  using Owning::Owning;

  /// The layer of that name: with the codes that it has, or quantized as the settings say.
  Linear(const Model& model, const std::string& layer, const Config* config = nullptr, const Run* run = nullptr)
      : Owning(detail::make<mnq_linear>(mnq_linear_create, model.get(), detail::c_text(layer), detail::handle(config),
                                        detail::handle(run))) {}

  /// Quantizes floats: weight [out, in] and bias [out], null for none.
  explicit Linear(const Tensor& weight, const Tensor* bias = nullptr, const Config* config = nullptr,
                  const Run* run = nullptr)
      : Owning(detail::make<mnq_linear>(mnq_linear_from_floats, weight.get(), bias == nullptr ? nullptr : bias->get(),
                                        detail::handle(config), detail::handle(run))) {}

  /// Codes as kernels::quantize gives them, of 8 or 4 bits. zero_points may be empty: all zero; bias, too: none.
  static Linear from_codes(std::span<const std::int8_t> codes, const kernels::Rows& rows, int bits,
                           std::span<const float> scales, std::span<const std::int8_t> zero_points = {},
                           std::span<const float> bias = {}, const Config* config = nullptr, const Run* run = nullptr) {
    kernels::detail::require_size(codes.size(), rows.elements(), "codes");
    kernels::detail::require_size(scales.size(), rows.scales(), "scales");
    if (!zero_points.empty()) kernels::detail::require_size(zero_points.size(), rows.scales(), "zero_points");
    if (!bias.empty()) kernels::detail::require_size(bias.size(), rows.row_count, "bias");
    return Linear(
        detail::make<mnq_linear>(mnq_linear_from_codes, codes.data(), rows.row_count, rows.row_length, bits,
                                 rows.group_size, scales.data(), zero_points.empty() ? nullptr : zero_points.data(),
                                 bias.empty() ? nullptr : bias.data(), detail::handle(config), detail::handle(run)));
  }

  /// rows [.., in] of F32 or BF16 to [.., out], of the same dtype unless another is named.
  Tensor run(const Tensor& rows) const { return run(rows, rows.dtype()); }
  Tensor run(const Tensor& rows, mnq_dtype out_dtype) const {
    return Tensor(detail::make<mnq_tensor>(mnq_linear_run_tensor, get(), rows.get(), out_dtype));
  }

  /// The same on the caller's own memory: rows [row_count, in] to out [row_count, out]. scratch: scratch_size bytes;
  /// empty: the call allocates it.
  void run(const void* rows, std::size_t row_count, mnq_dtype dtype, void* out, mnq_dtype out_dtype,
           std::span<std::byte> scratch = {}) const {
    detail::call(mnq_linear_run, get(), rows, row_count, dtype, out, out_dtype,
                 scratch.empty() ? nullptr : static_cast<void*>(scratch.data()), scratch.size());
  }
  std::size_t scratch_size(std::size_t row_count) const {
    std::size_t size_bytes = 0;
    detail::call(mnq_linear_scratch_size, get(), row_count, &size_bytes);
    return size_bytes;
  }

  /// "name", "scheme", "output_count", "row_length", "size_bytes"...
  std::string describe_json() const { return detail::text(mnq_linear_describe, get()); }
};

/// The table of a layer, quantized in whatever way or not at all; the model may be freed at once.
class Embedding : public detail::Owning<mnq_embedding, mnq_embedding_free> {
 public:
  using Owning::Owning;
  Embedding(const Model& model, const std::string& layer)
      : Owning(detail::make<mnq_embedding>(mnq_embedding_create, model.get(), detail::c_text(layer))) {}

  /// Rows as floats: indices of any shape, I64 or I32, to [.., row length].
  Tensor run(const Tensor& indices, mnq_dtype out_dtype = MNQ_DTYPE_F32) const {
    return Tensor(detail::make<mnq_tensor>(mnq_embedding_run_tensor, get(), indices.get(), out_dtype));
  }

  /// The same into the caller's own memory, [indices, row length].
  void run(std::span<const std::int64_t> indices, void* out, mnq_dtype out_dtype = MNQ_DTYPE_F32) const {
    detail::call(mnq_embedding_run, get(), indices.data(), indices.size(), out, out_dtype);
  }

  /// "name", "scheme", "row_count", "row_length".
  std::string describe_json() const { return detail::text(mnq_embedding_describe, get()); }
};

}  // namespace mono_quant

#endif  // MONO_QUANT_LINEAR_HPP
