// The ZIP form of a state dict: one record for the pickle, one for each tensor.
#include <bit>
#include <map>

#include "base/error.h"
#include "base/format.h"
#include "base/json.h"
#include "formats/pytorch.h"
#include "formats/pytorch_records.h"
#include "formats/torch_dtypes.h"
#include "formats/zip_writer.h"

namespace mnq {
namespace {

constexpr std::string_view kRoot = "archive";

const TorchDType& torch_dtype(const TensorInfo& info) {
  if (const TorchDType* found = find_torch_dtype(info.dtype)) return *found;
  throw Error(Status::kUnsupported, formatted("tensor {}: PyTorch has no dtype {}", info.name, dtype_name(info.dtype)),
              "write it as safetensors", info.name);
}

// Pickle, protocol 2.
class StateDictPickle {
 public:
  StateDictPickle() { out_ = "\x80\x02}("; }

  void add(std::string_view name, const TensorInfo& info, std::size_t storage) {
    const TorchDType& dtype = torch_dtype(info);
    const bool is_untyped = !dtype.is_python;
    text(name);
    global("torch._utils", is_untyped ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2");
    out_ += "((";
    text("storage");
    is_untyped ? global("torch.storage", "UntypedStorage") : global("torch", dtype.storage);
    text(std::to_string(storage));
    text("cpu");
    integer(is_untyped ? info.size_bytes : element_count(info.shape));
    out_ += "tQ";
    integer(0);
    integers(info.shape);
    integers(strides(info.shape));
    out_ += '\x89';
    global("collections", "OrderedDict");
    out_ += ")R";
    if (is_untyped) global("torch", dtype.name);
    out_ += "tR";
  }

  std::string finish() { return out_ + "u."; }

 private:
  static Shape strides(const Shape& shape) {
    Shape strides(shape.size(), 1);
    for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * std::max<std::int64_t>(shape[i], 1);
    return strides;
  }

  template <class Number>
  void number(char opcode, Number value) {
    out_ += opcode;
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  void text(std::string_view text) {
    number('X', static_cast<std::uint32_t>(text.size()));
    out_ += text;
  }

  void global(std::string_view module, std::string_view name) { out_ += formatted("c{}\n{}\n", module, name); }

  void integer(std::uint64_t value) {
    if (value < 256) return number('K', static_cast<std::uint8_t>(value));
    if (value <= 0x7fffffff) return number('J', static_cast<std::uint32_t>(value));
    out_ += "\x8a\x08";
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  void integers(const Shape& values) {
    out_ += '(';
    for (const std::int64_t value : values) integer(static_cast<std::uint64_t>(value));
    out_ += 't';
  }

  std::string out_;
};

std::string metadata_json(const Metadata& metadata) {
  Json json = Json::object();
  for (const auto& [key, value] : metadata) json.add(key, value);
  return json.dump();
}

class PytorchSink final : public TensorSink {
 public:
  PytorchSink(const SinkRequest& request, const OpenByteSink& open) {
    std::map<std::string_view, std::size_t> index;
    for (std::size_t i = 0; i < request.tensors.size(); ++i) index.emplace(request.tensors[i].name, i);
    StateDictPickle pickle;
    for (std::size_t i = 0; i < request.tensors.size(); ++i) pickle.add(request.tensors[i].name, request.tensors[i], i);
    for (const auto& [name, target] : tied_names(request.metadata, request.tensors)) {
      pickle.add(name, request.tensors[index.at(target)], index.at(target));
    }
    const std::string bytes = pickle.finish();
    const std::string version = "3\n", order = "little";
    const std::string root(kRoot);
    const std::size_t pickle_record = zip_.add(root + "/data.pkl", bytes.size());
    const std::size_t order_record = zip_.add(root + "/byteorder", order.size());
    for (std::size_t i = 0; i < request.tensors.size(); ++i) {
      records_.push_back(zip_.add(formatted("{}/data/{}", root, i), request.tensors[i].size_bytes));
    }
    metadata_size_ = metadata_json(request.metadata).size();
    metadata_record_ = zip_.add(root + std::string(kPytorchMetadataRecord), metadata_size_);
    const std::size_t version_record = zip_.add(root + "/version", version.size());
    zip_.open(open);
    zip_.write(pickle_record, bytes);
    zip_.write(order_record, order);
    zip_.write(version_record, version);
  }

  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override {
    zip_.write(records_[tensor], offset, bytes);
  }

  void commit(const Metadata& metadata) override {
    std::string json = metadata_json(metadata);
    if (json.size() > metadata_size_) throw Error(Status::kInternal, "the metadata became longer than was reserved");
    json.resize(metadata_size_, ' ');
    zip_.write(metadata_record_, json);
    zip_.commit();
  }

 private:
  ZipWriter zip_;
  std::vector<std::size_t> records_;
  std::size_t metadata_record_ = 0;
  std::uint64_t metadata_size_ = 0;
};

}  // namespace

std::unique_ptr<TensorSink> open_pytorch_sink(const SinkRequest& request, const OpenByteSink& open) {
  return std::make_unique<PytorchSink>(request, open);
}

}  // namespace mnq
