#include "containers/safetensors_header.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/json_text.h"
#include "containers/archive_error.h"

namespace mnq {
namespace {

// A damaged header can hold a name of a hundred megabytes.
std::string shortened(const std::string& text) {
  std::size_t length = 500;
  if (text.size() <= length) return text;
  while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) --length;  // not within a character
  return text.substr(0, length) + "...";
}

[[noreturn]] void fail(const std::string& title, const std::string& what, const std::string& subject = {}) {
  throw Error(Status::kFormat, formatted("{}: {}", title, shortened(what)),
              "the file is damaged: fetch or save it again", subject.empty() ? title : subject);
}

// The bytes of a header one after the other, of which there are never more than a piece in memory.
class HeaderBytes {
 public:
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = char;

    Iterator(HeaderBytes* bytes, std::uint64_t at) : bytes_(bytes), at_(at) {}
    char operator*() const { return bytes_->at(at_); }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    Iterator operator++(int) { return {bytes_, at_++}; }
    bool operator==(const Iterator& other) const { return at_ == other.at_; }

   private:
    HeaderBytes* bytes_;
    std::uint64_t at_;
  };

  HeaderBytes(const ByteSource& bytes, std::uint64_t start, std::uint64_t size)
      : bytes_(bytes), start_(start), size_(size) {}

  Iterator begin() { return {this, 0}; }
  Iterator end() { return {this, size_}; }

 private:
  char at(std::uint64_t place) {
    if (place - first_ >= filled_) fill(place);
    return piece_[place - first_];
  }

  void fill(std::uint64_t place) {
    first_ = place;
    filled_ = std::min<std::uint64_t>(piece_.size(), size_ - place);
    bytes_.read(start_ + place, std::as_writable_bytes(std::span(piece_).first(filled_)));
  }

  const ByteSource& bytes_;
  const std::uint64_t start_, size_;
  std::array<char, 32 << 10> piece_;
  std::uint64_t first_ = 0, filled_ = 0;
};

[[noreturn]] void fail_twice(const std::string& title, const std::string& name) {
  fail(title, formatted("the header names {} twice", name), name);
}

