// compressed-tensors: Hugging Face folders whose config.json says how their Linear layers are quantized; transformers
// and vLLM load them.
//   pack-quantized   X.weight_packed I32 [out, ceil(in·bits/32)], X.weight_scale, X.weight_shape, asymmetric also
//                    X.weight_zero_point I32 packed along the rows
//   int-quantized    X.weight I8, X.weight_scale, asymmetric also X.weight_zero_point I8; with activations of 8 bits,
//                    quantized per token as the model runs, or for models that cannot be built of packed weights
//   float-quantized, nvfp4-pack-quantized, mxfp4-pack-quantized, mxfp6-pack-quantized   floats of 8, 4 and 6 bits
// Where codes and scales lie in them: layouts/compressed_tensors.cpp, float8.cpp, nvfp4.cpp, mx.cpp.
// Source: compressed_tensors/compressors, 0.20
#pragma once

#include "base/text/json.h"
#include "formats/folder/quantization_methods.h"
#include "formats/format.h"
#include "plan/plan.h"

namespace mnq {

extern const Format kCompressedTensorsFormat;

extern const QuantizationMethod kCompressedTensorsMethod;

/// The tensors as ours. config: a quantization_config. is_part: of a checkpoint, so that parts of a weight may lie in
/// its other files. Errors: kFormat; kUnsupported for a layout that is not known.
std::unique_ptr<TensorSource> adapt_compressed_tensors(std::unique_ptr<TensorSource> source, const Json& config,
                                                       bool is_part);

/// Whether tensors have the names of compressed ones.
bool has_compressed_names(const TensorSource& source);

/// Only Linear layers are quantized, and heads among them where they are selected.
WeightRule rule_of_compressed_tensors(const WeightRequest& request);

/// Packed words, but bytes where the model is run with integers or cannot be built of packed weights.
const Layout& layout_for_model(const QuantizedSpec& spec, const Companion* companion);

/// One shard.
std::unique_ptr<TensorSink> open_compressed_tensors_sink(const SinkRequest& request, const OpenByteSink& open);

/// The quantization_config of a plan's output, null where it quantizes nothing, and what its readers will stumble over.
FolderQuantization describe_compressed_tensors(const Plan& plan, const Companion* companion);

}  // namespace mnq
