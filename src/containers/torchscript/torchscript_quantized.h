// Modules that PyTorch quantized, in TorchScript files: their weights are packed into objects of C++ classes, which
// only LibTorch can run. What those were packed of stands in the pickles, and is read here as the tensors of a state
// dict. Nothing is made, and the code is not looked at.
#pragma once

#include <string>
#include <string_view>

#include "containers/torch_save/pytorch_objects.h"

namespace mnq {

/// Whether the pickle of a module, or of its constants, may name what PyTorch quantized: by its text, at once.
bool may_be_quantized(std::string_view pickle);

/// Whether it does.
bool is_quantized(const Pickle& pickle);

/// The tensors that objects hold, under the dotted names of a state dict; those of `constants.pkl`, of a frozen module,
/// as constants.c0 and so on. Adds to what is there; keys of storages get `folder` and a slash before them.
/// Errors: kFormat, kUnsupported as read_pytorch_objects; kUnsupported for objects of other C++ classes.
void add_module_tensors(const Pickle& pickle, const std::string& title, const std::string& record,
                        const std::string& folder, PytorchObjects& objects);

}  // namespace mnq
