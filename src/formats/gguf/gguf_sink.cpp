// Writing GGUF: parts of a weight come one by one, in any order and from any thread; a block is written once all its parts
// are there.
#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <set>

#include "base/error.h"
#include "base/format.h"
#include "base/json_text.h"
#include "formats/collected_tensors.h"
#include "formats/gguf/gguf.h"
#include "formats/gguf/gguf_blocks.h"
#include "formats/gguf/gguf_substitutes.h"
#include "kernels/kernel_table.h"
#include "plan/logical_tensors.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

constexpr std::uint64_t kAlignment = 32;
constexpr std::uint32_t kUInt32 = 4, kInt32 = 5, kFloat32 = 6, kText = 8, kArray = 9, kInt64 = 11;
constexpr std::size_t kMostKeyBytes = 0xffff - kTextPrefix.size();

std::uint64_t padded(std::uint64_t at) { return ceil_div(at, kAlignment) * kAlignment; }

// Key-values as they are stored.
class Values {
 public:
  template <class Number>
  void put(Number value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put_text(std::string_view text) {
    put<std::uint64_t>(text.size());
    bytes_ += text;
  }
  void add(std::string_view key, std::string_view text) {
    begin(key, kText);
    put_text(text);
  }
  void add(std::string_view key, std::uint32_t value) {
    begin(key, kUInt32);
    put(value);
  }
  void add(std::string_view key, float value) {
    begin(key, kFloat32);
    put(value);
  }
  // ComfyUI takes 32 bits only.
  void add(std::string_view key, const Shape& shape) {
    const bool is_small = std::ranges::all_of(shape, [](std::int64_t size) { return size <= INT32_MAX; });
    begin(key, kArray);
    put(is_small ? kInt32 : kInt64);
    put<std::uint64_t>(shape.size());
    for (const std::int64_t size : shape) {
      if (is_small)
        put(static_cast<std::int32_t>(size));
      else
        put(size);
    }
  }
  void append(const std::string& stored, std::uint64_t count) {
    bytes_ += stored;
    count_ += count;
  }
  const std::string& bytes() const { return bytes_; }
  std::uint64_t count() const { return count_; }

 private:
  void begin(std::string_view key, std::uint32_t type) {
    put_text(key);
    put(type);
    ++count_;
  }

  std::string bytes_;
  std::uint64_t count_ = 0;
};

// What a config.json of transformers says, under the names that GGUF has for it. Returns the architecture.
std::string add_config(Values& values, const std::string& text) {
  constexpr std::pair<std::string_view, std::string_view> kNumbers[] = {
      {"max_position_embeddings", "context_length"},
      {"hidden_size", "embedding_length"},
      {"num_hidden_layers", "block_count"},
      {"intermediate_size", "feed_forward_length"},
      {"num_attention_heads", "attention.head_count"},
      {"num_key_value_heads", "attention.head_count_kv"},
      {"vocab_size", "vocab_size"}};
  constexpr std::pair<std::string_view, std::string_view> kReals[] = {
      {"layer_norm_eps", "attention.layer_norm_epsilon"},
      {"rms_norm_eps", "attention.layer_norm_rms_epsilon"},
      {"rope_theta", "rope.freq_base"}};
  const Json config = text.empty() ? Json::object() : parse_python_json(text);
  const auto text_of = [&](const char* key) {
    const Json* value = config.is_object() ? config.find(key) : nullptr;
    return value != nullptr && value->is_string() ? value->text() : std::string();
  };
  const std::string model_type = text_of("model_type");
  const std::string architecture = model_type.empty() ? "unknown" : model_type;
  values.add("general.architecture", architecture);
  if (const std::string name = text_of("_name_or_path"); !name.empty()) values.add("general.name", name);
  if (!config.is_object()) return architecture;
  for (const auto& [from, to] : kNumbers) {
    const Json* value = config.find(from);
    if (value == nullptr || !value->is_integer() || value->get<std::int64_t>() < 0) continue;
    values.add(formatted("{}.{}", architecture, to), value->get<std::uint32_t>());
  }
  for (const auto& [from, to] : kReals) {
    const Json* value = config.find(from);
    if (value != nullptr && value->is_number()) values.add(formatted("{}.{}", architecture, to), value->get<float>());
  }
  return architecture;
}

// Whether readers of GGUF would take a key for one of theirs.
bool is_gguf_key(std::string_view key, const std::string& architecture) {
  constexpr std::string_view kTheirs[] = {"general.", "split.", "tokenizer.", "comfy.gguf.", "mono_quant."};
  return key.empty() || key.starts_with(architecture + ".") ||
         std::ranges::any_of(kTheirs, [&](std::string_view start) { return key.starts_with(start); });
}

// "a, b, c and 4 more"
std::string list_some(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 3;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) text += (i == 0 ? "" : ", ") + names[i];
  return names.size() > kShown ? formatted("{} and {} more", text, names.size() - kShown) : text;
}

