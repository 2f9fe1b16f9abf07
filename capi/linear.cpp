// Linear layers on raw buffers.
#include "base/text/format.h"
#include "guard.h"
#include "handles.h"
#include "schemes/scheme.h"

using namespace mnq;
using namespace mnq::capi;

namespace {

LinearSettings linear_settings(const mnq_config* config, const mnq_run* run) {
  return {settings_in(config, "config"), settings_in(run, "run")};
}

mnq_linear* own(std::unique_ptr<LinearLayer> layer) { return new mnq_linear{{}, std::move(layer)}; }

const Scheme& scheme_of_bits(std::int32_t bits) {
  const Scheme* scheme = bits == 8 || bits == 4 ? find_scheme_of_bits(bits) : nullptr;
  if (scheme != nullptr) return *scheme;
  throw Error(Status::kInvalidArg, formatted("{} bits", bits), "pass 8 or 4", "bits");
}

const LinearLayer& require_layer(const mnq_linear* linear) { return *require(linear, "linear")->layer; }

// Rows of a tensor whose last axis is the layer's.
std::size_t count_rows(const LinearLayer& layer, const Tensor& rows) {
  const std::size_t length = layer.packed.row_length();
  if (rows.shape.empty() || static_cast<std::size_t>(rows.shape.back()) != length) {
    throw Error(Status::kShape, formatted("rows has the shape {}", shape_text(rows.shape)),
                formatted("its last axis must have {} elements", length), "rows");
  }
  return element_count({rows.shape.begin(), rows.shape.end() - 1});
}

void run_layer(const LinearLayer& layer, const linear::LinearRows& rows) {
  const std::uint32_t threads = layer.thread_count();
  const std::size_t size = layer.packed.scratch_bytes(rows.count, threads);
  layer.packed.run(rows, threads, allocate_bytes(size).get(), size);
}

}  // namespace

mnq_status mnq_linear_create(const mnq_model* model, const char* layer, const mnq_config* config, const mnq_run* run,
                             mnq_linear** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    const TensorSource& source = *require(model, "model")->source;
    *out = own(make_linear_layer(source, require(layer, "layer"), linear_settings(config, run)));
  });
}

mnq_status mnq_linear_from_floats(const mnq_tensor* weight, const mnq_tensor* bias, const mnq_config* config,
                                  const mnq_run* run, mnq_linear** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    *out = own(make_linear_layer(require(weight, "weight")->tensor,
                                 optional(bias, "bias") == nullptr ? nullptr : &bias->tensor,
                                 linear_settings(config, run)));
  });
}

mnq_status mnq_linear_from_codes(const int8_t* codes, size_t output_count, size_t row_length, int32_t bits,
                                 size_t group_size, const float* scales, const int8_t* zero_points, const float* bias,
                                 const mnq_config* config, const mnq_run* run, mnq_linear** out,
                                 mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    const Scheme& scheme = scheme_of_bits(bits);
    const std::size_t elements = output_count == 0 ? 0 : row_length;
    linear::LinearWeights weights;
    weights.output_count = output_count;
    weights.row_length = row_length;
    weights.has_nibbles = bits == 4;
    weights.group_size = group_size;
    require_array(codes, elements, "codes");
    weights.scales = require_array(scales, elements, "scales");
    weights.zero_points = zero_points;
    weights.bias = bias;
    weights.codes = [&](std::size_t first, std::size_t) { return codes + first * row_length; };
    *out = own(make_linear_layer(weights, scheme.text, linear_settings(config, run)));
  });
}

mnq_status mnq_linear_scratch_size(const mnq_linear* linear, size_t row_count, size_t* size_bytes,
                                   mnq_error** error) noexcept {
  return guarded(error, [&] {
    const LinearLayer& layer = require_layer(linear);
    *require(size_bytes, "size_bytes") = layer.packed.scratch_bytes(row_count, layer.thread_count());
  });
}

mnq_status mnq_linear_run(const mnq_linear* linear, const void* rows, size_t row_count, mnq_dtype dtype, void* out,
                          mnq_dtype out_dtype, void* scratch, size_t scratch_bytes, mnq_error** error) noexcept {
  return guarded(error, [&] {
    const LinearLayer& layer = require_layer(linear);
    const linear::LinearRows work{require_array(rows, layer.packed.row_length() == 0 ? 0 : row_count, "rows"),
                                  require_dtype(dtype, "dtype"), row_count,
                                  require_array(out, layer.packed.output_count() == 0 ? 0 : row_count, "out"),
                                  require_dtype(out_dtype, "out_dtype")};
    if (scratch == nullptr) return run_layer(layer, work);
    layer.packed.run(work, layer.thread_count(), scratch, scratch_bytes);
  });
}

mnq_status mnq_linear_run_tensor(const mnq_linear* linear, const mnq_tensor* rows, mnq_dtype out_dtype,
                                 mnq_tensor** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    const LinearLayer& layer = require_layer(linear);
    const Tensor& from = require(rows, "rows")->tensor;
    const std::size_t count = count_rows(layer, from);
    Shape shape = from.shape;
    shape.back() = static_cast<std::int64_t>(layer.packed.output_count());
    FreshTensor made = fresh_tensor(require_dtype(out_dtype, "out_dtype"), std::move(shape));
    run_layer(layer, {from.data.get(), from.dtype, count, made.data, made.handle->tensor.dtype});
    *out = made.handle.release();
  });
}

mnq_status mnq_linear_describe(const mnq_linear* linear, mnq_buffer** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    *out = new_buffer(require_layer(linear).describe());
  });
}

void mnq_linear_free(mnq_linear* linear) noexcept { delete live(linear); }
