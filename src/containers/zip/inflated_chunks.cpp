#include "containers/zip/inflated_chunks.h"

#define ZLIB_CONST
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "base/text/format.h"
#include "containers/archive_error.h"

namespace mnq {
namespace {

constexpr std::uint64_t kChunkBytes = 4u << 20;
constexpr std::size_t kMostChunks = 8, kMostStreams = 4;
constexpr std::uint64_t kMostStates = 32;  // of a record, 40 KB each
constexpr std::uint64_t kInputBytes = 256u << 10;

// An inflater somewhere in a record. A copy goes on from the same place.
class InflateState {
 public:
  InflateState() {
    if (inflateInit2(&stream_, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~InflateState() { inflateEnd(&stream_); }
  InflateState(const InflateState& other) : size_(other.size_), has_ended_(other.has_ended_) {
    if (inflateCopy(&stream_, const_cast<z_stream*>(&other.stream_)) != Z_OK) throw std::bad_alloc();
    stream_.avail_in = 0;
  }
  InflateState& operator=(const InflateState&) = delete;

  std::uint64_t consumed() const { return stream_.total_in; }
  std::uint64_t size() const { return size_; }
  bool has_ended() const { return has_ended_; }

  /// Takes bytes away from `in`, makes bytes away from `out`. False where the data is damaged.
  bool run(std::span<const std::byte>& in, std::span<std::byte>& out) {
    stream_.next_in = reinterpret_cast<const Bytef*>(in.data());
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    const int result = inflate(&stream_, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    has_ended_ = result == Z_STREAM_END;
    size_ += out.size() - stream_.avail_out;
    in = in.last(stream_.avail_in);
    out = out.last(stream_.avail_out);
    return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR;
  }

 private:
  z_stream stream_{};
  std::uint64_t size_ = 0;
  bool has_ended_ = false;
};

}  // namespace

struct InflatedChunks::Chunk {
  const ZipEntry* entry;
  std::uint64_t index;
  std::once_flag once;
  std::vector<std::byte> bytes;
};

// One record, inflated by one thread at a time.
class InflatedChunks::Stream {
 public:
  Stream(const ByteSource& bytes, const std::string& title, const ZipEntry& record)
      : entry(&record),
        bytes_(bytes),
        title_(title),
        step_(record.size / kChunkBytes / kMostStates + 1),
        state_(std::make_unique<InflateState>()) {}

  const ZipEntry* const entry;

  std::vector<std::byte> inflate_chunk(std::uint64_t index) {
    const std::lock_guard lock(mutex_);
    go_to(index);
    std::vector<std::byte> chunk;
    for (;;) {
      const std::uint64_t at = state_->size() / kChunkBytes;
      keep_state(at);
      chunk.resize(std::min(kChunkBytes, entry->size - state_->size()));
      inflate_into(chunk);
      if (at == index) break;
    }
    if (state_->size() == entry->size) finish();
    return chunk;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { fail_record(title_, entry->name, what); }

  // Where the state is beyond the chunk, or another one that was kept is nearer to it, goes on from that.
  void go_to(std::uint64_t index) {
    const std::uint64_t wanted = index * kChunkBytes;
    const InflateState* nearest = nullptr;
    for (const auto& kept : states_) {
      if (kept->size() <= wanted && (nearest == nullptr || kept->size() > nearest->size())) nearest = kept.get();
    }
    const bool is_behind = state_->size() <= wanted && state_->size() % kChunkBytes == 0 && !state_->has_ended();
    if (is_behind && (nearest == nullptr || nearest->size() <= state_->size())) return;
    state_ = nearest == nullptr ? std::make_unique<InflateState>() : std::make_unique<InflateState>(*nearest);
    input_ = {};
  }

  // Every step_ chunks one.
  void keep_state(std::uint64_t at) {
    if (at == 0 || at % step_ != 0 || at / step_ <= states_.size()) return;
    states_.push_back(std::make_unique<InflateState>(*state_));
  }

  void inflate_into(std::span<std::byte> out) {
    while (!out.empty()) {
      if (state_->has_ended()) fail(formatted("inflates to {} bytes, not {}", state_->size(), entry->size));
      step(out);
    }
  }

  // All has been made: the data must end here.
  void finish() {
    std::byte more{};
    while (!state_->has_ended()) {
      std::span<std::byte> out(&more, 1);
      step(out);
      if (out.empty()) fail(formatted("inflates to more than its {} bytes", entry->size));
    }
    if (state_->consumed() != entry->stored_size) fail("its deflated data ends early");
  }

  void step(std::span<std::byte>& out) {
    if (input_.empty()) read_input();
    const std::size_t in_before = input_.size(), out_before = out.size();
    const bool is_sound = state_->run(input_, out);
    const bool has_moved = input_.size() != in_before || out.size() != out_before || state_->has_ended();
    if (!is_sound || !has_moved) fail("its deflated data is damaged");
  }

  // Empty at the end of the record: what the inflater still holds may come then.
  void read_input() {
    const std::uint64_t at = state_->consumed();
    buffer_.resize(std::min(kInputBytes, entry->stored_size - at));
    bytes_.read(entry->data_offset + at, buffer_);
    input_ = buffer_;
  }

  const ByteSource& bytes_;
  const std::string& title_;
  const std::uint64_t step_;
  std::mutex mutex_;
  std::unique_ptr<InflateState> state_;
  std::vector<std::unique_ptr<InflateState>> states_;
  std::vector<std::byte> buffer_;
  std::span<const std::byte> input_;
};

InflatedChunks::InflatedChunks(std::shared_ptr<const ByteSource> bytes, std::string title)
    : bytes_(std::move(bytes)), title_(std::move(title)) {}

InflatedChunks::~InflatedChunks() = default;

void InflatedChunks::read(const ZipEntry& entry, std::uint64_t offset, std::span<std::byte> into,
                          const Inflated& inflated) {
  while (!into.empty()) {
    const std::uint64_t index = offset / kChunkBytes;
    const auto chunk = chunk_at(entry, index);
    std::call_once(chunk->once, [&] {
      std::vector<std::byte> bytes = stream_of(entry)->inflate_chunk(index);
      inflated(index * kChunkBytes, bytes);
      chunk->bytes = std::move(bytes);
    });
    const auto rest = std::span(chunk->bytes).subspan(offset - index * kChunkBytes);
    const std::size_t size = std::min(rest.size(), into.size());
    std::memcpy(into.data(), rest.data(), size);
    into = into.subspan(size);
    offset += size;
  }
}

std::shared_ptr<InflatedChunks::Chunk> InflatedChunks::chunk_at(const ZipEntry& entry, std::uint64_t index) {
  const std::lock_guard lock(mutex_);
  const auto is_it = [&](const auto& chunk) { return chunk->entry == &entry && chunk->index == index; };
  const auto found = std::ranges::find_if(chunks_, is_it);
  if (found != chunks_.end()) {
    chunks_.splice(chunks_.begin(), chunks_, found);
  } else {
    auto chunk = std::make_shared<Chunk>();
    chunk->entry = &entry;
    chunk->index = index;
    chunks_.push_front(std::move(chunk));
    if (chunks_.size() > kMostChunks) chunks_.pop_back();
  }
  return chunks_.front();
}

std::shared_ptr<InflatedChunks::Stream> InflatedChunks::stream_of(const ZipEntry& entry) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(streams_, &entry, [](const auto& stream) { return stream->entry; });
  if (found != streams_.end()) {
    streams_.splice(streams_.begin(), streams_, found);
  } else {
    streams_.push_front(std::make_shared<Stream>(*bytes_, title_, entry));
    if (streams_.size() > kMostStreams) streams_.pop_back();
  }
  return streams_.front();
}

}  // namespace mnq
