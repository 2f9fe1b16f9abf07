// Tensors that another tool quantized, told by their names and dtypes, and never taken for weights.
#include "plan/foreign_tensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "formats/memory.h"
#include "plan/own_metadata.h"
#include "plan/plan.h"
#include "support/error_of.h"

namespace mnq::test {
namespace {

struct Stored {
  const char* name;
  DType dtype;
  Shape shape = {2, 4};
};

std::shared_ptr<const TensorSource> source_of(const std::vector<Stored>& stored) {
  std::vector<NamedTensor> tensors;
  for (const auto& [name, dtype, shape] : stored) {
    const std::uint64_t size = *checked_size_bytes(dtype, shape);
    const auto bytes = allocate_bytes(size);
    if (size > 0) std::memset(bytes.get(), 0, size);
    tensors.push_back({name, {dtype, shape, bytes, size}});
  }
  return make_memory_source(std::move(tensors), {});
}

struct Case {
  const char* what;
  std::vector<Stored> tensors;
};

const std::vector<Case>& cases() {
  using enum DType;
  static const std::vector<Case> all{
      {"GPTQ", {{"a.qweight", kI32}, {"a.qzeros", kI32}, {"a.scales", kF16}, {"a.g_idx", kI32}}},
      {"AWQ", {{"a.qweight", kI32}, {"a.qzeros", kI32}, {"a.scales", kF16}}},
      {"Nunchaku", {{"a.qweight", kI8}, {"a.wscales", kBF16}}},
      {"EXL2", {{"a.q_weight", kI32}, {"a.q_scale", kI32}, {"a.q_scale_max", kF16}, {"a.q_invperm", kI32}}},
      {"EXL3", {{"a.trellis", kI16}, {"a.suh", kF16}, {"a.svh", kF16}}},
      {"MLX", {{"a.weight", kU32}, {"a.scales", kBF16}, {"a.biases", kBF16}}},
      {"MLX", {{"a.weight", kU32}, {"a.scales", kU8}}},
      {"4 bits by bitsandbytes", {{"a.weight", kU8}, {"a.weight.absmax", kU8}, {"a.weight.quant_map", kF32}}},
      {"8 bits by bitsandbytes", {{"a.weight", kI8}, {"a.SCB", kF32}}},
      {"FP8 with scales of blocks", {{"a.weight", kF8E4M3}, {"a.weight_scale_inv", kF32}}},
      {"FP8 with scales", {{"a.weight", kF8E4M3}, {"a.weight_scale", kF32}}},
      {"ComfyUI", {{"scaled_fp8", kF8E4M3}, {"a.weight", kF8E4M3}, {"a.scale_weight", kF32}}},
      {"NVFP4", {{"a.weight", kU8}, {"a.weight_scale", kF8E4M3}, {"a.weight_scale_2", kF32}}},
      {"MXFP4", {{"a.gate_up_proj_blocks", kU8}, {"a.gate_up_proj_scales", kU8}}},
      {"compressed-tensors", {{"a.weight_packed", kI32}, {"a.weight_scale", kF16}, {"a.weight_shape", kI64, {2}}}},
      {"compressed-tensors, or as it does it", {{"a.weight", kI8}, {"a.weight_scale", kBF16}}},
      {"EETQ", {{"a.weight", kI8}, {"a.weight_scales", kF16}}},
      {"HQQ", {{"a.W_q", kU8}, {"a.scale", kF16}, {"a.zero", kF16}}},
      {"quanto", {{"a.weight._data", kI8}, {"a.weight._scale", kF32}}},
      {"torchao", {{"a._weight_qdata", kI8}, {"a._weight_scale", kF32}}},
      {"AQLM", {{"a.codes", kI8}, {"a.codebooks", kF16}}},
      {"qint32", {{"a.weight", kI32}, {"a.weight_scale", kF32}, {"a.weight_zero_point", kI32}}},
      {"float zero points", {{"a.weight", kU8}, {"a.weight_scale", kF32}, {"a.weight_zero_point", kF32}}},
      {"less than a byte", {{"a.weight", kU8}, {"a.weight_scale", kF32}, {"a.weight_zero_point", kI32}}},
      {"FSDP", {{"_fsdp_wrapped_module._flat_param", kF32, {8}}}},
      {"ZeRO-3", {{"a.weight", kBF16, {0}}, {"a.bias", kF32, {4}}}},
      {"codes of GPTQ or AWQ whose scales", {{"a.qweight", kI32}, {"b.weight", kF32}}},
      {"codes of MLX whose scales", {{"a.weight", kU32}}},
      {"codes of compressed-tensors whose scales", {{"a.weight_packed", kI32}}},
      {"codes of compressed-tensors whose scales", {{"a.weight_packed", kU8}}},
      {"codes of bitsandbytes whose scales", {{"a.weight", kU8}, {"a.weight.quant_map", kF32}}},
      {"codes of MXFP4 whose scales", {{"a.up_proj_blocks", kU8}}},
      {"scales of GPTQ or AWQ whose codes", {{"a.qzeros", kI32}, {"a.scales", kF16}}},
      {"scales of MLX whose codes", {{"a.scales", kBF16}, {"a.biases", kBF16}}},
      {"scales of bitsandbytes whose codes", {{"a.weight.absmax", kF32}, {"a.weight.quant_map", kF32}}},
      {"scales of bitsandbytes whose codes", {{"a.SCB", kF32}}},
      {"scales of compressed-tensors whose codes", {{"a.weight_scale", kF16}, {"a.weight_shape", kI64, {2}}}},
      {"scales of floats of 8 or 4 bits whose codes", {{"a.weight_scale_inv", kF32}}},
      {"scales of quantized weights whose codes", {{"a.weight_scale", kF32}, {"a.weight_global_scale", kF32}}},
      {"scales of floats of 8 or 4 bits whose codes", {{"a.scale", kF8E8M0}}},
      {"scales of floats of 8 bits whose codes", {{"a.scale_weight", kF32, {}}}},
      {"scales of floats of 8 bits whose codes", {{"a.qscale_weight", kBF16, {}}}},
      {"scales of MLX whose codes", {{"a.scales", kU8}}},
      {"scales of MXFP4 whose codes", {{"a.up_proj_scales", kU8}}},
  };
  return all;
}

TEST(ForeignTensors, AreToldByTheirKind) {
  for (const Case& each : cases()) {
    const auto source = source_of(each.tensors);
    const auto found = find_foreign_tensors(source->require_weights());
    ASSERT_TRUE(found.has_value()) << each.what;
    EXPECT_NE(found->text().find(each.what), std::string::npos) << found->text();
    EXPECT_EQ(found->count, 1u) << each.what;
    EXPECT_FALSE(found->advice.empty());
    EXPECT_EQ(found->advice.find("Python"), std::string::npos);
  }
}

TEST(ForeignTensors, AreRefusedWhereTheyWouldBeTakenForWeights) {
  const Config config(nullptr, nullptr);
  for (const Case& each : cases()) {
    const auto source = source_of(each.tensors);
    for (const Error& error :
         {error_of([&] { make_plan(*source, config); }), error_of([&] { make_dequantize_plan(*source); })}) {
      EXPECT_EQ(error.status(), Status::kUnsupported) << each.what;
      EXPECT_NE(error.message().find(each.what), std::string::npos) << error.message();
    }
  }
}

// A part of a checkpoint is that in another container, too.
TEST(ForeignTensors, AreNoCopyUnlessTheyArePartsOfACheckpoint) {
  const Config config(nullptr, nullptr);
  for (const Case& each : cases()) {
    const auto source = source_of(each.tensors);
    if (!find_foreign_tensors(source->require_weights())->is_part) {
      const Error error = error_of([&] { make_convert_plan(*source, config, {}); });
      EXPECT_EQ(error.status(), Status::kUnsupported) << each.what;
      EXPECT_NE(error.message().find(each.what), std::string::npos) << error.message();
      continue;
    }
    const Plan copied = make_convert_plan(*source, config, {});
    ASSERT_EQ(copied.warnings.size(), 1u) << each.what;
    EXPECT_NE(copied.warnings[0].find("copied as they are"), std::string::npos) << copied.warnings[0];
  }
}

TEST(ForeignTensors, FloatsAndWhatComesWithThemAreNone) {
  using enum DType;
  for (const std::vector<Stored>& tensors :
       {std::vector<Stored>{{"a.weight", kF32}, {"a.bias", kF32, {4}}, {"a.scales", kF32}},
        {{"a.weight", kF8E4M3}},  // a cast, whole in itself
        {{"a.weight", kF32}, {"b.weight", kF32}, {"c.weight", kF32}, {"d.weight", kF32, {0}}},
        {{"codes", kI64}, {"a.codes", kI64}},
        {{"a.weight", kF32}, {"a.SCB", kF32}},  // of a weight that was made float again
        {{"a.weight", kF32}, {"a.weight_scale", kF32}, {"a.weight_shape", kI64, {2}}},
        {{"a.weight", kF32}, {"a.scales", kF32}, {"a.biases", kF32}},
        {{"a.weight", kI8}},
        {}}) {
    EXPECT_FALSE(find_foreign_tensors(source_of(tensors)->require_weights()).has_value());
  }
}

}  // namespace
}  // namespace mnq::test
