#include "formats/gguf/gguf.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "base/error.h"
#include "base/text/format.h"
#include "containers/archive_error.h"
#include "formats/gguf/gguf_parts.h"
#include "layouts/ggml.h"

namespace mnq {
namespace {

class GgufSource final : public TensorSource {
 public:
  // path: of the part that was asked for.
  GgufSource(std::vector<GgufPart> parts, std::string path) : path_(std::move(path)) {
    GgufHeader& first = parts.front().header;
    companion_.gguf_architecture = std::move(first.architecture);
    companion_.gguf_values = std::move(first.values);
    companion_.gguf_value_count = first.value_count;
    metadata_ = std::move(first.metadata);
    if (parts.size() > 1) std::erase_if(metadata_, [](const auto& value) { return value.first.starts_with("split."); });
    for (GgufPart& part : parts) {
      show(part.header.tensors, *part.bytes);
      size_bytes_ += part.bytes->size();
      inputs_.push_back(std::move(part.bytes));
    }
    require_distinct_names();
    remark_on_second_scales();
  }

  std::string_view format() const override { return "gguf"; }
  std::string path() const override { return path_; }
  std::uint64_t size_bytes() const override { return size_bytes_; }
  const Companion* companion() const override { return &companion_; }

  std::shared_ptr<const std::byte> view(std::size_t tensor) const override {
    const View& view = views_[tensor];
    return is_narrowed(view) ? nullptr : view.bytes->view(view.start);
  }

  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    const View& view = views_[tensor];
    if (is_narrowed(view)) return read_narrowed(tensor, offset, into);
    view.bytes->read(view.start + offset, into);
  }

 private:
  struct View {
    const ByteSource* bytes;  // the part that it is in
    std::uint64_t start;
    const GgufSubstitute* substitute;
    std::optional<QuantizedSpec> spec;  // of blocks
  };

  static bool is_narrowed(const View& view) { return view.substitute != nullptr && view.substitute->narrow != nullptr; }

  // Blocks are bytes to whoever asks for stored tensors.
  void show(std::vector<GgufTensor>& tensors, const ByteSource& bytes) {
    for (GgufTensor& tensor : tensors) {
      View& view = views_.emplace_back(&bytes, tensor.start, tensor.substitute, std::nullopt);
      if (tensor.type->block != nullptr) {
        view.spec = ggml_spec(*tensor.type->block, tensor.info.shape);
        tensor.info.dtype = DType::kU8;
        tensor.info.shape = ggml_stored_shape(*tensor.type->block, tensor.info.shape);
        tensor.info.size_bytes = *checked_size_bytes(tensor.info.dtype, tensor.info.shape);
      }
      tensors_.push_back(std::move(tensor.info));
    }
  }

  LogicalTensors find_weights() const override {
    LogicalTensors found;
    for (std::size_t i = 0; i < views_.size(); ++i) {
      const auto& spec = views_[i].spec;
      if (!spec) continue;
      found.tensors.push_back({tensors_[i].name, spec->weight_dtype, spec->shape, {i}, spec, &kGgmlLayout, {}, {}, {}});
    }
    return complete(std::move(found));
  }

  // What stands for elements of a narrower dtype.
  void read_narrowed(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const {
    constexpr std::uint64_t kElementsAtOnce = 1u << 14;
    const View& view = views_[tensor];
    const std::uint64_t width = view.substitute->element_bytes, stored_width = view.substitute->stored_bytes;
    const std::uint64_t last = ceil_div(offset + into.size(), width);
    std::vector<std::byte> raw, values;
    for (std::uint64_t first = offset / width; first < last; first += kElementsAtOnce) {
      const std::uint64_t count = std::min(kElementsAtOnce, last - first);
      raw.resize(count * stored_width);
      values.resize(count * width);
      view.bytes->read(view.start + first * stored_width, raw);
      if (!view.substitute->narrow(raw.data(), count, values.data())) {
        const TensorInfo& info = tensors_[tensor];
        throw Error(Status::kFormat,
                    formatted("{}: tensor {} was {}, but has a value that is none", title(), shown(info.name),
                              dtype_name(info.dtype)),
                    "the file was changed after it was written: write it again", info.name);
      }
      copy_part(values.data(), first * width, count * width, offset, into);
    }
  }

  // Copies what of a part lies in [offset, offset + into.size()).
  static void copy_part(const std::byte* part, std::uint64_t part_start, std::uint64_t part_bytes, std::uint64_t offset,
                        std::span<std::byte> into) {
    const std::uint64_t begin = std::max(part_start, offset);
    const std::uint64_t end = std::min(part_start + part_bytes, offset + into.size());
    if (begin < end) std::memcpy(into.data() + (begin - offset), part + (begin - part_start), end - begin);
  }

  // Each part has distinct names by itself.
  void require_distinct_names() const {
    std::unordered_set<std::string_view> names;
    for (const TensorInfo& info : tensors_) {
      if (names.insert(info.name).second) continue;
      throw Error(Status::kFormat, formatted("{}: two of its parts have the tensor {}", title(), shown(info.name)),
                  "the parts are of different models: fetch them again", info.name);
    }
  }

  // llama.cpp multiplies what such a weight gives with a number beside it, and blocks say nothing of that.
  void remark_on_second_scales() {
    constexpr std::string_view kWeight = ".weight";
    std::unordered_set<std::string> scaled;
    for (std::size_t i = 0; i < views_.size(); ++i) {
      const std::string& name = tensors_[i].name;
      const bool has_small_scales = views_[i].spec && views_[i].spec->scale_dtype == DType::kF8E4M3;
      if (has_small_scales && name.ends_with(kWeight)) {
        scaled.insert(name.substr(0, name.size() - kWeight.size()) + ".scale");
      }
    }
    const auto count = std::ranges::count_if(tensors_, [&](const auto& info) { return scaled.contains(info.name); });
    if (count == 0) return;
    remarks_.push_back(
        formatted("{} of its weights are to be multiplied with the tensors .scale beside them, as "
                  "llama.cpp does: their values here are without that",
                  count));
  }

  std::string path_;
  std::uint64_t size_bytes_ = 0;
  Companion companion_;
  std::vector<View> views_;
};

}  // namespace

bool recognises_gguf(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>&) {
  return start.size() >= 4 && std::memcmp(start.data(), "GGUF", 4) == 0;
}

std::unique_ptr<TensorSource> open_gguf_source(std::shared_ptr<const ByteSource> bytes, const OpenSettings&) {
  const std::string path = bytes->path();
  return std::make_unique<GgufSource>(open_gguf_parts(std::move(bytes)), path);
}

const Format kGgufFormat{
    .name = "gguf",
    .extensions = ".gguf",
    .recognises = recognises_gguf,
    .open_source = open_gguf_source,
    .open_sink = open_gguf_sink,
    .storage = {.title = "GGUF",
                .advice = "leave the key unset, or write another format",
                .layout = &kGgmlLayout,
                .method = &kGgmlMethod,
                .rule = rule_of_gguf},
};

}  // namespace mnq
