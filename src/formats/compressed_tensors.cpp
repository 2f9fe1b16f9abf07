#include "formats/compressed_tensors.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <set>

#include "base/error.h"
#include "base/format.h"
#include "formats/collected_tensors.h"
#include "formats/safetensors.h"
#include "kernels/float_conversions.h"
#include "plan/logical_tensors.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

constexpr std::string_view kPackedSuffix = "_packed", kScaleSuffix = "_scale", kShapeSuffix = "_shape",
                           kZeroPointSuffix = "_zero_point";
constexpr std::uint64_t kBytesPerWord = 4;

// Codes are stored as unsigned: the top bit of each byte turned over.
void turn_over(std::span<std::byte> codes) {
  for (std::byte& code : codes) code ^= std::byte{0x80};
}

// ---- Zero points of 8 bits: ours are [rows, groups], there four rows share a word, [ceil(rows / 4), groups].

std::uint64_t packed_zero_point_place(std::uint64_t row, std::uint64_t group, std::uint64_t groups) {
  return (row / kBytesPerWord * groups + group) * kBytesPerWord + row % kBytesPerWord;
}

// ---- Source

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
    read_groups(config);
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
    for (std::size_t i = 0; i < inner_->tensors().size(); ++i) {
      if (!used.contains(i)) add(inner_->tensors()[i], {Adapted::How::kAsItIs, i});
    }
    metadata_[std::string(kMetadataKey)] = write_quantized_metadata(entries);
  }

  std::string_view format() const override { return "compressed-tensors"; }
  std::string path() const override { return inner_->path(); }
  std::uint64_t size_bytes() const override { return inner_->size_bytes(); }
  std::vector<std::string> ties(std::size_t tensor) const override { return inner_->ties(adapted_[tensor].stored); }
  const Companion* companion() const override { return inner_->companion(); }
  std::vector<std::string> remarks() const override { return inner_->remarks(); }
  bool reads_from(const std::string& path) const override { return inner_->reads_from(path); }
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
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(Status::kUnsupported, formatted("{}: {}", inner_->title(), what),
                "dequantize it in Python and pass the float checkpoint", inner_->title());
  }

  [[noreturn]] void fail(const std::string& tensor, const std::string& what) const {
    throw Error(Status::kFormat, formatted("{}: tensor {}: {}", inner_->title(), tensor, what),
                "config.json and weights are of different checkpoints, or damaged: fetch them again", tensor);
  }

  void read_groups(const Json& config) {
    constexpr std::string_view kFormats[] = {"pack-quantized", "int-quantized", "naive-quantized", "dense",
                                             "mixed-precision"};
    const Json* format = config.find("format");
    const std::string name = format != nullptr && format->is_string() ? format->text() : "dense";
    if (std::ranges::find(kFormats, name) == std::end(kFormats)) {
      refuse(formatted("compressed-tensors format {} is not supported", name));
    }
    const Json* groups = config.find("config_groups");
    if (groups == nullptr || !groups->is_object()) refuse("its quantization_config has no config_groups");
    for (const auto& [key, group] : groups->members()) {
      if (!group.is_object()) refuse(formatted("its {} is no object", key));
      const Json* weights = group.find("weights");
      if (weights == nullptr || !weights->is_object()) continue;
      const Json* bits = weights->find("num_bits");
      const Json* type = weights->find("type");
      if (bits == nullptr || !bits->is_integer() || (type != nullptr && type->is_string() && type->text() != "int")) {
        refuse(formatted("the weights of its {} are no integers", key));
      }
      bits_.insert(bits->get<std::int64_t>());
      const Json* size = weights->find("group_size");
      if (size != nullptr && size->is_integer()) group_sizes_.insert(size->get<std::int64_t>());
      const Json* activations = group.find("input_activations");
      if (activations != nullptr && activations->is_object()) has_activations_ = true;
    }
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
      spec.granularity = groups == 1 ? Granularity::kChannel : Granularity::kGroup;
      if (groups > 1) spec.group_size = static_cast<std::uint64_t>(group_size(name, columns, groups));
    } else {
      fail(name,
           formatted("its shape {} does not fit a weight of {}", shape_text(scale.shape), shape_text(spec.shape)));
    }
    scale.dtype = DType::kF32;
    scale.size_bytes = *checked_size_bytes(scale.dtype, scale.shape);
    add(std::move(scale), {Adapted::How::kScale, index_.at(name)});
  }

  std::int64_t group_size(const std::string& name, std::int64_t columns, std::int64_t groups) const {
    for (const std::int64_t size : group_sizes_) {
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
    for (const std::int64_t candidate : bits_) {
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
    if (has_activations_ && spec.symmetric) spec.activation_bits = 8;
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
  std::set<std::int64_t> bits_, group_sizes_;
  bool has_activations_ = false;
};

// ---- Sink

class CompressedTensorsSink final : public TensorSink {
 public:
  CompressedTensorsSink(const SinkRequest& request, const OpenByteSink& open) : places_(request.tensors.size()) {
    const CollectedTensors collected(request.tensors, request.metadata);
    std::vector<TensorInfo> infos;
    for (const LogicalTensor& tensor : require_logical_tensors(collected)) {
      if (!tensor.spec || scheme_of(*tensor.spec).is_cast) {
        for (const std::size_t part : tensor.parts) {
          places_[part].index = infos.size();
          infos.push_back(request.tensors[part]);
        }
      } else {
        add(tensor, request.tensors, infos);
      }
    }
    metadata_ = request.metadata;
    metadata_.erase(std::string(kMetadataKey));
    sink_ = open_safetensors_sink({infos, metadata_}, open);
    for (const auto& [index, shape] : shapes_) sink_->write(index, 0, std::as_bytes(std::span(shape)));
  }

  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override {
    Place& place = places_[tensor];
    switch (place.how) {
      case How::kAsItIs:
        return sink_->write(place.index, offset, bytes);
      case How::kScale:
        return write_scales(place, offset, bytes);
      case How::kBytes:
        return write_bytes(place, offset, bytes);
      case How::kZeroPoints:
        return write_zero_points(place, offset, bytes);
      case How::kDropped:
        return;
    }
  }

  void commit(const Metadata&) override { sink_->commit(metadata_); }

 private:
  enum class How { kAsItIs, kScale, kBytes, kZeroPoints, kDropped };
  struct Place {
    How how = How::kAsItIs;
    std::size_t index = 0;
    DType dtype = DType::kF32;        // of scales
    std::uint64_t columns = 0;        // of codes; of zero points the groups
    bool is_signed = false;           // codes and zero points: to be turned over
    std::uint64_t left = 0;           // zero points: bytes that are to come
    std::vector<std::byte> gathered;  // zero points
  };

  void add(const LogicalTensor& tensor, const std::vector<TensorInfo>& stored, std::vector<TensorInfo>& infos) {
    const QuantizedSpec& spec = *tensor.spec;
    const Scheme& scheme = scheme_of(spec);
    const std::vector<StoredPart> parts = scheme.parts(spec);
    const bool is_bytes = scheme.pack == nullptr;
    const bool is_packed = spec.activation_bits == 0;
    const bool is_signed = scheme.rule.code_xor == 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      Place& place = places_[tensor.parts[i]];
      TensorInfo info = stored[tensor.parts[i]];
      place.index = infos.size();
      if (parts[i].role == PartRole::kScale) {
        place.how = How::kScale;
        place.dtype = info.dtype = spec.scale_dtype;
      } else if (parts[i].role == PartRole::kCodes && is_bytes && is_packed) {
        place.how = How::kBytes;
        place.is_signed = is_signed;
        place.columns = static_cast<std::uint64_t>(spec.shape[1]);
        info.name += kPackedSuffix;
        info.dtype = DType::kI32;
        info.shape[1] = static_cast<std::int64_t>(ceil_div(place.columns, kBytesPerWord));
      } else if (parts[i].role == PartRole::kZeroPoint && is_bytes) {
        if (spec.symmetric) {  // uint8 that is the same everywhere
          place.how = How::kDropped;
          continue;
        }
        const ScaleShape scales = scale_shape(spec);
        place.how = How::kZeroPoints;
        place.is_signed = is_signed;
        place.columns = scales.groups;
        place.left = info.size_bytes;
        info.dtype = DType::kI32;
        info.shape = {static_cast<std::int64_t>(ceil_div(scales.row_count, kBytesPerWord)),
                      static_cast<std::int64_t>(scales.groups)};
      }
      info.size_bytes = *checked_size_bytes(info.dtype, info.shape);
      if (place.how == How::kZeroPoints) place.gathered.resize(info.size_bytes);
      infos.push_back(std::move(info));
    }
    if (!is_bytes || !is_packed) return;
    shapes_.emplace_back(infos.size(), spec.shape);
    infos.push_back({tensor.name + std::string(kShapeSuffix), DType::kI64, {2}, 16});
  }

  void write_scales(const Place& place, std::uint64_t offset, std::span<const std::byte> bytes) {
    const std::uint64_t width = dtype_bits(place.dtype) / 8, count = bytes.size() / sizeof(float);
    std::vector<float> values(count);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    std::vector<std::byte> converted(count * width);
    kernels::from_float32(kernels::kernel_table(), place.dtype, values.data(), count, converted.data());
    sink_->write(place.index, offset / sizeof(float) * width, converted);
  }

  // Rows are padded to whole words with code 0 of the unsigned kind.
  void write_bytes(const Place& place, std::uint64_t offset, std::span<const std::byte> bytes) {
    std::vector<std::byte> codes(bytes.begin(), bytes.end());
    if (place.is_signed) turn_over(codes);
    const std::uint64_t row_bytes = ceil_div(place.columns, kBytesPerWord) * kBytesPerWord;
    if (row_bytes == place.columns) return sink_->write(place.index, offset, codes);
    constexpr std::byte kPadding[kBytesPerWord] = {};
    for (std::uint64_t done = 0; done < codes.size();) {
      const std::uint64_t row = (offset + done) / place.columns, column = (offset + done) % place.columns;
      const std::uint64_t piece = std::min<std::uint64_t>(place.columns - column, codes.size() - done);
      sink_->write(place.index, row * row_bytes + column, std::span(codes).subspan(done, piece));
      done += piece;
      if (column + piece == place.columns) {
        sink_->write(place.index, row * row_bytes + place.columns,
                     std::span(kPadding).first(row_bytes - place.columns));
      }
    }
  }

  void write_zero_points(Place& place, std::uint64_t offset, std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    for (std::uint64_t i = 0; i < bytes.size(); ++i) {
      const std::uint64_t at = offset + i;
      const std::byte flip{static_cast<unsigned char>(place.is_signed ? 0x80 : 0)};
      place.gathered[packed_zero_point_place(at / place.columns, at % place.columns, place.columns)] = bytes[i] ^ flip;
    }
    place.left -= bytes.size();
    if (place.left == 0) sink_->write(place.index, 0, place.gathered);
  }

  std::vector<Place> places_;
  std::vector<std::pair<std::size_t, Shape>> shapes_;
  Metadata metadata_;
  std::unique_ptr<TensorSink> sink_;
  std::mutex mutex_;
};

// ---- Config

Json weights_json(const QuantizedSpec& spec) {
  const bool grouped = spec.granularity == Granularity::kGroup;
  return Json{{"num_bits", scheme_of(spec).bits},
              {"type", "int"},
              {"symmetric", spec.symmetric},
              {"strategy", grouped                                    ? "group"
                           : spec.granularity == Granularity::kTensor ? "tensor"
                                                                      : "channel"},
              {"group_size", grouped ? Json(spec.group_size) : Json(nullptr)},
              {"dynamic", false},
              {"actorder", nullptr},
              {"observer", "minmax"},
              {"observer_kwargs", Json::object()}};
}

Json activations_json() {
  return Json{{"num_bits", 8},
              {"type", "int"},
              {"symmetric", true},
              {"strategy", "token"},
              {"dynamic", true},
              {"observer", nullptr},
              {"observer_kwargs", Json::object()}};
}

const char* layout_name(const QuantizedSpec& spec) {
  return spec.activation_bits == 0 ? "pack-quantized" : "int-quantized";
}

// An output head that shares the embedding's weight is a Linear without a tensor of its own.
bool has_tied_head(const Json& model_config) {
  const Json* tied = model_config.find("tie_word_embeddings");
  if (tied != nullptr && tied->is_boolean() && !tied->get<bool>()) return false;
  const Json* architectures = model_config.find("architectures");
  if (architectures == nullptr || !architectures->is_array()) return false;
  return std::ranges::any_of(architectures->elements(), [](const Json& name) {
    return name.is_string() && (name.text().ends_with("ForCausalLM") || name.text().ends_with("LMHeadModel"));
  });
}

bool is_integer_spec(const PlannedTensor& planned, const LogicalTensor& tensor) {
  if (planned.action == Action::kQuantize) return true;
  return planned.action == Action::kCopy && tensor.spec && !scheme_of(*tensor.spec).is_cast;
}

}  // namespace

