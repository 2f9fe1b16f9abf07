#include "formats/gguf/gguf.h"

#include <algorithm>
#include <unordered_set>

#include "base/error.h"
#include "base/format.h"
#include "containers/archive_error.h"
#include "formats/gguf/gguf_header.h"
#include "kernels/kernel_table.h"
#include "plan/logical_tensors.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

class GgufSource final : public TensorSource {
 public:
  explicit GgufSource(std::shared_ptr<const ByteSource> bytes) : bytes_(std::move(bytes)) {
    inputs_ = {bytes_};
    GgufHeader header = read_gguf_header(*bytes_);
    metadata_ = std::move(header.metadata);
    companion_.gguf_architecture = std::move(header.architecture);
    companion_.gguf_values = std::move(header.values);
    companion_.gguf_value_count = header.value_count;
    show(header.tensors);
  }

  std::string_view format() const override { return "gguf"; }
  std::string path() const override { return bytes_->path(); }
  std::uint64_t size_bytes() const override { return bytes_->size(); }
  const Companion* companion() const override { return &companion_; }

  std::shared_ptr<const std::byte> view(std::size_t tensor) const override {
    return views_[tensor].role == Role::kPlain ? bytes_->view(views_[tensor].start) : nullptr;
  }

  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    const View& view = views_[tensor];
    switch (view.role) {
      case Role::kPlain:
        return bytes_->read(view.start + offset, into);
      case Role::kNarrowed:
        return read_narrowed(tensor, offset, into);
      case Role::kShape:
        if (!into.empty())
          std::memcpy(into.data(), reinterpret_cast<const std::byte*>(view.shape.data()) + offset, into.size());
        return;
      case Role::kCodes:
        return read_codes(view, offset, into);
      case Role::kScale:
        return read_halves(view, 0, offset, into);
      case Role::kMinimum:
        return read_halves(view, 2, offset, into);
    }
  }

 private:
  enum class Role { kPlain, kNarrowed, kCodes, kScale, kMinimum, kShape };
  struct View {
    Role role;
    const GgufType* type;
    std::uint64_t start;                         // in the file
    Shape shape;                                 // kShape
    const GgufSubstitute* substitute = nullptr;  // kNarrowed
  };

  void show(std::vector<GgufTensor>& tensors) {
    std::unordered_set<std::string> names;
    for (const GgufTensor& tensor : tensors) names.insert(tensor.info.name);
    std::vector<QuantizedEntry> entries;
    for (GgufTensor& tensor : tensors) {
      if (tensor.type->dtype) {
        const bool is_narrowed = tensor.substitute != nullptr && tensor.substitute->narrow != nullptr;
        tensors_.push_back(std::move(tensor.info));
        views_.push_back(
            {is_narrowed ? Role::kNarrowed : Role::kPlain, tensor.type, tensor.start, {}, tensor.substitute});
        continue;
      }
      const QuantizedSpec spec = gguf_spec(*tensor.type, tensor.info.shape);
      for (const StoredPart& part : scheme_of(spec).parts(spec)) {
        constexpr Role kRoles[] = {Role::kCodes, Role::kScale, Role::kPlain, Role::kShape, Role::kMinimum};
        const Role role = kRoles[static_cast<std::size_t>(part.role)];
        const std::string name = tensor.info.name + std::string(part.suffix);
        if (!part.suffix.empty() && !names.insert(name).second) {
          throw Error(Status::kUnsupported,
                      formatted("{}: tensor {} has a name that is needed for the parts of {}", title(), shown(name),
                                shown(tensor.info.name)),
                      "rename it", name);
        }
        tensors_.push_back({name, part.dtype, part.shape, *checked_size_bytes(part.dtype, part.shape)});
        views_.push_back({role, tensor.type, tensor.start, role == Role::kShape ? tensor.info.shape : Shape()});
      }
      entries.push_back({tensor.info.name, spec, std::nullopt});
    }
    metadata_[std::string(kMetadataKey)] = write_quantized_metadata(entries);
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
      bytes_->read(view.start + first * stored_width, raw);
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

  // The blocks that bytes [offset, offset + size) of a part lie in, a part taking `part_bytes` of each.
  template <class Take>
  void for_each_block(const View& view, std::uint64_t part_bytes, std::uint64_t offset, std::uint64_t size,
                      Take&& take) const {
    constexpr std::uint64_t kBlocksAtOnce = 4096;
    std::vector<std::byte> raw;
    const std::uint64_t last = (offset + size + part_bytes - 1) / part_bytes;
    for (std::uint64_t first = offset / part_bytes; first < last; first += kBlocksAtOnce) {
      const std::uint64_t count = std::min(kBlocksAtOnce, last - first);
      raw.resize(count * view.type->block_bytes);
      bytes_->read(view.start + first * view.type->block_bytes, raw);
      for (std::uint64_t i = 0; i < count; ++i) take(first + i, raw.data() + i * view.type->block_bytes);
    }
  }

  // Copies what of a block's part lies in [offset, offset + into.size()).
  static void copy_part(const std::byte* part, std::uint64_t part_start, std::uint64_t part_bytes, std::uint64_t offset,
                        std::span<std::byte> into) {
    const std::uint64_t begin = std::max(part_start, offset);
    const std::uint64_t end = std::min(part_start + part_bytes, offset + into.size());
    if (begin < end) std::memcpy(into.data() + (begin - offset), part + (begin - part_start), end - begin);
  }

  void read_codes(const View& view, std::uint64_t offset, std::span<std::byte> into) const {
    const std::uint64_t part_bytes = stored_code_bytes(*view.type);
    for_each_block(view, part_bytes, offset, into.size(), [&](std::uint64_t index, const std::byte* block) {
      std::byte codes[32];
      codes_from_block(*view.type, block, codes);
      copy_part(codes, index * part_bytes, part_bytes, offset, into);
    });
  }

  void read_halves(const View& view, std::uint64_t place, std::uint64_t offset, std::span<std::byte> into) const {
    for_each_block(view, sizeof(float), offset, into.size(), [&](std::uint64_t index, const std::byte* block) {
      std::uint16_t half = 0;
      float value = 0;
      std::memcpy(&half, block + place, sizeof half);
      kernels::kernel_table().f16_to_f32(&half, 1, &value);
      std::byte bytes[sizeof value];
      std::memcpy(bytes, &value, sizeof value);
      copy_part(bytes, index * sizeof value, sizeof value, offset, into);
    });
  }

  std::shared_ptr<const ByteSource> bytes_;
  Companion companion_;
  std::vector<View> views_;
};

}  // namespace

bool recognises_gguf(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>&) {
  return start.size() >= 4 && std::memcmp(start.data(), "GGUF", 4) == 0;
}

std::unique_ptr<TensorSource> open_gguf_source(std::shared_ptr<const ByteSource> bytes, const OpenSettings&) {
  return std::make_unique<GgufSource>(std::move(bytes));
}

}  // namespace mnq
