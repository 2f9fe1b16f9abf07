// Where a job's output goes.
#include "formats/memory.h"
#include "formats/safetensors.h"
#include "formats/torchscript.h"
#include "quantize/jobs.h"

namespace mnq {

Output file_output(const TensorSource& source, const std::string& path, const Config& config,
                   const RunControl& control) {
  const Format& format = output_format(path, source);
  const bool overwrite = resolve_job(config).overwrite;
  return {path,
          [&, path, overwrite](const std::vector<TensorInfo>& tensors,
                               const Metadata& metadata) -> std::unique_ptr<TensorSink> {
            const OpenByteSink open = file_bytes(path, overwrite, [&control] { return control.is_cancelled(); });
            if (!format.is_module) return format.open_sink(tensors, metadata, open);
            return open_module_sink(*as_module_source(source), tensors, write_torchscript(open));
          }};
}

Output memory_output(const TensorSource& source, std::shared_ptr<const TensorSource>& model) {
  return {"", [&](const std::vector<TensorInfo>& tensors, const Metadata&) -> std::unique_ptr<TensorSink> {
            const ModuleSource* module = as_module_source(source);
            if (module == nullptr) return open_memory_sink(tensors, model);
            return open_module_sink(*module, tensors, [&model](std::shared_ptr<const Module> changed) {
              model = make_module_source(std::move(changed));
            });
          }};
}

Output bytes_output(const TensorSource& source, std::string& bytes) {
  return {"", [&](const std::vector<TensorInfo>& tensors, const Metadata& metadata) -> std::unique_ptr<TensorSink> {
            const ModuleSource* module = as_module_source(source);
            if (module == nullptr) return open_safetensors_sink(tensors, metadata, string_bytes(bytes));
            return open_module_sink(*module, tensors, write_torchscript(string_bytes(bytes)));
          }};
}

}  // namespace mnq
