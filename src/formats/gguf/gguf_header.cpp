#include "formats/gguf/gguf_header.h"

#include <algorithm>
#include <map>
#include <unordered_set>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/utf8.h"
#include "containers/archive_error.h"
#include "containers/read_text.h"

namespace mnq {
namespace {

constexpr int kMostArrayDepth = 4;
constexpr std::uint64_t kMostRank = 64;

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

  const std::string& title() const { return title_; }
  std::uint64_t size() const { return bytes_.size(); }
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

std::string read_value(HeaderBytes& in, std::uint32_t type, int depth);

// Arrays say how many values they hold.
std::string read_array(HeaderBytes& in, std::uint32_t item_type, std::uint64_t count, int depth) {
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

// A value as text, for people.
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
      std::string text = in.text(1u << 30);
      return is_utf8(text) ? text : shown(text);
    }
    case kArray: {
      const auto item_type = in.number<std::uint32_t>();
      return read_array(in, item_type, in.number<std::uint64_t>(), depth);
    }
    default:
      in.fail(formatted("a value of the unknown type {}", type));
  }
}

// What ggml calls the types that are not read, by their numbers: two that are of no file, and those that it has given
// up.
constexpr std::pair<std::uint32_t, std::string_view> kOtherTypes[] = {
    {4, "Q4_2"},      {5, "Q4_3"},      {9, "Q8_1"},        {15, "Q8_K"},       {31, "Q4_0_4_4"},
    {32, "Q4_0_4_8"}, {33, "Q4_0_8_8"}, {36, "IQ4_NL_4_4"}, {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"},
};

std::string type_name(std::uint32_t id) {
  const auto* found = std::ranges::find(kOtherTypes, id, [](const auto& type) { return type.first; });
  return found == std::end(kOtherTypes) ? formatted("{}", id) : std::string(found->second);
}

std::string list_types() {
  std::string names;
  for (const GgufType& type : all_gguf_types()) names += (names.empty() ? "" : ", ") + std::string(type.name);
  return names;
}

const GgufType* find_type(std::uint32_t id) {
  const auto types = all_gguf_types();
  const auto found = std::ranges::find(types, id, &GgufType::id);
  return found == types.end() ? nullptr : &*found;
}

std::optional<std::uint64_t> parse_number(const std::string& text) {
  constexpr std::size_t kMostDigits = 9;
  const bool is_number = !text.empty() && text.size() <= kMostDigits &&
                         std::ranges::all_of(text, [](char character) { return character >= '0' && character <= '9'; });
  return is_number ? std::optional<std::uint64_t>(std::stoul(text)) : std::nullopt;
}

// A tensor as the file lists it.
struct Stored {
  std::string name;
  std::uint32_t type_id = 0;
  const GgufType* type = nullptr;
  Shape shape;
  std::uint64_t count = 0;   // of elements
  std::uint64_t offset = 0;  // from the start of the data
  std::uint64_t size_bytes = 0;
};

Stored read_tensor(HeaderBytes& in) {
  Stored tensor;
  tensor.name = in.text(1u << 16);
  if (tensor.name.empty() || !is_utf8(tensor.name)) in.fail("a tensor without a sound name");
  const auto rank = in.number<std::uint32_t>();
  if (rank > kMostGgufDimensions) in.fail(formatted("tensor {} has {} dimensions", shown(tensor.name), rank));
  for (std::uint32_t i = 0; i < rank; ++i) {
    const auto size = in.number<std::uint64_t>();
    const bool is_possible = size <= static_cast<std::uint64_t>(INT64_MAX);
    if (!is_possible) in.fail(formatted("tensor {}: an impossible size", shown(tensor.name)));
    tensor.shape.insert(tensor.shape.begin(), static_cast<std::int64_t>(size));  // innermost first in the file
  }
  tensor.type_id = in.number<std::uint32_t>();
  tensor.type = find_type(tensor.type_id);
  tensor.offset = in.number<std::uint64_t>();
  const auto count = checked_element_count(tensor.shape);
  if (!count) in.fail(formatted("tensor {}: its size overflows", shown(tensor.name)));
  tensor.count = *count;
  if (tensor.type == nullptr) return tensor;
  if (tensor.type->dtype) {
    const auto size_bytes = checked_size_bytes(*tensor.type->dtype, tensor.shape);
    if (!size_bytes) in.fail(formatted("tensor {}: its size overflows", shown(tensor.name)));
    tensor.size_bytes = *size_bytes;
  } else {
    if (!has_whole_rows(*tensor.type, tensor.shape) || tensor.count == 0) {
      in.fail(formatted("tensor {}: {} of {} is not made of blocks of {}", shown(tensor.name), tensor.type->name,
                        shape_text(tensor.shape), tensor.type->block->elements));
    }
    tensor.size_bytes = tensor.count / tensor.type->block->elements * tensor.type->block->bytes;
  }
  return tensor;
}

// All types at once: which they are tells people what kind of file they have.
void refuse_types(const std::string& title, const std::vector<Stored>& tensors) {
  std::map<std::string, std::size_t> counts;
  const Stored* first = nullptr;
  for (const Stored& tensor : tensors) {
    if (tensor.type != nullptr) continue;
    if (first == nullptr) first = &tensor;
    ++counts[type_name(tensor.type_id)];
  }
  if (first == nullptr) return;
  std::string all;
  for (const auto& [name, count] : counts) all += formatted("{}{} {}", all.empty() ? "" : ", ", count, name);
  throw Error(Status::kUnsupported,
              formatted("{}: tensor {} has the type {}, which is not read; of its {} tensors there are {}", title,
                        shown(first->name), type_name(first->type_id), tensors.size(), all),
              formatted("make a file of types that are read of it (llama-quantize --allow-requantize IN OUT Q8_0): {}",
                        list_types()),
              first->name);
}

// A key of llama-gguf-split's; `other` where it is not there or is no number.
std::uint64_t split_value(const HeaderBytes& in, const Metadata& metadata, const char* key, std::uint64_t other) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return other;
  const auto number = parse_number(found->second);
  if (!number) in.fail(formatted("the key {} says {}", key, shown(found->second)));
  return *number;
}