class GgufSink final : public TensorSink {
 public:
  GgufSink(const SinkRequest& request, const OpenByteSink& open) : places_(request.tensors.size()) {
    const CollectedTensors collected(request.tensors, request.metadata);
    const std::vector<LogicalTensor> tensors = require_logical_tensors(collected);
    for (const LogicalTensor& tensor : tensors) names_.insert(tensor.name);
    for (const LogicalTensor& tensor : tensors) add(tensor, request.tensors);
    const std::string header = make_header(request);
    data_start_ = padded(header.size());
    bytes_ = open(data_start_ + padded(end_));
    bytes_->write(0, std::as_bytes(std::span(header)));
    fill(header.size(), data_start_);
    for (const Target& target : targets_)
      fill(data_start_ + target.offset + target.size, data_start_ + padded(target.offset + target.size));
  }

  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override {
    const Place& place = places_[tensor];
    if (place.role == PartRole::kShape || bytes.empty()) return;
    Target& target = targets_[place.target];
    if (target.substitute != nullptr && target.substitute->widen != nullptr) return widen(target, offset, bytes);
    if (target.type->dtype) return bytes_->write(data_start_ + target.offset + offset, bytes);
    const std::uint64_t part_bytes = place.role == PartRole::kCodes ? stored_code_bytes(*target.type) : sizeof(float);
    if (offset % part_bytes != 0 || bytes.size() % part_bytes != 0) {
      throw Error(Status::kInternal, formatted("{}: a piece that is not made of whole blocks", target.name));
    }
    gather(target, place.role, offset / part_bytes, bytes.size() / part_bytes, bytes);
  }

  void commit(const Metadata&) override {
    for (const Target& target : targets_) {
      if (!target.pending.empty())
        throw Error(Status::kInternal, formatted("{}: blocks are not complete", target.name));
    }
    bytes_->commit();
  }

  std::vector<std::string> notes() const override {
    std::map<const GgufSubstitute*, std::vector<std::string>> substituted;
    std::vector<std::string> notes, folded, renamed;
    for (const Target& target : targets_) {
      if (target.substitute != nullptr) substituted[target.substitute].push_back(target.whole_name);
      if (!target.whole_shape.empty()) folded.push_back(target.whole_name);
      if (target.name != target.whole_name) renamed.push_back(target.whole_name);
    }
    for (const auto& [substitute, names] : substituted) {
      notes.push_back(formatted("{}: {} is stored as {}, and read back as it was: GGUF has no {}", list_some(names),
                                dtype_name(substitute->dtype), substitute->text, dtype_name(substitute->dtype)));
    }
    if (!folded.empty()) {
      notes.push_back(
          formatted("{}: stored with 4 dimensions, and read back as before: GGUF has no more", list_some(folded)));
    }
    if (!renamed.empty()) {
      notes.push_back(formatted("{}: stored under a shorter name, and read back as before: GGUF has 63 bytes for it",
                                list_some(renamed)));
    }
    if (!hidden_keys_.empty()) {
      notes.push_back(
          formatted("metadata {}: stored as {}KEY, and read back as before: GGUF's readers would take it for theirs",
                    list_some(hidden_keys_), kTextPrefix));
    }
    if (!left_out_keys_.empty()) {
      notes.push_back(
          formatted("metadata {}...: left out, GGUF has no keys of more than 65535 bytes", list_some(left_out_keys_)));
    }
    return notes;
  }

 private:
  // The parts of a run of blocks, as they come.
  struct Pending {
    std::uint64_t count = 0;
    std::vector<std::byte> codes, scales, minima;
  };
  struct Target {
    std::string name, whole_name;  // in the file, and the tensor's
    const GgufType* type = nullptr;
    const GgufSubstitute* substitute = nullptr;  // of another dtype
    Shape shape;
    Shape whole_shape;    // of one with more dimensions, as it would be stored
    Shape element_shape;  // of elements below a byte
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    std::map<std::uint64_t, Pending> pending;  // by the first block
  };
  struct Place {
    std::size_t target = 0;
    PartRole role = PartRole::kCodes;
  };

