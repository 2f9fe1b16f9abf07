// What the weights of experts are called that a model holds in one tensor, where a format's loaders want them
// otherwise. A row for each type of model whose loaders are known: shapes alone do not tell gate from up.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor_source.h"
#include "plan/plan.h"

namespace mnq {

/// The three weights of an expert. Some have no gate.
struct ExpertNames {
  std::string_view gate, up, down;
};

/// The module around experts where transformers 5, which calls it mlp, has another name than files and other loaders.
struct ExpertBlock {
  std::string_view name;
  std::string_view router;  ///< transformers' name of its gate
};

/// A type of models.
struct ExpertModel {
  std::string_view type;               ///< in config.json
  const ExpertNames* apart = nullptr;  ///< of X.experts.3.NAME.weight; null: nothing loads them one by one
  std::string_view stacked = "";       ///< of X.STACKED.gate_proj.weight; empty: mlx-lm knows no such model
  const ExpertBlock* block = nullptr;  ///< null: all loaders have one name
  bool is_for_vllm_only = false;       ///< transformers does not load them one by one
  bool is_interleaved = false;         ///< rows of gate and up take turns
  bool is_apart_as_codes = false;      ///< transformers loads them one by one where they are quantized, and no floats
  const ExpertNames* in_stack = nullptr;  ///< what mlx-lm calls them; null: gate_proj, up_proj and down_proj
};

/// Of the first type of the source's that is known; null: of none.
const ExpertModel* find_expert_model(const Companion* companion);

/// The module of stacks of a model's experts in MLX, where files may have them one by one; empty: mlx-lm has none of it.
std::string_view stacked_module(const Companion& companion);

/// All there are of X.experts.3.NAME.weight.
std::span<const ExpertNames> names_apart();

/// Of X.STACKED.NAME.weight. model: null: of one that is not known.
const ExpertNames& names_in_stack(const ExpertModel* model);

/// Whether a tensor [experts, out, in] of that name may be a stack as mlx-lm has them: gate and up apart.
bool is_stack_in_mlx(std::string_view tensor);

/// Whether transformers loads floats of experts one by one.
bool has_floats_apart(const ExpertModel& model);

/// That transformers does not load floats of experts as they lie in the source. Empty: it does, or there are none.
std::string note_on_float_experts(const TensorSource& source);

/// Adds what is to be said of a folder whose experts have codes one by one.
void add_note_on_experts(std::vector<std::string>& notes, const Plan& plan, const Companion* companion);

/// The same of GPTQ and AWQ, for which transformers has no quantized experts, whatever the model, and gptqmodel has
/// modules of one name: gate_proj, up_proj and down_proj.
void add_note_on_modules_of_experts(std::vector<std::string>& notes, const Plan& plan, const Companion* companion);

/// Adds what transformers calls those of the layers that lie beside experts, where that is otherwise: some of what reads
/// a config goes by these names.
void add_names_in_transformers(std::vector<std::string>& layers, const Companion* companion);

/// Why a tensor of all experts was not taken apart: to follow "and this is all experts in one tensor".
std::string reason_for_one_tensor(const Companion* companion);

}  // namespace mnq
