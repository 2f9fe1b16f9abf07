#include "formats/gguf.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "base/error.h"
#include "base/format.h"
#include "base/utf8.h"
#include "formats/archive_error.h"
#include "formats/gguf_blocks.h"
#include "formats/read_text.h"
#include "kernels/kernel_table.h"
#include "plan/logical_tensors.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

constexpr std::uint32_t kMostDimensions = 4;
constexpr int kMostArrayDepth = 4;
constexpr std::uint64_t kMostShownText = 200;

enum ValueType : std::uint32_t {
  kUInt8,
  kInt8,
  kUInt16,
  kInt16,
  kUInt32,
  kInt32,
  kFloat32,
  kBool,
  kText,
  kArray,
  kUInt64,
  kInt64,
  kFloat64,
  kTypeCount
};
constexpr std::uint64_t kValueBytes[kTypeCount] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

// Reads a file from its start, in pieces, and remembers where it is.
class HeaderBytes {
 public:
  explicit HeaderBytes(const ByteSource& bytes) : bytes_(bytes), title_(title_of(bytes.path())) {}

  std::uint64_t position() const { return start_ + at_; }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(Status::kFormat, formatted("{}: byte {}: {}", title_, position(), what),
                "the file is damaged: fetch or save it again", title_);
  }

  template <class Number>
  Number number() {
    Number value;
    take({reinterpret_cast<std::byte*>(&value), sizeof value});
    return value;
  }

  std::string text(std::uint64_t most_bytes) {
    const auto length = number<std::uint64_t>();
    if (length > bytes_.size() - position()) fail(formatted("a text of {} bytes reaches beyond the end", length));
    if (length > most_bytes) fail(formatted("a text of {} bytes exceeds {}", length, most_bytes));
    std::string text(length, '\0');
    take(std::as_writable_bytes(std::span(text)));
    return text;
  }

  void skip(std::uint64_t count) {
    if (count > bytes_.size() - position()) fail("it was cut off");
    start_ = position() + count;
    at_ = 0;
    buffer_.clear();
  }

  // What lies between two places.
  std::string between(std::uint64_t begin, std::uint64_t end) const { return read_text(bytes_, begin, end - begin); }

 private:
  void take(std::span<std::byte> into) {
    if (into.size() > bytes_.size() - position()) fail("it was cut off");
    if (into.size() > buffer_.size() - at_) refill(into.size());
    std::memcpy(into.data(), buffer_.data() + at_, into.size());
    at_ += into.size();
  }

  void refill(std::uint64_t needed) {
    constexpr std::uint64_t kPiece = 1u << 16;
    start_ = position();
    at_ = 0;
    buffer_.resize(std::min(std::max(needed, kPiece), bytes_.size() - start_));
    bytes_.read(start_, buffer_);
  }

  const ByteSource& bytes_;
  std::string title_;
  std::uint64_t start_ = 0;  // of the buffer in the file
  std::size_t at_ = 0;
  std::vector<std::byte> buffer_;
};

// A value as text, for people; arrays say what they hold.
std::string read_value(HeaderBytes& in, std::uint32_t type, int depth) {
  switch (type) {
    case kUInt8:
      return std::to_string(in.number<std::uint8_t>());
    case kInt8:
      return std::to_string(in.number<std::int8_t>());
    case kUInt16:
      return std::to_string(in.number<std::uint16_t>());
    case kInt16:
      return std::to_string(in.number<std::int16_t>());
    case kUInt32:
      return std::to_string(in.number<std::uint32_t>());
    case kInt32:
      return std::to_string(in.number<std::int32_t>());
    case kUInt64:
      return std::to_string(in.number<std::uint64_t>());
    case kInt64:
      return std::to_string(in.number<std::int64_t>());
    case kFloat32:
      return formatted("{}", in.number<float>());
    case kFloat64:
      return formatted("{}", in.number<double>());
    case kBool:
      return in.number<std::uint8_t>() != 0 ? "true" : "false";
    case kText: {
      const std::string text = in.text(1u << 30);
      return text.size() <= kMostShownText && is_utf8(text) ? text : shown(text);
    }
    case kArray: {
      const auto item_type = in.number<std::uint32_t>();
      const auto count = in.number<std::uint64_t>();
      if (item_type >= kTypeCount) in.fail(formatted("an array of the unknown type {}", item_type));
      if (depth >= kMostArrayDepth) in.fail("arrays are nested too deep");
      if (kValueBytes[item_type] > 0) {
        std::uint64_t bytes = 0;
        if (__builtin_mul_overflow(count, kValueBytes[item_type], &bytes)) in.fail("an array is too long");
        in.skip(bytes);
      } else {
        for (std::uint64_t i = 0; i < count; ++i) read_value(in, item_type, depth + 1);
      }
      return formatted("[{} values]", count);
    }
    default:
      in.fail(formatted("a value of the unknown type {}", type));
  }
}

