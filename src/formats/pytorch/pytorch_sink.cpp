// The ZIP form of a state dict: one record for the pickle, one for each tensor and each storage that is carried on.
#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/json_text.h"
#include "containers/pickle/pickle_writer.h"
#include "containers/torch_save/pytorch_frame.h"
#include "containers/torch_save/pytorch_records.h"
#include "containers/torch_save/torch_dtypes.h"
#include "containers/zip/zip_writer.h"
#include "formats/pytorch/pytorch.h"
#include "plan/own_metadata.h"

namespace mnq {
namespace {

constexpr std::string_view kRoot = "archive";

const TorchDType& torch_dtype(const TensorInfo& info) {
  if (const TorchDType* found = find_torch_dtype(info.dtype)) return *found;
  throw Error(Status::kUnsupported, formatted("tensor {}: PyTorch has no dtype {}", info.name, dtype_name(info.dtype)),
              "write it as safetensors", info.name);
}

// A dict and nothing else.
PytorchFrame plain_frame() {
  PytorchFrame frame;
  frame.pickle = std::string(PickleWriter::kStart) + "}(";
  frame.add_gap(frame.pickle.size(), 0, PytorchFrame::GapKind::kRest, "");
  frame.pickle += 'u';
  return frame;
}

// The pickle of a frame with tensors in its gaps. It is handed over in pieces: with 100,000 tensors it has 50 MB.
class FilledFrame {
 public:
  explicit FilledFrame(const PytorchFrame& frame) : frame_(frame), fillings_(frame.gaps.size()) {
    for (std::size_t i = 0; i < frame.gaps.size(); ++i) {
      const bool is_rest = frame.gaps[i].kind == PytorchFrame::GapKind::kRest;
      (is_rest ? rests_ : places_).emplace(frame.name(i), i);
    }
  }

  // name and info must outlive it. storage: its index among those that are written. Errors: kUnsupported.
  void add(std::string_view name, const TensorInfo& info, std::size_t storage) {
    torch_dtype(info);
    const auto place = places_.find(name);
    if (place == places_.end()) {
      rest_[rest_for(name)].push_back({name, {&info, storage}});
    } else if (fillings_[place->second].info == nullptr) {
      fillings_[place->second] = {&info, storage};
    }
  }

  void hand_over(const WriteText& to) {
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < frame_.gaps.size(); ++i) {
      const PytorchFrame::Gap& gap = frame_.gaps[i];
      bytes_.append(frame_.pickle, at, gap.at - at);
      at = gap.at + gap.key_bytes;
      if (gap.kind == PytorchFrame::GapKind::kRest) {
        write_rest(i, to);
      } else if (fillings_[i].info != nullptr) {
        bytes_.append(frame_.pickle, gap.at, gap.key_bytes);
        write(fillings_[i]);
      } else if (gap.kind == PytorchFrame::GapKind::kElement) {
        out_.opcode('N');
      }
      flush(to, kPiece);
    }
    bytes_.append(frame_.pickle, at).append(PickleWriter::kEnd);
    flush(to, 0);
  }

 private:
  struct Filling {
    const TensorInfo* info = nullptr;
    std::size_t storage = 0;
  };
  struct Named {
    std::string_view name;
    Filling filling;
  };
  static constexpr std::size_t kPiece = 64u << 10;

  void flush(const WriteText& to, std::size_t most) {
    if (bytes_.size() <= most) return;
    to(bytes_);
    bytes_.clear();
  }

  // Tensors that had no place before, at the end of their dict.
  void write_rest(std::size_t gap, const WriteText& to) {
    const auto found = rest_.find(gap);
    if (found == rest_.end()) return;
    for (const Named& each : found->second) {
      out_.text(each.name.substr(frame_.name(gap).size()));
      write(each.filling);
      flush(to, kPiece);
    }
  }

