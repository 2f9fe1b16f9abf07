// The pickles in a TorchScript file: which types and functions they may name, and that each tensor lies within its
// storage.
#pragma once

#include <functional>
#include <map>

#include "containers/pickle/pickle.h"
#include "containers/torchscript/torchscript_program.h"

namespace mnq {

/// What a pickle needs of its archive.
struct TorchScriptRecords {
  std::function<const std::uint64_t*(const std::string& key)> storage_size;  ///< null where there is no such record;
                                                                             ///< empty: storages are not loaded
  const ScriptProgram& program;
};

/// Errors: kFormat; kUnsupported. Adds each storage's key and size to the map.
void check_torchscript_pickle(const Pickle& pickle, const std::string& title, const std::string& record,
                              const TorchScriptRecords& records, std::map<std::string, std::uint64_t>& storages);

}  // namespace mnq
