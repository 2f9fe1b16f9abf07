// Names in a compressed-tensors folder.
#pragma once

#include <cstdint>
#include <string_view>

namespace mnq::compressed_tensors {

inline constexpr std::string_view kPackedSuffix = "_packed", kScaleSuffix = "_scale", kShapeSuffix = "_shape",
                                  kZeroPointSuffix = "_zero_point", kGlobalScaleSuffix = "_global_scale",
                                  kOrderSuffix = "_g_idx";

/// In the metadata of a shard some of whose scales may be 0 or negative. Its name is from when only ggml's were.
inline constexpr std::string_view kFreeScalesKey = "mono_quant.ggml_scales";
inline constexpr std::int64_t kGgmlBlockColumns = 32;

}  // namespace mnq::compressed_tensors