std::unique_ptr<TensorSource> adapt_compressed_tensors(std::unique_ptr<TensorSource> source,
                                                       const std::string& config) {
  if (config.empty()) return source;
  const std::string title = source->title();
  Json json;
  try {
    json = parse_json(config);
  } catch (const Error& error) {
    throw Error(Status::kFormat, formatted("{}/config.json: {}", title, error.message()), "repair or remove it",
                title + "/config.json");
  }
  const Json* quantization = json.is_object() ? json.find("quantization_config") : nullptr;
  if (quantization == nullptr || quantization->is_null()) return source;
  const Json* method = quantization->is_object() ? quantization->find("quant_method") : nullptr;
  const std::string name = method != nullptr && method->is_string() ? method->text() : "an unknown method";
  if (name == "compressed-tensors") return std::make_unique<CompressedTensorsSource>(std::move(source), *quantization);
  throw Error(Status::kUnsupported, formatted("{}: is quantized by {}, which is not supported", title, name),
              "pass the float checkpoint it was made from", title);
}

Fit fit_compressed_tensors(const FitRequest& request) {
  QuantizedSpec spec = request.wanted;
  if (scheme_of(spec).is_cast) return {spec, ""};
  const Layer& layer = request.layer;
  const bool is_linear =
      layer.kind != nullptr && layer.kind->name == "Linear" && layer.name.tensor.ends_with(".weight");
  if (!is_linear || spec.shape.size() != 2) return {std::nullopt, "compressed-tensors holds Linear layers only"};
  if (layer.is_sensitive && !request.is_selected && !request.is_stored) {
    return {std::nullopt, "compressed-tensors leaves lm_head as it is unless it is selected"};
  }
  const auto fail = [&](const char* key, const std::string& what) {
    throw Error(Status::kConfig, formatted("layer {}: {}", layer.name.name, what),
                "leave the key unset, or write safetensors", key);
  };
  std::string reason;
  if (spec.scheme == "q4_1") {
    spec.scheme = "qint4";
    spec.symmetric = false;
    reason = "quantized anew: compressed-tensors has no float minima";
  }
  if (spec.granularity == Granularity::kTensor) {
    if (!request.is_stored) fail("per_channel", "compressed-tensors is written with a scale for each channel or group");
    spec.granularity = Granularity::kChannel;
    reason = "quantized anew, per channel: compressed-tensors has no other scale";
  }
  if (spec.channel_axis != 0) {
    if (!request.is_stored) fail("channel_axis", "compressed-tensors has its channels on axis 0");
    spec.channel_axis = 0;
    reason = "quantized anew: compressed-tensors has its channels on axis 0";
  }
  const std::uint64_t columns = static_cast<std::uint64_t>(spec.shape[1]);
  if (spec.granularity == Granularity::kGroup && columns % spec.group_size != 0) {
    reason = formatted("per channel: groups of {} do not divide {} columns", spec.group_size, columns);
    spec.granularity = Granularity::kChannel;
    spec.group_size = 0;
  }
  spec.is_rounded_as_ggml = false;
  if (request.is_stored && reason.empty()) return {spec, ""};
  spec.scale_dtype = spec.weight_dtype == DType::kF64 ? DType::kF32 : spec.weight_dtype;
  if (request.config.find("activation_bits", layer.name).value == "8") {
    const bool fits = spec.scheme == "qint8" && spec.symmetric && spec.granularity == Granularity::kChannel;
    if (!fits) fail("activation_bits", "activations of 8 bits need int8 weights, symmetric and per channel");
    spec.activation_bits = 8;
  }
  return {spec, reason};
}

