#include "formats/compressed_tensors/compressed_tensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/format.h"
#include "formats/compressed_tensors/compressed_tensors_groups.h"
#include "formats/compressed_tensors/compressed_tensors_layout.h"
#include "formats/folder/folder_loaders.h"
#include "kernels/float_conversions.h"
#include "plan/logical_tensors.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

using namespace compressed_tensors;

constexpr std::array<std::string_view, 6> kCacheScales{"k_scale",      "k_zero_point", "v_scale",
                                                       "v_zero_point", "q_scale",      "q_zero_point"};

// A tensor as it is shown, and what it is made of.
struct Adapted {
  enum class How { kAsItIs, kScale, kPackedBytes, kPackedZeroPoints };
  How how = How::kAsItIs;
  std::size_t stored = 0;
};

class CompressedTensorsSource final : public TensorSource {
 public:
  CompressedTensorsSource(std::unique_ptr<TensorSource> inner, const Json& config) : inner_(std::move(inner)) {
    metadata_ = inner_->metadata();
    remarks_ = inner_->remarks();
    inputs_ = inner_->inputs();
    groups_ = read_groups(inner_->title(), config, remarks_);
    for (std::size_t i = 0; i < inner_->tensors().size(); ++i) index_.emplace(inner_->tensors()[i].name, i);
    std::set<std::size_t> used;
    std::vector<QuantizedEntry> entries;
    for (std::size_t i = 0; i < inner_->tensors().size(); ++i) {
      const std::string& name = inner_->tensors()[i].name;
      if (name.ends_with("_g_idx")) refuse(formatted("{}: weights ordered by activations are not supported", name));
      if (name.ends_with(kPackedSuffix)) {
        entries.push_back(add_packed(name.substr(0, name.size() - kPackedSuffix.size()), used));
      } else if (inner_->tensors()[i].dtype == DType::kI8 && index_.contains(name + std::string(kScaleSuffix))) {
        entries.push_back(add_bytes(name, used));
      }
    }
    drop_activation_scales(entries, has_object(config, "kv_cache_scheme"), used);
    for (std::size_t i = 0; i < inner_->tensors().size(); ++i) {
      if (!used.contains(i)) add(inner_->tensors()[i], {Adapted::How::kAsItIs, i});
    }
    metadata_.erase(std::string(kGgmlScalesKey));
    metadata_[std::string(kMetadataKey)] = write_quantized_metadata(entries);
  }

  std::string_view format() const override { return "compressed-tensors"; }
  std::string path() const override { return inner_->path(); }
  std::uint64_t size_bytes() const override { return inner_->size_bytes(); }
  std::vector<std::string> ties(std::size_t tensor) const override { return inner_->ties(adapted_[tensor].stored); }
  const Companion* companion() const override { return inner_->companion(); }
  std::shared_ptr<const std::byte> view(std::size_t tensor) const override {
    const Adapted& adapted = adapted_[tensor];
    return adapted.how == Adapted::How::kAsItIs ? inner_->view(adapted.stored) : nullptr;
  }

  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    const Adapted& adapted = adapted_[tensor];
    switch (adapted.how) {
      case Adapted::How::kAsItIs:
        return inner_->read(adapted.stored, offset, into);
      case Adapted::How::kScale:
        return read_scales(adapted.stored, offset, into);
      case Adapted::How::kPackedBytes:
        return read_packed_bytes(tensor, offset, into);
      case Adapted::How::kPackedZeroPoints:
        return read_zero_points(tensor, offset, into);
    }
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const { refuse_compressed(inner_->title(), what); }

  [[noreturn]] void fail(const std::string& tensor, const std::string& what) const {
    throw Error(Status::kFormat, formatted("{}: tensor {}: {}", inner_->title(), tensor, what),
                "config.json and weights are of different checkpoints, or damaged: fetch them again", tensor);
  }

  void add(TensorInfo info, Adapted adapted) {
    tensors_.push_back(std::move(info));
    adapted_.push_back(adapted);
  }

