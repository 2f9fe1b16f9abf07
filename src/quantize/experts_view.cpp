#include "quantize/experts_view.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <set>

#include "base/text/format.h"
#include "formats/experts/experts_joined.h"
#include "quantize/loop/weight_reader.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

/// Some quantized weights of a source as the floats they came from, decoded where they are read. The tables of one are
/// in memory at a time.
class DecodedWeights final : public SourceView {
 public:
  /// weights: of source.weights().
  DecodedWeights(const TensorSource& source, const std::vector<std::size_t>& weights) : SourceView(source) {
    std::map<std::size_t, const LogicalTensor*> decoded;  // by the first part
    std::set<std::size_t> hidden;
    for (const std::size_t weight : weights) {
      const LogicalTensor& tensor = source.weights()[weight];
      decoded.emplace(tensor.parts.front(), &tensor);
      hidden.insert(tensor.parts.begin() + 1, tensor.parts.end());
    }
    for (std::size_t i = 0; i < source.tensors().size(); ++i) {
      shown_.push_back(stored_.size());
      if (hidden.contains(i)) continue;
      const auto found = decoded.find(i);
      const LogicalTensor* weight = found == decoded.end() ? nullptr : found->second;
      stored_.push_back({i, weight, weight == nullptr ? "" : scheme_text(*weight->spec)});
      tensors_.push_back(found == decoded.end() ? source.tensors()[i] : info_of(*found->second));
    }
  }

  const LayerHint* hint(std::size_t tensor) const override { return source_.hint(stored_[tensor].index); }
  std::string_view quantized_as(std::size_t tensor) const override { return stored_[tensor].quantized_as; }
  std::vector<std::string> ties(std::size_t tensor) const override { return source_.ties(stored_[tensor].index); }

  std::shared_ptr<const std::byte> view(std::size_t tensor) const override {
    return stored_[tensor].weight == nullptr ? source_.view(stored_[tensor].index) : nullptr;
  }

  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    const Stored& stored = stored_[tensor];
    if (stored.weight == nullptr) return source_.read(stored.index, offset, into);
    static thread_local ReadBuffers buffers;
    static thread_local Buffer converted;
    const DType dtype = tensors_[tensor].dtype;
    const std::uint64_t width = dtype_bits(dtype) / 8, begin = offset / width, end = (offset + into.size()) / width;
    const auto reader = reader_of(*stored.weight);
    for (std::uint64_t done = begin; done < end;) {
      // A reader begins at a multiple of 8 elements into a row.
      const std::uint64_t from = done - done % row_length(*stored.weight) % 8;
      const std::uint64_t count = std::min(end - from, kElementsAtOnce);
      const float* values = reader->read(from, count, buffers);
      const std::byte* bytes = from_float32(kernels::kernel_table(), dtype, values, count, converted);
      std::memcpy(into.data() + (done - begin) * width, bytes + (done - from) * width, (from + count - done) * width);
      done = from + count;
    }
  }

 private:
  static constexpr std::uint64_t kElementsAtOnce = 1 << 20;

  struct Stored {
    std::size_t index;            // of the source's
    const LogicalTensor* weight;  // null: as it is stored
    std::string quantized_as;
  };

  static TensorInfo info_of(const LogicalTensor& tensor) {
    return {tensor.name, tensor.dtype, tensor.shape, *checked_size_bytes(tensor.dtype, tensor.shape)};
  }

  static std::uint64_t row_length(const LogicalTensor& tensor) {
    return std::max<std::uint64_t>(row_view(tensor.shape, tensor.spec->channel_axis).row_length, 1);
  }

  // The last one stays: blocks of a tensor follow each other.
  std::shared_ptr<const WeightReader> reader_of(const LogicalTensor& weight) const {
    const std::lock_guard lock(mutex_);
    if (read_last_ != &weight) {
      reader_ = std::make_shared<const WeightReader>(source_, weight);
      read_last_ = &weight;
    }
    return reader_;
  }

  LogicalTensors find_weights() const override {
    std::vector<LogicalTensor> quantized;
    for (LogicalTensor tensor : source_.weights()) {
      if (!tensor.spec || stored_[shown_[tensor.parts.front()]].weight != nullptr) continue;
      for (std::size_t& part : tensor.parts) part = shown_[part];
      quantized.push_back(std::move(tensor));
    }
    return complete({std::move(quantized), source_.problems()});
  }

  std::vector<Stored> stored_;      // of each tensor
  std::vector<std::size_t> shown_;  // of each tensor of the source: what it is here
  mutable std::mutex mutex_;
  mutable const LogicalTensor* read_last_ = nullptr;
  mutable std::shared_ptr<const WeightReader> reader_;
};

std::string remark_on(const TensorSource& source, const std::vector<std::size_t>& decoded) {
  const LogicalTensor& first = source.weights()[decoded.front()];
  const bool is_one = decoded.size() == 1;
  return formatted("{} of experts quantized already ({}) {} taken as floats, whose sizes are those before: {}{}",
                   is_one ? "one weight" : formatted("{} weights", decoded.size()), scheme_text(*first.spec),
                   is_one ? "is" : "are", first.name, is_one ? "" : " and so on");
}

}  // namespace

// One step more, of what the last one shows. Those that have to be floats are decoded before it.
template <class Rearrange>
bool ExpertsView::add(const Rearrange& rearrange, bool may_decode) {
  Rearranged found = rearrange(get());
  if (may_decode && !found.unfit.empty()) {
    auto floats = std::make_unique<DecodedWeights>(get(), found.unfit);
    Rearranged of_floats = rearrange(*floats);
    if (of_floats.experts != nullptr) {
      remarks_.push_back(remark_on(get(), found.unfit));
      steps_.push_back(std::move(floats));
      found = std::move(of_floats);
    }
  }
  if (found.experts == nullptr) return false;
  remarks_.push_back(found.experts->remark());
  steps_.push_back(std::move(found.experts));
  return true;
}

ExpertsView::ExpertsView(const TensorSource& source, ExpertForm form, ExpertChoice choice) : source_(source) {
  const bool may_decode = choice == ExpertChoice::kAll;
  if (form == ExpertForm::kTogether) return;
  add([&](const TensorSource& seen) { return take_experts_apart(seen, form, choice); }, may_decode);
  if (form != ExpertForm::kStacked) return;
  add([&](const TensorSource& seen) { return join_experts(seen, choice); }, may_decode);
}

ExpertsView::ExpertsView(const TensorSource& source, const TensorSource& other) : source_(source) {
  for (const ExpertForm form : {ExpertForm::kApart, ExpertForm::kStacked}) {
    if (add([&](const TensorSource& seen) { return take_experts_apart_as_in(seen, form, other); }, true)) return;
  }
  add([&](const TensorSource& seen) { return join_experts_as_in(seen, other); }, true);
}

void ExpertsView::add_remarks(Report& report) const {
  for (const std::string& remark : remarks_) report.add_remark(remark);
}

}  // namespace mnq
