// Embeddings: rows of floats out of tables of codes.
#include <vector>

#include "base/text/format.h"
#include "guard.h"
#include "handles.h"

using namespace mnq;
using namespace mnq::capi;

namespace {

const Embedding& require_embedding(const mnq_embedding* embedding) {
  return require(embedding, "embedding")->embedding;
}

std::vector<std::int64_t> indices_of(const Tensor& tensor) {
  const std::size_t count = element_count(tensor.shape);
  if (tensor.dtype == DType::kI64) {
    const auto* from = reinterpret_cast<const std::int64_t*>(tensor.data.get());
    return {from, from + count};
  }
  if (tensor.dtype == DType::kI32) {
    const auto* from = reinterpret_cast<const std::int32_t*>(tensor.data.get());
    return {from, from + count};
  }
  throw Error(Status::kDType, formatted("indices of {}", dtype_name(tensor.dtype)), "pass I64 or I32", "indices");
}

}  // namespace

mnq_status mnq_embedding_create(const mnq_model* model, const char* layer, mnq_embedding** out,
                                mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    *out = new mnq_embedding{{}, Embedding(require(model, "model")->source, require(layer, "layer"))};
  });
}

mnq_status mnq_embedding_run(const mnq_embedding* embedding, const int64_t* indices, size_t count, void* out,
                             mnq_dtype out_dtype, mnq_error** error) noexcept {
  return guarded(error, [&] {
    const Embedding& table = require_embedding(embedding);
    require_array(indices, count, "indices");
    require_array(out, table.row_length() == 0 ? 0 : count, "out");
    table.gather(indices, count, require_dtype(out_dtype, "out_dtype"), out);
  });
}

mnq_status mnq_embedding_run_tensor(const mnq_embedding* embedding, const mnq_tensor* indices, mnq_dtype out_dtype,
                                    mnq_tensor** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    const Embedding& table = require_embedding(embedding);
    const Tensor& from = require(indices, "indices")->tensor;
    const std::vector<std::int64_t> rows = indices_of(from);
    Shape shape = from.shape;
    shape.push_back(static_cast<std::int64_t>(table.row_length()));
    FreshTensor made = fresh_tensor(require_dtype(out_dtype, "out_dtype"), std::move(shape));
    table.gather(rows.data(), rows.size(), made.handle->tensor.dtype, made.data);
    *out = made.handle.release();
  });
}

mnq_status mnq_embedding_describe(const mnq_embedding* embedding, mnq_buffer** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    *out = new_buffer(require_embedding(embedding).describe());
  });
}

void mnq_embedding_free(mnq_embedding* embedding) noexcept { delete live(embedding); }
