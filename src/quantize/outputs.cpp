// Where a job's output goes.
#include "base/text/format.h"
#include "formats/choose_format.h"
#include "formats/format_table.h"
#include "formats/memory.h"
#include "formats/safetensors/safetensors.h"
#include "formats/torchscript/torchscript.h"
#include "quantize/jobs.h"

namespace mnq {
namespace {

Output folder_output(const TensorSource& source, const std::string& path, const Format& format, const JobSettings& job,
                     const RunControl& control) {
  const FolderSettings settings{job.overwrite, job.is_resumed, job.part, job.part_count};
  Output output{path, nullptr, format.storage,
                std::make_shared<FolderOutput>(path, format, source.companion(), settings,
                                               [&control] { return control.is_cancelled(); })};
  output.is_for_codes = format.is_for_codes;
  return output;
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

OutputForm output_form(const Config& config, const TensorSource& source) {
  const Format* format = find_format(config.find("format").value);
  if (format != nullptr) return {format->storage, format->is_module, format};
  if (source.as_module() != nullptr) return {kTorchscriptFormat.storage, true, nullptr};
  return {};
}

const TensorSource& planned_source(const TensorSource& source, bool makes_module) {
  const ModuleSource* module = makes_module ? source.as_module() : nullptr;
  return module == nullptr ? source : module->loaded();
}

bool planned_to_carry(const Config& config) {
  const Format* format = find_format(config.find("format").value);
  return format == nullptr || format->carries_members;
}

Output file_output(const TensorSource& source, const std::string& path, const Config& config,
                   const RunControl& control) {
  const Format& format = output_format(path, config.find("format").value, source);
  const JobSettings job = resolve_job(config);
  if (format.is_folder) return folder_output(source, path, format, job, control);
  require_no_folder_settings(config, path);
  const auto open = [&format, path, overwrite = job.overwrite](const SinkRequest& request) {
    return format.open_sink(request, file_bytes(path, overwrite, request.is_cancelled));
  };
  return {path, open, format.storage, nullptr, format.carries_members, format.is_module, format.is_for_codes};
}

Output memory_output(const TensorSource& source, std::shared_ptr<const TensorSource>& model) {
  if (source.as_module() == nullptr) {
    const auto open = [&model](const SinkRequest& request) { return open_memory_sink(request, model); };
    return {"", open, Storage{}, nullptr, false, false};
  }
  const auto open = [&model](const SinkRequest& request) {
    return open_module_sink(
        request, [&model](std::shared_ptr<const Module> changed) { model = make_module_source(std::move(changed)); });
  };
  return {"", open, kTorchscriptFormat.storage, nullptr, false, true};
}

Output bytes_output(const TensorSource& source, const Config& config, std::string& bytes) {
  return host_output(source, config, string_bytes(bytes));
}

Output host_output(const TensorSource& source, const Config& config, OpenByteSink open_bytes) {
  const bool is_module = source.as_module() != nullptr;
  const std::string wanted = config.find("format").value;
  const Format& natural = is_module ? kTorchscriptFormat : kSafetensorsFormat;
  const Format& format = wanted == "auto" ? natural : *find_format(wanted);
  if (format.is_folder || (format.is_module && !is_module)) {
    throw Error(Status::kUnsupported,
                formatted("{} cannot be written as one stream of bytes from {}", format.name, source.title()),
                "choose safetensors, pytorch or gguf, or write to a path", "format");
  }
  const auto open = [&format, open_bytes = std::move(open_bytes)](const SinkRequest& request) {
    return format.open_sink(request, open_bytes);
  };
  return {"", open, format.storage, nullptr, format.carries_members, format.is_module, format.is_for_codes};
}

}  // namespace mnq
