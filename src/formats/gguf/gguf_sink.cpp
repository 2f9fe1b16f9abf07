// Writing GGUF: blocks come as they are stored, other tensors as GGUF has room for them.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/json_text.h"
#include "formats/gguf/gguf.h"
#include "formats/gguf/gguf_substitutes.h"
#include "formats/gguf/gguf_types.h"

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
  GgufSink(const SinkRequest& request, const OpenByteSink& open) {
    for (const TensorInfo* info : request.plan.outputs()) names_.insert(info->name);
    for (std::size_t item = 0; item < request.plan.size(); ++item) add(request.plan, item);
    const std::string header = make_header(request);
    data_start_ = padded(header.size());
    bytes_ = open(data_start_ + padded(end_));
    bytes_->write(0, std::as_bytes(std::span(header)));
    fill(header.size(), data_start_);
    for (const Target& target : targets_)
      fill(data_start_ + target.offset + target.size, data_start_ + padded(target.offset + target.size));
  }

  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override {
    const Target& target = targets_[tensor];
    if (bytes.empty()) return;
    if (target.substitute != nullptr && target.substitute->widen != nullptr) return widen(target, offset, bytes);
    bytes_->write(data_start_ + target.offset + offset, bytes);
  }

  void commit(std::span<const double>) override { bytes_->commit(); }

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
  struct Target {
    std::string name, whole_name;  // in the file, and the tensor's
    const GgufType* type = nullptr;
    const GgufSubstitute* substitute = nullptr;  // of another dtype
    Shape shape;
    Shape whole_shape;    // of one with more dimensions, as it would be stored
    Shape element_shape;  // of elements below a byte
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };

  void add(const PlanSlice& plan, std::size_t item) {
    const PlannedTensor& planned = plan.tensor(item);
    const LogicalTensor& tensor = plan.logical(item);
    const bool is_stored = planned.action == Action::kCopy && tensor.spec && is_coded(*tensor.spec);
    const GgmlBlock* block = planned.action == Action::kQuantize || is_stored ? ggml_block_of(planned.spec) : nullptr;
    for (const PlannedOutput& output : planned.outputs) {
      block != nullptr ? add_blocks(output.info, *block, tensor.shape) : add_plain(output.info);
    }
  }

  void add_blocks(const TensorInfo& info, const GgmlBlock& block, const Shape& shape) {
    const auto types = all_gguf_types();
    Target& target = start_target(info, &*std::ranges::find(types, &block, &GgufType::block));
    set_shape(target, shape);
  }

  void add_plain(const TensorInfo& info) {
    const GgufSubstitute* substitute = find_gguf_substitute(info.dtype);
    const std::optional<DType> dtype = substitute == nullptr ? info.dtype : substitute->stored;
    const auto types = all_gguf_types();
    const auto type = std::ranges::find(types, dtype, &GgufType::dtype);
    if (type == types.end()) {
      throw Error(Status::kUnsupported, formatted("tensor {}: GGUF has no {}", info.name, dtype_name(*dtype)),
                  "write safetensors instead", info.name);
    }
    Target& target = start_target(info, &*type);
    target.substitute = substitute;
    set_shape(target, stored_gguf_shape(substitute, info));
    if (substitute == nullptr) return;
    if (dtype_bits(info.dtype) < 8) target.element_shape = info.shape;
    target.size = info.size_bytes / substitute->element_bytes * substitute->stored_bytes;
    end_ = padded(target.offset + target.size);
  }

  Target& start_target(const TensorInfo& info, const GgufType* type) {
    Target target;
    target.whole_name = info.name;
    target.name = stored_name(info.name);
    target.type = type;
    target.offset = end_;
    target.size = info.size_bytes;
    end_ = padded(target.offset + target.size);
    return targets_.emplace_back(std::move(target));
  }

  static void set_shape(Target& target, Shape shape) {
    target.shape = folded_shape(shape);
    if (shape.size() > kMostGgufDimensions) target.whole_shape = std::move(shape);
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

  // The texts that come with the tensors, the names of ties among them. "format" is of safetensors, and what is
  // quantized is seen by the types.
  void add_texts(Values& values, const Metadata& metadata, const std::string& architecture) {
    for (const auto& [key, text] : metadata) {
      if (key == "format" && text == "pt") continue;
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

  std::set<std::string> names_;  // of the tensors, and of those that are stored under shorter ones
  std::vector<Target> targets_;
  std::vector<std::string> hidden_keys_, left_out_keys_;
  std::uint64_t end_ = 0;  // of the data
  std::uint64_t data_start_ = 0;
  std::unique_ptr<ByteSink> bytes_;
};

}  // namespace

std::unique_ptr<TensorSink> open_gguf_sink(const SinkRequest& request, const OpenByteSink& open) {
  return std::make_unique<GgufSink>(request, open);
}

}  // namespace mnq
