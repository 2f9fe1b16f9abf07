// What the rows of GGUF's layout cannot say: which weights llama.cpp wants as floats, and which it wants with 8 bits.
#include <algorithm>

#include "base/text/format.h"
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

// Weights that llama.cpp adds, compares or convolves as floats, and aborts where they are blocks; and some that are too
// small to gain by it. Two dimensions and a name that ends in "weight" do not tell them from others. Source: llama.cpp,
// src/llama-quant.cpp, tensor_allows_quantization (of llama-cpp-python 0.3.36)
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

const NameRule* find_rule(std::span<const NameRule> rules, const WeightRequest& request) {
  const std::string_view name = request.layer.name.tensor;
  const std::string_view architecture =
      request.companion == nullptr ? std::string_view() : std::string_view(request.companion->gguf_architecture);
  const auto found = std::ranges::find_if(rules, [&](const NameRule& rule) {
    const bool is_named = rule.match == Match::kWhole ? name == rule.name : name.find(rule.name) != name.npos;
    return is_named && (rule.architecture.empty() || rule.architecture == architecture);
  });
  return found == rules.end() ? nullptr : &*found;
}

// Why the weight stays as it is; empty where it may change. ggml takes a single row for a vector.
std::string reason_against(const WeightRequest& request) {
  const Shape& shape = request.wanted.shape;
  if (const NameRule* rule = find_rule(kFloats, request)) return formatted("llama.cpp has {} as floats", rule->what);
  if (element_count(shape) == static_cast<std::uint64_t>(shape.back())) return "ggml takes a single row for a vector";
  const GgmlBlock* block = request.is_stored || !is_coded(request.wanted) ? nullptr : ggml_block_of(request.wanted);
  const bool has_groups_in_blocks = block != nullptr && block->elements != block->group_size();
  if (has_groups_in_blocks && static_cast<std::uint64_t>(shape.back()) % block->elements != 0) {
    return formatted("GGUF's blocks of {} do not fit {}", block->elements, shape_text(shape));
  }
  return "";
}

}  // namespace

// Blocks stay blocks. The head decides between words that are near to each other: llama-quantize gives it 6 or 8 bits
// where others have 4.
WeightRule rule_of_gguf(const WeightRequest& request) {
  if (request.is_held) return {};
  const bool is_widened = request.layer.serves_as_head || find_rule(kEightBits, request) != nullptr;
  return {reason_against(request), is_widened ? "the output head gets 8 bits" : ""};
}

}  // namespace mnq