GgufPartNumber read_part(const HeaderBytes& in, const Metadata& metadata) {
  GgufPartNumber part;
  part.count = std::max<std::uint64_t>(1, split_value(in, metadata, "split.count", 1));
  if (part.count == 1) return part;
  part.number = split_value(in, metadata, "split.no", 0);
  part.tensor_count = split_value(in, metadata, "split.tensors.count", 0);
  if (part.number >= part.count) in.fail(formatted("part {} of {} cannot be", part.number, part.count));
  return part;
}

// What a key-value says of a tensor that something else stands for.
struct ToldShape {
  Shape shape;
  std::string stored;  // the key-value
};
using ToldTexts = std::map<std::string, std::string>;
using ToldShapes = std::map<std::string, ToldShape>;
struct Told {
  ToldTexts dtypes, names, texts;
  ToldShapes shapes, folded_shapes;
};

// Keeps what key-values say until all tensors are known.
class HeaderReader {
 public:
  explicit HeaderReader(const ByteSource& bytes) : in_(bytes) {}

  GgufHeader read() {
    in_.skip(4);
    const auto version = in_.number<std::uint32_t>();
    if (version != 3 && version != 2) {
      throw Error(Status::kUnsupported, formatted("{}: is GGUF of version {}; 2 and 3 are known", in_.title(), version),
                  version > 0xffff ? "it is big-endian: convert it" : "convert it to version 3", in_.title());
    }
    const auto tensor_count = in_.number<std::uint64_t>();
    const auto value_count = in_.number<std::uint64_t>();
    constexpr std::uint64_t kLeastTensorBytes = 24, kLeastValueBytes = 13;
    if (tensor_count > in_.size() / kLeastTensorBytes) in_.fail(formatted("{} tensors cannot be", tensor_count));
    if (value_count > in_.size() / kLeastValueBytes) in_.fail(formatted("{} values cannot be", value_count));
    for (std::uint64_t i = 0; i < value_count; ++i) read_key_value();
    header_.part = read_part(in_, header_.metadata);
    for (std::uint64_t i = 0; i < tensor_count; ++i) stored_.push_back(read_tensor(in_));
    refuse_types(in_.title(), stored_);
    place();
    for (const Stored& stored : stored_) header_.tensors.push_back(resolve(stored));
    finish_values();
    return std::move(header_);
  }