  // The dict that is nearest to it.
  std::size_t rest_for(std::string_view name) const {
    std::string_view prefix = name;
    do {
      const std::size_t dot = prefix.empty() ? prefix.npos : prefix.substr(0, prefix.size() - 1).rfind('.');
      prefix = prefix.substr(0, dot == prefix.npos ? 0 : dot + 1);
      if (const auto found = rests_.find(prefix); found != rests_.end()) return found->second;
    } while (!prefix.empty());
    throw Error(Status::kUnsupported,
                formatted("tensor {}: the checkpoint is a list of tensors, which has no room for another", name),
                "write it as safetensors", std::string(name));
  }

  static Shape strides(const Shape& shape) {
    Shape strides(shape.size(), 1);
    for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * std::max<std::int64_t>(shape[i], 1);
    return strides;
  }

  void integers(const Shape& values) {
    out_.opcode('(');
    for (const std::int64_t value : values) out_.integer(value);
    out_.opcode('t');
  }

  void write(const Filling& filling) {
    const TensorInfo& info = *filling.info;
    const TorchDType& dtype = torch_dtype(info);
    const bool is_untyped = !dtype.is_python;
    out_.global("torch._utils", is_untyped ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2");
    out_.opcodes("((");
    out_.text("storage");
    is_untyped ? out_.global("torch.storage", "UntypedStorage") : out_.global("torch", dtype.storage);
    out_.text(std::to_string(filling.storage));
    out_.text("cpu");
    out_.integer(static_cast<std::int64_t>(is_untyped ? info.size_bytes : element_count(info.shape)));
    out_.opcodes("tQ");
    out_.integer(0);
    integers(info.shape);
    integers(strides(info.shape));
    out_.boolean(false);
    out_.global("collections", "OrderedDict");
    out_.opcodes(")R");
    if (is_untyped) out_.global("torch", dtype.name);
    out_.opcodes("tR");
  }

  const PytorchFrame& frame_;
  std::unordered_map<std::string_view, std::size_t> places_, rests_;  // gaps by their names
  std::vector<Filling> fillings_;                                     // of each gap
  std::unordered_map<std::size_t, std::vector<Named>> rest_;          // of gaps
  std::string bytes_;                                                 // that are to be handed over next
  PickleWriter out_{bytes_};
};

class PytorchSink final : public TensorSink {
 public:
  PytorchSink(const SinkRequest& request, const OpenByteSink& open) : plan_(request.plan), metadata_(request.metadata) {
    const std::vector<const TensorInfo*> tensors = plan_.outputs();
    const auto carried = request.companion == nullptr ? nullptr : request.companion->pytorch;
    const PytorchFrame plain = plain_frame();
    const PytorchFrame& frame = carried == nullptr ? plain : *carried;
    auto filled = fill(frame, tensors);
    const std::size_t pickle = add_pickle(*filled);
    add_text("/byteorder", "little");
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      records_.push_back(zip_.add(formatted("{}/data/{}", kRoot, i), tensors[i]->size_bytes));
    }
    for (std::size_t i = 0; i < frame.storages.size(); ++i) {
      carried_.push_back(
          zip_.add(formatted("{}/data/{}", kRoot, PytorchFrame::carried_key(i)), frame.storages[i].size));
    }
    has_own_ = has_own_metadata(plan_);
    hand_over([&](const WriteText& write) { reserve_own_metadata(plan_, write); },
              [&](std::string_view piece) { metadata_size_ += piece.size(); });
    metadata_record_ = zip_.add(formatted("{}{}", kRoot, kPytorchMetadataRecord), metadata_size_);
    if (carried != nullptr) add_text(kPytorchTensorsKeyRecord, frame.tensors_key);
    add_text("/version", "3\n");
    zip_.open(open);
    write_pickle(*filled, pickle);
    filled.reset();
    for (const auto& [record, text] : texts_) zip_.write(record, text);
    for (std::size_t i = 0; i < carried_.size(); ++i) copy(frame.storages[i], carried_[i]);
    texts_.clear();
  }

  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override {
    zip_.write(records_[tensor], offset, bytes);
  }

  void commit(std::span<const double> sqnr_db) override {
    write_metadata_record([&](const WriteText& write) { write_own_metadata(plan_, sqnr_db, write); });
    zip_.commit();
  }

