#include "module/torchscript_uses.h"

#include "module/uses/script_runner.h"

namespace mnq {

// Hooks run beside the methods, and are gone through last.
ScriptUses find_script_uses(const ScriptTree& tree, const ScriptProgram& program) {
  ScriptFindings findings(tree);
  ScriptBudget budget;
  const ScriptCase of{tree, program, findings, budget};
  ScriptRunner runner(of);
  const ScriptClass* type = tree.class_of(tree.root());
  if (type == nullptr) return findings.conclude(budget.is_lost());
  ScriptValue self;
  self.object = tree.root();
  for (const bool is_hook : {false, true}) {
    for (const std::string_view name : type->methods) {
      if (type->hooks.contains(name) == is_hook) runner.call_by_root(type->code.at(name), name, self);
    }
  }
  return findings.conclude(budget.is_lost());
}

}  // namespace mnq
