// What transformers' models ask of a compressed-tensors folder beyond its format, by what their config.json says.
// companion: of the source; null, or without a config, it asks for nothing.
// Source: transformers 5.17, models/*/modeling_*.py and conversion_mapping.py
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/tensor_source.h"

namespace mnq {

/// Module names of output heads, Linear layers that may share the embedding's weight.
std::vector<std::string> output_heads(const Companion* companion);

/// Whether the name is the module's, alone or behind a prefix: "language_model.lm_head" for "lm_head".
bool is_module(std::string_view name, std::string_view module);

/// Whether the model reads X.weight of its Linear layers while it is built: then none of them can be packed.
bool needs_plain_weights(const Companion* companion);

/// Adds that transformers takes no packed weights of this model, where that is so.
void add_note_on_plain_models(std::vector<std::string>& notes, const Companion* companion);

/// Whether modules have other names than the tensors of the file: then a config that names layers misses them.
bool renames_modules(const Companion* companion);

}  // namespace mnq
