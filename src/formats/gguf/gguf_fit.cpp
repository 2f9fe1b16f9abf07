// What GGUF holds of quantized weights, and which of them llama.cpp wants as floats.
#include <algorithm>

#include "base/error.h"
#include "base/format.h"
#include "formats/gguf/gguf.h"
#include "layouts/ggml.h"

namespace mnq {
namespace {

enum class Match { kWhole, kPart };

struct NameRule {
  Match match;
  std::string_view name;  ///< of the tensor
  std::string_view what;
  std::string_view architecture = "";  ///< general.architecture of the only models it is for; empty: all
};

// Weights that llama.cpp adds, compares or convolves as floats, and aborts where they are blocks; and some that are too small
// to gain by it. Two dimensions and a name that ends in "weight" do not tell them from others.
// Source: llama.cpp, src/llama-quant.cpp, tensor_allows_quantization (of llama-cpp-python 0.3.36)
constexpr NameRule kFloats[] = {
    {Match::kWhole, "position_embd.weight", "position embeddings"},
    {Match::kWhole, "token_types.weight", "embeddings of token types"},
    {Match::kPart, "_norm.weight", "norms"},
    {Match::kPart, "ffn_gate_inp.weight", "routers of experts"},
    {Match::kPart, "ffn_gate_tid2eid.weight", "tables of experts"},
    {Match::kPart, "altup", "alternating updates"},
    {Match::kPart, "laurel", "learned residuals"},
    {Match::kPart, "per_layer_model_proj", "projections to each layer"},
    {Match::kPart, "ssm_conv1d", "short convolutions"},
    {Match::kPart, "shortconv.conv.weight", "short convolutions"},
    {Match::kPart, "indexer.k_proj.weight", "indexers"},
    {Match::kPart, "indexer.q_proj.weight", "indexers"},
    {Match::kPart, "time_mix_first.weight", "RWKV's small matrices"},
    {Match::kPart, "time_mix_w0.weight", "RWKV's small matrices"},
    {Match::kPart, "time_mix_w1.weight", "RWKV's small matrices"},
    {Match::kPart, "time_mix_w2.weight", "RWKV's small matrices"},
    {Match::kPart, "time_mix_v0.weight", "RWKV's small matrices"},
    {Match::kPart, "time_mix_v1.weight", "RWKV's small matrices"},
    {Match::kPart, "time_mix_v2.weight", "RWKV's small matrices"},
    {Match::kPart, "time_mix_a0.weight", "RWKV's small matrices"},
    {Match::kPart, "time_mix_a1.weight", "RWKV's small matrices"},
    {Match::kPart, "time_mix_a2.weight", "RWKV's small matrices"},
    {Match::kPart, "time_mix_g1.weight", "RWKV's small matrices"},
    {Match::kPart, "time_mix_g2.weight", "RWKV's small matrices"},
    {Match::kPart, "time_mix_decay_w1.weight", "RWKV's small matrices"},
    {Match::kPart, "time_mix_decay_w2.weight", "RWKV's small matrices"},
    {Match::kPart, "time_mix_lerp_fused.weight", "RWKV's small matrices"},
    {Match::kPart, "attn_rel_b.weight", "relative position biases"},
    {Match::kPart, ".position_embd", "position embeddings"},
    {Match::kPart, "sam.pos_embd", "position embeddings"},
    {Match::kPart, "sam.neck.", "necks of image encoders"},
    {Match::kPart, "sam.net_", "necks of image encoders"},
    {Match::kPart, ".rel_pos", "relative positions"},
    {Match::kPart, ".patch_embd", "embeddings of patches"},
    {Match::kPart, ".patch_merger", "mergers of patches"},
    {Match::kPart, "a.rvq.codebook", "codebooks"},
    {Match::kPart, "mm.a.code_embd", "codebooks"},
    {Match::kPart, "hc_", "hyper-connections", "glm5-next"},
    {Match::kPart, "indexer.attn_q_b", "indexers", "glm5-next"},
    {Match::kPart, "indexer.attn_k", "indexers", "glm5-next"},
    {Match::kPart, "indexer.proj", "indexers", "glm5-next"},
    {Match::kPart, "indexer_compressor_gate", "indexers", "glm5-next"},
    {Match::kPart, "indexer_compressor_ape", "indexers", "glm5-next"},
    {Match::kPart, "ssm_f_a.weight", "small projections", "glm5-next"},
    {Match::kPart, "ssm_f_b.weight", "small projections", "glm5-next"},
    {Match::kPart, "ssm_g_a.weight", "small projections", "glm5-next"},
    {Match::kPart, "ssm_g_b.weight", "small projections", "glm5-next"},
    {Match::kPart, "ssm_beta.weight", "small projections", "glm5-next"},
    {Match::kPart, "attn_kv_a_mqa.weight", "small projections", "glm5-next"},
    {Match::kPart, "attn_k_b.weight", "small projections", "glm5-next"},
    {Match::kPart, "attn_v_b.weight", "small projections", "glm5-next"},
};

// Weights that get 8 bits where others get fewer. Source: as above, llama_tensor_get_type_impl
constexpr NameRule kEightBits[] = {
    {Match::kPart, "attn_q_a", "small projections", "glm5-next"},
    {Match::kPart, "attn_q_b", "small projections", "glm5-next"},
    {Match::kPart, "nextn.eh_proj", "small projections", "glm5-next"},
};

const NameRule* find_rule(std::span<const NameRule> rules, const FitRequest& request) {
  const std::string& name = request.layer.name.tensor;
  const std::string_view architecture =
      request.companion == nullptr ? std::string_view() : std::string_view(request.companion->gguf_architecture);
  const auto found = std::ranges::find_if(rules, [&](const NameRule& rule) {
    const bool is_named = rule.match == Match::kWhole ? name == rule.name : name.find(rule.name) != name.npos;
    return is_named && (rule.architecture.empty() || rule.architecture == architecture);
  });
  return found == rules.end() ? nullptr : &*found;
}

// Why the weight stays as it is; empty where it may change. ggml takes a single row for a vector.
std::string reason_against(const FitRequest& request) {
  const Shape& shape = request.wanted.shape;
  if (const NameRule* rule = find_rule(kFloats, request)) return formatted("llama.cpp has {} as floats", rule->what);
  if (element_count(shape) == static_cast<std::uint64_t>(shape.back())) return "ggml takes a single row for a vector";
  return "";
}

// Groups of 32 on the last axis is all that GGUF has.
void require_groups(const FitRequest& request) {
  const LayerName& layer = request.layer.name;
  const auto fail = [&](const char* key, const std::string& what) {
    throw Error(Status::kConfig, formatted("layer {}: {}", layer.name, what),
                "leave the key unset, or write another format", key);
  };
  const FoundValue group_size = request.config.find("group_size", layer);
  if (group_size.value != "auto" && group_size.value != "32") fail("group_size", "GGUF has groups of 32 only");
  if (request.wanted.granularity == Granularity::kTensor) fail("per_channel", "GGUF has a scale for each group of 32");
  if (request.config.find("channel_axis", layer).value != "auto") {
    fail("channel_axis", "GGUF has its groups on the last axis");
  }
}

// Rows that blocks do not fit become float16, as llama-quantize has it.
Fit fit_odd_rows(const FitRequest& request) {
  std::string reason = formatted("GGUF's blocks of 32 do not fit {}", shape_text(request.wanted.shape));
  if (request.is_stored || request.wanted.weight_dtype == DType::kF16) return {std::nullopt, std::move(reason)};
  QuantizedSpec spec;
  spec.scheme = half_cast_scheme().name;
  spec.weight_dtype = request.wanted.weight_dtype;
  spec.shape = request.wanted.shape;
  return {spec, "as float16: " + reason};
}

// The head decides between words that are near to each other: llama-quantize gives it 6 or 8 bits where others have 4.
bool needs_widest(const FitRequest& request) {
  const bool is_set = request.config.find("bits", request.layer.name).source >= ValueSource::kConfigLayers ||
                      request.config.find("dtype", request.layer.name).source >= ValueSource::kConfigLayers;
  return !request.is_stored && !is_set && (request.layer.serves_as_head || find_rule(kEightBits, request) != nullptr);
}

// Whether codes and scales of such a weight can lie in blocks as they are.
bool lies_in(const GgmlBlock& block, const QuantizedSpec& wanted) {
  QuantizedSpec spec = ggml_spec(block, wanted.shape);
  spec.weight_dtype = wanted.weight_dtype;
  spec.has_free_scales = wanted.has_free_scales;
  return spec == wanted;
}

}  // namespace

Fit fit_gguf(const FitRequest& request) {
  const QuantizedSpec& wanted = request.wanted;
  const bool is_cast = !is_coded(wanted);
  const bool fits_blocks = !is_cast && wanted.shape.size() >= 2 && wanted.shape.back() % 32 == 0;
  const GgmlBlock& nearest = nearest_ggml_block(wanted);
  if (request.is_stored && fits_blocks && lies_in(nearest, wanted)) return {wanted, ""};
  if (std::string reason = reason_against(request); !reason.empty()) return {std::nullopt, std::move(reason)};
  if (is_cast) return {wanted, ""};
  if (!fits_blocks) return fit_odd_rows(request);
  if (!request.is_stored) require_groups(request);
  const bool is_widened = needs_widest(request) && &nearest != &widest_ggml_block();
  const GgmlBlock& block = is_widened ? widest_ggml_block() : nearest;
  QuantizedSpec spec = ggml_spec(block, wanted.shape);
  spec.weight_dtype = wanted.weight_dtype;
  const std::string reason = request.is_stored
                                 ? formatted("quantized anew as {}: GGUF has no {}", block.name, scheme_text(wanted))
                                 : formatted("as {}{}", block.name, is_widened ? ": the output head gets 8 bits" : "");
  return {spec, reason, &kGgmlLayout, &kGgmlMethod};
}

}  // namespace mnq
