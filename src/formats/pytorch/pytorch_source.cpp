#include "formats/pytorch/pytorch_source.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/text/format.h"
#include "containers/strided_read.h"
#include "formats/pytorch/quantized_parts.h"

namespace mnq {
namespace {

void swap_bytes(std::span<std::byte> bytes, std::uint64_t item_bytes) {
  for (std::size_t at = 0; at + item_bytes <= bytes.size(); at += item_bytes) {
    std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                 bytes.begin() + static_cast<std::ptrdiff_t>(at + item_bytes));
  }
}

class PytorchSource final : public DescribedSource {
 public:
  PytorchSource(std::string_view format, std::shared_ptr<const ByteSource> bytes, PytorchObjects objects,
                const StoragePlaces& places, bool is_big_endian, Metadata metadata)
      : format_(format), bytes_(std::move(bytes)), nowhere_{bytes_, 0, 0}, is_big_endian_(is_big_endian) {
    remarks_ = std::move(objects.remarks);
    inputs_ = {bytes_};
    set_metadata(std::move(metadata));
    for (const std::string& key : objects.carried) {
      const StoragePlace& place = place_of(places, key);
      const PytorchStorage& storage = objects.storages.at(key);
      objects.frame.storages.push_back({place.bytes, place.offset, storage.count * storage.item_bytes});
    }
    companion_.members = std::move(objects.members);
    if (!objects.frame.pickle.empty()) {
      companion_.pytorch = std::make_shared<const PytorchFrame>(std::move(objects.frame));
    }
    for (const auto& [tensor, place] : in_order_of_data(objects.tensors, places)) {
      const Boxed<PytorchQuantizer> quantizer = std::move(tensor->quantizer);
      add_tensor(*tensor, *place);
      if (quantizer) add_quantized(*quantizer, places);
    }
    if (has_made_) require_distinct_names();
    if (rounded_ > 0) {
      remarks_.push_back(
          formatted("scales of float64 become float32, and values may differ from PyTorch's in the last bit: of {} {}",
                    rounded_, rounded_ == 1 ? "weight" : "weights"));
    }
  }

  std::string_view format() const override { return format_; }
  std::string path() const override { return bytes_->path(); }
  std::uint64_t size_bytes() const override { return bytes_->size(); }
  const Companion* companion() const override { return &companion_; }
  std::vector<std::string> ties(std::size_t tensor) const override {
    const auto found = ties_.find(tensor);
    return found == ties_.end() ? std::vector<std::string>() : found->second;
  }

  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    const View& view = views_[tensor];
    const std::uint64_t item = item_bytes(view.dtype);
    if (!view.scattered && !is_swapped(view)) return view.storage->read(view.start + offset, into);
    if (offset % item == 0 && into.size() % item == 0) return read_items(tensor, offset / item, into);
    const std::uint64_t first = offset / item;
    std::vector<std::byte> items((offset + into.size() + item - 1) / item * item - first * item);
    read_items(tensor, first, items);
    std::memcpy(into.data(), items.data() + offset % item, into.size());
  }

  std::shared_ptr<const std::byte> view(std::size_t tensor) const override {
    const View& view = views_[tensor];
    return !view.scattered && !is_swapped(view) ? view.storage->view(view.start) : nullptr;
  }

 private:
  // What is read as a tensor: this, and no more, since there may be 100,000 of them.
  struct View {
    std::shared_ptr<const ByteSource> storage;
    std::uint64_t start = 0;         // of the first element in those bytes
    Boxed<StridedLayout> scattered;  // where its elements do not lie one behind the other
    DType dtype = DType::kF32;
    bool is_made = false;  // of what the pickle says
  };
  using Placed = std::pair<PytorchTensor*, const StoragePlace*>;

  static std::uint64_t item_bytes(DType dtype) { return dtype_bits(dtype) / 8; }

  static std::uint64_t offset_in_storage(const PytorchTensor& tensor) {
    return (tensor.storage_offset + static_cast<std::uint64_t>(tensor.offset)) * item_bytes(tensor.dtype);
  }

  // An empty storage may have none.
  const StoragePlace& place_of(const StoragePlaces& places, const std::string& storage) const {
    const auto found = places.find(storage);
    return found == places.end() ? nowhere_ : found->second;
  }

  std::vector<Placed> in_order_of_data(std::vector<PytorchTensor>& tensors, const StoragePlaces& places) const {
    std::vector<Placed> placed;
    placed.reserve(tensors.size());
    for (PytorchTensor& tensor : tensors) placed.emplace_back(&tensor, &place_of(places, tensor.storage));
    std::ranges::stable_sort(
        placed, {}, [](const Placed& each) { return each.second->file_offset + offset_in_storage(*each.first); });
    return placed;
  }

  static View view_of(const PytorchTensor& tensor, const StoragePlace& place) {
    View view{place.bytes, place.offset + offset_in_storage(tensor), {}, tensor.dtype};
    StridedLayout layout{tensor.shape, tensor.strides, item_bytes(tensor.dtype)};
    if (!is_contiguous(layout)) view.scattered = std::move(layout);
    return view;
  }

