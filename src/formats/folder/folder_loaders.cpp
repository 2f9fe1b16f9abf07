#include "formats/folder/folder_loaders.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text/format.h"

namespace mnq {
namespace {

bool has_file(const Companion& companion, std::string_view name) {
  return std::ranges::find(companion.files, name, &CompanionFile::name) != companion.files.end();
}

bool has_text(const Json& config, std::string_view key) {
  const Json* found = config.is_object() ? config.find(key) : nullptr;
  return found != nullptr && found->is_string();
}

// In a quantization_config without the quant_method that transformers and diffusers ask for: of one that they do not
// know, transformers 5 says so and loads the codes as if they were weights; of none it stops.
constexpr const char *kQuantizedBy = "quantized_by", *kMonoQuant = "mono_quant";

// The last one is that of all other folders.
constexpr std::array kLoaders{
    FolderLoader{"diffusers", "diffusion_pytorch_model", false, true,
                 [](const Json& config, const Companion&) { return has_text(config, "_class_name"); }},
    FolderLoader{"PEFT", "adapter_model", false, false,
                 [](const Json&, const Companion& companion) {
                   return companion.weights_file.starts_with("adapter_model") &&
                          has_file(companion, "adapter_config.json");
                 }},
    FolderLoader{"diffusers, as a LoRA", "pytorch_lora_weights", false, false,
                 [](const Json&, const Companion& companion) {
                   return companion.weights_file.starts_with("pytorch_lora_weights");
                 }},
    FolderLoader{"timm", "model", false, true,
                 [](const Json& config, const Companion&) {
                   return has_text(config, "architecture") && !has_text(config, "model_type");
                 }},
    FolderLoader{"transformers", "model", true, true, [](const Json&, const Companion&) { return true; }},
};

}  // namespace

const FolderLoader& find_folder_loader(const Json& config, const Companion& companion) {
  return *std::ranges::find_if(kLoaders, [&](const FolderLoader& loader) { return loader.is_own(config, companion); });
}

const FolderLoader& folder_loader(const Companion* companion) {
  const auto* found = companion == nullptr
                          ? kLoaders.end()
                          : std::ranges::find(kLoaders, std::string_view(companion->loader), &FolderLoader::name);
  return found == kLoaders.end() ? kLoaders.back() : *found;
}

std::vector<std::string> weight_files_in_order() {
  return {"model.safetensors",
          "model.safetensors.index.json",
          "pytorch_model.bin",
          "pytorch_model.bin.index.json",  // so far in the order of transformers
          "diffusion_pytorch_model.safetensors",
          "diffusion_pytorch_model.safetensors.index.json",
          "diffusion_pytorch_model.bin",
          "diffusion_pytorch_model.bin.index.json",
          "adapter_model.safetensors",
          "adapter_model.bin",
          "pytorch_lora_weights.safetensors",
          "pytorch_lora_weights.bin"};
}

bool is_plain_folder(const Json& quantization) {
  const Json* by = quantization.is_object() ? quantization.find(kQuantizedBy) : nullptr;
  return by != nullptr && by->is_string() && by->text() == kMonoQuant;
}

FolderQuantization describe_plain_folder(const Plan& plan, const Companion* companion) {
  const bool is_quantized = std::ranges::any_of(
      plan.tensors, [&](const PlannedTensor& planned) { return has_codes(planned, plan.logical[planned.logical]); });
  if (!is_quantized) return {};
  const FolderLoader& loader = folder_loader(companion);
  if (!loader.stops_at_codes) {
    throw Error(
        Status::kUnsupported,
        formatted("{}: {} would take the codes of quantized weights for weights", companion->folder, loader.name),
        "write it as float16 (dtype=float16), which is loaded as it is, or quantized as one file", "format");
  }
  FolderQuantization result;
  if (companion != nullptr && !companion->config.empty()) {
    result.config = Json{{kQuantizedBy, kMonoQuant}, {"version", 1}};
  }
  result.notes.push_back(
      formatted("{} loads no weights that are quantized so: monoquant reads this folder, and dequantize "
                "or dtype=float16 make one that {} loads",
                loader.name, loader.name));
  return result;
}

}  // namespace mnq