  void add(const LogicalTensor& tensor, const std::vector<TensorInfo>& stored) {
    const TensorInfo& first = stored[tensor.parts.front()];
    const bool is_blocks = tensor.spec && !scheme_of(*tensor.spec).is_cast;
    Target target;
    target.whole_name = tensor.name;
    target.name = stored_name(tensor.name);
    target.offset = end_;
    target.substitute = is_blocks ? nullptr : find_gguf_substitute(first.dtype);
    const DType dtype = target.substitute == nullptr ? first.dtype : target.substitute->stored;
    for (const GgufType& type : kGgufTypes) {
      const bool is_it = is_blocks ? !type.dtype && type.scheme == tensor.spec->scheme : type.dtype == dtype;
      if (is_it) target.type = &type;
    }
    if (target.type == nullptr) {
      throw Error(Status::kUnsupported, formatted("tensor {}: GGUF has no {}", tensor.name, dtype_name(dtype)),
                  "write safetensors instead", tensor.name);
    }
    Shape shape = stored_gguf_shape(target.substitute, {tensor.name, first.dtype, tensor.shape, first.size_bytes});
    target.shape = folded_shape(shape);
    if (shape.size() > kMostGgufDimensions) target.whole_shape = std::move(shape);
    if (target.substitute != nullptr && dtype_bits(first.dtype) < 8) target.element_shape = tensor.shape;
    const std::vector<StoredPart> parts =
        is_blocks ? scheme_of(*tensor.spec).parts(*tensor.spec) : std::vector<StoredPart>();
    for (std::size_t i = 0; i < tensor.parts.size(); ++i) {
      places_[tensor.parts[i]] = {targets_.size(), is_blocks ? parts[i].role : PartRole::kCodes};
    }
    target.size = first.size_bytes;
    if (is_blocks) target.size = element_count(tensor.shape) / 32 * target.type->block_bytes;
    if (target.substitute != nullptr)
      target.size = first.size_bytes / target.substitute->element_bytes * target.substitute->stored_bytes;
    end_ = padded(target.offset + target.size);
    targets_.push_back(std::move(target));
  }

  // Of the type that most quantized tensors have, or all matrices where none are quantized: as llama.cpp guesses it.
  std::uint32_t file_type() const {
    const bool has_blocks = std::ranges::any_of(targets_, [](const Target& target) { return !target.type->dtype; });
    std::map<std::uint32_t, std::size_t> counts;
    for (const Target& target : targets_) {
      const bool counts_here = has_blocks ? !target.type->dtype : target.shape.size() > 1;
      if (counts_here) ++counts[target.type->file_type];
    }
    const auto most = std::ranges::max_element(counts, {}, [](const auto& count) { return count.second; });
    return most == counts.end() ? 0 : most->first;
  }

  // Unlike that of all other tensors, whatever became of them.
  std::string stored_name(const std::string& name) {
    if (name.size() <= kMostGgufNameBytes) return name;
    std::string shorter;
    for (std::size_t attempt = 0; shorter.empty() || !names_.insert(shorter).second; ++attempt) {
      shorter = short_gguf_name(name, attempt);
    }
    return shorter;
  }

  void widen(const Target& target, std::uint64_t offset, std::span<const std::byte> bytes) {
    const GgufSubstitute& substitute = *target.substitute;
    if (offset % substitute.element_bytes != 0 || bytes.size() % substitute.element_bytes != 0) {
      throw Error(Status::kInternal, formatted("{}: a piece that is not made of whole elements", target.name));
    }
    const std::uint64_t count = bytes.size() / substitute.element_bytes;
    std::vector<std::byte> wide(count * substitute.stored_bytes);
    substitute.widen(bytes.data(), count, wide.data());
    bytes_->write(data_start_ + target.offset + offset / substitute.element_bytes * substitute.stored_bytes, wide);
  }

  // The texts that come with the tensors, the names of ties among them. "format" is of safetensors, and what is quantized is
  // seen by the types.
  void add_texts(Values& values, const Metadata& metadata, const std::string& architecture) {
    for (const auto& [key, text] : metadata) {
      if (key == kMetadataKey || (key == "format" && text == "pt")) continue;
      if (key.size() > kMostKeyBytes) {
        left_out_keys_.push_back(key.substr(0, 40));
        continue;
      }
      const bool is_hidden = is_gguf_key(key, architecture);
      if (is_hidden) hidden_keys_.push_back(key);
      values.add((is_hidden ? std::string(kTextPrefix) : "") + key, text);
    }
  }

