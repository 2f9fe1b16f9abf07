#include "formats/compressed_tensors/compressed_tensors.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/error.h"
#include "base/text/format.h"
#include "formats/compressed_tensors/compressed_tensors_groups.h"
#include "formats/compressed_tensors/compressed_tensors_layout.h"
#include "layouts/layout.h"

namespace mnq {
namespace {

using namespace compressed_tensors;

constexpr std::array<std::string_view, 6> kCacheScales{"k_scale",      "k_zero_point", "v_scale",
                                                       "v_zero_point", "q_scale",      "q_zero_point"};

class CompressedTensorsSource final : public TensorSource {
 public:
  CompressedTensorsSource(std::unique_ptr<TensorSource> inner, const Json& config) : inner_(std::move(inner)) {
    metadata_ = inner_->metadata();
    remarks_ = inner_->remarks();
    inputs_ = inner_->inputs();
    groups_ = read_groups(inner_->title(), config, remarks_);
    for (std::size_t i = 0; i < inner_->tensors().size(); ++i) index_.emplace(inner_->tensors()[i].name, i);
    for (std::size_t i = 0; i < inner_->tensors().size(); ++i) {
      const std::string& name = inner_->tensors()[i].name;
      if (name.ends_with("_g_idx")) refuse(formatted("{}: weights ordered by activations are not supported", name));
      if (name.ends_with(kPackedSuffix)) {
        add_packed(name.substr(0, name.size() - kPackedSuffix.size()));
      } else if (inner_->tensors()[i].dtype == DType::kI8 && index_.contains(name + std::string(kScaleSuffix))) {
        add_bytes(name);
      }
    }
    const std::set<std::size_t> dropped = find_activation_scales(has_object(config, "kv_cache_scheme"));
    show_all_but(dropped);
    metadata_.erase(std::string(kFreeScalesKey));
  }

  std::string_view format() const override { return "compressed-tensors"; }
  std::string path() const override { return inner_->path(); }
  std::uint64_t size_bytes() const override { return inner_->size_bytes(); }
  std::vector<std::string> ties(std::size_t tensor) const override { return inner_->ties(stored_[tensor]); }
  const Companion* companion() const override { return inner_->companion(); }
  std::shared_ptr<const std::byte> view(std::size_t tensor) const override { return inner_->view(stored_[tensor]); }
  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    inner_->read(stored_[tensor], offset, into);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const { refuse_compressed(inner_->title(), what); }

  [[noreturn]] void fail(const std::string& tensor, const std::string& what) const {
    throw Error(Status::kFormat, formatted("{}: tensor {}: {}", inner_->title(), tensor, what),
                "config.json and weights are of different checkpoints, or damaged: fetch them again", tensor);
  }

  // The index of a part; it is then one of this weight.
  std::size_t part(const std::string& name, LogicalTensor& weight) const {
    const auto found = index_.find(name);
    if (found == index_.end()) fail(name, "is missing");
    weight.parts.push_back(found->second);
    return found->second;
  }
  const TensorInfo& stored(std::size_t index) const { return inner_->tensors()[index]; }

  // What only running the model needs: nothing that is made from this has a place for it.
  std::set<std::size_t> find_activation_scales(bool has_cache) {
    std::set<std::size_t> dropped;
    for (const LogicalTensor& weight : weights_) {
      for (const char* part : {"input_scale", "input_zero_point", "output_scale", "output_zero_point"}) {
        const auto found = index_.find(layer_name_from(weight.name).name + "." + part);
        if (found != index_.end()) dropped.insert(found->second);
      }
    }
    for (const auto& [name, index] : index_) {
      const std::string_view last = std::string_view(name).substr(name.rfind('.') + 1);
      if (has_cache && std::ranges::find(kCacheScales, last) != kCacheScales.end()) dropped.insert(index);
    }
    for (const LogicalTensor& weight : weights_) {
      for (const std::size_t part : weight.parts) dropped.erase(part);
    }
    if (!dropped.empty()) remarks_.push_back(formatted("{} scales of activations are not carried on", dropped.size()));
    return dropped;
  }

  // Quantized weights come first, in the order of their codes.
  void show_all_but(const std::set<std::size_t>& dropped) {
    std::set<std::size_t> shown = dropped;
    const auto show = [&](std::size_t index) {
      shown.insert(index);
      stored_.push_back(index);
      tensors_.push_back(inner_->tensors()[index]);
      return stored_.size() - 1;
    };
    for (LogicalTensor& weight : weights_) {
      for (std::size_t& part : weight.parts) part = show(part);
    }
    for (std::size_t i = 0; i < inner_->tensors().size(); ++i) {
      if (!shown.contains(i)) show(i);
    }
  }

