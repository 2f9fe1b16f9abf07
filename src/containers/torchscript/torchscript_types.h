// Whether what a pickle holds is of the types that the code says. LibTorch puts values into the places of an object as
// they come, and its interpreter takes the third place of an object without asking which class it is of: a smaller
// object there is read beyond its end.
#pragma once

#include "containers/pickle/pickle.h"
#include "containers/torchscript/torchscript_program.h"

namespace mnq {

/// Every object has all attributes of its class, and they and all that they hold are of the types declared; lists and
/// dicts are of the types they are tagged with. The pickle was checked by check_torchscript_pickle. Errors: kFormat,
/// naming class and attribute.
void check_torchscript_types(const Pickle& pickle, const ScriptProgram& program);

/// Whether a value is an object of a class of modules.
bool is_module_object(const Pickle& pickle, const PickleValue& value, const ScriptProgram& program);

/// Of a value's tree, with what is shared in it counted as often as it is reached; no more than 2^40.
class PickleSizes {
 public:
  explicit PickleSizes(const Pickle& pickle) : pickle_(pickle), sizes_(pickle.values().size()) {}
  std::uint64_t of(PickleIndex root);

 private:
  const Pickle& pickle_;
  std::vector<std::uint64_t> sizes_;  // 0: not known yet
};

}  // namespace mnq