  // What our reader needs to show tensors as they were.
  void add_substitutes(Values& values) const {
    for (const Target& target : targets_) {
      const auto add = [&](std::string_view prefix, const auto& value) {
        values.add(std::string(prefix) + target.name, value);
      };
      if (target.name != target.whole_name) add(kNamePrefix, std::string_view(target.whole_name));
      if (target.substitute != nullptr) add(kDTypePrefix, dtype_name(target.substitute->dtype));
      if (!target.whole_shape.empty()) add(kFoldedShapePrefix, target.whole_shape);
      if (!target.element_shape.empty()) add(kShapePrefix, target.element_shape);
    }
  }

  // Those of a GGUF file are all among its own.
  std::string make_header(const SinkRequest& request) {
    const Companion* companion = request.companion;
    Values values;
    if (companion != nullptr && companion->gguf_value_count > 0) {
      values.append(companion->gguf_values, companion->gguf_value_count);
    } else {
      add_texts(values, request.metadata, add_config(values, companion == nullptr ? std::string() : companion->config));
    }
    add_substitutes(values);
    values.add("general.quantization_version", 2u);
    values.add("general.file_type", file_type());
    Values header;
    header.put(std::uint32_t{0x46554747});  // "GGUF"
    header.put(std::uint32_t{3});
    header.put<std::uint64_t>(targets_.size());
    header.put(values.count());
    header.append(values.bytes(), 0);
    for (const Target& target : targets_) {
      header.put_text(target.name);
      const std::size_t rank = target.shape.size();
      header.put(static_cast<std::uint32_t>(rank));
      for (std::size_t i = rank; i-- > 0;) header.put(static_cast<std::uint64_t>(target.shape[i]));
      header.put(target.type->id);
      header.put(target.offset);
    }
    return header.bytes();
  }

  void fill(std::uint64_t begin, std::uint64_t end) {
    constexpr std::byte kZeros[kAlignment] = {};
    if (begin < end) bytes_->write(begin, std::span(kZeros).first(end - begin));
  }

  void gather(Target& target, PartRole role, std::uint64_t first, std::uint64_t count,
              std::span<const std::byte> bytes) {
    Pending complete;
    {
      const std::lock_guard lock(mutex_);
      Pending& pending = target.pending[first];
      if (pending.count != 0 && pending.count != count) {
        throw Error(Status::kInternal, formatted("{}: its parts come in different pieces", target.name));
      }
      pending.count = count;
      auto& part = role == PartRole::kCodes   ? pending.codes
                   : role == PartRole::kScale ? pending.scales
                                              : pending.minima;
      part.assign(bytes.begin(), bytes.end());
      const bool needs_minima = target.type->scheme == "q4_1";
      if (pending.codes.empty() || pending.scales.empty() || (needs_minima && pending.minima.empty())) return;
      complete = std::move(pending);
      target.pending.erase(first);
    }
    std::vector<std::byte> blocks(count * target.type->block_bytes);
    put_halves(complete.scales, blocks, target.type->block_bytes, 0);
    put_halves(complete.minima, blocks, target.type->block_bytes, 2);
    for (std::uint64_t i = 0; i < count; ++i) {
      codes_to_block(*target.type, complete.codes.data() + i * stored_code_bytes(*target.type),
                     blocks.data() + i * target.type->block_bytes);
    }
    bytes_->write(data_start_ + target.offset + first * target.type->block_bytes, blocks);
  }

  static void put_halves(const std::vector<std::byte>& floats, std::vector<std::byte>& blocks,
                         std::uint64_t block_bytes, std::uint64_t place) {
    const std::size_t count = floats.size() / sizeof(float);
    std::vector<float> values(count);
    std::vector<std::uint16_t> halves(count);
    if (count > 0) std::memcpy(values.data(), floats.data(), floats.size());
    kernels::kernel_table().f32_to_f16(values.data(), count, halves.data());
    for (std::size_t i = 0; i < count; ++i) std::memcpy(blocks.data() + i * block_bytes + place, &halves[i], 2);
  }

  std::set<std::string> names_;  // of the tensors, and of those that are stored under shorter ones
  std::vector<Place> places_;
  std::vector<Target> targets_;
  std::vector<std::string> hidden_keys_, left_out_keys_;
  std::uint64_t end_ = 0;  // of the data
  std::uint64_t data_start_ = 0;
  std::unique_ptr<ByteSink> bytes_;
  std::mutex mutex_;
};

}  // namespace

std::unique_ptr<TensorSink> open_gguf_sink(const SinkRequest& request, const OpenByteSink& open) {
  return std::make_unique<GgufSink>(request, open);
}

}  // namespace mnq