struct StoredTensor {
  std::string name;
  const GgufType* type = nullptr;
  Shape shape;
  std::uint64_t offset = 0;  // from the start of the data
  std::uint64_t size_bytes = 0;
};

const GgufType* find_type(std::uint32_t id) {
  const auto* found = std::ranges::find(kGgufTypes, id, &GgufType::id);
  return found == std::end(kGgufTypes) ? nullptr : found;
}

class GgufSource final : public TensorSource {
 public:
  explicit GgufSource(std::shared_ptr<const ByteSource> bytes) : bytes_(std::move(bytes)) {
    HeaderBytes in(*bytes_);
    in.skip(4);
    const auto version = in.number<std::uint32_t>();
    if (version != 3 && version != 2) {
      throw Error(Status::kUnsupported, formatted("{}: is GGUF of version {}; 2 and 3 are known", title(), version),
                  version > 0xffff ? "it is big-endian: convert it" : "convert it to version 3", title());
    }
    const auto tensor_count = in.number<std::uint64_t>();
    const auto value_count = in.number<std::uint64_t>();
    constexpr std::uint64_t kLeastTensorBytes = 24, kLeastValueBytes = 13;
    if (tensor_count > bytes_->size() / kLeastTensorBytes) in.fail(formatted("{} tensors cannot be", tensor_count));
    if (value_count > bytes_->size() / kLeastValueBytes) in.fail(formatted("{} values cannot be", value_count));
    for (std::uint64_t i = 0; i < value_count; ++i) read_key_value(in);
    if (const auto found = metadata_.find("general.architecture"); found != metadata_.end()) {
      companion_.gguf_architecture = found->second;
    }
    refuse_part();
    std::vector<StoredTensor> stored;
    for (std::uint64_t i = 0; i < tensor_count; ++i) stored.push_back(read_tensor(in));
    place(in, stored);
    show(stored);
  }

  std::string_view format() const override { return "gguf"; }
  std::string path() const override { return bytes_->path(); }
  std::uint64_t size_bytes() const override { return bytes_->size(); }
  bool reads_from(const std::string& path) const override { return bytes_->reads_from(path); }
  const Companion* companion() const override { return &companion_; }

