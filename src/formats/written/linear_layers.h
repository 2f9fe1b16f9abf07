// Folders of tools that quantize Linear layers only: which weights those are, and what became of them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/text/json.h"
#include "plan/plan.h"

namespace mnq {

/// Why a weight stays float, or becomes it, where only Linear layers are held, and output heads among them where they
/// are selected; empty: it need not. title: of the format.
std::string reason_to_stay_float(std::string_view title, const WeightRequest& request);

/// The same where transformers cuts the weight in parts for several modules.
std::string reason_against_split(const WeightRequest& request);

/// A layer whose weight has codes in the output.
struct CodedLayer {
  std::string name;
  const PlannedTensor* planned = nullptr;

  const QuantizedSpec& spec() const { return planned->spec; }
};

/// The Linear layers of a plan, which must outlive it.
struct LinearLayers {
  std::vector<CodedLayer> coded;
  std::vector<std::string> left;  ///< as they are
};
LinearLayers find_linear_layers(const Plan& plan);

/// Whether it is a matrix of floats of 8 bits without scales: what reads a quantized folder looks for them, but where its
/// config leaves the layer.
bool is_plain_float8(const LogicalTensor& tensor);

/// What a config lists as not quantized: those that are left, and heads that share another weight.
std::vector<std::string> names_left(const LinearLayers& layers, const Companion* companion);

/// Whether the layer is an output head of the model.
bool is_output_head(std::string_view layer, const Companion* companion);

/// Adds what is to be said of output heads that have codes, which not all loaders of GPTQ's and AWQ's folders look for.
void add_note_on_heads(std::vector<std::string>& notes, const LinearLayers& layers, const Companion* companion);

/// What most layers have; layers: settings of each, one at least.
Json most_frequent(std::span<const Json> layers);

/// A regular expression for the name alone, from its start on.
std::string pattern_of_name(std::string_view name);

/// Adds to a config's `dynamic`, by which gptqmodel goes, the layers that are left. Heads are left without it.
void add_rules_for_left(Json& dynamic, const LinearLayers& layers, const Companion* companion);

}  // namespace mnq
