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

std::vector<Layer> layers_of(const std::vector<Named>& named) {
  std::vector<LogicalTensor> tensors;
  for (const Named& each : named) tensors.push_back(logical_of(each));
  return find_layers(tensors);
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
      {{"shared.weight", {100, 4}}, "Embedding", "shared"},
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

TEST(Kinds, TableIsSound) {
  for (const LayerKind& kind : all_layer_kinds()) {
    EXPECT_EQ(find_layer_kind(kind.name), &kind);
    EXPECT_LT(kind.channel_axis, static_cast<std::int64_t>(kind.rank)) << kind.name;
  }
  EXPECT_EQ(find_layer_kind("linear"), nullptr);
  EXPECT_EQ(kind_for_rank(2)->name, "Linear");
  EXPECT_EQ(kind_for_rank(1), nullptr);
}

}  // namespace
}  // namespace mnq::test