  const TensorInfo& stored(const std::string& name, std::set<std::size_t>& used) const {
    const auto found = index_.find(name);
    if (found == index_.end()) fail(name, "is missing");
    used.insert(found->second);
    return inner_->tensors()[found->second];
  }

  // What only running the model needs: nothing that is made from this has a place for it.
  void drop_activation_scales(const std::vector<QuantizedEntry>& entries, bool has_cache, std::set<std::size_t>& used) {
    std::size_t dropped = 0;
    const auto drop = [&](const std::string& name) {
      const auto found = index_.find(name);
      if (found != index_.end() && used.insert(found->second).second) ++dropped;
    };
    for (const QuantizedEntry& entry : entries) {
      for (const char* part : {"input_scale", "input_zero_point", "output_scale", "output_zero_point"}) {
        drop(layer_name_from(entry.name).name + "." + part);
      }
    }
    for (const auto& [name, index] : index_) {
      const std::string_view last = std::string_view(name).substr(name.rfind('.') + 1);
      if (has_cache && std::ranges::find(kCacheScales, last) != kCacheScales.end()) drop(name);
    }
    if (dropped > 0) remarks_.push_back(formatted("{} scales of activations are not carried on", dropped));
  }

  bool runs_int8(const std::string& layer) const {
    const CompressedGroup* group = find_group(groups_, layer);
    if (group != nullptr) return group->runs_int8;
    return !groups_.empty() && std::ranges::all_of(groups_, [](const CompressedGroup& each) { return each.runs_int8; });
  }

  // The scale, and what its shape says of the weight.
  void add_scale(const std::string& base, QuantizedSpec& spec, std::set<std::size_t>& used) {
    const std::string name = base + std::string(kScaleSuffix);
    TensorInfo scale = stored(name, used);
    if (!is_weight_dtype(scale.dtype)) fail(name, formatted("{} is no dtype of scales", dtype_name(scale.dtype)));
    spec.weight_dtype = spec.scale_dtype = scale.dtype;
    if (spec.scale_dtype == DType::kF64) spec.scale_dtype = DType::kF32;
    const std::int64_t rows = spec.shape[0], columns = spec.shape[1];
    if (element_count(scale.shape) == 1 && rows != 1) {
      spec.granularity = Granularity::kTensor;
      scale.shape = {1};
    } else if (scale.shape.size() == 2 && scale.shape[0] == rows && scale.shape[1] >= 1 && scale.shape[1] <= columns) {
      const std::int64_t groups = scale.shape[1];
      // A block of ggml's is a group, also where it is all of a row.
      spec.is_ggml = metadata_.contains(std::string(kGgmlScalesKey)) && (groups > 1 || columns == kGgmlBlockColumns);
      spec.granularity = groups > 1 || spec.is_ggml ? Granularity::kGroup : Granularity::kChannel;
      if (spec.granularity == Granularity::kGroup) {
        spec.group_size = static_cast<std::uint64_t>(groups > 1 ? group_size(name, columns, groups) : columns);
      }
    } else {
      fail(name,
           formatted("its shape {} does not fit a weight of {}", shape_text(scale.shape), shape_text(spec.shape)));
    }
    scale.dtype = DType::kF32;
    scale.size_bytes = *checked_size_bytes(scale.dtype, scale.shape);
    add(std::move(scale), {Adapted::How::kScale, index_.at(name)});
  }

  std::int64_t group_size(const std::string& name, std::int64_t columns, std::int64_t groups) const {
    for (const CompressedGroup& group : groups_) {
      const std::int64_t size = group.group_size;
      if (size > 0 && (columns - 1) / size + 1 == groups) return size;
    }
    if (columns % groups != 0) fail(name, formatted("{} groups do not fit {} columns", groups, columns));
    return columns / groups;
  }

