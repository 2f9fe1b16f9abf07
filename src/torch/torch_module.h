// A TorchScript module held open.
#pragma once

#include <array>
#include <mutex>

#include "torch/clone_module.h"
#include "torch/graph/weight_uses.h"

namespace mnq::libtorch {

class TorchModule final : public mnq::Module {
 public:
  /// older_units: whose functions and classes the module's code still uses.
  TorchModule(ObjectPtr root, std::vector<UnitPtr> units, std::map<std::string, std::string> extra_files);
  ~TorchModule() override;

  const std::vector<ModuleTensor>& tensors() const override { return tensors_; }
  const std::map<std::string, std::string>& extra_files() const override { return extra_files_; }
  const std::vector<std::string>& remarks() const override { return remarks_; }
  std::shared_ptr<const mnq::Module> change(const std::vector<WeightChange>& changes,
                                            std::map<std::string, std::string> extra_files) const override;
  std::shared_ptr<const mnq::Module> fresh() const override;
  void save(const std::function<void(std::span<const std::byte>)>& write) const override;
  std::vector<ModuleValue> run(const std::string& method, const std::vector<ModuleValue>& inputs,
                               bool integer_linear) const override;

 private:
  TorchModule(const TorchModule& other);  // without what ran
  void list_tensors();
  void remark_containers();
  ObjectPtr running_copy(bool integer_linear) const;

  ObjectPtr root_;
  std::vector<UnitPtr> units_;
  std::map<std::string, std::string> extra_files_;
  ModuleTree tree_;
  WeightUses uses_;
  std::vector<ModuleTensor> tensors_;
  std::vector<std::string> remarks_;

  // What runs: private copies, made when first asked for, in floats and in integers. A stateful module keeps its state
  // there, which goes from one to the other, and runs one call at a time.
  mutable std::mutex making_;
  mutable std::array<ClonedModule, 2> running_;
  mutable ObjectPtr last_run_;
  mutable std::mutex stateful_;
};

}  // namespace mnq::libtorch