// nlohmann's event interface. State is where in {name: {"dtype", "shape", "data_offsets"}} the parser stands.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  // take: gets each tensor. key: the only one of the metadata that is kept, where there is one.
  HeaderReader(const std::string& title, TakeTensor take, std::optional<std::string_view> key = std::nullopt)
      : title_(title), take_tensor_(std::move(take)), key_(key) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool start_object(std::size_t) override {
    if (is_unknown()) return enter_unknown();
    if (place_ == Place::kStart) return go(Place::kTop);
    if (place_ == Place::kTopValue) {
      if (name_ == "__metadata__") return go(Place::kMetadata);
      tensor_ = {};
      tensor_.info.name = name_;
      has_dtype_ = has_shape_ = has_offsets_ = false;
      return go(Place::kTensor);
    }
    reject("an object");
  }

  bool end_object() override {
    if (place_ == Place::kUnknown) return leave_unknown();
    if (place_ == Place::kTensor) finish_tensor();
    if (place_ == Place::kTop) return go(Place::kEnd);
    return go(Place::kTop);
  }

  bool key(std::string& text) override {
    if (place_ == Place::kUnknown) return true;
    if (place_ == Place::kTop) {
      name_ = text;
      if (name_.empty()) fail(title_, "the header has a tensor without a name");
      if (name_ == "__metadata__" && std::exchange(has_metadata_, true)) fail_twice(title_, name_);
      return go(Place::kTopValue);
    }
    field_ = text;
    if (place_ == Place::kMetadata) {
      if (header_.metadata.contains(field_)) fail(title_, formatted("__metadata__ has the key {} twice", field_));
      return go(Place::kMetadataValue);
    }
    bool* seen = field_ == "dtype"          ? &has_dtype_
                 : field_ == "shape"        ? &has_shape_
                 : field_ == "data_offsets" ? &has_offsets_
                                            : nullptr;
    if (seen == nullptr) return go_to_unknown();
    if (*seen) fail_field("is there twice");
    *seen = true;
    return go(Place::kTensorValue);
  }

  bool string(std::string& text) override {
    if (is_unknown()) return skip_unknown();
    if (place_ == Place::kMetadataValue) {
      if (!key_ || *key_ == field_) header_.metadata.emplace(field_, text);
      return go(Place::kMetadata);
    }
    if (place_ != Place::kTensorValue || field_ != "dtype") reject("a text");
    const auto dtype = find_dtype(std::string_view(text));
    if (!dtype) fail_field(formatted("'{}' is unknown", text));
    tensor_.info.dtype = *dtype;
    return go(Place::kTensor);
  }

  bool start_array(std::size_t) override {
    if (is_unknown()) return enter_unknown();
    if (place_ != Place::kTensorValue || field_ == "dtype") reject("a list");
    offset_count_ = 0;
    return go(Place::kArray);
  }

  bool end_array() override {
    if (place_ == Place::kUnknown) return leave_unknown();
    if (field_ == "data_offsets" && offset_count_ != 2) fail_field("must hold two numbers");
    return go(Place::kTensor);
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (is_unknown()) return skip_unknown();
    if (place_ != Place::kArray) reject("a number");
    if (field_ == "shape") {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) fail_field("is too large");
      tensor_.info.shape.push_back(static_cast<std::int64_t>(value));
      return true;
    }
    if (offset_count_ == 2) fail_field("must hold two numbers");
    (offset_count_++ == 0 ? tensor_.begin : end_) = value;
    return true;
  }

  bool number_integer(number_integer_t) override { return skip_or_reject("a negative number"); }
  bool number_float(number_float_t, const std::string&) override {
    return skip_or_reject("a number that is no whole 64-bit one");
  }
  bool null() override {
    if (place_ == Place::kTopValue && name_ == "__metadata__") return go(Place::kTop);
    return skip_or_reject("null");
  }
  bool boolean(bool) override { return skip_or_reject("a boolean"); }
  bool binary(nlohmann::json::binary_t&) override { reject("binary data"); }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& error) override {
    fail(title_, formatted("the header is not JSON at byte {}: {}", 8 + position, json_problem(error.what())));
  }

 private:
  enum class Place {
    kStart,
    kTop,
    kTopValue,
    kMetadata,
    kMetadataValue,
    kTensor,
    kTensorValue,
    kArray,
    kUnknown,
    kEnd
  };

  bool go(Place place) {
    place_ = place;
    return true;
  }

  // The value of a field that is not known: the parser goes through it, the reader waits for its end.
  bool go_to_unknown() {
    constexpr std::size_t kMostNamed = 16;
    if (header_.unknown_fields.size() < kMostNamed) header_.unknown_fields.insert(shown(field_));
    unknown_depth_ = 0;
    return go(Place::kUnknown);
  }
  bool is_unknown() const { return place_ == Place::kUnknown; }
  bool skip_unknown() { return go(unknown_depth_ == 0 ? Place::kTensor : Place::kUnknown); }
  bool enter_unknown() {
    constexpr int kMostDepth = 125;  // with the two objects around it what the format's own loader takes
    if (++unknown_depth_ > kMostDepth) fail_field("is nested too deep");
    return true;
  }
  bool leave_unknown() {
    --unknown_depth_;
    return skip_unknown();
  }
  bool skip_or_reject(const char* what) {
    if (is_unknown()) return skip_unknown();
    reject(what);
  }

  [[noreturn]] void fail_field(const std::string& what) {
    fail(title_, formatted("tensor {}: {} {}", name_, field_, what), name_);
  }

  [[noreturn]] void reject(const char* what) {
    switch (place_) {
      case Place::kStart:
        fail(title_, formatted("the header is {}, but must be an object", what));
      case Place::kMetadataValue:
        fail(title_, formatted("__metadata__: {} is {}, but must be a text", field_, what));
      case Place::kTopValue:
        fail(title_, formatted("{} is {}, but must be an object", name_, what), name_);
      default:
        fail_field(formatted("must not hold {}", what));
    }
  }

  void finish_tensor() {
    if (!has_dtype_) fail(title_, formatted("tensor {}: dtype is missing", name_), name_);
    if (!has_shape_) fail(title_, formatted("tensor {}: shape is missing", name_), name_);
    if (!has_offsets_) fail(title_, formatted("tensor {}: data_offsets is missing", name_), name_);
    field_ = "data_offsets";
    if (end_ < tensor_.begin) fail_field(formatted("[{}, {}] ends before it starts", tensor_.begin, end_));
    const auto size = checked_size_bytes(tensor_.info.dtype, tensor_.info.shape);
    if (!size) {
      field_ = "shape";
      fail_field(formatted("{} of {} is no whole number of bytes or overflows", shape_text(tensor_.info.shape),
                           dtype_name(tensor_.info.dtype)));
    }
    if (end_ - tensor_.begin != *size) {
      fail_field(formatted("[{}, {}] hold {} bytes, but {} {} needs {}", tensor_.begin, end_, end_ - tensor_.begin,
                           dtype_name(tensor_.info.dtype), shape_text(tensor_.info.shape), *size));
    }
    tensor_.info.size_bytes = *size;
    take_tensor_(std::move(tensor_));
  }

  const std::string& title_;
  const TakeTensor take_tensor_;
  const std::optional<std::string_view> key_;
  SafetensorsHeader header_;
  Place place_ = Place::kStart;
  bool has_metadata_ = false;
  std::string name_;
  std::string field_;
  HeaderTensor tensor_;
  std::uint64_t end_ = 0;
  int offset_count_ = 0;
  int unknown_depth_ = 0;
  bool has_dtype_ = false;
  bool has_shape_ = false;
  bool has_offsets_ = false;
};

