#include "formats/safetensors/safetensors.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "base/text/format.h"
#include "containers/archive_error.h"
#include "containers/read_text.h"
#include "containers/safetensors_header.h"
#include "plan/own_metadata.h"

namespace mnq {
namespace {

constexpr std::uint64_t kLengthBytes = 8;

static_assert(std::endian::native == std::endian::little, "safetensors is little-endian, and so are the kernels");

class SafetensorsSource final : public DescribedSource {
 public:
  SafetensorsSource(std::shared_ptr<const ByteSource> bytes, SafetensorsHeader header, std::uint64_t data_start)
      : bytes_(std::move(bytes)) {
    inputs_ = {bytes_};
    set_metadata(std::move(header.metadata));
    if (!header.unknown_fields.empty()) {
      add_remark(formatted("left out fields of tensors that safetensors has not: {}",
                           joined({header.unknown_fields.begin(), header.unknown_fields.end()})));
    }
    tensors_.reserve(header.tensors.size());
    starts_.reserve(header.tensors.size());
    for (HeaderTensor& tensor : header.tensors) {
      tensors_.push_back(std::move(tensor.info));
      starts_.push_back(data_start + tensor.begin);
    }
  }

  std::string_view format() const override { return "safetensors"; }
  std::string path() const override { return bytes_->path(); }
  std::uint64_t size_bytes() const override { return bytes_->size(); }
  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    bytes_->read(starts_[tensor] + offset, into);
  }
  std::shared_ptr<const std::byte> view(std::size_t tensor) const override { return bytes_->view(starts_[tensor]); }

 private:
  std::shared_ptr<const ByteSource> bytes_;
  std::vector<std::uint64_t> starts_;
};

class SafetensorsSink final : public TensorSink {
 public:
  SafetensorsSink(const PlanSlice& plan, const Metadata& metadata, bool describes_weights, const OpenByteSink& open)
      : plan_(plan), metadata_(metadata), describes_weights_(describes_weights) {
    const std::vector<const TensorInfo*> tensors = plan_.outputs();
    starts_.resize(tensors.size());
    for (const TensorInfo* info : tensors) require_name(info->name);
    std::vector<std::size_t> order(tensors.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
      const auto bits_a = dtype_bits(tensors[a]->dtype);
      const auto bits_b = dtype_bits(tensors[b]->dtype);
      return bits_a != bits_b ? bits_a > bits_b : tensors[a]->name < tensors[b]->name;
    });
    std::uint64_t end = 0;
    layout_.reserve(tensors.size());
    for (const std::size_t index : order) {
      starts_[index] = end;
      layout_.push_back({tensors[index], end});
      end += tensors[index]->size_bytes;
    }
    describes_weights_ = describes_weights_ && has_own_metadata(plan_);
    const WriteOwn reserve = [&](const WriteText& write) { reserve_own_metadata(plan_, write); };
    header_bytes_ = (header_length(reserve) + 7) / 8 * 8;
    if (header_bytes_ > kMaxHeaderBytes) {
      throw Error(Status::kFormat,
                  formatted("the header of {} tensors would have {} bytes; safetensors allows {}", tensors.size(),
                            header_bytes_, kMaxHeaderBytes),
                  "split the checkpoint into several files");
    }
    bytes_ = open(kLengthBytes + header_bytes_ + end);
  }

  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override {
    bytes_->write(kLengthBytes + header_bytes_ + starts_[tensor] + offset, bytes);
  }

  void commit(std::span<const double> sqnr_db) override {
    const WriteOwn own = [&](const WriteText& write) { write_own_metadata(plan_, sqnr_db, write); };
    if (header_length(own) > header_bytes_)
      throw Error(Status::kInternal, "the metadata became longer than was reserved for it");
    std::array<char, kLengthBytes> length{};
    std::memcpy(length.data(), &header_bytes_, sizeof header_bytes_);
    bytes_->write(0, std::as_bytes(std::span(length)));
    write_header(own);
    bytes_->commit();
  }

 private:
  static void require_name(const std::string& name) {
    if (name != "__metadata__") return;
    throw Error(Status::kUnsupported, formatted("tensor {}: safetensors keeps its metadata under this name", name),
                "rename the tensor, or write .pt", name);
  }

  using WriteOwn = std::function<void(const WriteText&)>;

