// Where a job's output goes.
#include "base/format.h"
#include "formats/memory.h"
#include "formats/safetensors/safetensors.h"
#include "formats/torchscript/torchscript.h"
#include "quantize/jobs.h"

namespace mnq {
namespace {

const Format* find_named_format(const std::string& name) {
  for (const Format& format : all_formats()) {
    if (format.name == name) return &format;
  }
  return nullptr;
}

Output folder_output(const TensorSource& source, const std::string& path, const Format& format, const JobSettings& job,
                     const RunControl& control) {
  const FolderSettings settings{job.overwrite, job.is_resumed, job.part, job.part_count};
  return {path, nullptr, format.fit,
          std::make_shared<FolderOutput>(path, format, source.companion(), settings,
                                         [&control] { return control.is_cancelled(); })};
}

// What only folders follow.
void require_no_folder_settings(const Config& config, const std::string& path) {
  for (const char* key : {"max_shard_size", "shard", "resume"}) {
    const FoundValue found = config.find(key);
    if (found.source == ValueSource::kDefault || found.value == "auto" || found.value == "false") continue;
    throw Error(Status::kConfig, formatted("{}: is a file, and {} has a meaning for folders only", path, key),
                "leave it unset, or end the output's name in /", key);
  }
}

}  // namespace

OutputForm output_form(const Config& config) {
  const Format* format = find_named_format(config.find("format").value);
  if (format == nullptr) return {nullptr, true};
  return {format->fit, format->is_module};
}

const TensorSource& planned_source(const TensorSource& source, bool makes_module) {
  const ModuleSource* module = makes_module ? as_module_source(source) : nullptr;
  return module == nullptr ? source : module->loaded();
}

bool planned_to_carry(const Config& config) {
  const Format* format = find_named_format(config.find("format").value);
  return format == nullptr || format->carries_members;
}

Output file_output(const TensorSource& source, const std::string& path, const Config& config,
                   const RunControl& control) {
  const Format& format = output_format(path, config.find("format").value, source);
  const JobSettings job = resolve_job(config);
  if (format.is_folder) return folder_output(source, path, format, job, control);
  require_no_folder_settings(config, path);
  return {path,
          [&, path, overwrite = job.overwrite](const std::vector<TensorInfo>& tensors,
                                               const Metadata& metadata) -> std::unique_ptr<TensorSink> {
            const auto is_cancelled = [&control] { return control.is_cancelled(); };
            const OpenByteSink open = file_bytes(path, overwrite, is_cancelled);
            if (!format.is_module) return format.open_sink({tensors, metadata, source.companion()}, open);
            return open_module_sink(as_module_source(source)->loaded(), tensors, write_torchscript(open, is_cancelled));
          },
          format.fit,
          nullptr,
          format.carries_members,
          format.is_module};
}

Output memory_output(const TensorSource& source, std::shared_ptr<const TensorSource>& model) {
  return {"",
          [&](const std::vector<TensorInfo>& tensors, const Metadata&) -> std::unique_ptr<TensorSink> {
            const ModuleSource* module = as_module_source(source);
            if (module == nullptr) return open_memory_sink(tensors, model);
            return open_module_sink(module->loaded(), tensors, [&model](std::shared_ptr<const Module> changed) {
              model = make_module_source(std::move(changed));
            });
          },
          nullptr,
          nullptr,
          false,
          as_module_source(source) != nullptr};
}

Output bytes_output(const TensorSource& source, const Config& config, const RunControl& control, std::string& bytes) {
  const ModuleSource* module = as_module_source(source);
  const std::string wanted = config.find("format").value;
  const std::string natural = module == nullptr ? "safetensors" : "torchscript";
  const Format& format = *find_named_format(wanted == "auto" ? natural : wanted);
  if (format.is_folder || (format.is_module && module == nullptr)) {
    throw Error(Status::kUnsupported, formatted("{} cannot be written to memory from {}", format.name, source.title()),
                "choose safetensors, pytorch or gguf, or write to a path", "format");
  }
  return {"",
          [&, module](const std::vector<TensorInfo>& tensors, const Metadata& metadata) -> std::unique_ptr<TensorSink> {
            if (!format.is_module) {
              return format.open_sink({tensors, metadata, source.companion()}, string_bytes(bytes));
            }
            const auto is_cancelled = [&control] { return control.is_cancelled(); };
            return open_module_sink(module->loaded(), tensors, write_torchscript(string_bytes(bytes), is_cancelled));
          },
          format.fit,
          nullptr,
          format.carries_members,
          format.is_module};
}

}  // namespace mnq