void require_distinct(const std::vector<HeaderTensor>& tensors, const std::string& title) {
  std::vector<const HeaderTensor*> by_name;
  by_name.reserve(tensors.size());
  for (const HeaderTensor& tensor : tensors) by_name.push_back(&tensor);
  const auto name_of = [](const HeaderTensor* tensor) -> std::string_view { return tensor->info.name; };
  std::ranges::sort(by_name, {}, name_of);
  const auto twice = std::ranges::adjacent_find(by_name, {}, name_of);
  if (twice != by_name.end()) fail_twice(title, (*twice)->info.name);
}

// Every byte of the data belongs to one tensor.
void check_coverage(const std::vector<HeaderTensor>& tensors, std::uint64_t data_bytes, const std::string& title) {
  std::uint64_t end = 0;
  for (const HeaderTensor& tensor : tensors) {
    if (tensor.begin != end) {
      fail(title,
           formatted("tensor {}: data_offsets start at {}, but the data before ends at {}", tensor.info.name,
                     tensor.begin, end),
           tensor.info.name);
    }
    end += tensor.info.size_bytes;
    if (end > data_bytes) {
      fail(title,
           formatted("tensor {}: data_offsets end at {}, but the file holds only {} bytes of data", tensor.info.name,
                     end, data_bytes),
           tensor.info.name);
    }
  }
  if (end != data_bytes) {
    fail(title, formatted("data_offsets end at {}, but the file holds {} bytes of data", end, data_bytes));
  }
}

void parse(const ByteSource& bytes, const HeaderPlace& place, HeaderReader& reader) {
  HeaderBytes json(bytes, place.start, place.size);
  nlohmann::json::sax_parse(json.begin(), json.end(), &reader);
}

}  // namespace

SafetensorsHeader read_safetensors_header(const ByteSource& bytes, const HeaderPlace& place, const std::string& title) {
  std::vector<HeaderTensor> tensors;
  HeaderReader reader(title, [&](HeaderTensor tensor) { tensors.push_back(std::move(tensor)); });
  parse(bytes, place, reader);
  SafetensorsHeader header = reader.take();
  header.tensors = std::move(tensors);
  require_distinct(header.tensors, title);
  // An empty tensor starts where its neighbour does: by size it comes first.
  const auto place_of = [](const HeaderTensor& t) { return std::pair(t.begin, t.info.size_bytes); };
  if (!std::ranges::is_sorted(header.tensors, {}, place_of)) std::ranges::stable_sort(header.tensors, {}, place_of);
  check_coverage(header.tensors, place.data_bytes, title);
  return header;
}

std::optional<std::string> list_safetensors_header(const ByteSource& bytes, const HeaderPlace& place,
                                                   const std::string& title, std::string_view key,
                                                   const TakeTensor& take) {
  std::uint64_t end = 0;
  HeaderReader reader(
      title,
      [&](HeaderTensor tensor) {
        if (tensor.begin != end) fail(title, formatted("tensor {}: data_offsets start elsewhere", tensor.info.name));
        end += tensor.info.size_bytes;
        take(std::move(tensor));
      },
      key);
  parse(bytes, place, reader);
  if (end != place.data_bytes) {
    fail(title, formatted("data_offsets end at {}, but the file holds {} bytes of data", end, place.data_bytes));
  }
  Metadata metadata = reader.take().metadata;
  const auto found = metadata.find(std::string(key));
  return found == metadata.end() ? std::nullopt : std::optional(std::move(found->second));
}

void write_safetensors_header(const std::vector<PlacedTensor>& tensors,
                              const std::function<void(const WriteText&)>& write_metadata, const WriteText& write) {
  const char* before = "{";
  const auto write_name = [&](const std::string& name) {
    write(before);
    write_quoted(name, write);
    write(":");
    before = ",";
  };
  if (write_metadata) {
    write_name("__metadata__");
    write_metadata(write);
  }
  for (const auto& [info, begin] : tensors) {
    write_name(info->name);
    write(Json{{"dtype", dtype_name(info->dtype)},
               {"shape", info->shape},
               {"data_offsets", std::vector{begin, begin + info->size_bytes}}}
              .dump());
  }
  write(before[0] == '{' ? "{}" : "}");
}

}  // namespace mnq