  void hand_over(const WriteOwn& own, const WriteText& write) const {
    const bool has_any = describes_weights_ || !metadata_.empty();
    const WriteOwn metadata = [&](const WriteText& to) {
      write_metadata_json(metadata_, describes_weights_ ? own : WriteOwn(), to);
    };
    write_safetensors_header(layout_, has_any ? metadata : WriteOwn(), write);
  }

  std::uint64_t header_length(const WriteOwn& own) const {
    std::uint64_t length = 0;
    hand_over(own, [&](std::string_view piece) { length += piece.size(); });
    return length;
  }

  void write_header(const WriteOwn& own) {
    constexpr std::size_t kPiece = 1u << 20;
    std::string pending;
    std::uint64_t at = kLengthBytes;
    const auto flush = [&] {
      bytes_->write(at, std::as_bytes(std::span(pending)));
      at += pending.size();
      pending.clear();
    };
    hand_over(own, [&](std::string_view piece) {
      pending += piece;
      if (pending.size() >= kPiece) flush();
    });
    pending.append(kLengthBytes + header_bytes_ - at - pending.size(), ' ');
    flush();
  }

  PlanSlice plan_;
  Metadata metadata_;
  bool describes_weights_;
  std::vector<PlacedTensor> layout_;
  std::vector<std::uint64_t> starts_;  // of each tensor in the order of the caller, from the end of the header
  std::uint64_t header_bytes_ = 0;
  std::unique_ptr<ByteSink> bytes_;
};

HeaderPlace find_header(const ByteSource& bytes, const std::string& title) {
  const auto fail = [&](const std::string& what) {
    throw Error(Status::kFormat, formatted("{}: {}", title, what),
                "it is no safetensors file, or it was cut off: fetch or save it again", title);
  };
  if (bytes.size() < kLengthBytes + 2) fail(formatted("{} bytes are too few for a safetensors header", bytes.size()));
  std::uint64_t length = 0;
  bytes.read(0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > kMaxHeaderBytes) fail(formatted("header length {} exceeds {}", length, kMaxHeaderBytes));
  if (length > bytes.size() - kLengthBytes) {
    fail(formatted("header length {} exceeds the {} bytes that follow it", length, bytes.size() - kLengthBytes));
  }
  if (length == 0 || read_text(bytes, kLengthBytes, 1) != "{") fail("the header does not start with '{'");
  return {kLengthBytes, length, bytes.size() - kLengthBytes - length};
}

}  // namespace

bool recognises_safetensors(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes) {
  if (start.size() <= kLengthBytes) return false;
  const std::uint64_t size = bytes->size();
  std::uint64_t length = 0;
  std::memcpy(&length, start.data(), kLengthBytes);
  return length <= kMaxHeaderBytes && length <= size - kLengthBytes && start[kLengthBytes] == std::byte{'{'};
}

std::optional<std::string> list_safetensors(const ByteSource& bytes, std::string_view key,
                                            const std::function<void(const TensorInfo&)>& take) {
  const std::string title = title_of(bytes.path());
  return list_safetensors_header(bytes, find_header(bytes, title), title, key,
                                 [&](const HeaderTensor& tensor) { take(tensor.info); });
}

std::unique_ptr<TensorSource> open_safetensors_source(std::shared_ptr<const ByteSource> bytes, const OpenSettings&) {
  const std::string title = title_of(bytes->path());
  const HeaderPlace place = find_header(*bytes, title);
  SafetensorsHeader header = read_safetensors_header(*bytes, place, title);
  return std::make_unique<SafetensorsSource>(std::move(bytes), std::move(header), place.start + place.size);
}

std::unique_ptr<TensorSink> open_safetensors_sink(const SinkRequest& request, const OpenByteSink& open) {
  return std::make_unique<SafetensorsSink>(request.plan, request.metadata, true, open);
}

std::unique_ptr<TensorSink> open_plain_safetensors_sink(const PlanSlice& plan, const Metadata& metadata,
                                                        const OpenByteSink& open) {
  return std::make_unique<SafetensorsSink>(plan, metadata, false, open);
}

const Format kSafetensorsFormat{
    .name = "safetensors",
    .extensions = ".safetensors",
    .recognises = recognises_safetensors,
    .open_source = open_safetensors_source,
    .open_sink = open_safetensors_sink,
    .may_be_shard = true,
};

}  // namespace mnq