 private:
  void read_key_value() {
    const std::uint64_t begin = in_.position();
    const std::string key = in_.text(1u << 16);
    if (!is_utf8(key)) in_.fail("a key that is no UTF-8");
    if (!keys_.insert(key).second) in_.fail(formatted("the key {} twice", shown(key)));
    const auto type = in_.number<std::uint32_t>();
    if (read_told(key, type, begin)) return;
    std::string value = read_value(in_, type, 0);
    if (key == "general.alignment") {
      alignment_ = 0;
      if (type == kUInt32) alignment_ = static_cast<std::uint64_t>(std::stoul(value));
      if (alignment_ == 0 || alignment_ % 8 != 0) in_.fail(formatted("an alignment of {}", value));
    } else if (key != "general.file_type" && key != "general.quantization_version" && !key.starts_with("split.")) {
      pass_on(in_.between(begin, in_.position()));
    }
    if (key == "general.architecture") header_.architecture = value;
    header_.metadata.emplace(key, std::move(value));
  }

  // Those that say what the file has something else for.
  bool read_told(std::string_view key, std::uint32_t type, std::uint64_t begin) {
    const std::pair<std::string_view, ToldTexts*> texts[] = {
        {kDTypePrefix, &told_.dtypes}, {kNamePrefix, &told_.names}, {kTextPrefix, &told_.texts}};
    for (const auto& [prefix, told] : texts) {
      if (!key.starts_with(prefix)) continue;
      if (type != kText) in_.fail(formatted("the key {} has no text", shown(std::string(key))));
      told->emplace(key.substr(prefix.size()), read_value(in_, type, 0));
      if (prefix == kTextPrefix) pass_on(in_.between(begin, in_.position()));
      return true;
    }
    const std::pair<std::string_view, ToldShapes*> shapes[] = {{kShapePrefix, &told_.shapes},
                                                               {kFoldedShapePrefix, &told_.folded_shapes}};
    for (const auto& [prefix, told] : shapes) {
      if (!key.starts_with(prefix)) continue;
      Shape shape = read_shape(key, type);
      told->emplace(key.substr(prefix.size()), ToldShape{std::move(shape), in_.between(begin, in_.position())});
      return true;
    }
    return false;
  }

  Shape read_shape(std::string_view key, std::uint32_t type) {
    const auto item_type = type == kArray ? in_.number<std::uint32_t>() : type;
    const auto rank = type == kArray ? in_.number<std::uint64_t>() : 0;
    if (type != kArray || (item_type != kInt32 && item_type != kInt64) || rank > kMostRank) {
      in_.fail(formatted("the key {} has no list of sizes", shown(std::string(key))));
    }
    Shape shape;
    for (std::uint64_t i = 0; i < rank; ++i) {
      shape.push_back(item_type == kInt32 ? in_.number<std::int32_t>() : in_.number<std::int64_t>());
    }
    return shape;
  }

  void pass_on(const std::string& stored) {
    header_.values += stored;
    ++header_.value_count;
  }

  // As ggml demands it: one after the other in the order they are listed, each padded to the alignment.
  void place() {
    const auto padded = [&](std::uint64_t at) { return ceil_div(at, alignment_) * alignment_; };
    data_start_ = padded(in_.position());
    std::uint64_t end = 0;
    for (const Stored& tensor : stored_) {
      if (tensor.offset != end) {
        in_.fail(
            formatted("tensor {} is at {} of the data, but must be at {}", shown(tensor.name), tensor.offset, end));
      }
      const std::uint64_t room = in_.size() - std::min(in_.size(), data_start_);
      if (end > room || tensor.size_bytes > room - end) {
        in_.fail(formatted("tensor {} needs {} bytes at {} of the data, but there are {}: the file was cut off",
                           shown(tensor.name), tensor.size_bytes, end, room));
      }
      end = padded(end + tensor.size_bytes);
    }
  }

