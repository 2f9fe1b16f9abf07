// Every scheme of the table promises this of modules: their code decodes it, or its weights stay floats there and the
// plan says why.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/text/text.h"
#include "formats/torchscript/torchscript.h"
#include "quantize/job_fixture.h"
#include "schemes/decode_in_torchscript.h"

namespace mnq::test {
namespace {

std::vector<QuantizedSpec> specs_of(const Scheme& scheme) {
  std::vector<QuantizedSpec> specs;
  for (const Granularity granularity : {Granularity::kTensor, Granularity::kChannel, Granularity::kGroup}) {
    if (granularity == Granularity::kTensor && !scheme.may_be_per_tensor) continue;
    for (const DType dtype : {DType::kF32, DType::kF16}) {
      QuantizedSpec& spec = specs.emplace_back();
      spec.scheme = scheme.name;
      spec.granularity = granularity;
      spec.symmetric = false;
      spec.group_size = granularity == Granularity::kGroup ? 8 : 0;
      spec.weight_dtype = dtype;
      spec.shape = {4, 24};
    }
  }
  return specs;
}

// The types of a function's parameters: {"Tensor", "Optional[Tensor]", "int"}. Empty where no text, or more than one,
// defines it.
std::vector<std::string> parameter_types(std::string_view function) {
  std::vector<std::string> types;
  int definitions = 0;
  for (const std::string_view text : script_library().texts) {
    const std::string start = "\ndef " + std::string(function) + "(";
    const std::size_t found = text.find(start);
    if (found == text.npos) continue;
    ++definitions;
    const std::size_t first = found + start.size();
    for (const std::string& parameter : split_list(text.substr(first, text.find(')', first) - first))) {
      types.push_back(parameter.substr(parameter.find(": ") + 2));
    }
  }
  return definitions == 1 ? types : std::vector<std::string>();
}

// A call as a function must take it: tensors in front, where each behind the codes and the scales may be None.
std::vector<std::string> argument_types(std::size_t operands, const ScriptDecoder& decoder) {
  std::vector<std::string> types(operands + 1, "Tensor");
  for (std::size_t i = 0; i < decoder.tensors.size(); ++i) types.push_back(i == 0 ? "Tensor" : "Optional[Tensor]");
  return types;
}

void add_constants(std::vector<std::string>& types, const ScriptCall& call) {
  for (const auto& constant : call.constants) types.push_back(constant.index() == 0 ? "int" : "List[int]");
  types.push_back("int");
}

std::string find_obstacle(const QuantizedSpec& spec) {
  const Layer layer;
  return kTorchscriptFormat.storage.rule({.wanted = spec, .layer = layer}).leaves_for;
}

TEST(EveryScheme, IsDecodedByTheCodeOfModulesOrRefusedWithAReason) {
  for (const Scheme* scheme : all_schemes()) {
    for (const QuantizedSpec& spec : specs_of(*scheme)) {
      SCOPED_TRACE(scheme_text(spec));
      const std::string obstacle = find_obstacle(spec);
      EXPECT_EQ(obstacle.empty(), scheme->torchscript != nullptr);
      EXPECT_TRUE(obstacle.empty() || obstacle.find(scheme->text) != obstacle.npos) << obstacle;
    }
  }
  QuantizedSpec blocks = specs_of(default_scheme()).back();
  blocks.group_rows = 4;
  EXPECT_EQ(find_obstacle(blocks), "no code of a TorchScript module decodes int8 block 4x8 asymmetric");
}

TEST(EveryScheme, CallsFunctionsThatOneTextDefines) {
  for (const Scheme* scheme : all_schemes()) {
    for (const QuantizedSpec& spec : specs_of(*scheme)) {
      SCOPED_TRACE(scheme_text(spec));
      const auto decoder = find_script_decoder(spec);
      if (!decoder) continue;
      std::vector<std::string> weight = argument_types(0, *decoder);
      add_constants(weight, decoder->weight);
      EXPECT_EQ(parameter_types(decoder->weight.function), weight);
      std::vector<std::string> embedding = argument_types(1, *decoder);
      embedding.emplace_back("int");
      add_constants(embedding, decoder->embedding);
      EXPECT_EQ(parameter_types(decoder->embedding.function), embedding);
      if (decoder->linear.empty()) continue;
      std::vector<std::string> linear = argument_types(1, *decoder);
      linear.emplace_back("Optional[Tensor]");
      EXPECT_EQ(parameter_types(decoder->linear), linear);
    }
  }
  const std::vector<std::string> anchor{"int", "Tensor"};
  EXPECT_EQ(parameter_types(script_library().anchor), anchor);
}

TEST(EveryScheme, HasTheTensorsThatTheCodeOfModulesTakes) {
  for (const Scheme* scheme : all_schemes()) {
    for (const QuantizedSpec& spec : specs_of(*scheme)) {
      const auto decoder = find_script_decoder(spec);
      if (!decoder) continue;
      const auto parts = kTorchscriptFormat.storage.layout->parts(spec);
      for (const std::string_view suffix : decoder->tensors) {
        if (scheme->book != nullptr && suffix == "_zero_point") continue;  // floats have none: the code gets None
        EXPECT_NE(std::ranges::find(parts, suffix, &StoredPart::suffix), parts.end()) << scheme->name << suffix;
      }
    }
  }
}

TEST(EveryScheme, StaysFloatsInAModuleThatCannotHoldIt) {
  const auto source = one_weight({4, 24}, normal_values(96, 1));
  Storage storage = kTorchscriptFormat.storage;
  storage.rule = [](const WeightRequest& request) {
    return WeightRule{.leaves_for = "no " + request.wanted.scheme + " here"};
  };
  for (const Scheme* scheme : all_schemes()) {
    if (!scheme->may_be_chosen) continue;
    const Settings settings = parse_settings(R"({"min_parameters": 0, "dtype": ")" + std::string(scheme->name) + "\"}");
    const Plan plan = make_plan(*source, Config(&settings, nullptr), storage);
    EXPECT_EQ(plan.tensors.at(0).action, Action::kCopy) << scheme->name;
    EXPECT_EQ(plan.tensors.at(0).reason, "no " + std::string(scheme->name) + " here");
  }
}

}  // namespace
}  // namespace mnq::test