std::unique_ptr<TensorSink> open_compressed_tensors_sink(const SinkRequest& request, const OpenByteSink& open) {
  return std::make_unique<CompressedTensorsSink>(request, open);
}

Json compressed_tensors_config(const Plan& plan, const Json& model_config) {
  struct Group {
    Json weights;
    const char* layout;
    std::vector<std::string> layers;
  };
  std::vector<Group> groups;
  std::vector<std::string> ignore;
  bool has_head = false;
  for (const PlannedTensor& planned : plan.tensors) {
    const LogicalTensor& tensor = plan.logical[planned.logical];
    const std::string& layer = planned.layer.name.name;
    has_head = has_head || layer == "lm_head";
    if (!is_integer_spec(planned, tensor)) {
      const bool is_linear = planned.layer.kind != nullptr && planned.layer.kind->name == "Linear";
      if (is_linear) ignore.push_back(layer);
      continue;
    }
    const QuantizedSpec& spec = planned.action == Action::kQuantize ? planned.spec : *tensor.spec;
    Json weights = weights_json(spec);
    const auto found = std::ranges::find_if(
        groups, [&](const Group& group) { return group.weights == weights && group.layout == layout_name(spec); });
    if (found != groups.end()) {
      found->layers.push_back(layer);
    } else {
      groups.push_back({std::move(weights), layout_name(spec), {layer}});
    }
  }
  if (groups.empty()) return nullptr;
  if (!has_head && has_tied_head(model_config)) ignore.emplace_back("lm_head");
  Json config_groups = Json::object();
  bool is_mixed = false;
  for (const Group& group : groups) is_mixed = is_mixed || group.layout != groups.front().layout;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const bool has_activations = std::string_view(groups[i].layout) == "int-quantized";
    Json group{{"targets", groups.size() == 1 ? std::vector<std::string>{"Linear"} : groups[i].layers},
               {"weights", groups[i].weights},
               {"input_activations", has_activations ? activations_json() : Json(nullptr)},
               {"output_activations", nullptr}};
    if (is_mixed) group["format"] = groups[i].layout;
    config_groups.add(formatted("group_{}", i), std::move(group));
  }
  return Json{{"quant_method", "compressed-tensors"}, {"format", is_mixed ? "mixed-precision" : groups.front().layout},
              {"quantization_status", "compressed"},  {"ignore", ignore},
              {"kv_cache_scheme", nullptr},           {"config_groups", std::move(config_groups)}};
}

}  // namespace mnq
