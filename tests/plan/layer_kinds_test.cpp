// Which kind of layer a tensor is, from its name and shape alone, or why it is none.
#include "plan/layer_kinds.h"

#include <gtest/gtest.h>

namespace mnq::test {
namespace {

struct Named {
  const char* name;
  Shape shape;
  DType dtype = DType::kF32;
};

LogicalTensor logical_of(const Named& named) {
  LogicalTensor tensor;
  tensor.name = named.name;
  tensor.shape = named.shape;
  tensor.dtype = named.dtype;
  return tensor;
}

// Its tensors, of whose names the layers are views, are there until the next call.
std::vector<Layer> layers_of(const std::vector<Named>& named, const char* model_type = nullptr) {
  static std::vector<LogicalTensor> tensors;
  tensors.clear();
  for (const Named& each : named) tensors.push_back(logical_of(each));
  if (model_type == nullptr) return find_layers(tensors, nullptr);
  Companion companion;
  companion.model_types = {model_type};
  return find_layers(tensors, &companion);
}

std::string kind_of(const Layer& layer) { return layer.kind == nullptr ? "" : std::string(layer.kind->name); }

struct Kind {
  Named tensor;
  const char* kind;   // "" for none
  const char* layer;  // its name
};

TEST(Kinds, FromNameAndShape) {
  const std::vector<Kind> rows{
      {{"encoder.0.query.weight", {8, 4}}, "Linear", "encoder.0.query"},
      {{"fc.weight", {1, 1}}, "Linear", "fc"},
      {{"weight", {8, 4}}, "Linear", "weight"},
      {{"attention.in_proj_weight", {12, 4}}, "Linear", "attention.in_proj_weight"},
      {{"features.0.weight", {8, 3, 5}}, "Conv1d", "features.0"},
      {{"features.0.weight", {8, 3, 5, 5}}, "Conv2d", "features.0"},
      {{"features.0.weight", {8, 3, 5, 5, 5}}, "Conv3d", "features.0"},
      {{"embeddings.word_embeddings.weight", {100, 4}}, "Embedding", "embeddings.word_embeddings"},
      {{"model.embed_tokens.weight", {100, 4}}, "Embedding", "model.embed_tokens"},
      {{"transformer.wte.weight", {100, 4}}, "Embedding", "transformer.wte"},
      {{"transformer.wpe.weight", {100, 4}}, "Embedding", "transformer.wpe"},
      {{"embeddings.row_embedder.weight", {100, 4}}, "Embedding", "embeddings.row_embedder"},
      {{"HashBucketCodepointEmbedder_3.weight", {100, 4}}, "Embedding", "HashBucketCodepointEmbedder_3"},
      {{"x_embedder.weight", {100, 4}}, "Linear", "x_embedder"},
      {{"shared.weight", {100, 4}}, "Embedding", "shared"},
      {{"layers.0.mlp.shared_expert_gate.weight", {1, 4}}, "Linear", "layers.0.mlp.shared_expert_gate"},
      {{"Embedding.weight", {100, 4}}, "Embedding", "Embedding"},
      {{"patch_embed.proj.weight", {8, 3, 4, 4}}, "Conv2d", "patch_embed.proj"},
      {{"embedding_projection.weight", {8, 4}}, "Linear", "embedding_projection"},
      {{"prompt_encoder.point_embed.0.weight", {1, 4}}, "Embedding", "prompt_encoder.point_embed.0"},
      {{"decoder.embed_tokens.3.weight", {8, 4}}, "Embedding", "decoder.embed_tokens.3"},
      {{"mask_decoder.iou_token.weight", {1, 4}}, "Embedding", "mask_decoder.iou_token"},
      {{"mask_decoder.mask_tokens.weight", {4, 4}}, "Embedding", "mask_decoder.mask_tokens"},
      {{"token_classifier.weight", {8, 4}}, "Linear", "token_classifier"},
      {{"layers.0.weight", {8, 4}}, "Linear", "layers.0"},
      {{"lm_head.weight", {100, 4}}, "Linear", "lm_head"},
      {{"half.weight", {8, 4}, DType::kF16}, "Linear", "half"},
      {{"brain.weight", {8, 4}, DType::kBF16}, "Linear", "brain"},
      {{"double.weight", {8, 4}, DType::kF64}, "Linear", "double"},
  };
  for (const Kind& row : rows) {
    const Layer layer = layers_of({row.tensor}).front();
    EXPECT_EQ(kind_of(layer), row.kind) << row.tensor.name;
    EXPECT_EQ(layer.name.name, row.layer);
    EXPECT_EQ(layer.name.tensor, row.tensor.name);
    EXPECT_EQ(layer.reason, "");
  }
}

struct None {
  Named tensor;
  const char* reason;
};

TEST(Kinds, WhatIsNoLayer) {
  const std::vector<None> rows{
      {{"fc.bias", {8}}, "bias"},
      {{"lstm.bias_ih_l0", {8}}, "one-dimensional: norm or buffer"},
      {{"attention.in_proj_bias", {8}}, "bias"},
      {{"mlp.experts.gate_up_proj_bias", {4, 16}}, "bias"},
      {{"mlp.experts.gate_up_proj_scales", {4, 16, 8}}, "not named as a layer's weight"},
      {{"norm.weight", {8}}, "one-dimensional: norm or buffer"},
      {{"bn1.running_mean", {8}}, "one-dimensional: norm or buffer"},
      {{"bn1.num_batches_tracked", {}, DType::kI64}, "I64 is no dtype that is quantized"},
      {{"temperature", {}}, "a single value"},
      {{"fc.weight", {0, 4}}, "empty"},
      {{"fc.weight", {8, 4}, DType::kI8}, "I8 is no dtype that is quantized"},
      {{"fc.weight", {8, 4}, DType::kF8E4M3}, "F8_E4M3 is no dtype that is quantized"},
      {{"layer_norm.weight", {8, 4}}, "norm"},
      {{"LayerNorm.weight", {8, 4, 4}}, "norm"},
      {{"block.ln_1.weight", {8, 4}}, "norm"},
      {{"bn2.weight", {8, 4}}, "norm"},
      {{"embeddings.position_ids", {1, 512}}, "not named as a layer's weight"},
      {{"rotary.cos_cached", {64, 4}}, "not named as a layer's weight"},
      {{"odd.weight", {2, 2, 2, 2, 2, 2}}, "no layer has a weight of 6 dimensions"},
  };
  for (const None& row : rows) {
    const Layer layer = layers_of({row.tensor}).front();
    EXPECT_EQ(kind_of(layer), "") << row.tensor.name;
    EXPECT_EQ(layer.reason, row.reason) << row.tensor.name;
    EXPECT_EQ(layer.name.name, row.tensor.name);
  }
}

// The recurrent weight has gates x hidden rows: four gates are an LSTM, three a GRU, one a plain RNN.
TEST(Kinds, Recurrent) {
  const auto kinds_of = [](const std::vector<Named>& named) {
    std::vector<std::string> kinds;
    for (const Layer& layer : layers_of(named)) kinds.push_back(kind_of(layer));
    return kinds;
  };
  using Kinds = std::vector<std::string>;
  EXPECT_EQ(kinds_of({{"rnn.weight_ih_l0", {32, 5}}, {"rnn.weight_hh_l0", {32, 8}}}), (Kinds{"LSTM", "LSTM"}));
  EXPECT_EQ(kinds_of({{"rnn.weight_ih_l0", {24, 5}}, {"rnn.weight_hh_l0", {24, 8}}}), (Kinds{"GRU", "GRU"}));
  EXPECT_EQ(kinds_of({{"rnn.weight_ih_l0", {8, 5}}, {"rnn.weight_hh_l0", {8, 8}}}), (Kinds{"RNN", "RNN"}));
  EXPECT_EQ(kinds_of({{"l.weight_ih_l1_reverse", {32, 5}}, {"l.weight_hh_l1_reverse", {32, 8}}}),
            (Kinds{"LSTM", "LSTM"}));
  EXPECT_EQ(kinds_of({{"cell.weight_ih", {24, 5}}, {"cell.weight_hh", {24, 8}}}), (Kinds{"GRU", "GRU"}));
  EXPECT_EQ(kinds_of({{"weight_ih_l0", {32, 5}}, {"weight_hh_l0", {32, 8}}}), (Kinds{"LSTM", "LSTM"}));
  // An LSTM that projects its state to 3: weight_hh has other sizes, weight_hr says why.
  EXPECT_EQ(kinds_of({{"p.weight_ih_l0", {32, 5}}, {"p.weight_hh_l0", {32, 3}}, {"p.weight_hr_l0", {3, 8}}}),
            (Kinds{"LSTM", "LSTM", "LSTM"}));
}

TEST(Kinds, RecurrentWithoutItsSizes) {
  for (const std::vector<Named>& named : std::vector<std::vector<Named>>{
           {{"rnn.weight_ih_l0", {32, 5}}},                                  // the other is missing
           {{"rnn.weight_ih_l0", {32, 5}}, {"rnn.weight_hh_l0", {32}}},      // and here it is no matrix
           {{"rnn.weight_ih_l0", {32, 5}}, {"rnn.weight_hh_l0", {32, 16}}},  // two gates
           {{"rnn.weight_ih_l0", {32, 5}}, {"rnn.weight_hh_l0", {31, 8}}},
           {{"rnn.weight_ih_l0", {32, 5}}, {"rnn.weight_hh_l0", {32, 0}}}}) {
    const Layer layer = layers_of(named).front();
    EXPECT_EQ(kind_of(layer), "");
    EXPECT_NE(layer.reason.find("no LSTM, GRU or RNN"), std::string::npos) << layer.reason;
  }
}

TEST(Kinds, RecurrentWeightsAreNamedInFull) {
  const auto layers = layers_of({{"rnn.weight_ih_l0", {32, 5}}, {"rnn.weight_hh_l0", {32, 8}}});
  EXPECT_EQ(layers[0].name.name, "rnn.weight_ih_l0");
  EXPECT_EQ(layers[1].name.name, "rnn.weight_hh_l0");
}

TEST(Kinds, Sensitive) {
  EXPECT_TRUE(layers_of({{"embed_tokens.weight", {8, 4}}}).front().is_sensitive);
  EXPECT_TRUE(layers_of({{"lm_head.weight", {8, 4}}}).front().is_sensitive);
  EXPECT_TRUE(layers_of({{"model.lm_head.weight", {8, 4}}}).front().is_sensitive);
  EXPECT_TRUE(layers_of({{"embed_out.weight", {8, 4}}}).front().is_sensitive);  // Pythia's
  EXPECT_FALSE(layers_of({{"fc.weight", {8, 4}}}).front().is_sensitive);
}

// A Sequential of diffusion models has the name of an embedding and holds Linear layers.
TEST(Kinds, AnEmbeddingHasNoBias) {
  EXPECT_EQ(kind_of(layers_of({{"time_embed.0.weight", {8, 4}}, {"time_embed.0.bias", {8}}}).front()), "Linear");
}

TEST(Kinds, Routers) {
  const auto is_router = [](const char* name, const char* sibling) {
    return layers_of({{name, {8, 4}}, {sibling, {8, 4}}}).front().is_router;
  };
  EXPECT_TRUE(is_router("mlp.gate.weight", "mlp.experts.0.up_proj.weight"));
  EXPECT_TRUE(is_router("mlp.router.weight", "mlp.experts.gate_up_proj"));
  EXPECT_FALSE(is_router("mlp.gate.weight", "other.experts.0.up_proj.weight"));
  EXPECT_FALSE(is_router("mlp.gate_proj.weight", "mlp.experts.0.up_proj.weight"));
  EXPECT_FALSE(is_router("attention.gate.weight", "attention.out.weight"));
}

TEST(Kinds, RoutersOfEveryName) {
  const std::vector<std::vector<const char*>> models{
      {"layers.0.mlp.gate.weight", "layers.0.mlp.experts.gate_up_proj"},
      {"layers.0.mlp.shared_expert_gate.weight", "layers.0.mlp.experts.gate_up_proj"},
      {"layers.0.mlp.gate.wg.weight", "layers.0.mlp.experts.gate_up_proj"},
      {"layers.0.router.proj.weight", "layers.0.experts.gate_up_proj"},
      {"block_sparse_moe.router.layer.weight", "block_sparse_moe.input_linear.weight"},
      {"attention.experts.router.layer.weight", "attention.experts.input_linear.weight"},
      {"block_sparse_moe.gate.weight", "block_sparse_moe.experts.0.w1.weight"},
      {"ffn.router.layer.weight", "ffn.experts.mlp.w1"},
      {"mlp.router.classifier.weight", "mlp.experts.expert_0.wi.weight"},
      {"moe.gate.weight", "moe.up_proj.weight"},
      {"blk.0.ffn_gate_inp.weight", "blk.0.ffn_gate_exps.weight"},
      {"feed_forward.router.weight", "feed_forward.shared_expert.up_proj.weight"},
  };
  for (const auto& names : models) {
    const auto layers = layers_of({{names[0], {4, 8}}, {names[1], {4, 16, 8}}});
    EXPECT_TRUE(layers[0].is_router) << names[0];
    EXPECT_FALSE(layers[1].is_router) << names[1];
  }
}

struct ExpertRow {
  const char* name;
  Shape shape;
  std::int64_t channel_axis;
  std::int64_t stacked_axes;
};

void expect_experts(const std::vector<ExpertRow>& rows, const std::vector<Named>& others = {},
                    const char* model_type = nullptr) {
  std::vector<Named> named;
  for (const ExpertRow& row : rows) named.push_back({row.name, row.shape});
  named.insert(named.end(), others.begin(), others.end());
  const auto layers = layers_of(named, model_type);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(kind_of(layers[i]), "Experts") << rows[i].name;
    EXPECT_EQ(layers[i].channel_axis, rows[i].channel_axis) << rows[i].name;
    EXPECT_EQ(layers[i].stacked_axes, rows[i].stacked_axes) << rows[i].name;
  }
}

// [experts, out, in] and [experts, in, out] are told by what fits together.
TEST(Kinds, ExpertsInOneTensor) {
  expect_experts({{"mlp.experts.gate_up_proj", {4, 128, 64}, 1, 1}, {"mlp.experts.down_proj", {4, 64, 64}, 1, 1}});
  expect_experts({{"mlp.experts.gate_up_proj", {4, 64, 128}, 2, 1}, {"mlp.experts.down_proj", {4, 64, 64}, 2, 1}});
  expect_experts({{"mlp.experts.gate_up_proj", {4, 64, 96}, 2, 1}, {"mlp.experts.down_proj", {4, 48, 64}, 2, 1}});
  expect_experts({{"experts.fc1.weight", {4, 64, 96}, 2, 1}, {"experts.fc2.weight", {4, 48, 64}, 2, 1}});
  expect_experts({{"moe.input_linear.weight", {4, 96, 64}, 1, 1}, {"moe.output_linear.weight", {4, 64, 48}, 1, 1}});
  expect_experts(
      {{"experts.w1", {4, 96, 64}, 1, 1}, {"experts.w2", {4, 64, 96}, 1, 1}, {"experts.w3", {4, 96, 64}, 1, 1}});
  expect_experts({{"blk.0.ffn_up_exps.weight", {4, 96, 64}, 1, 1}, {"blk.0.ffn_down_exps.weight", {4, 64, 96}, 1, 1}});
  expect_experts({{"experts.anything", {4, 96, 64}, 1, 1}});
}

TEST(Kinds, ExpertsThatTheirBiasTells) {
  const std::vector<Named> bias{{"experts.gate_up_proj_bias", {4, 96}}};
  expect_experts({{"experts.gate_up_proj", {4, 64, 96}, 2, 1}}, bias);
  expect_experts({{"experts.gate_up_proj", {4, 96, 64}, 1, 1}}, bias);
}

TEST(Kinds, ExpertsThatTheModelTells) {
  for (const char* type : {"llama4_text", "gpt_oss", "qwen3_vl_moe"}) {
    expect_experts({{"experts.gate_up_proj", {4, 64, 64}, 2, 1}}, {}, type);
  }
  expect_experts({{"experts.gate_up_proj", {4, 64, 64}, 1, 1}}, {}, "qwen3_moe");
}

// All rows of all experts one below the other.
TEST(Kinds, ExpertsAsRows) {
  expect_experts({{"ffn.experts.mlp.w1", {64, 8}, 0, 0}, {"ffn.experts.mlp.v1", {64, 8}, 0, 0}});
  EXPECT_EQ(kind_of(layers_of({{"moe.w1.weight", {64, 8}}}).front()), "Linear");
}

TEST(Kinds, OneExpertIsALayerOfItsOwn) {
  EXPECT_EQ(kind_of(layers_of({{"mlp.experts.0.up_proj.weight", {8, 4}}}).front()), "Linear");
  EXPECT_EQ(kind_of(layers_of({{"mlp.experts.0.conv.weight", {8, 4, 3}}}).front()), "Conv1d");
}

TEST(Kinds, Conv1DOfModelsThatHaveIt) {
  for (const char* type : {"gpt2", "openai-gpt", "imagegpt", "decision_transformer"}) {
    const auto layers = layers_of({{"h.0.attn.c_attn.weight", {8, 8}}, {"score.weight", {2, 8}}}, type);
    EXPECT_EQ(kind_of(layers[0]), "Conv1D") << type;
    EXPECT_EQ(layers[0].channel_axis, 1);
    EXPECT_EQ(kind_of(layers[1]), "Linear");
  }
  EXPECT_EQ(kind_of(layers_of({{"h.0.attn.c_attn.weight", {8, 24}}}, "gpt_bigcode").front()), "Linear");
}

// Without a config the only shape that a Linear layer of this name cannot have tells.
TEST(Kinds, Conv1DByItsShape) {
  const auto layers = layers_of({{"transformer.h.0.attn.c_attn.weight", {8, 24}},
                                 {"transformer.h.0.mlp.c_fc.weight", {8, 32}},
                                 {"transformer.h.0.attn.c_proj.weight", {8, 8}},
                                 {"other.h.0.mlp.c_fc.weight", {32, 8}}});
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(kind_of(layers[i]), "Conv1D") << i;
  EXPECT_EQ(kind_of(layers[3]), "Linear");
  for (const Layer& layer : layers_of({{"h.0.attn.c_attn.weight", {24, 8}}, {"h.0.mlp.c_fc.weight", {32, 8}}})) {
    EXPECT_EQ(kind_of(layer), "Linear");
  }
}

struct Remade {
  const char* weight;
  const char* partner;
  Shape shape;
  Shape of_partner;
  const char* kind;
  const char* layer;
  std::int64_t channel_axis;
};

// weight_norm and spectral_norm, each in both of its forms.
TEST(Kinds, WeightsThatAreMadeAnew) {
  const std::vector<Remade> rows{
      {"conv.weight_v", "conv.weight_g", {8, 4, 3}, {8, 1, 1}, "Conv1d", "conv", 0},
      {"conv.weight_v", "conv.weight_g", {8, 4, 3}, {1, 4, 1}, "Conv1d", "conv", 1},
      {"conv.weight_v", "conv.weight_g", {8, 4, 3}, {}, "Conv1d", "conv", 0},
      {"fc.weight_v", "fc.weight_g", {8, 4}, {8, 1}, "Linear", "fc", 0},
      {"c.parametrizations.weight.original1",
       "c.parametrizations.weight.original0",
       {8, 4, 3},
       {8, 1, 1},
       "Conv1d",
       "c",
       0},
      {"c.parametrizations.weight.original1", "c.parametrizations.weight.original0", {8, 4}, {1, 4}, "Linear", "c", 1},
      {"conv.weight_orig", "conv.weight_u", {8, 4, 3, 3}, {8}, "Conv2d", "conv", 0},
      {"fc.weight_orig", "fc.weight_mask", {8, 4}, {8, 4}, "Linear", "fc", 0},
      {"fc.parametrizations.weight.original", "fc.parametrizations.weight.0._u", {8, 4}, {8}, "Linear", "fc", 0},
      {"rnn.weight_extra_v", "rnn.weight_extra_g", {8, 4}, {8, 1}, "Linear", "rnn.weight_extra_v", 0},
  };
  for (const Remade& row : rows) {
    const auto layers = layers_of({{row.weight, row.shape}, {row.partner, row.of_partner}});
    EXPECT_EQ(kind_of(layers[0]), row.kind) << row.weight;
    EXPECT_EQ(layers[0].name.name, row.layer) << row.weight;
    EXPECT_EQ(layers[0].channel_axis, row.channel_axis) << row.weight << " " << shape_text(row.of_partner);
  }
  const auto lengths = layers_of({{"c.weight_g", {8, 1, 1}}, {"c.weight_v", {8, 4, 3}}});
  EXPECT_EQ(lengths[0].reason, "the lengths of weight_norm");
  const auto odd = layers_of({{"c.weight_v", {8, 4, 3}}, {"c.weight_g", {8, 4, 1}}});
  EXPECT_NE(odd[0].reason.find("do not fit"), std::string::npos);
  EXPECT_EQ(kind_of(layers_of({{"c.weight_v", {8, 4}}}).front()), "");
  EXPECT_EQ(kind_of(layers_of({{"c.parametrizations.weight.original", {8, 4}}}).front()), "");
}

TEST(Kinds, TableIsSound) {
  for (const LayerKind& kind : all_layer_kinds()) {
    EXPECT_EQ(find_layer_kind(kind.name), &kind);
    EXPECT_LT(kind.channel_axis, static_cast<std::int64_t>(kind.rank)) << kind.name;
  }
  EXPECT_EQ(find_layer_kind("linear"), nullptr);
  EXPECT_EQ(kind_for_rank(2)->name, "Linear");
  EXPECT_EQ(kind_for_rank(1), nullptr);
}

// What reports sum layers by.
TEST(Kinds, HaveRoles) {
  const std::vector<Named> tensors{{"layers.0.mlp.up_proj.weight", {8, 4}},
                                   {"layers.0.mlp.experts.3.up_proj.weight", {8, 4}},
                                   {"layers.0.mlp.gate.weight", {8, 4}},
                                   {"embed_tokens.weight", {8, 4}},
                                   {"lm_head.weight", {8, 4}},
                                   {"conv.weight", {8, 4, 3, 3}},
                                   {"lstm.weight_hh_l0", {16, 4}},
                                   {"layers.0.input_layernorm.weight", {8}}};
  std::vector<std::string_view> roles;
  for (const Layer& layer : layers_of(tensors)) roles.push_back(role_of(layer));
  EXPECT_EQ(roles, (std::vector<std::string_view>{"linear", "experts", "router", "embedding", "head", "convolution",
                                                  "recurrent", "other"}));
  EXPECT_EQ(role_of(layers_of({{"blk.0.ffn_up_exps.weight", {2, 8, 4}}}).front()), "experts");
}

}  // namespace
}  // namespace mnq::test
