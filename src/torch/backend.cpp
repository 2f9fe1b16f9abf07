// The entry of libmono_quant_torch: what the core calls once it has loaded it.
#include <dlfcn.h>

#include "base/own_stack.h"
#include "base/text/format.h"
#include "base/version.h"
#include "module/backend.h"
#include "torch/errors.h"
#include "torch/graph/integer_layers.h"
#include "torch/graph/stock_functions.h"
#include "torch/torch_module.h"

extern "C" std::uint64_t aoti_torch_abi_version();

namespace mnq::libtorch {
namespace {

// The archive's bytes, for LibTorch's reader.
class Adapter final : public caffe2::serialize::ReadAdapterInterface {
 public:
  explicit Adapter(std::shared_ptr<const ByteSource> bytes) : bytes_(std::move(bytes)) {}
  std::size_t size() const override { return bytes_->size(); }
  std::size_t read(std::uint64_t position, void* buffer, std::size_t count, const char* /*what*/) const override {
    if (position >= bytes_->size()) return 0;
    count = std::min<std::size_t>(count, bytes_->size() - position);
    on_host_stack([&] { bytes_->read(position, {static_cast<std::byte*>(buffer), count}); });  // it may be the host's
    return count;
  }

 private:
  std::shared_ptr<const ByteSource> bytes_;
};

class TorchBackend final : public Backend {
 public:
  std::string libtorch_version() const override { return TORCH_VERSION; }

  std::shared_ptr<const mnq::Module> load(std::shared_ptr<const ByteSource> bytes,
                                          const std::vector<std::string>& extra_files) const override {
    std::shared_ptr<const mnq::Module> result;
    guarded(Status::kFormat, title_of(bytes->path()), [&] {
      jit::ExtraFilesMap files;
      for (const std::string& name : extra_files) files[name] = "";
      const jit::Module module =
          jit::load(std::make_shared<Adapter>(bytes), at::Device(at::kCPU), files, /*load_debug_files=*/true);
      result =
          std::make_shared<TorchModule>(module._ivalue(), std::vector<UnitPtr>{module._ivalue()->compilation_unit()},
                                        std::map<std::string, std::string>(files.begin(), files.end()));
    });
    return result;
  }
};

// The first two bytes are the major and the minor version.
std::string version_text(std::uint64_t abi_version) {
  return formatted("{}.{}", abi_version >> 56, abi_version >> 48 & 255);
}

std::string other_libtorch(std::uint64_t found) {
  Dl_info info{};
  const bool is_known = ::dladdr(reinterpret_cast<const void*>(&aoti_torch_abi_version), &info) != 0;
  return formatted("it was built for LibTorch {} and finds {} in {}", version_text(TORCH_ABI_VERSION),
                   version_text(found), is_known ? info.dli_fname : "a file unknown");
}

}  // namespace
}  // namespace mnq::libtorch

extern "C" {

__attribute__((visibility("default"))) const char* mono_quant_torch_version() { return mnq::kVersion; }

__attribute__((visibility("default"))) const mnq::Backend* mono_quant_torch_backend(const mnq::IntegerKernels* kernels,
                                                                                    const mnq::ScriptLibrary* library,
                                                                                    std::string* refusal) {
  if (aoti_torch_abi_version() >> 48 != TORCH_ABI_VERSION >> 48) {
    *refusal = mnq::libtorch::other_libtorch(aoti_torch_abi_version());
    return nullptr;
  }
  mnq::libtorch::register_integer_layers(*kernels);
  mnq::libtorch::register_stock_functions(*library);
  static const mnq::libtorch::TorchBackend backend;
  return &backend;
}
}
