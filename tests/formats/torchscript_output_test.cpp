// A module that is written: what its writer hears of the host.
#include <gtest/gtest.h>

#include "base/error.h"
#include "formats/torchscript/torchscript.h"

namespace mnq {
namespace {

// An archive of five writes.
class FiveWrites final : public Module {
 public:
  const std::vector<ModuleTensor>& tensors() const override { return tensors_; }
  const std::map<std::string, std::string>& extra_files() const override { return files_; }
  const std::vector<std::string>& remarks() const override { return remarks_; }
  std::shared_ptr<const Module> change(const std::vector<WeightChange>&,
                                       std::map<std::string, std::string>) const override {
    return nullptr;
  }
  std::shared_ptr<const Module> fresh() const override { return nullptr; }
  void save(const std::function<void(std::span<const std::byte>)>& write) const override {
    const std::byte byte{65};
    for (int i = 0; i < 5; ++i) write({&byte, 1});
  }
  std::vector<ModuleValue> run(const std::string&, const std::vector<ModuleValue>&, bool) const override { return {}; }

 private:
  std::vector<ModuleTensor> tensors_;
  std::map<std::string, std::string> files_;
  std::vector<std::string> remarks_;
};

TEST(TorchscriptOutput, IsWrittenInOrder) {
  std::string out;
  write_torchscript(string_bytes(out), [] { return false; })(std::make_shared<FiveWrites>());
  EXPECT_EQ(out, "AAAAA");
}

TEST(TorchscriptOutput, StopsAtTheNextWriteAfterCancel) {
  for (int asked = 1; asked <= 6; ++asked) {  // before the first write, and at each of them
    std::string out;
    int left = asked;
    const TakeModule take = write_torchscript(string_bytes(out), [&] { return --left == 0; });
    try {
      take(std::make_shared<FiveWrites>());
      FAIL() << asked;
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Status::kCancelled);
    }
    EXPECT_EQ(out, "") << asked;
  }
}

}  // namespace
}  // namespace mnq
