// The jobs: quantize, dequantize, compare, validate.
#include "base/text/format.h"
#include "formats/folder/output/folder_output.h"
#include "formats/open_source.h"
#include "guard.h"
#include "handles.h"
#include "quantize/jobs.h"
#include "quantize/module_jobs.h"
#include "quantize/one_tensor.h"

using namespace mnq;
using namespace mnq::capi;

namespace {

// Called last: after it nothing can fail.
void give_report(mnq_report** out, std::unique_ptr<mnq_report> report) {
  if (out != nullptr) *out = report.release();
}

std::unique_ptr<mnq_report> own(Report report) {
  return std::make_unique<mnq_report>(mnq_report{{}, std::move(report)});
}

void quantize_source_to_file(const TensorSource& source, const char* output_path, Call& call, mnq_report** report) {
  const Output output = file_output(source, require(output_path, "output_path"), call.config(), call.control());
  give_report(report, own(quantize(source, call.config(), call.control(), output)));
}

// A job from a file to a file, with the settings of a run.
mnq_status run_on_file(decltype(convert)* job, const char* input_path, const char* output_path, mnq_run* run,
                       mnq_report** report, mnq_error** error) {
  return guarded(error, [&] {
    clear(report);
    Call call(nullptr, run);
    const auto source = open_source(require(input_path, "input_path"), open_settings(call.config()));
    const Output output = file_output(*source, require(output_path, "output_path"), call.config(), call.control());
    give_report(report, own(job(*source, call.config(), call.control(), output)));
  });
}

TensorParts parts_of(const mnq_values& values) {
  TensorParts parts;
  for (const ModuleValue& value : values.values) {
    if (const auto* tensor = std::get_if<Tensor>(&value.value)) {
      parts.tensors.push_back({value.name, *tensor});
    } else if (const auto* text = std::get_if<std::string>(&value.value); text && value.name == kMetadataKey) {
      parts.description = *text;
    } else {
      throw Error(Status::kInvalidArg, formatted("'{}' is no part of a quantized tensor", value.name),
                  "pass what mnq_tensor_quantize gave", value.name);
    }
  }
  return parts;
}

}  // namespace

mnq_status mnq_quantize(const mnq_model* model, const mnq_config* config, mnq_run* run, mnq_model** out,
                        mnq_report** report, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(report);
    clear(require(out, "out"));
    Call call(config, run);
    auto result = std::make_unique<mnq_model>();
    give_report(report, own(quantize(*require(model, "model")->source, call.config(), call.control(),
                                     memory_output(*require(model, "model")->source, result->source))));
    *out = result.release();
  });
}

mnq_status mnq_quantize_file(const char* input_path, const char* output_path, const mnq_config* config, mnq_run* run,
                             mnq_report** report, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(report);
    Call call(config, run);
    const auto source = open_source(require(input_path, "input_path"), open_settings(call.config()));
    quantize_source_to_file(*source, output_path, call, report);
  });
}

mnq_status mnq_quantize_to_file(const mnq_model* model, const char* output_path, const mnq_config* config, mnq_run* run,
                                mnq_report** report, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(report);
    Call call(config, run);
    quantize_source_to_file(*require(model, "model")->source, output_path, call, report);
  });
}

mnq_status mnq_quantize_to_writer(const mnq_model* model, mnq_writer* writer, const mnq_config* config, mnq_run* run,
                                  mnq_report** report, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(report);
    Call call(config, run);
    const TensorSource& source = *require(model, "model")->source;
    const WriterUse use(writer);
    const Output output = host_output(source, call.config(), use.bytes());
    give_report(report, own(quantize(source, call.config(), call.control(), output)));
  });
}

mnq_status mnq_plan(const mnq_model* model, const mnq_config* config, const mnq_run* run, mnq_report** report,
                    mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(report, "report"));
    give_report(report, own(plan_quantize(*require(model, "model")->source, settings_of(config, run))));
  });
}

