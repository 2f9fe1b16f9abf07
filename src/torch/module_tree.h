// The objects of a module and the tensors in them, with their names.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "torch/libtorch.h"

namespace mnq::libtorch {

/// An attribute of one module object.
struct Place {
  c10::ivalue::Object* object = nullptr;
  std::string attribute;
  std::string name;  ///< dotted, from the root
};

/// A tensor of the module and all the places that hold it. Two tensors are the same where storage, offset, sizes and
/// strides are.
struct TreeTensor {
  at::Tensor tensor;
  std::vector<Place> places;  ///< the first one names it
};

/// An attribute that is a list of tensors, each held by another attribute of the same object: nn.LSTM's _flat_weights.
struct TensorList {
  std::string attribute;
  std::vector<std::string> members;
};

/// An attribute that holds tensors in a tuple, list, dict or an object of a script class.
struct Container {
  Place place;
  std::vector<at::Tensor> tensors;
};

struct ModuleTree {
  std::vector<TreeTensor> tensors;                              ///< in the order of the attributes, depth first
  std::unordered_map<c10::ivalue::Object*, std::string> names;  ///< of the module objects, by the first way to them
  std::unordered_map<c10::ivalue::Object*, std::vector<TensorList>> lists;
  std::vector<Container> containers;  ///< all others
};

/// Errors: kUnsupported for more places.
ModuleTree walk_module(const ObjectPtr& root);

/// Whether the value is a module object.
bool is_module_object(const c10::IValue& value);

/// The tensors in a value of any kind.
std::vector<at::Tensor> tensors_in(const c10::IValue& value);

bool is_same_tensor(const at::Tensor& a, const at::Tensor& b);

}  // namespace mnq::libtorch