  [[noreturn]] void refuse_told(std::string_view prefix, const Stored& tensor, const std::string& value) const {
    in_.fail(formatted("the key {}{} says {}, which does not fit {} {}", prefix, shown(tensor.name), value,
                       tensor.type->name, shape_text(tensor.shape)));
  }

  // A tensor as it was.
  GgufTensor resolve(const Stored& stored) {
    GgufTensor tensor;
    tensor.type = stored.type;
    tensor.start = data_start_ + stored.offset;
    tensor.info.name = stored.name;
    if (const auto name = told_.names.find(stored.name); name != told_.names.end()) tensor.info.name = name->second;
    if (tensor.info.name.empty() || !names_.insert(tensor.info.name).second) {
      in_.fail(formatted("two tensors called {}", shown(tensor.info.name)));
    }
    tensor.info.dtype = stored.type->dtype.value_or(DType::kF32);
    tensor.info.shape = unfolded_shape(stored);
    if (const auto dtype = told_.dtypes.find(stored.name); dtype != told_.dtypes.end()) {
      resolve_dtype(tensor, stored, dtype->second);
    }
    const auto size_bytes = checked_size_bytes(tensor.info.dtype, tensor.info.shape);
    if (!size_bytes) in_.fail(formatted("tensor {}: its size overflows", shown(stored.name)));
    tensor.info.size_bytes = *size_bytes;
    return tensor;
  }

  // Blocks that run on from one row into the next, as ComfyUI has them, stay in the shape they are stored in.
  Shape unfolded_shape(const Stored& stored) {
    const auto told = told_.folded_shapes.find(stored.name);
    if (told == told_.folded_shapes.end()) return stored.shape;
    Shape shape = std::move(told->second.shape);
    const std::string key_value = std::move(told->second.stored);
    told_.folded_shapes.erase(told);
    if (checked_element_count(shape) != stored.count) refuse_told(kFoldedShapePrefix, stored, shape_text(shape));
    if (has_whole_rows(*stored.type, shape)) return shape;
    pass_on(key_value);
    return stored.shape;
  }

  void resolve_dtype(GgufTensor& tensor, const Stored& stored, const std::string& name) {
    const auto dtype = find_dtype(std::string_view(name));
    tensor.substitute = dtype ? find_gguf_substitute(*dtype) : nullptr;
    if (tensor.substitute == nullptr || tensor.substitute->stored != stored.type->dtype) {
      refuse_told(kDTypePrefix, stored, shown(name));
    }
    tensor.info.dtype = *dtype;
    Shape& shape = tensor.info.shape;
    if (*dtype == DType::kC64) {
      if (shape.empty() || shape.back() != 2) refuse_told(kDTypePrefix, stored, name);
      shape.pop_back();
    } else if (dtype_bits(*dtype) < 8) {
      const auto told = told_.shapes.find(stored.name);
      if (told == told_.shapes.end()) refuse_told(kDTypePrefix, stored, name);
      shape = told->second.shape;
      if (checked_size_bytes(*dtype, shape) != stored.size_bytes) refuse_told(kShapePrefix, stored, shape_text(shape));
    }
  }

  // What is of no tensor here stays as it is; texts of a model that had keys of GGUF's readers are its own again.
  void finish_values() {
    for (const auto& [name, told] : told_.folded_shapes) pass_on(told.stored);
    for (const auto& [key, text] : told_.texts) header_.metadata.insert_or_assign(key, text);
  }

  HeaderBytes in_;
  GgufHeader header_;
  Told told_;
  std::vector<Stored> stored_;
  std::unordered_set<std::string> keys_, names_;
  std::uint64_t alignment_ = 32;
  std::uint64_t data_start_ = 0;
};

}  // namespace

GgufHeader read_gguf_header(const ByteSource& bytes) { return HeaderReader(bytes).read(); }

}  // namespace mnq