  std::shared_ptr<const std::byte> view(std::size_t tensor) const override {
    return views_[tensor].role == Role::kPlain ? bytes_->view(views_[tensor].start) : nullptr;
  }

  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    const View& view = views_[tensor];
    switch (view.role) {
      case Role::kPlain:
        return bytes_->read(view.start + offset, into);
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
  enum class Role { kPlain, kCodes, kScale, kMinimum, kShape };
  struct View {
    Role role;
    const GgufType* type;
    std::uint64_t start;  // in the file
    Shape shape;          // kShape
  };

  // Of a model that llama-gguf-split has cut: each part has some of the tensors, and the first one all key-values.
  void refuse_part() const {
    const auto count = metadata_.find("split.count"), part = metadata_.find("split.no");
    if (count == metadata_.end() || count->second == "0" || count->second == "1") return;
    const std::string index = part == metadata_.end() ? "?" : part->second;
    throw Error(
        Status::kUnsupported,
        formatted("{}: is one of the {} parts of a model (split.no = {})", title(), shown(count->second), shown(index)),
        "join the parts first: llama-gguf-split --merge FIRST_PART OUTPUT", title());
  }

  void read_key_value(HeaderBytes& in) {
    const std::uint64_t begin = in.position();
    const std::string key = in.text(1u << 16);
    const auto type = in.number<std::uint32_t>();
    std::string value = read_value(in, type, 0);
    if (!is_utf8(key)) in.fail("a key that is no UTF-8");
    if (key == "general.alignment") {
      alignment_ = 0;
      if (type == kUInt32) alignment_ = static_cast<std::uint64_t>(std::stoul(value));
      if (alignment_ == 0 || alignment_ % 8 != 0) in.fail(formatted("an alignment of {}", value));
    } else if (key != "general.file_type" && key != "general.quantization_version") {
      companion_.gguf_values += in.between(begin, in.position());
      ++companion_.gguf_value_count;
    }
    if (!metadata_.emplace(key, std::move(value)).second) in.fail(formatted("the key {} twice", shown(key)));
  }

  StoredTensor read_tensor(HeaderBytes& in) {
    StoredTensor tensor;
    tensor.name = in.text(1u << 16);
    if (tensor.name.empty() || !is_utf8(tensor.name)) in.fail("a tensor without a sound name");
    if (!names_.insert(tensor.name).second) in.fail(formatted("two tensors called {}", shown(tensor.name)));
    const auto rank = in.number<std::uint32_t>();
    if (rank > kMostDimensions) in.fail(formatted("tensor {} has {} dimensions", shown(tensor.name), rank));
    for (std::uint32_t i = 0; i < rank; ++i) {
      const auto size = in.number<std::uint64_t>();
      if (size > static_cast<std::uint64_t>(INT64_MAX))
        in.fail(formatted("tensor {}: an impossible size", shown(tensor.name)));
      tensor.shape.insert(tensor.shape.begin(), static_cast<std::int64_t>(size));  // innermost first in the file
    }
    const auto type = in.number<std::uint32_t>();
    tensor.type = find_type(type);
    if (tensor.type == nullptr) {
      throw Error(Status::kUnsupported,
                  formatted("{}: tensor {} has the type {}, which is not supported", title(), shown(tensor.name), type),
                  "F32, F16, BF16, F64, I8 to I64, Q8_0, Q4_0 and Q4_1 are: convert it to one of them", tensor.name);
    }
    tensor.offset = in.number<std::uint64_t>();
    const auto count = checked_element_count(tensor.shape);
    if (!count) in.fail(formatted("tensor {}: its size overflows", shown(tensor.name)));
    if (tensor.type->dtype) {
      tensor.size_bytes = *count * dtype_bits(*tensor.type->dtype) / 8;
    } else {
      const bool fits = tensor.shape.size() >= 2 && tensor.shape.back() % 32 == 0 && *count > 0;
      if (!fits) {
        in.fail(formatted("tensor {}: {} of {} is not made of blocks of 32", shown(tensor.name), tensor.type->name,
                          shape_text(tensor.shape)));
      }
      tensor.size_bytes = *count / 32 * tensor.type->block_bytes;
    }
    return tensor;
  }

  // As ggml demands it: one after the other in the order they are listed, each padded to the alignment.
  void place(HeaderBytes& in, std::vector<StoredTensor>& stored) {
    const auto padded = [&](std::uint64_t at) { return ceil_div(at, alignment_) * alignment_; };
    data_start_ = padded(in.position());
    std::uint64_t end = 0;
    for (const StoredTensor& tensor : stored) {
      if (tensor.offset != end) {
        in.fail(formatted("tensor {} is at {} of the data, but must be at {}", shown(tensor.name), tensor.offset, end));
      }
      const std::uint64_t room = bytes_->size() - std::min(bytes_->size(), data_start_);
      if (end > room || tensor.size_bytes > room - end) {
        in.fail(formatted("tensor {} needs {} bytes at {} of the data, but there are {}: the file was cut off",
                          shown(tensor.name), tensor.size_bytes, end, room));
      }
      end = padded(end + tensor.size_bytes);
    }
  }

  void show(std::vector<StoredTensor>& stored) {
    std::vector<QuantizedEntry> entries;
    for (StoredTensor& tensor : stored) {
      const std::uint64_t start = data_start_ + tensor.offset;
      if (tensor.type->dtype) {
        tensors_.push_back({tensor.name, *tensor.type->dtype, tensor.shape, tensor.size_bytes});
        views_.push_back({Role::kPlain, tensor.type, start, {}});
        continue;
      }
      const QuantizedSpec spec = gguf_spec(*tensor.type, tensor.shape);
      for (const StoredPart& part : scheme_of(spec).parts(spec)) {
        constexpr Role kRoles[] = {Role::kCodes, Role::kScale, Role::kPlain, Role::kShape, Role::kMinimum};
        const Role role = kRoles[static_cast<std::size_t>(part.role)];
        const std::string name = tensor.name + std::string(part.suffix);
        if (!part.suffix.empty() && !names_.insert(name).second) {
          throw Error(Status::kUnsupported,
                      formatted("{}: tensor {} has a name that is needed for the parts of {}", title(), shown(name),
                                shown(tensor.name)),
                      "rename it", name);
        }
        tensors_.push_back({name, part.dtype, part.shape, *checked_size_bytes(part.dtype, part.shape)});
        views_.push_back({role, tensor.type, start, role == Role::kShape ? tensor.shape : Shape()});
      }
      entries.push_back({tensor.name, spec, std::nullopt});
    }
    metadata_[std::string(kMetadataKey)] = write_quantized_metadata(entries);
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
  std::uint64_t alignment_ = 32;
  std::uint64_t data_start_ = 0;
  std::unordered_set<std::string> names_;
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