  QuantizedEntry add_packed(const std::string& base, std::set<std::size_t>& used) {
    const std::string codes_name = base + std::string(kPackedSuffix);
    TensorInfo codes = stored(codes_name, used);
    const TensorInfo& shape = stored(base + std::string(kShapeSuffix), used);
    if (shape.dtype != DType::kI64 || shape.shape != Shape{2}) fail(shape.name, "is no I64 [2]");
    QuantizedSpec spec;
    spec.shape.resize(2);
    inner_->read(index_.at(shape.name), 0, std::as_writable_bytes(std::span(spec.shape)));
    const auto count = checked_element_count(spec.shape);
    if (!count || *count == 0) fail(shape.name, formatted("{} is impossible", shape_text(spec.shape)));
    const std::int64_t words = codes.shape.size() == 2 ? codes.shape[1] : 0;
    if (codes.dtype != DType::kI32 || words == 0 || codes.shape[0] != spec.shape[0]) {
      fail(codes_name, formatted("{} {} does not fit a weight of {}", dtype_name(codes.dtype), shape_text(codes.shape),
                                 shape_text(spec.shape)));
    }
    std::int64_t bits = 0;
    for (const CompressedGroup& group : groups_) {
      const std::int64_t candidate = group.bits;
      if (candidate != 4 && candidate != 8) refuse(formatted("weights of {} bits are not supported", candidate));
      if (static_cast<std::uint64_t>(words) ==
          ceil_div(static_cast<std::uint64_t>(spec.shape[1]), static_cast<std::uint64_t>(32 / candidate))) {
        bits = candidate;
      }
    }
    if (bits == 0) fail(codes_name, "has no number of bits that config.json names");
    spec.scheme = bits == 4 ? "qint4" : "qint8";
    const bool is_bytes = bits == 8;
    if (is_bytes) {
      add({base, DType::kI8, spec.shape, *count}, {Adapted::How::kPackedBytes, index_.at(codes_name)});
    } else {
      add(std::move(codes), {Adapted::How::kAsItIs, index_.at(codes_name)});
    }
    add_scale(base, spec, used);
    if (!is_bytes) add(shape, {Adapted::How::kAsItIs, index_.at(shape.name)});
    add_zero_point(base, spec, is_bytes, used);
    if (!is_bytes && spec.granularity == Granularity::kTensor) refuse(formatted("{}: 4 bits per tensor", base));
    return {base, spec, std::nullopt};
  }

  void add_zero_point(const std::string& base, QuantizedSpec& spec, bool is_bytes, std::set<std::size_t>& used) {
    const std::string name = base + std::string(kZeroPointSuffix);
    if (!index_.contains(name)) return;
    TensorInfo info = stored(name, used);
    spec.symmetric = false;
    const ScaleShape scales = scale_shape(spec);
    const bool is_plain = is_bytes && spec.granularity == Granularity::kTensor && info.dtype == DType::kI8;
    if (is_plain && element_count(info.shape) == 1) {  // only zero points of channels and groups are packed
      info.shape = {1};
      return add(std::move(info), {Adapted::How::kAsItIs, index_.at(name)});
    }
    const std::uint64_t per_word = is_bytes ? 4 : 8;
    const Shape packed{static_cast<std::int64_t>(ceil_div(scales.row_count, per_word)),
                       static_cast<std::int64_t>(scales.groups)};
    if (info.dtype != DType::kI32 || info.shape != packed) {
      fail(name, formatted("is {} {}, but must be I32 {}", dtype_name(info.dtype), shape_text(info.shape),
                           shape_text(packed)));
    }
    const std::size_t index = index_.at(name);
    if (!is_bytes) return add(std::move(info), {Adapted::How::kAsItIs, index});
    info.dtype = DType::kI8;
    info.shape = spec.granularity == Granularity::kTensor
                     ? Shape{1}
                     : Shape{static_cast<std::int64_t>(scales.row_count), static_cast<std::int64_t>(scales.groups)};
    info.size_bytes = scales.row_count * scales.groups;
    add(std::move(info), {Adapted::How::kPackedZeroPoints, index});
  }

