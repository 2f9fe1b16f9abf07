#include "formats/compressed_tensors/compressed_tensors_models.h"

#include <algorithm>
#include <array>

#include "plan/layer_kinds.h"

namespace mnq {
namespace {

// By the ending of an architecture's name; the first that fits.
struct Head {
  std::string_view architecture;
  std::string_view module;
};
constexpr std::array kHeads{
    Head{"WhisperForConditionalGeneration", "proj_out"},
    Head{"WhisperForCausalLM", "proj_out"},
    Head{"MoonshineForConditionalGeneration", "proj_out"},
    Head{"MoonshineStreamingForConditionalGeneration", "proj_out"},
    Head{"CanaryForConditionalGeneration", "proj_out"},
    Head{"CohereAsrForConditionalGeneration", "proj_out"},
    Head{"BlipForConditionalGeneration", "cls.predictions.decoder"},
    Head{"BlipForQuestionAnswering", "cls.predictions.decoder"},
    Head{"T5GemmaForConditionalGeneration", "lm_head.out_proj"},
    Head{"T5Gemma2ForConditionalGeneration", "lm_head.out_proj"},
    Head{"SpeechT5ForSpeechToText", "lm_head"},
    Head{"SeamlessM4TForTextToText", "lm_head"},
    Head{"SeamlessM4TForSpeechToText", "lm_head"},
    Head{"SeamlessM4Tv2ForTextToText", "lm_head"},
    Head{"SeamlessM4Tv2ForSpeechToText", "lm_head"},
    Head{"GraniteSpeech5ForCTC", "ctc_head"},
    Head{"ModernBertForMaskedLM", "decoder"},
    Head{"DistilBertForMaskedLM", "vocab_projector"},
    Head{"AlbertForMaskedLM", "predictions.decoder"},
    Head{"AlbertForPreTraining", "predictions.decoder"},
    Head{"ElectraForMaskedLM", "generator_lm_head"},
    Head{"ConvBertForMaskedLM", "generator_lm_head"},
    Head{"FunnelForMaskedLM", "lm_head"},
    Head{"NeoMMEForMaskedLM", "lm_head"},
    Head{"UltrabertForMaskedLM", "head.decoder"},
    Head{"BridgeTowerForMaskedLM", "mlm_score.decoder"},
    Head{"ViltForMaskedLM", "mlm_score.decoder"},
    Head{"RobertaForMaskedLM", "lm_head.decoder"},  // and XLMRoberta's
    Head{"RobertaXLForMaskedLM", "lm_head.decoder"},
    Head{"RobertaPreLayerNormForMaskedLM", "lm_head.decoder"},
    Head{"CamembertForMaskedLM", "lm_head.decoder"},
    Head{"EsmForMaskedLM", "lm_head.decoder"},
    Head{"MPNetForMaskedLM", "lm_head.decoder"},
    Head{"LongformerForMaskedLM", "lm_head.decoder"},
    Head{"Data2VecTextForMaskedLM", "lm_head.decoder"},
    Head{"XmodForMaskedLM", "lm_head.decoder"},
    Head{"IBertForMaskedLM", "lm_head.decoder"},
    Head{"GteForMaskedLM", "lm_head.decoder"},
    Head{"JinaEmbeddingsV3ForMaskedLM", "lm_head.decoder"},
    Head{"RobertaForCausalLM", "lm_head.decoder"},
    Head{"RobertaXLForCausalLM", "lm_head.decoder"},
    Head{"RobertaPreLayerNormForCausalLM", "lm_head.decoder"},
    Head{"CamembertForCausalLM", "lm_head.decoder"},
    Head{"Data2VecTextForCausalLM", "lm_head.decoder"},
    Head{"XmodForCausalLM", "lm_head.decoder"},
    Head{"BertGenerationDecoder", "lm_head.decoder"},
    Head{"BigBirdForCausalLM", "cls.predictions.decoder"},
    Head{"ErnieForCausalLM", "cls.predictions.decoder"},
    Head{"MegatronBertForCausalLM", "cls.predictions.decoder"},
    Head{"RoCBertForCausalLM", "cls.predictions.decoder"},
    Head{"RoFormerForCausalLM", "cls.predictions.decoder"},
    Head{"ElectraForCausalLM", "generator_lm_head"},
    Head{"TrOCRForCausalLM", "output_projection"},
    Head{"BioGptForCausalLM", "output_projection"},
    Head{"GPTNeoXJapaneseForCausalLM", "embed_out"},
    Head{"ModernBertDecoderForCausalLM", "decoder"},
    Head{"GitForCausalLM", "output"},
    Head{"XLNetLMHeadModel", "lm_loss"},
    Head{"XLMWithLMHeadModel", "pred_layer.proj"},
    Head{"FlaubertWithLMHeadModel", "pred_layer.proj"},
    Head{"ForMaskedLM", "cls.predictions.decoder"},
    Head{"ForPreTraining", "cls.predictions.decoder"},
    Head{"BertLMHeadModel", "cls.predictions.decoder"},
    Head{"ForCausalLM", "lm_head"},
    Head{"LMHeadModel", "lm_head"},
    Head{"DoubleHeadsModel", "lm_head"},
    Head{"ForConditionalGeneration", "lm_head"},
    Head{"MTModel", "lm_head"},
};

// Their _init_weights has module.weight of a Linear. Loaded and run: t5, falcon, mamba, mamba2, wav2vec2, siglip,
// resnet, modernbert and others; some have the same lines. Of nomic_bert, gte and jina_embeddings_v3 it is that weights
// are split as they are loaded.
constexpr auto kPlainModels = std::to_array<std::string_view>({"altclip",
                                                               "bit",
                                                               "blt",
                                                               "bridgetower",
                                                               "chinese_clip",
                                                               "chinese_clip_vision_model",
                                                               "chmv2",
                                                               "clap",
                                                               "clipseg",
                                                               "clvp",
                                                               "cvt",
                                                               "data2vec-audio",
                                                               "deformable_detr",
                                                               "dinov2",
                                                               "dinov2_with_registers",
                                                               "dinov3_vit",
                                                               "efficientnet",
                                                               "eomt",
                                                               "falcon",
                                                               "falcon_mamba",
                                                               "fastspeech2_conformer",
                                                               "fastspeech2_conformer_with_hifigan",
                                                               "gpt_bigcode",
                                                               "groupvit",
                                                               "gte",
                                                               "hiera",
                                                               "higgs_audio_v2_tokenizer",
                                                               "ijepa",
                                                               "jina_embeddings_v3",
                                                               "longt5",
                                                               "lw_detr",
                                                               "mamba",
                                                               "mamba2",
                                                               "mask2former",
                                                               "maskformer",
                                                               "mgp-str",
                                                               "mlcd",
                                                               "mlcd_vision_model",
                                                               "modernbert",
                                                               "mt5",
                                                               "musicgen_melody",
                                                               "nanochat",
                                                               "neucodec",
                                                               "nomic_bert",
                                                               "oneformer",
                                                               "owlv2",
                                                               "owlvit",
                                                               "phi4_multimodal",
                                                               "pix2struct",
                                                               "pop2piano",
                                                               "pp_doclayout_v2",
                                                               "pp_doclayout_v4",
                                                               "pvt",
                                                               "pvt_v2",
                                                               "radio",
                                                               "recurrent_gemma",
                                                               "regnet",
                                                               "resnet",
                                                               "rf_detr",
                                                               "rt_detr",
                                                               "rwkv",
                                                               "sam3_lite_text",
                                                               "sam3_lite_text_text_model",
                                                               "seamless_m4t",
                                                               "seamless_m4t_v2",
                                                               "seggpt",
                                                               "siglip",
                                                               "siglip2",
                                                               "siglip2_text_model",
                                                               "siglip2_vision_model",
                                                               "siglip_text_model",
                                                               "siglip_vision_model",
                                                               "swiftformer",
                                                               "swin2sr",
                                                               "switch_transformers",
                                                               "t5",
                                                               "timesformer",
                                                               "tipsv2",
                                                               "udop",
                                                               "umt5",
                                                               "unispeech",
                                                               "unispeech-sat",
                                                               "videoprism",
                                                               "videoprism_vision_model",
                                                               "vitdet",
                                                               "vitpose",
                                                               "vitpose_backbone",
                                                               "vjepa2",
                                                               "wav2vec2",
                                                               "wav2vec2-bert",
                                                               "wav2vec2-conformer",
                                                               "wavlm",
                                                               "xclip",
                                                               "xcodec",
                                                               "xcodec2",
                                                               "xlstm"});

constexpr auto kRenamedModels = std::to_array<std::string_view>({"altclip",
                                                                 "aria",
                                                                 "ast",
                                                                 "aya_vision",
                                                                 "beit",
                                                                 "clip_vision_model",
                                                                 "colqwen2",
                                                                 "deit",
                                                                 "detr",
                                                                 "dinov3_convnext",
                                                                 "dinov3_vit",
                                                                 "emu3",
                                                                 "fuyu",
                                                                 "gemma3",
                                                                 "got_ocr2",
                                                                 "hy_v4_vl",
                                                                 "ijepa",
                                                                 "internvl",
                                                                 "llava",
                                                                 "llava_next",
                                                                 "llava_next_video",
                                                                 "llava_onevision",
                                                                 "mistral3",
                                                                 "mllama",
                                                                 "paligemma",
                                                                 "qwen2_5_vl",
                                                                 "qwen2_audio",
                                                                 "qwen2_vl",
                                                                 "rt_detr",
                                                                 "segformer",
                                                                 "shieldgemma2",
                                                                 "swin",
                                                                 "timm_wrapper",
                                                                 "video_llava",
                                                                 "vipllava",
                                                                 "vit",
                                                                 "vit_mae",
                                                                 "vit_msn",
                                                                 "vivit",
                                                                 "voxtral"});

}  // namespace

std::vector<std::string> output_heads(const Companion* companion) {
  std::vector<std::string> heads;
  if (companion == nullptr) return heads;
  for (const std::string& architecture : companion->architectures) {
    const auto found =
        std::ranges::find_if(kHeads, [&](const Head& head) { return architecture.ends_with(head.architecture); });
    if (found != kHeads.end()) heads.emplace_back(found->module);
  }
  return heads;
}

bool is_module(std::string_view name, std::string_view module) {
  if (!name.ends_with(module)) return false;
  return name.size() == module.size() || name[name.size() - module.size() - 1] == '.';
}

bool needs_plain_weights(const Companion* companion) { return has_model_type(companion, kPlainModels); }

void add_note_on_plain_models(std::vector<std::string>& notes, const Companion* companion) {
  if (!needs_plain_weights(companion)) return;
  notes.emplace_back(
      "transformers cannot load this model with weights that are packed: int8 of compressed-tensors it can");
}

bool renames_modules(const Companion* companion) { return has_model_type(companion, kRenamedModels); }

}  // namespace mnq