  LogicalTensors find_weights() const override { return complete({weights_, {}}); }

  void add_weight(LogicalTensor weight, const std::string& name, const QuantizedSpec& spec, const Layout& layout) {
    weight.name = name;
    weight.dtype = spec.weight_dtype;
    weight.shape = spec.shape;
    weight.spec = spec;
    weight.layout = &layout;
    weights_.push_back(std::move(weight));
  }

  bool runs_int8(const std::string& layer) const {
    const CompressedGroup* group = find_group(groups_, layer);
    if (group != nullptr) return group->runs_int8;
    return !groups_.empty() && std::ranges::all_of(groups_, [](const CompressedGroup& each) { return each.runs_int8; });
  }

  // The scale, and what its shape says of the weight.
  void add_scale(const std::string& base, QuantizedSpec& spec, LogicalTensor& weight) const {
    const std::string name = base + std::string(kScaleSuffix);
    const TensorInfo& scale = stored(part(name, weight));
    if (!is_weight_dtype(scale.dtype)) fail(name, formatted("{} is no dtype of scales", dtype_name(scale.dtype)));
    spec.weight_dtype = spec.scale_dtype = scale.dtype;
    if (spec.scale_dtype == DType::kF64) spec.scale_dtype = DType::kF32;
    const std::int64_t rows = spec.shape[0], columns = spec.shape[1];
    if (element_count(scale.shape) == 1 && rows != 1) {
      spec.granularity = Granularity::kTensor;
    } else if (scale.shape.size() == 2 && scale.shape[0] == rows && scale.shape[1] >= 1 && scale.shape[1] <= columns) {
      const std::int64_t groups = scale.shape[1];
      spec.has_free_scales = metadata_.contains(std::string(kFreeScalesKey));
      // A block of ggml's is a group, also where it is all of a row.
      const bool is_block = spec.has_free_scales && columns == kGgmlBlockColumns;
      spec.granularity = groups > 1 || is_block ? Granularity::kGroup : Granularity::kChannel;
      if (spec.granularity == Granularity::kGroup) {
        spec.group_size = static_cast<std::uint64_t>(groups > 1 ? group_size(name, columns, groups) : columns);
      }
    } else {
      fail(name,
           formatted("its shape {} does not fit a weight of {}", shape_text(scale.shape), shape_text(spec.shape)));
    }
  }

  std::int64_t group_size(const std::string& name, std::int64_t columns, std::int64_t groups) const {
    for (const CompressedGroup& group : groups_) {
      const std::int64_t size = group.group_size;
      if (size > 0 && (columns - 1) / size + 1 == groups) return size;
    }
    if (columns % groups != 0) fail(name, formatted("{} groups do not fit {} columns", groups, columns));
    return columns / groups;
  }

  void add_packed(const std::string& base) {
    LogicalTensor weight;
    const std::string codes_name = base + std::string(kPackedSuffix);
    const TensorInfo& codes = stored(part(codes_name, weight));
    QuantizedSpec spec;
    spec.shape = read_shape(base + std::string(kShapeSuffix));
    const std::int64_t words = codes.shape.size() == 2 ? codes.shape[1] : 0;
    if (codes.dtype != DType::kI32 || words == 0 || codes.shape[0] != spec.shape[0]) {
      fail(codes_name, formatted("{} {} does not fit a weight of {}", dtype_name(codes.dtype), shape_text(codes.shape),
                                 shape_text(spec.shape)));
    }
    const std::int64_t width = find_width(codes_name, spec.shape[1], words);
    spec.scheme = find_integer_scheme(width)->name;
    add_scale(base, spec, weight);
    add_zero_point(base, spec, width, weight);
    part(base + std::string(kShapeSuffix), weight);
    if (spec.granularity == Granularity::kTensor && !scheme_of(spec).may_be_per_tensor) {
      refuse(formatted("{}: {} bits per tensor", base, width));
    }
    add_weight(std::move(weight), base, spec, kPackQuantizedLayout);
  }