  // int-quantized: codes and zero points are bytes already.
  QuantizedEntry add_bytes(const std::string& name, std::set<std::size_t>& used) {
    const TensorInfo& codes = stored(name, used);
    QuantizedSpec spec;
    spec.scheme = "qint8";
    spec.shape = codes.shape;
    if (codes.shape.size() != 2 || codes.size_bytes == 0) fail(name, "is quantized, but no matrix");
    add(codes, {Adapted::How::kAsItIs, index_.at(name)});
    add_scale(name, spec, used);
    const std::string zero_point = name + std::string(kZeroPointSuffix);
    if (index_.contains(zero_point)) {
      const TensorInfo& info = stored(zero_point, used);
      if (info.dtype != DType::kI8) fail(zero_point, "is no I8");
      spec.symmetric = false;
      add(info, {Adapted::How::kAsItIs, index_.at(zero_point)});
    }
    if (spec.symmetric && spec.granularity == Granularity::kChannel && runs_int8(layer_name_from(name).name)) {
      spec.activation_bits = 8;
    }
    return {name, spec, std::nullopt};
  }

  void read_scales(std::size_t index, std::uint64_t offset, std::span<std::byte> into) const {
    const DType dtype = inner_->tensors()[index].dtype;
    if (dtype == DType::kF32) return inner_->read(index, offset, into);
    const std::uint64_t width = dtype_bits(dtype) / 8, count = into.size() / sizeof(float);
    std::vector<std::byte> raw(count * width);
    inner_->read(index, offset / sizeof(float) * width, raw);
    std::vector<float> values(count);
    kernels::to_float32(kernels::kernel_table(), dtype, raw.data(), count, values.data());
    std::memcpy(into.data(), values.data(), into.size());
  }

  void read_packed_bytes(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const {
    const std::size_t index = adapted_[tensor].stored;
    const auto columns = static_cast<std::uint64_t>(tensors_[tensor].shape[1]);
    const std::uint64_t row_bytes = ceil_div(columns, kBytesPerWord) * kBytesPerWord;
    if (columns == row_bytes) {
      inner_->read(index, offset, into);
    } else {
      for (std::uint64_t done = 0; done < into.size();) {
        const std::uint64_t row = (offset + done) / columns, column = (offset + done) % columns;
        const std::uint64_t piece = std::min<std::uint64_t>(columns - column, into.size() - done);
        inner_->read(index, row * row_bytes + column, into.subspan(done, piece));
        done += piece;
      }
    }
    turn_over(into);
  }

  void read_zero_points(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const {
    const std::size_t index = adapted_[tensor].stored;
    std::vector<std::byte> packed(inner_->tensors()[index].size_bytes);
    inner_->read(index, 0, packed);
    const Shape& shape = tensors_[tensor].shape;
    const auto groups = shape.size() == 2 ? static_cast<std::uint64_t>(shape[1]) : 1;
    for (std::uint64_t i = 0; i < into.size(); ++i) {
      const std::uint64_t at = offset + i;
      into[i] = packed[packed_zero_point_place(at / groups, at % groups, groups)] ^ std::byte{0x80};
    }
  }

  std::unique_ptr<TensorSource> inner_;
  std::vector<Adapted> adapted_;
  std::map<std::string, std::size_t> index_;
  std::vector<CompressedGroup> groups_;
};

}  // namespace

std::unique_ptr<TensorSource> adapt_compressed_tensors(std::unique_ptr<TensorSource> source, const Json& config) {
  const Json* quantization = config.is_object() ? config.find("quantization_config") : nullptr;
  if (quantization == nullptr || quantization->is_null()) return source;
  const std::string title = source->title();
  const Json* method = quantization->is_object() ? quantization->find("quant_method") : nullptr;
  const std::string name = method != nullptr && method->is_string() ? method->text() : "an unknown method";
  if (is_plain_folder(*quantization)) return source;  // its metadata says how
  if (name == "compressed-tensors") return std::make_unique<CompressedTensorsSource>(std::move(source), *quantization);
  throw Error(Status::kUnsupported, formatted("{}: is quantized by {}, which is not supported", title, name),
              "pass the float checkpoint it was made from", title);
}

}  // namespace mnq
