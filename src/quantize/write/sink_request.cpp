#include "quantize/write/sink_request.h"

namespace mnq {
namespace {

// Tied tensors are stored once. Where the other names of tied tensors point to is written as safetensors' own
// save_model does it: name to name.
void add_ties(Metadata& metadata, const PlannedTensor& planned, const LogicalTensor& tensor) {
  for (const std::string& tie : tensor.ties) {
    for (const PlannedOutput& output : planned.outputs) {
      if (output.info.name.starts_with(tensor.name)) {
        metadata.emplace(tie + output.info.name.substr(tensor.name.size()), output.info.name);
      }
    }
  }
}

}  // namespace

Metadata output_metadata(const TensorSource& source, const PlanSlice& plan) {
  Metadata metadata = source.metadata();
  metadata.erase(std::string(kFolderJobKey));
  metadata.emplace("format", "pt");
  for (std::size_t item = 0; item < plan.size(); ++item) add_ties(metadata, plan.tensor(item), plan.logical(item));
  return metadata;
}

std::vector<double> sqnr_of(const std::vector<Accuracy>& accuracies) {
  std::vector<double> sqnr_db;
  sqnr_db.reserve(accuracies.size());
  for (const Accuracy& accuracy : accuracies) sqnr_db.push_back(accuracy.sqnr_db());
  return sqnr_db;
}

SinkRequest request_of(const Work& work, const PlanSlice& plan, const Metadata& metadata) {
  return {plan, metadata, work.source.companion(), &work.source,
          [&control = work.control] { return control.is_cancelled(); }};
}

}  // namespace mnq
