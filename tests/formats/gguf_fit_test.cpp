// What becomes of a model's weights in GGUF, by their names and shapes.
#include <gtest/gtest.h>

#include "formats/gguf/gguf.h"
#include "plan/own_metadata.h"
#include "support/listed_source.h"

namespace mnq::test {
namespace {

// A model of that general.architecture.
class GgufLike final : public TensorSource {
 public:
  GgufLike(const std::vector<Listed>& listed, std::string architecture) {
    tensors_ = ListedSource(listed).tensors();
    companion_.gguf_architecture = std::move(architecture);
  }
  std::string_view format() const override { return "gguf"; }
  std::uint64_t size_bytes() const override { return 0; }
  void read(std::size_t, std::uint64_t, std::span<std::byte>) const override { ADD_FAILURE() << "was read"; }
  std::shared_ptr<const std::byte> view(std::size_t) const override { return nullptr; }
  const Companion* companion() const override { return &companion_; }

 private:
  Companion companion_;
};

// Of each tensor: the bits it gets, 0 where it stays.
std::vector<int> bits_of(const std::vector<Listed>& listed, const std::string& json,
                         const std::string& architecture = "llama") {
  const GgufLike source(listed, architecture);
  const Settings settings = parse_settings(json);
  const Plan plan = make_plan(source, Config(&settings, nullptr), kGgufFormat.storage);
  std::vector<int> bits;
  for (const PlannedTensor& tensor : plan.tensors) {
    bits.push_back(tensor.action == Action::kCopy ? 0 : scheme_of(tensor.spec).bits);
  }
  return bits;
}

using Bits = std::vector<int>;
constexpr const char* kFour = R"({"bits": 4})";

TEST(GgufFit, LeavesWhatLlamaCppNeedsAsFloats) {
  for (const char* name :
       {"position_embd.weight", "token_types.weight", "blk.0.ffn_gate_inp.weight", "blk.3.ssm_conv1d.weight",
        "blk.0.shortconv.conv.weight", "enc.blk.0.attn_rel_b.weight", "blk.0.time_mix_w1.weight",
        "blk.0.time_mix_decay_w2.weight", "blk.1.altup_router.weight", "blk.1.laurel_l.weight",
        "per_layer_model_proj.weight", "v.position_embd.weight", "v.patch_embd.weight", "v.sam.neck.0.weight",
        "blk.0.ssm_norm.weight", "blk.0.attn_q_norm.weight"}) {
    for (const char* json : {"{}", kFour, R"({"bits": 16})"}) {
      EXPECT_EQ(bits_of({{name, {64, 64}}}, json), Bits{0}) << name << " " << json;
    }
  }
  EXPECT_EQ(bits_of({{"token_types.weight", {64, 64}}}, R"({"only": ["*"]})"), Bits{0});
  EXPECT_EQ(bits_of({{"blk.0.ffn_gate.weight", {64, 64}}, {"blk.0.ffn_up_exps.weight", {4, 64, 64}}}, "{}"),
            (Bits{8, 8}));
}

TEST(GgufFit, LeavesSingleRows) {
  EXPECT_EQ(bits_of({{"a.weight", {1, 1024}}, {"b.weight", {2, 1024}}}, "{}"), (Bits{0, 8}));
}

TEST(GgufFit, KnowsRulesOfOneArchitecture) {
  const std::vector<Listed> listed{{"blk.0.ssm_beta.weight", {64, 64}}, {"blk.0.attn_q_a.weight", {64, 64}}};
  EXPECT_EQ(bits_of(listed, kFour, "glm5-next"), (Bits{0, 8}));
  EXPECT_EQ(bits_of(listed, kFour, "llama"), (Bits{4, 4}));
}

// As llama-quantize has it: 8 bits for the head, and for an embedding that is the head as well.
TEST(GgufFit, GivesTheHeadEightBits) {
  const Listed embedding{"token_embd.weight", {100, 64}}, head{"output.weight", {100, 64}},
      layer{"blk.0.attn_q.weight", {64, 64}};
  EXPECT_EQ(bits_of({embedding, layer}, kFour), (Bits{8, 4}));
  EXPECT_EQ(bits_of({embedding, layer, head}, kFour), (Bits{4, 4, 8}));
  EXPECT_EQ(bits_of({embedding, layer, head}, "{}"), (Bits{8, 8, 8}));
  EXPECT_EQ(bits_of({embedding, layer, head}, R"({"bits": 4, "layers": [{"name": "output", "bits": 4}]})"),
            (Bits{4, 4, 4}));
  EXPECT_EQ(bits_of({{"model.embed_tokens.weight", {100, 64}}, {"lm_head.weight", {100, 64}}}, kFour), (Bits{4, 8}));
}

TEST(GgufFit, MakesFloat16OfRowsThatBlocksDoNotFit) {
  const std::vector<Listed> listed{{"a.weight", {64, 33}}, {"b.weight", {64, 33}, DType::kF16}};
  EXPECT_EQ(bits_of(listed, "{}"), (Bits{16, 0}));
  EXPECT_EQ(bits_of(listed, kFour), (Bits{16, 0}));
}

}  // namespace
}  // namespace mnq::test
