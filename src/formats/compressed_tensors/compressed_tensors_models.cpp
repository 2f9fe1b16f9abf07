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
    Head{"ModernBertForMaskedLM", "decoder"},
    Head{"DistilBertForMaskedLM", "vocab_projector"},
    Head{"AlbertForMaskedLM", "predictions.decoder"},
    Head{"AlbertForPreTraining", "predictions.decoder"},
    Head{"ElectraForMaskedLM", "generator_lm_head"},
    Head{"RobertaForMaskedLM", "lm_head.decoder"},
    Head{"RobertaXLForMaskedLM", "lm_head.decoder"},
    Head{"RobertaPreLayerNormForMaskedLM", "lm_head.decoder"},
    Head{"CamembertForMaskedLM", "lm_head.decoder"},
    Head{"EsmForMaskedLM", "lm_head.decoder"},
    Head{"MPNetForMaskedLM", "lm_head.decoder"},
    Head{"LongformerForMaskedLM", "lm_head.decoder"},
    Head{"RobertaForCausalLM", "lm_head.decoder"},
    Head{"CamembertForCausalLM", "lm_head.decoder"},
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
// dinov2, resnet, modernbert; the others have the same lines.
constexpr auto kPlainModels = std::to_array<std::string_view>({"altclip",
                                                               "bit",
                                                               "bridgetower",
                                                               "clap",
                                                               "dinov2",
                                                               "dinov2_with_registers",
                                                               "dinov3_vit",
                                                               "efficientnet",
                                                               "falcon",
                                                               "falcon_mamba",
                                                               "hiera",
                                                               "ijepa",
                                                               "longt5",
                                                               "mamba",
                                                               "mamba2",
                                                               "modernbert",
                                                               "mt5",
                                                               "pix2struct",
                                                               "pop2piano",
                                                               "pvt",
                                                               "radio",
                                                               "recurrent_gemma",
                                                               "regnet",
                                                               "resnet",
                                                               "rt_detr",
                                                               "rwkv",
                                                               "seggpt",
                                                               "siglip",
                                                               "siglip2",
                                                               "siglip2_text_model",
                                                               "siglip2_vision_model",
                                                               "siglip_text_model",
                                                               "siglip_vision_model",
                                                               "swiftformer",
                                                               "switch_transformers",
                                                               "t5",
                                                               "timesformer",
                                                               "udop",
                                                               "umt5",
                                                               "unispeech",
                                                               "vjepa2",
                                                               "wav2vec2",
                                                               "wav2vec2-conformer",
                                                               "wavlm",
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

bool renames_modules(const Companion* companion) { return has_model_type(companion, kRenamedModels); }

}  // namespace mnq
