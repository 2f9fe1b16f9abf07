#include "quantize/write/write_output.h"

#include "quantize/loop/plan_run.h"
#include "quantize/write/sink_request.h"
#include "quantize/write/write_folder.h"

namespace mnq {
namespace {

Outcome write_file(const Work& work) {
  const PlanSlice plan(work.plan);
  PlanRun run(work.source, plan, work.job, work.control, work.on_done);
  const Metadata metadata = output_metadata(work.source, plan);
  const std::unique_ptr<TensorSink> sink = work.output.open(request_of(work, plan, metadata));
  run.run(*sink);
  work.source.require_unchanged();
  Outcome outcome{run.accuracies(), sink->notes(), std::nullopt};
  run.commit([&] { sink->commit(sqnr_of(outcome.accuracies)); });
  return outcome;
}

}  // namespace

Outcome write_output(const Work& work) { return work.output.folder == nullptr ? write_file(work) : write_folder(work); }

}  // namespace mnq