 private:
  std::unique_ptr<FilledFrame> fill(const PytorchFrame& frame, const std::vector<const TensorInfo*>& tensors) const {
    auto filled = std::make_unique<FilledFrame>(frame);
    for (std::size_t i = 0; i < tensors.size(); ++i) filled->add(tensors[i]->name, *tensors[i], i);
    add_ties(*filled, tensors);
    return filled;
  }

  std::size_t add_pickle(FilledFrame& filled) {
    std::uint64_t size = 0;
    filled.hand_over([&](std::string_view piece) { size += piece.size(); });
    return zip_.add(formatted("{}/data.pkl", kRoot), size);
  }

  void write_pickle(FilledFrame& filled, std::size_t record) {
    std::uint64_t at = 0;
    filled.hand_over([&](std::string_view piece) {
      zip_.write(record, at, std::as_bytes(std::span(piece)));
      at += piece.size();
    });
  }

  using WriteOwn = std::function<void(const WriteText&)>;
  void hand_over(const WriteOwn& own, const WriteText& write) const {
    write_metadata_json(metadata_, has_own_ ? own : WriteOwn(), write);
  }

  // Padded with blanks to what was reserved.
  void write_metadata_record(const WriteOwn& own) {
    constexpr std::size_t kPiece = 1u << 20;
    std::string pending;
    std::uint64_t at = 0;
    const auto flush = [&] {
      zip_.write(metadata_record_, at, std::as_bytes(std::span(pending)));
      at += pending.size();
      pending.clear();
    };
    hand_over(own, [&](std::string_view piece) {
      pending += piece;
      if (pending.size() >= kPiece) flush();
    });
    if (at + pending.size() > metadata_size_) {
      throw Error(Status::kInternal, "the metadata became longer than was reserved");
    }
    pending.append(metadata_size_ - at - pending.size(), ' ');
    if (!pending.empty()) flush();
  }

  // Other names of a tensor refer to its storage.
  void add_ties(FilledFrame& filled, const std::vector<const TensorInfo*>& tensors) const {
    std::vector<std::size_t> by_name(tensors.size());
    std::iota(by_name.begin(), by_name.end(), std::size_t{0});
    const auto name_of = [&](std::size_t tensor) -> std::string_view { return tensors[tensor]->name; };
    std::ranges::sort(by_name, {}, name_of);
    const auto is_there = [&](std::string_view name) { return std::ranges::binary_search(by_name, name, {}, name_of); };
    for (const auto& [name, target] : tied_names(metadata_, is_there)) {
      const std::size_t tensor = *std::ranges::lower_bound(by_name, std::string_view(target), {}, name_of);
      filled.add(metadata_.find(name)->first, *tensors[tensor], tensor);
    }
  }

  void add_text(std::string_view name, std::string text) {
    const std::size_t record = zip_.add(formatted("{}{}", kRoot, name), text.size());
    texts_.emplace_back(record, std::move(text));
  }

  void copy(const PytorchFrame::Storage& storage, std::size_t record) {
    constexpr std::uint64_t kPieceBytes = 1u << 20;
    std::vector<std::byte> piece;
    for (std::uint64_t done = 0; done < storage.size; done += piece.size()) {
      piece.resize(std::min(kPieceBytes, storage.size - done));
      storage.bytes->read(storage.offset + done, piece);
      zip_.write(record, done, piece);
    }
  }

  PlanSlice plan_;
  Metadata metadata_;
  ZipWriter zip_;
  std::vector<std::pair<std::size_t, std::string>> texts_;  // of small records
  std::vector<std::size_t> records_, carried_;
  std::size_t metadata_record_ = 0;
  std::uint64_t metadata_size_ = 0;
  bool has_own_ = false;  // metadata
};

}  // namespace

std::unique_ptr<TensorSink> open_pytorch_sink(const SinkRequest& request, const OpenByteSink& open) {
  if (request.plan.size() == 0) {
    throw Error(Status::kUnsupported, "a checkpoint without tensors cannot be written as pytorch",
                "write safetensors: an empty dict would not be read as a checkpoint");
  }
  return std::make_unique<PytorchSink>(request, open);
}

}  // namespace mnq
