// Where a job's output goes.
#include "formats/memory.h"
#include "formats/safetensors.h"
#include "quantize/jobs.h"

namespace mnq {

Output file_output(const TensorSource& source, const std::string& path, const Config& config,
                   const RunControl& control) {
  const Format& format = output_format(path, source);
  const bool overwrite = resolve_job(config).overwrite;
  return {path, [&format, path, overwrite, &control](const std::vector<TensorInfo>& tensors, const Metadata& metadata) {
            return format.open_sink(tensors, metadata,
                                    file_bytes(path, overwrite, [&control] { return control.is_cancelled(); }));
          }};
}

Output memory_output(std::shared_ptr<const TensorSource>& model) {
  return {"", [&model](const std::vector<TensorInfo>& tensors, const Metadata&) {
            return open_memory_sink(tensors, model);
          }};
}

Output bytes_output(std::string& bytes) {
  return {"", [&bytes](const std::vector<TensorInfo>& tensors, const Metadata& metadata) {
            return open_safetensors_sink(tensors, metadata, string_bytes(bytes));
          }};
}

}  // namespace mnq
