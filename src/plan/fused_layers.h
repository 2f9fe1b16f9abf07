// Layers that vLLM and others make one of when they load a model: query, key and value of an attention, gate and up of
// an MLP. The one layer has one global scale, so that weights with scales in two levels must have it in common.
// Source: llmcompressor/entrypoints/model_free/microscale.py
#pragma once

#include "plan/plan.h"

namespace mnq {

/// Sets `fused` of the weights that get a global scale, which then is made for the largest value of them all.
void find_fused_layers(Plan& plan);

}  // namespace mnq
