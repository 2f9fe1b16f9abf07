#include "quantize/write/describe_job.h"

#include "base/text/format.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

// All of a spec that decides bytes.
std::string spec_text(const PlannedTensor& planned) {
  const QuantizedSpec& spec = planned.spec;
  return formatted("{} {} {} {} {} {} {} {} {} {} {}", scheme_text(spec), planned.layout->name, planned.method->name,
                   spec.has_free_scales, spec.group_rows, spec.channel_axis, spec.stacked_axes,
                   dtype_name(spec.weight_dtype), dtype_name(spec.scale_dtype), spec.activation_bits,
                   shape_text(spec.shape));
}

}  // namespace

void describe_job(const Plan& plan, const std::vector<PlanSlice>& shards, const JobSettings& job,
                  const WriteText& write) {
  for (const PlanSlice& shard : shards) write(formatted("{} tensors\n", shard.size()));
  if (job.accuracy_warning == AccuracyWarning::kError) {
    write(formatted("no layer below {} and {} dB\n", job.sqnr_warning_db, job.sqnr_critical_db));
  }
  for (const PlannedTensor& planned : plan.tensors) {
    for (const PlannedOutput& output : planned.outputs) {
      write(formatted("{} {} {} {}\n", output.info.name, dtype_name(output.info.dtype), shape_text(output.info.shape),
                      action_name(planned.action)));
    }
    const bool is_changed = planned.action == Action::kQuantize || planned.action == Action::kCast;
    if (is_changed) write(spec_text(planned) + "\n");
  }
}

}  // namespace mnq
