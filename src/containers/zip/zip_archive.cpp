#include "containers/zip/zip_archive.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#define ZLIB_CONST
#include <zlib.h>

#include <algorithm>
#include <numeric>

#include "base/tensor_source.h"
#include "base/text/format.h"
#include "base/threads.h"
#include "containers/archive_error.h"
#include "containers/zip/zip_directory.h"
#include "kernels/kernel_table.h"

namespace mnq {
namespace {

constexpr std::uint64_t kReadBytes = 1u << 20;
constexpr std::uint64_t kTaskBytes = 8u << 20;

using TakeBytes = std::function<void(std::span<const std::byte>)>;

const Bytef* zlib_bytes(std::span<const std::byte> bytes) { return reinterpret_cast<const Bytef*>(bytes.data()); }

std::uint32_t crc_of(std::uint32_t crc, std::span<const std::byte> bytes) {
  return kernels::kernel_table().crc32(crc, zlib_bytes(bytes), bytes.size());
}

// Piece by piece; from memory as it is.
void read_pieces(const ByteSource& bytes, std::uint64_t offset, std::uint64_t size, const TakeBytes& take) {
  if (size == 0) return;
  if (const auto view = bytes.view(offset)) return take({view.get(), size});
  std::vector<std::byte> piece(std::min(size, kReadBytes));
  for (std::uint64_t done = 0; done < size; done += piece.size()) {
    piece.resize(std::min(size - done, kReadBytes));
    bytes.read(offset + done, piece);
    take(piece);
  }
}

class Inflater {
 public:
  Inflater(const ZipArchive& archive, const ZipEntry& entry) : archive_(archive), entry_(entry) {
    if (inflateInit2(&stream_, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  void run(const TakeBytes& take) {
    std::vector<std::byte> out(std::min<std::uint64_t>(entry_.size + 1, 1u << 18));
    read_pieces(archive_.bytes(), entry_.data_offset, entry_.stored_size, [&](std::span<const std::byte> in) {
      while (!in.empty()) {
        const auto part = in.subspan(0, std::min<std::size_t>(in.size(), kReadBytes));
        inflate_part(part, out, take);
        in = in.subspan(part.size());
      }
    });
    if (!has_ended_ || size_ != entry_.size) fail(formatted("inflates to {} bytes, not {}", size_, entry_.size));
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { fail_record(archive_.title(), entry_.name, what); }

  void inflate_part(std::span<const std::byte> in, std::vector<std::byte>& out, const TakeBytes& take) {
    stream_.next_in = zlib_bytes(in);
    stream_.avail_in = static_cast<uInt>(in.size());
    if (has_ended_) fail("its deflated data ends early");
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(out.data());
      stream_.avail_out = static_cast<uInt>(out.size());
      const int result = inflate(&stream_, Z_NO_FLUSH);
      if (result == Z_MEM_ERROR) throw std::bad_alloc();
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) fail("its deflated data is damaged");
      has_ended_ = result == Z_STREAM_END;
      const std::size_t made = out.size() - stream_.avail_out;
      size_ += made;
      if (size_ > entry_.size) fail(formatted("inflates to more than its {} bytes", entry_.size));
      take(std::span(out).first(made));
    } while (!has_ended_ && (stream_.avail_in > 0 || stream_.avail_out == 0));
    if (stream_.avail_in > 0) fail("its deflated data ends early");
  }

  const ZipArchive& archive_;
  const ZipEntry& entry_;
  z_stream stream_{};
  std::uint64_t size_ = 0;
  bool has_ended_ = false;
};

void for_each_piece(const ZipArchive& archive, const ZipEntry& entry, const TakeBytes& take) {
  if (entry.is_deflated) return Inflater(archive, entry).run(take);
  read_pieces(archive.bytes(), entry.data_offset, entry.stored_size, take);
}

// What one task reads: of a deflated record all, else at most kTaskBytes.
struct Piece {
  const ZipEntry* entry;
  std::uint64_t offset = 0;  // within the record
  std::uint64_t size = 0;
  std::uint32_t crc = 0;
};

std::vector<Piece> cut_into_pieces(const std::vector<ZipEntry>& entries) {
  std::vector<Piece> pieces;
  for (const ZipEntry& entry : entries) {
    std::uint64_t offset = 0;
    do {
      const std::uint64_t size = entry.is_deflated ? entry.size : std::min(entry.size - offset, kTaskBytes);
      pieces.push_back({&entry, offset, size});
      offset += size;
    } while (offset < entry.size);
  }
  return pieces;
}

void read_crc(const ZipArchive& archive, Piece& piece) {
  const auto add = [&](std::span<const std::byte> bytes) { piece.crc = crc_of(piece.crc, bytes); };
  if (piece.entry->is_deflated) return for_each_piece(archive, *piece.entry, add);
  read_pieces(archive.bytes(), piece.entry->data_offset + piece.offset, piece.size, add);
}

}  // namespace

void check_crc(const std::string& title, const ZipEntry& entry, std::uint32_t crc) {
  if (crc == entry.crc32 || !entry.has_checksum()) return;
  fail_record(title, entry.name, formatted("its checksum is {:08x}, not {:08x}", crc, entry.crc32));
}

ZipArchive::ZipArchive(std::shared_ptr<const ByteSource> bytes)
    : bytes_(std::move(bytes)), title_(title_of(bytes_->path())), entries_(read_zip_directory(*bytes_, title_)) {
  const auto name = [this](std::uint32_t i) -> const std::string& { return entries_[i].name; };
  by_name_.resize(entries_.size());
  std::iota(by_name_.begin(), by_name_.end(), 0u);
  std::ranges::sort(by_name_, {}, name);
  const auto twice = std::ranges::adjacent_find(by_name_, {}, name);
  if (twice != by_name_.end()) fail_record(title_, name(*twice), "is there twice");
}

const ZipEntry* ZipArchive::find(std::string_view name) const {
  const auto name_at = [this](std::uint32_t i) { return std::string_view(entries_[i].name); };
  const auto found = std::ranges::lower_bound(by_name_, name, {}, name_at);
  return found != by_name_.end() && name_at(*found) == name ? &entries_[*found] : nullptr;
}

std::string ZipArchive::read(const ZipEntry& entry, std::uint64_t max_bytes) const {
  if (entry.size > max_bytes) fail_record(title_, entry.name, formatted("{} bytes exceed {}", entry.size, max_bytes));
  std::string text;
  text.reserve(entry.size);
  std::uint32_t crc = 0;
  for_each_piece(*this, entry, [&](std::span<const std::byte> bytes) {
    crc = crc_of(crc, bytes);
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  check_crc(title_, entry, crc);
  return text;
}

void ZipArchive::check(const ZipEntry& entry) const {
  std::uint32_t crc = 0;
  for_each_piece(*this, entry, [&](std::span<const std::byte> bytes) { crc = crc_of(crc, bytes); });
  check_crc(title_, entry, crc);
}

void check_all_entries(const ZipArchive& archive, std::uint32_t thread_count) {
  std::vector<Piece> pieces = cut_into_pieces(archive.entries());
  const auto work = [&] {
    tbb::parallel_for(std::size_t{0}, pieces.size(), [&](std::size_t i) { read_crc(archive, pieces[i]); });
  };
  run_in_arena(thread_count, work, [] {});
  for (std::size_t i = 0; i < pieces.size();) {
    const ZipEntry& entry = *pieces[i].entry;
    std::uint32_t crc = pieces[i].crc;
    for (++i; i < pieces.size() && pieces[i].entry == &entry; ++i) {
      crc = static_cast<std::uint32_t>(crc32_combine(crc, pieces[i].crc, static_cast<z_off_t>(pieces[i].size)));
    }
    check_crc(archive.title(), entry, crc);
  }
}

}  // namespace mnq
