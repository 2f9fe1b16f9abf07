// jobs.hpp - part of mono_quant.hpp: quantize, dequantize, convert, compare and validate.
#ifndef MONO_QUANT_JOBS_HPP
#define MONO_QUANT_JOBS_HPP

#include <filesystem>
#include <optional>
#include <string>

#include "config.hpp"
#include "handle.hpp"
#include "model.hpp"
#include "mono_quant.h"
#include "report.hpp"
#include "run.hpp"
#include "values.hpp"

namespace mono_quant {

/// A new model, and what it cost.
struct Quantized {
  Model model;
  Report report;
};

namespace detail {

/// A job whose last argument before the error is a report.
template <class Function, class... Arguments>
Report report_of(Run* run, Function function, Arguments... arguments) {
  mnq_report* handle = nullptr;
  call_job(run, function, arguments..., &handle);
  Report report(handle);
  rethrow(run);
  return report;
}

/// As report_of, for a job that makes a model besides.
template <class Function, class... Arguments>
Quantized model_of(Run* run, Function function, Arguments... arguments) {
  mnq_model* model = nullptr;
  mnq_report* report = nullptr;
  call_job(run, function, arguments..., &model, &report);
  Quantized result{Model(model), Report(report)};
  rethrow(run);
  return result;
}

}  // namespace detail

/// Quantizes a model into a new one in memory.
inline Quantized quantize(const Model& model, const Config& config = {}, Run* run = nullptr) {
  return detail::model_of(run, mnq_quantize, model.get(), config.get(), detail::handle(run));
}

/// Quantizes a file, or an open model, to a file, within memory_budget bytes whatever its size.
inline Report quantize_file(const std::filesystem::path& input, const std::filesystem::path& output,
                            const Config& config = {}, Run* run = nullptr) {
  return detail::report_of(run, mnq_quantize_file, detail::c_text(input), detail::c_text(output), config.get(),
                           detail::handle(run));
}
inline Report quantize_to_file(const Model& model, const std::filesystem::path& output, const Config& config = {},
                               Run* run = nullptr) {
  return detail::report_of(run, mnq_quantize_to_file, model.get(), detail::c_text(output), config.get(),
                           detail::handle(run));
}

inline Report quantize_to(const Model& model, Writer& writer, const Config& config = {}, Run* run = nullptr) {
  return detail::report_of(run, mnq_quantize_to_writer, model.get(), writer.get(), config.get(), detail::handle(run));
}

/// What quantize would do: no weight is read, so there is no accuracy.
inline Report plan(const Model& model, const Config& config = {}, const Run* run = nullptr) {
  return Report(detail::make<mnq_report>(mnq_plan, model.get(), config.get(), detail::handle(run)));
}

/// Turns quantized tensors back into floats of the dtype they came from.
inline Quantized dequantize(const Model& model, Run* run = nullptr) {
  return detail::model_of(run, mnq_dequantize, model.get(), detail::handle(run));
}
inline Report dequantize_file(const std::filesystem::path& input, const std::filesystem::path& output,
                              Run* run = nullptr) {
  return detail::report_of(run, mnq_dequantize_file, detail::c_text(input), detail::c_text(output),
                           detail::handle(run));
}

inline Report dequantize_to(const Model& model, Writer& writer, Run* run = nullptr) {
  return detail::report_of(run, mnq_dequantize_to_writer, model.get(), writer.get(), detail::handle(run));
}

/// One tensor by itself: the parts that a file would have of it, codes first, and what they are.
struct QuantizedTensor {
  Values parts;
  Report report;
};

/// name and kind: of the layer it is of; empty: "weight", and what its rank says.
inline QuantizedTensor quantize_tensor(const Tensor& tensor, const std::string& name = {}, const std::string& kind = {},
                                       const Config& config = {}, Run* run = nullptr) {
  mnq_values* parts = nullptr;
  mnq_report* report = nullptr;
  detail::call_job(run, mnq_tensor_quantize, tensor.get(), name.empty() ? nullptr : detail::c_text(name),
                   kind.empty() ? nullptr : detail::c_text(kind), config.get(), detail::handle(run), &parts, &report);
  QuantizedTensor made{Values(parts), Report(report)};
  detail::rethrow(run);
  return made;
}
inline Tensor dequantize_tensor(const Values& parts, Run* run = nullptr) {
  mnq_tensor* tensor = nullptr;
  detail::call_job(run, mnq_tensor_dequantize, parts.get(), detail::handle(run), &tensor);
  Tensor floats(tensor);
  detail::rethrow(run);
  return floats;
}

/// Writes a checkpoint in another format; what that cannot hold is quantized anew or becomes floats, and the report
/// says so.
inline Report convert_file(const std::filesystem::path& input, const std::filesystem::path& output,
                           Run* run = nullptr) {
  return detail::report_of(run, mnq_convert_file, detail::c_text(input), detail::c_text(output), detail::handle(run));
}

/// Puts together a folder whose parts were made with the key `shard`.
inline void merge_folder(const std::filesystem::path& output, Run* run = nullptr) {
  detail::call(mnq_merge_folder, detail::c_text(output), detail::handle(run));
}

/// The accuracy of each tensor of `other` against the one of the same name in `reference`.
inline Report compare(const Model& reference, const Model& other, Run* run = nullptr) {
  return detail::report_of(run, mnq_compare, reference.get(), other.get(), detail::handle(run));
}

inline Report compare_file(const std::filesystem::path& reference, const std::filesystem::path& other,
                           Run* run = nullptr) {
  return detail::report_of(run, mnq_compare_file, detail::c_text(reference), detail::c_text(other),
                           detail::handle(run));
}

/// What is wrong with a file is in the report: problems(), number("valid").
inline Report validate_file(const std::filesystem::path& path,
                            const std::optional<std::filesystem::path>& original = {}, Run* run = nullptr) {
  return detail::report_of(run, mnq_validate_file, detail::c_text(path), original ? detail::c_text(*original) : nullptr,
                           detail::handle(run));
}

/// Checks a module by saving it, loading that, and running both: problems(), number("valid"), and against an original
/// number("output_sqnr_db").
inline Report validate(const Model& model, const Model* original = nullptr, const Values* inputs = nullptr,
                       Run* run = nullptr) {
  return detail::report_of(run, mnq_model_validate, model.get(), original == nullptr ? nullptr : original->get(),
                           inputs == nullptr ? nullptr : inputs->get(), detail::handle(run));
}

}  // namespace mono_quant

#endif  // MONO_QUANT_JOBS_HPP
