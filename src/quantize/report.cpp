#include "quantize/report.h"

#include <cmath>
#include <utility>

#include "base/text/format.h"
#include "base/text/utf8.h"
#include "base/version.h"
#include "containers/archive_error.h"
#include "plan/foreign_tensors.h"
#include "quantize/job_parts.h"

namespace mnq {
namespace {

Json text_or_null(std::string_view text) { return text.empty() ? Json(nullptr) : Json(text); }

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

SpecFields fields_of(const QuantizedSpec& spec) {
  const bool has_groups = spec.granularity == Granularity::kGroup;
  return {code_bits(spec), is_coded(spec), spec.symmetric, has_groups ? spec.group_size : 0, spec.channel_axis};
}

void set_fields(Json& object, const SpecFields& fields) {
  object["bits"] = fields.code_bits;
  if (!fields.is_coded) return;
  object["symmetric"] = fields.symmetric;
  if (fields.group_size > 0) object["group_size"] = fields.group_size;
  object["channel_axis"] = fields.channel_axis;
}

Json experts_json(const std::vector<Accuracy>& experts) {
  Json list = Json::array();
  for (const Accuracy& expert : experts) {
    Json object;
    Report::set_accuracy(object, expert);
    list.push_back(std::move(object));
  }
  return list;
}

std::string members_of(const TensorSource& source) {
  return source.companion() == nullptr ? std::string() : joined(source.companion()->members);
}

}  // namespace

void Accuracy::add(const kernels::ErrorSums& sums) {
  is_measured = true;
  signal += sums.signal;
  error += sums.error;
  max_error = std::max(max_error, sums.max_error);
}

double Accuracy::sqnr_db() const { return error == 0 ? INFINITY : 10 * std::log10(signal / error); }

ReportLayer::ReportLayer(const Layer& layer, const LogicalTensor& logical, std::string_view what_was_done)
    : name(layer.name.name),
      tensor(logical.name),
      ties(logical.ties),
      kind(layer.kind),
      role(role_of(layer)),
      dtype(logical.dtype),
      shape(logical.shape),
      action(what_was_done) {}

Json ReportLayer::json() const {
  Json object;
  object["name"] = name;
  object["tensor"] = tensor;
  object["kind"] = kind == nullptr ? Json(nullptr) : Json(kind->name);
  object["role"] = role;
  object["dtype"] = dtype_name(dtype);
  object["shape"] = shape;
  object["parameters"] = element_count(shape);
  object["action"] = action;
  for (const char* field : {"scheme", "bits", "symmetric", "group_size", "channel_axis"}) object[field] = nullptr;
  if (spec) set_fields(object, *spec);
  object["scheme"] = text_or_null(scheme);
  object["method"] = text_or_null(method);
  object["reason"] = text_or_null(reason);
  object["bytes_before"] = bytes_before ? Json(*bytes_before) : Json(nullptr);
  object["bytes_after"] = bytes_after ? Json(*bytes_after) : Json(nullptr);
  for (const char* field : {"sqnr_db", "exact", "max_error"}) object[field] = nullptr;
  if (accuracy.is_measured) Report::set_accuracy(object, accuracy);
  if (!accuracy.experts.empty()) object["experts"] = experts_json(accuracy.experts);
  if (exact) object["exact"] = *exact;
  object["ties"] = Json::array();
  for (const std::string& tie : ties) object["ties"].push_back(tie);
  if (outputs) object["outputs"] = *outputs;
  if (has_other) object["dtype_other"] = dtype_other ? Json(dtype_name(*dtype_other)) : Json(nullptr);
  return object;
}

Report::Report(std::string_view kind, const TensorSource* input, const std::string& output, std::uint32_t threads) {
  json_["schema_version"] = 1;
  json_["kind"] = kind;
  json_["library_version"] = kVersion;
  json_["isa"] = kernels::kernel_table().isa;
  json_["threads"] = threads;
  json_["input"] = input == nullptr ? Json(nullptr) : text_or_null(input->path());
  json_["output"] = text_or_null(output);
  json_["dry_run"] = false;
  json_["model"] = Json::object();
  json_["layers"] = Json::array();
  json_["warnings"] = Json::array();
  json_["remarks"] = Json::array();
}

void Report::set_spec(ReportLayer& layer, const QuantizedSpec& spec) {
  layer.scheme = kept(scheme_text(spec));
  layer.spec = fields_of(spec);
}

void Report::add_warning(std::string_view text) {
  warnings_.push_back(valid_utf8(text));
  json_["warnings"].push_back(warnings_.back());
}

void Report::add_remark(std::string_view text) { json_["remarks"].push_back(text); }

void Report::add_problem(const Problem& problem) {
  json_["problems"].push_back({{"tensor", text_or_null(problem.tensor)}, {"problem", problem.text}});
  problems_.push_back(
      valid_utf8(problem.tensor.empty() ? problem.text : formatted("{}: {}", problem.tensor, problem.text)));
}

void Report::set_accuracy(Json& object, const Accuracy& accuracy) {
  object["sqnr_db"] = number_or_null(accuracy.sqnr_db());
  object["exact"] = accuracy.error == 0;
  object["max_error"] = accuracy.max_error;
}

void Report::finish(double seconds) {
  json_["model"]["seconds"] = seconds;
  is_finished_ = true;
}

const Json& Report::json() const {
  if (!is_finished_) return json_;
  const std::lock_guard lock(made_->mutex);
  if (!made_->has_layers) {
    Json list = Json::array();
    for (const ReportLayer& layer : layers_) list.push_back(layer.json());
    json_["layers"] = std::move(list);
    made_->has_layers = true;
  }
  return json_;
}

Json& Report::json() { return const_cast<Json&>(std::as_const(*this).json()); }

// Layer by layer, so that there is never the JSON of all.
void Report::write_text(std::string& text) const {
  const char* before = "{";
  for (const auto& [name, value] : json_.members()) {
    text += before + Json(name).dump() + ":";
    before = ",";
    if (name != "layers") {
      text += value.dump();
      continue;
    }
    text += "[";
    for (std::size_t i = 0; i < layers_.size(); ++i) text += (i == 0 ? "" : ",") + layers_[i].json().dump();
    text += "]";
  }
  text += "}";
}

const std::string& Report::text() const {
  const std::lock_guard lock(made_->mutex);
  if (made_->text.empty()) {
    std::string text;
    write_text(text);
    made_->text = std::move(text);
  }
  return made_->text;
}

Report make_plan_report(std::string_view kind, Plan plan, const TensorSource& input, const std::string& output,
                        std::uint32_t threads) {
  Report report(kind, &input, output, threads);
  std::uint64_t parameters = 0, parameters_changed = 0, bytes_before = 0, bytes_after = 0;
  std::uint64_t counts[4] = {};
  report.layers().reserve(plan.tensors.size());
  for (PlannedTensor& planned : plan.tensors) {
    const LogicalTensor& tensor = plan.logical[planned.logical];
    ReportLayer& layer = report.layers().emplace_back(planned.layer, tensor, action_name(planned.action));
    const bool was_quantized = tensor.spec.has_value();
    if (planned.action != Action::kCopy || was_quantized)
      report.set_spec(layer, was_quantized && planned.action != Action::kQuantize ? *tensor.spec : planned.spec);
    if (planned.action == Action::kQuantize && !planned.keeps_scales) layer.method = planned.method->name;
    layer.reason = report.kept(std::move(planned.reason));
    const std::uint64_t before = stored_bytes(input, tensor);
    std::uint64_t after = 0;
    layer.outputs.emplace().reserve(planned.outputs.size());
    for (PlannedOutput& part : planned.outputs) {
      after += part.info.size_bytes;
      layer.outputs->push_back(std::move(part.info.name));
    }
    layer.bytes_before = before;
    layer.bytes_after = after;
    const std::uint64_t count = element_count(tensor.shape);
    parameters += count;
    if (planned.action != Action::kCopy) parameters_changed += count;
    bytes_before += before;
    bytes_after += after;
    ++counts[static_cast<std::size_t>(planned.action)];
    planned = {};
  }
  Json& model = report.json()["model"];
  model["parameters"] = parameters;
  model["parameters_quantized"] = parameters_changed;
  model["layers_quantized"] = counts[static_cast<std::size_t>(Action::kQuantize)];
  model["layers_cast"] = counts[static_cast<std::size_t>(Action::kCast)];
  model["layers_dequantized"] = counts[static_cast<std::size_t>(Action::kDequantize)];
  model["tensors_copied"] = counts[static_cast<std::size_t>(Action::kCopy)];
  model["bytes_before"] = bytes_before;
  model["bytes_after"] = bytes_after;
  model["compression_ratio"] =
      bytes_after == 0 ? Json(nullptr) : Json(static_cast<double>(bytes_before) / static_cast<double>(bytes_after));
  model["sqnr_db"] = nullptr;
  model["exact"] = nullptr;
  model["max_error"] = nullptr;
  for (const std::string& warning : plan.warnings) report.add_warning(warning);
  return report;
}

void warn_of_members(Report& report, const TensorSource& source, bool carries_members) {
  if (carries_members && source.companion() != nullptr && source.companion()->pytorch != nullptr) return;
  if (const std::string members = members_of(source); !members.empty()) {
    report.add_warning(formatted("left out what only a .pt can hold: {}", members));
  }
}

std::string describe_source(const TensorSource& source) {
  Json json;
  json["format"] = source.format();
  json["path"] = text_or_null(source.path());
  json["size_bytes"] = source.size_bytes();
  const std::vector<LogicalTensor>& logical = source.require_weights();
  std::uint64_t parameters = 0;
  for (const LogicalTensor& tensor : logical) parameters += element_count(tensor.shape);
  json["parameters"] = parameters;
  json["metadata"] = Json::object();
  for (const auto& [key, value] : source.metadata()) json["metadata"].add(key, value);
  json["remarks"] = source.remarks();
  if (const std::string members = members_of(source); !members.empty()) {
    json["remarks"].push_back(formatted("beside the tensors, and kept in a .pt only: {}", members));
  }
  if (const auto foreign = find_foreign_tensors(logical)) {
    json["remarks"].push_back(formatted("{}: it is shown as it is stored", foreign->text()));
  }
  json["tensors"] = Json::array();
  for (const TensorInfo& info : source.tensors()) {
    json["tensors"].push_back({{"name", info.name},
                               {"dtype", dtype_name(info.dtype)},
                               {"shape", info.shape},
                               {"size_bytes", info.size_bytes}});
  }
  json["quantized"] = Json::array();
  for (const LogicalTensor& tensor : logical) {
    if (!tensor.spec) continue;
    Json entry{{"tensor", tensor.name}, {"dtype", dtype_name(tensor.dtype)}, {"shape", tensor.shape}};
    for (const char* field : {"symmetric", "group_size", "channel_axis"}) entry[field] = nullptr;
    entry["scheme"] = scheme_text(*tensor.spec);
    const Layout& layout = *tensor.layout;
    entry["kind"] = layout.kind_name == nullptr ? layout.name : layout.kind_name(*tensor.spec);
    set_fields(entry, fields_of(*tensor.spec));
    entry["sqnr_db"] = tensor.sqnr_db ? number_or_null(*tensor.sqnr_db) : Json(nullptr);
    entry["tensors"] = Json::array();
    for (const std::size_t part : tensor.parts) entry["tensors"].push_back(source.tensors()[part].name);
    json["quantized"].push_back(std::move(entry));
  }
  return json.dump();
}

}  // namespace mnq
