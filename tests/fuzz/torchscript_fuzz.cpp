// Any text as the code of a module, and any bytes as its pickle: an error of ours, or sound, never a crash and no more time
// or memory than the input's size justifies. The input: code, a zero byte, and a pickle; code alone where there is no zero.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "containers/torchscript/torchscript_bounds.h"
#include "containers/torchscript/torchscript_pickle.h"
#include "containers/torchscript/torchscript_types.h"

namespace mnq {
namespace {

void check_everything(const std::string& input) {
  const std::size_t end = input.find('\0');
  ScriptProgram program;
  program.add("__torch__", ScriptCode(input.substr(0, end), "fuzz", "code/__torch__.py"));
  program.check();
  program.measure();
  check_script_bounds(program, {0, 1, 5}, input.size());
  if (end == input.npos) return;
  const std::string bytes = input.substr(end + 1);
  const Pickle pickle(bytes, "fuzz", "data.pkl");
  std::map<std::string, std::uint64_t> storages;
  check_torchscript_pickle(pickle, "fuzz", "data.pkl", {{}, program}, storages);
  check_torchscript_types(pickle, program);
  PickleSizes sizes(pickle);
  for (PickleIndex i = 0; i < pickle.values().size(); ++i) sizes.of(i);
}

}  // namespace
}  // namespace mnq

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    mnq::check_everything(std::string(reinterpret_cast<const char*>(data), size));
  } catch (const mnq::Error& error) {
    if (error.status() == mnq::Status::kInternal) std::abort();
  }
  return 0;
}