mnq_status mnq_dequantize(const mnq_model* model, mnq_run* run, mnq_model** out, mnq_report** report,
                          mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(report);
    clear(require(out, "out"));
    Call call(nullptr, run);
    auto result = std::make_unique<mnq_model>();
    give_report(report, own(dequantize(*require(model, "model")->source, call.config(), call.control(),
                                       memory_output(*require(model, "model")->source, result->source))));
    *out = result.release();
  });
}

mnq_status mnq_dequantize_file(const char* input_path, const char* output_path, mnq_run* run, mnq_report** report,
                               mnq_error** error) noexcept {
  return run_on_file(dequantize, input_path, output_path, run, report, error);
}

mnq_status mnq_dequantize_to_writer(const mnq_model* model, mnq_writer* writer, mnq_run* run, mnq_report** report,
                                    mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(report);
    Call call(nullptr, run);
    const TensorSource& source = *require(model, "model")->source;
    const WriterUse use(writer);
    const Output output = host_output(source, call.config(), use.bytes());
    give_report(report, own(dequantize(source, call.config(), call.control(), output)));
  });
}

mnq_status mnq_convert_file(const char* input_path, const char* output_path, mnq_run* run, mnq_report** report,
                            mnq_error** error) noexcept {
  return run_on_file(convert, input_path, output_path, run, report, error);
}

mnq_status mnq_merge_folder(const char* output_path, mnq_run* run, mnq_error** error) noexcept {
  return guarded(error, [&] {
    Call call(nullptr, run);
    const auto notes = merge_folder(require(output_path, "output_path"), resolve_job(call.config()).overwrite,
                                    [&call] { return call.control().is_cancelled(); });
    for (const std::string& note : notes) call.control().log(LogLevel::kWarning, note);
  });
}

mnq_status mnq_compare(const mnq_model* reference, const mnq_model* other, mnq_run* run, mnq_report** report,
                       mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(report, "report"));
    Call call(nullptr, run);
    give_report(report, own(compare(*require(reference, "reference")->source, *require(other, "other")->source,
                                    call.config(), call.control())));
  });
}

mnq_status mnq_compare_file(const char* reference_path, const char* other_path, mnq_run* run, mnq_report** report,
                            mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(report, "report"));
    Call call(nullptr, run);
    const SourcePair pair = open_sources(require(reference_path, "reference_path"), require(other_path, "other_path"),
                                         open_settings(call.config()));
    give_report(report, own(compare(*pair.first, *pair.second, call.config(), call.control())));
  });
}

mnq_status mnq_validate_file(const char* path, const char* original_path, mnq_run* run, mnq_report** report,
                             mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(report, "report"));
    Call call(nullptr, run);
    const SourcePair pair = open_sources(require(path, "path"), original_path, open_settings(call.config()));
    give_report(report, own(validate_model(*pair.first, pair.second.get(), nullptr, call.config(), call.control())));
  });
}

mnq_status mnq_tensor_quantize(const mnq_tensor* tensor, const char* name, const char* kind, const mnq_config* config,
                               mnq_run* run, mnq_values** parts, mnq_report** report, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(report);
    clear(require(parts, "parts"));
    Call call(config, run);
    auto values = std::make_unique<mnq_values>();
    QuantizedTensor made =
        quantize_tensor(name == nullptr ? "weight" : name, require(tensor, "tensor")->tensor, text_or_empty(kind),
                        settings_in(config, "config"), settings_in(run, "run"), call.control());
    for (NamedTensor& part : made.parts.tensors) {
      values->values.push_back({std::move(part.name), std::move(part.tensor)});
    }
    if (!made.parts.description.empty()) {
      values->values.push_back({std::string(kMetadataKey), std::move(made.parts.description)});
    }
    give_report(report, own(std::move(made.report)));
    *parts = values.release();
  });
}

mnq_status mnq_tensor_dequantize(const mnq_values* parts, mnq_run* run, mnq_tensor** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    Call call(nullptr, run);
    *out = new mnq_tensor{{}, dequantize_tensor(parts_of(*require(parts, "parts")), call.config(), call.control())};
  });
}
