#include "quantize/one_tensor.h"

#include <algorithm>

#include "base/text/format.h"
#include "base/text/text.h"
#include "formats/told_layers.h"
#include "plan/selection.h"
#include "quantize/jobs.h"
#include "quantize/loop/plan_run.h"

namespace mnq {
namespace {

// A sink of a model in memory that also keeps what our metadata would say of it.
class DescribingSink final : public TensorSink {
 public:
  DescribingSink(const SinkRequest& request, std::shared_ptr<const TensorSource>& model, std::string& description)
      : plan_(request.plan), sink_(open_memory_sink(request, model)), description_(description) {}

  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override {
    sink_->write(tensor, offset, bytes);
  }

  void commit(std::span<const double> sqnr_db) override {
    if (has_own_metadata(plan_)) {
      write_own_metadata(plan_, sqnr_db, [this](std::string_view piece) { description_ += piece; });
    }
    sink_->commit(sqnr_db);
  }

 private:
  PlanSlice plan_;
  std::unique_ptr<TensorSink> sink_;
  std::string& description_;
};

std::string kind_of(const Tensor& tensor, const std::string& kind) {
  if (!kind.empty()) return kind;
  const LayerKind* found = kind_for_rank(tensor.shape.size());
  return found == nullptr ? std::string() : std::string(found->name);
}

// Who passes one tensor has chosen it: no threshold leaves it out, unless the settings choose among layers themselves.
Settings select(const std::string& name, const Settings* config, const Settings* call) {
  Settings own = call == nullptr ? Settings() : *call;
  const Config given(config, call);
  const std::string weight = weight_name_from(name);
  const bool is_skipped = read_selection(given).skip.find_match(layer_name_from(weight)) != nullptr;
  const bool is_free = given.find("only").source == ValueSource::kDefault && !is_skipped;
  if (is_free) set_value(own, "only", name + ",*");
  return own;
}

std::vector<NamedTensor> take_tensors(const TensorSource& model) {
  std::vector<NamedTensor> tensors;
  for (std::size_t i = 0; i < model.tensors().size(); ++i) {
    const TensorInfo& info = model.tensors()[i];
    tensors.push_back({info.name, {info.dtype, info.shape, model.view(i), info.size_bytes}});
  }
  return tensors;
}

void require_changed(const Report& report, const std::string& name) {
  const ReportLayer& layer = report.layers().front();
  if (layer.action != action_name(Action::kCopy)) return;
  throw Error(Status::kConfig, formatted("tensor {} would be left as it is: {}", name, layer.reason),
              "pass a kind, or settings that choose it", name);
}

std::size_t find_weight(const TensorSource& source, const std::string& name) {
  const std::vector<LogicalTensor>& weights = source.require_weights();
  const auto found = std::ranges::find_if(weights, [&](const LogicalTensor& weight) {
    return weight.name == name || std::ranges::find(weight.ties, name) != weight.ties.end();
  });
  if (found != weights.end()) return static_cast<std::size_t>(found - weights.begin());
  std::vector<std::string> names;
  for (const LogicalTensor& weight : weights) names.push_back(weight.name);
  throw Error(Status::kNotFound, formatted("{}: there is no weight {}", source.title(), name),
              suggest_name(name, names, "list the names of its layers' tensors"), name);
}

}  // namespace

QuantizedTensor quantize_tensor(const std::string& name, const Tensor& tensor, const std::string& kind,
                                const Settings* config, const Settings* call, RunControl& control) {
  const auto source = make_told_source({{name, tensor, kind_of(tensor, kind)}});
  const Settings own = select(name, config, call);
  const Config settings(config, &own);
  require_changed(plan_quantize(*source, settings), name);
  std::shared_ptr<const TensorSource> model;
  TensorParts parts;
  Output output;
  output.open = [&](const SinkRequest& request) {
    parts.description.clear();
    return std::make_unique<DescribingSink>(request, model, parts.description);
  };
  Report report = quantize(*source, settings, control, output);
  require_changed(report, name);
  parts.tensors = take_tensors(*model);
  return {std::move(parts), std::move(report)};
}

Tensor dequantize_tensor(const TensorParts& parts, const Config& config, RunControl& control) {
  Metadata metadata{{std::string(kMetadataKey), parts.description}};
  auto own = parts.description.empty() ? std::nullopt : take_own_metadata(metadata);
  const auto source = make_memory_source(parts.tensors, {}, std::move(own));
  const std::vector<LogicalTensor>& weights = source->require_weights();
  if (weights.size() != 1) {
    throw Error(Status::kInvalidArg, formatted("the parts are of {} weights, not of one", weights.size()),
                "pass all parts that quantizing gave, its text among them, and no others", "parts");
  }
  return load_float(*source, weights.front().name, config, control);
}

Tensor load_float(const TensorSource& source, const std::string& name, const Config& config, RunControl& control) {
  const std::size_t index = find_weight(source, name);
  Plan plan = make_dequantize_plan(source, index);
  std::shared_ptr<const TensorSource> model;
  const Metadata none;
  const PlanSlice slice(plan);
  const JobSettings job = resolve_job(config);
  control.start_job(1);
  PlanRun run(source, slice, job, control);
  const auto sink = open_memory_sink({slice, none}, model);
  run.run(*sink);
  source.require_unchanged();
  const double unmeasured = 0;
  sink->commit({&unmeasured, 1});
  return take_tensors(*model).front().tensor;
}

}  // namespace mnq