  void add_tensor(PytorchTensor& tensor, const StoragePlace& place) {
    if (!tensor.ties.empty()) ties_.emplace(tensors_.size(), std::move(tensor.ties));
    views_.push_back(view_of(tensor, place));
    const std::uint64_t size = *checked_size_bytes(tensor.dtype, tensor.shape);
    tensors_.push_back({std::move(tensor.name), tensor.dtype, std::move(tensor.shape), size});
  }

  // Of the codes that were added last: what else is stored of them in our own files is made here.
  void add_quantized(const PytorchQuantizer& quantizer, const StoragePlaces& places) {
    const std::size_t codes = tensors_.size() - 1;
    const auto read_table = [&](const PytorchTensor& table) {
      const View view = view_of(table, place_of(places, table.storage));
      std::vector<std::byte> bytes(*checked_size_bytes(table.dtype, table.shape));
      read_view(view, bytes);
      return bytes;
    };
    QuantizedParts parts = make_quantized_parts(tensors_[codes], quantizer, title(), read_table);
    for (MadeTensor& made : parts.made) {
      const auto bytes = std::make_shared<const std::vector<std::byte>>(std::move(made.bytes));
      views_.push_back({memory_bytes(*bytes, bytes), 0, {}, made.info.dtype, true});
      tensors_.push_back(std::move(made.info));
    }
    has_made_ = true;
    if (parts.has_rounded_scales) ++rounded_;
    if (!parts.spec) return;
    const std::string& name = tensors_[codes].name;
    if (parts.layout != layout_) {
      std::vector<std::size_t> indices{codes};
      while (indices.size() <= parts.made.size()) indices.push_back(codes + indices.size());
      others_.push_back({name,
                         parts.spec->weight_dtype,
                         parts.spec->shape,
                         std::move(indices),
                         *parts.spec,
                         parts.layout,
                         {},
                         nullptr,
                         {}});
    } else {
      if (!own_) own_.emplace();
      own_->entries.push_back({name, *std::move(parts.spec), std::nullopt});
    }
  }

  void require_distinct_names() const {
    std::unordered_set<std::string_view> names;
    for (const TensorInfo& info : tensors_) {
      if (names.insert(info.name).second) continue;
      throw Error(Status::kUnsupported,
                  formatted("{}: two tensors would be called {}: what is stored of a quantized weight is called so",
                            title(), info.name),
                  "rename one of them", info.name);
    }
  }

  LogicalTensors find_weights() const override {
    LogicalTensors found = find_own_weights();
    found.tensors.insert(found.tensors.end(), others_.begin(), others_.end());
    return complete(std::move(found));
  }

  // All of it, once.
  void read_view(const View& view, std::span<std::byte> into) const {
    if (into.empty()) return;
    const auto read_storage = [&](std::uint64_t offset, std::span<std::byte> piece) {
      view.storage->read(view.start + offset, piece);
    };
    view.scattered ? read_strided(*view.scattered, 0, into, read_storage) : read_storage(0, into);
    if (is_swapped(view)) swap_bytes(into, item_bytes(view.dtype));
  }

  bool is_swapped(const View& view) const { return is_big_endian_ && !view.is_made && item_bytes(view.dtype) > 1; }

  void read_items(std::size_t tensor, std::uint64_t first, std::span<std::byte> into) const {
    const View& view = views_[tensor];
    const std::uint64_t item = item_bytes(view.dtype);
    if (!view.scattered) {
      view.storage->read(view.start + first * item, into);
    } else {
      strips_.read(tensor, *view.scattered, first, into, [&](std::uint64_t offset, std::span<std::byte> piece) {
        view.storage->read(view.start + offset, piece);
      });
    }
    // A complex number is two numbers.
    if (is_swapped(view)) swap_bytes(into, view.dtype == DType::kC64 ? 4 : item);
  }

  std::string_view format_;
  std::shared_ptr<const ByteSource> bytes_;
  StoragePlace nowhere_;  // of what is empty
  std::vector<View> views_;
  std::unordered_map<std::size_t, std::vector<std::string>> ties_;  // of the few tensors that have any
  Companion companion_;
  std::vector<LogicalTensor> others_;  // quantized weights of another layout than our own
  bool is_big_endian_, has_made_ = false;
  std::size_t rounded_ = 0;  // weights with scales that are no float32
  mutable StridedStrips strips_;
};

}  // namespace

std::unique_ptr<TensorSource> make_pytorch_source(std::string_view format, std::shared_ptr<const ByteSource> bytes,
                                                  PytorchObjects objects, const StoragePlaces& places,
                                                  bool is_big_endian, Metadata metadata) {
  return std::make_unique<PytorchSource>(format, std::move(bytes), std::move(objects), places, is_big_endian,
                                         std::move(metadata));
}

}  // namespace mnq