  Shape read_shape(const std::string& name) const {
    const auto found = index_.find(name);
    if (found == index_.end()) fail(name, "is missing");
    const TensorInfo& info = stored(found->second);
    if (info.dtype != DType::kI64 || info.shape != Shape{2}) fail(info.name, "is no I64 [2]");
    Shape shape(2);
    inner_->read(found->second, 0, std::as_writable_bytes(std::span(shape)));
    const auto count = checked_element_count(shape);
    if (!count || *count == 0) fail(info.name, formatted("{} is impossible", shape_text(shape)));
    return shape;
  }

  // Of a code, by what the groups name and how many words a row has.
  std::int64_t find_width(const std::string& name, std::int64_t columns, std::int64_t words) const {
    std::int64_t width = 0;
    for (const CompressedGroup& group : groups_) {
      if (find_integer_scheme(group.width) == nullptr) {
        refuse(formatted("weights of {} bits are not supported", group.width));
      }
      const auto per_word = static_cast<std::uint64_t>(32 / group.width);
      if (static_cast<std::uint64_t>(words) == ceil_div(static_cast<std::uint64_t>(columns), per_word)) {
        width = group.width;
      }
    }
    if (width == 0) fail(name, "has no number of bits that config.json names");
    return width;
  }

  // Only zero points of channels and groups are packed.
  void add_zero_point(const std::string& base, QuantizedSpec& spec, std::int64_t width, LogicalTensor& weight) const {
    const std::string name = base + std::string(kZeroPointSuffix);
    if (!index_.contains(name)) return;
    const TensorInfo& info = stored(part(name, weight));
    spec.symmetric = false;
    const bool is_plain = spec.granularity == Granularity::kTensor && info.dtype == DType::kI8;
    if (is_plain && element_count(info.shape) == 1) return;
    const ScaleShape scales = scale_shape(spec);
    const Shape packed{static_cast<std::int64_t>(ceil_div(scales.row_count, static_cast<std::uint64_t>(32 / width))),
                       static_cast<std::int64_t>(scales.groups)};
    if (info.dtype != DType::kI32 || info.shape != packed) {
      fail(name, formatted("is {} {}, but must be I32 {}", dtype_name(info.dtype), shape_text(info.shape),
                           shape_text(packed)));
    }
  }

  // int-quantized: codes and zero points are bytes already.
  void add_bytes(const std::string& name) {
    LogicalTensor weight;
    const TensorInfo& codes = stored(part(name, weight));
    QuantizedSpec spec;
    spec.scheme = find_integer_scheme(8)->name;
    spec.shape = codes.shape;
    if (codes.shape.size() != 2 || codes.size_bytes == 0) fail(name, "is quantized, but no matrix");
    add_scale(name, spec, weight);
    const std::string zero_point = name + std::string(kZeroPointSuffix);
    if (index_.contains(zero_point)) {
      spec.symmetric = false;
      const TensorInfo& info = stored(part(zero_point, weight));
      if (info.dtype != DType::kI8 || element_count(info.shape) != scale_shape(spec).count()) {
        fail(zero_point, formatted("is {} {}, but must be I8 {}", dtype_name(info.dtype), shape_text(info.shape),
                                   shape_text(scale_matrix(spec))));
      }
    }
    if (may_run_in_integers(spec) && runs_int8(layer_name_from(name).name)) spec.activation_bits = 8;
    add_weight(std::move(weight), name, spec, kIntQuantizedLayout);
  }

  std::unique_ptr<TensorSource> inner_;
  std::vector<std::size_t> stored_;     // of each tensor, the index in inner_
  std::vector<LogicalTensor> weights_;  // those that are quantized
  std::map<std::string, std::size_t> index_;
  std::vector<CompressedGroup> groups_;
};

}  // namespace

std::unique_ptr<TensorSource> adapt_compressed_tensors(std::unique_ptr<TensorSource> source, const Json& config) {
  return std::make_unique<CompressedTensorsSource>(std::move(source), config);
}

bool has_compressed_names(const TensorSource& source) {
  std::set<std::string_view> names;
  for (const TensorInfo& info : source.tensors()) names.insert(info.name);
  return std::ranges::any_of(source.tensors(), [&](const TensorInfo& info) {
    const bool is_codes = info.dtype == DType::kI8 && names.contains(info.name + std::string(kScaleSuffix));
    return is_codes || (info.dtype == DType::kI32 && info.name.ends_with(kPackedSuffix));
  });
}

const QuantizationMethod kCompressedTensorsMethod{
    .quant_method = "compressed-tensors",
    .adapt = adapt_compressed_tensors,
    .has_such_names = has_compressed_names,
    .describe = describe_compressed_tensors,
};

}  // namespace mnq
