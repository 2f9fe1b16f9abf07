#include "containers/zip/zip_writer.h"

#include <zlib.h>

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "base/text/format.h"
#include "kernels/kernel_table.h"

namespace mnq {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint64_t kAlignment = 64;
constexpr std::uint32_t kLarge = 0xffffffff;  // a field whose value stands in the ZIP64 extra field
constexpr std::uint64_t kLocalBytes = 30;
constexpr std::uint64_t kLocalLargeBytes = 20;  // ZIP64 extra field of two sizes
constexpr std::uint64_t kPaddingBytes = 4;      // head of the extra field that pads
constexpr std::uint16_t kVersionZip64 = 45, kLargeId = 1, kPaddingId = 0x4246, kUtf8Flag = 1 << 11;
constexpr std::uint16_t kDate = 33;  // 1 January 1980

template <class Number>
void put(std::string& out, Number value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

bool is_large(std::uint64_t value) { return value >= kLarge; }

// Version needed, flags, method, time, date, checksum and the two sizes, which both kinds of header have.
void put_common(std::string& out, std::uint32_t crc, std::uint64_t size) {
  put(out, kVersionZip64);
  put(out, kUtf8Flag);
  put<std::uint16_t>(out, 0);
  put<std::uint16_t>(out, 0);
  put(out, kDate);
  put(out, crc);
  for (int i = 0; i < 2; ++i) put(out, is_large(size) ? kLarge : static_cast<std::uint32_t>(size));
}

}  // namespace

std::size_t ZipWriter::add(std::string name, std::uint64_t size) {
  Record record{std::move(name), size, end_, 0, {}};
  const std::uint64_t head = end_ + kLocalBytes + record.name.size() + (is_large(size) ? kLocalLargeBytes : 0);
  record.data_offset = (head + kPaddingBytes + kAlignment - 1) / kAlignment * kAlignment;
  end_ = record.data_offset + size;
  records_.push_back(std::move(record));
  return records_.size() - 1;
}

void ZipWriter::open(const OpenByteSink& open) {
  sink_ = open(end_ + directory(std::vector<std::uint32_t>(records_.size())).size());
}

void ZipWriter::write(std::size_t record, std::uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  Record& to = records_[record];
  sink_->write(to.data_offset + offset, bytes);
  const std::uint32_t crc =
      kernels::kernel_table().crc32(0, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  const std::lock_guard lock(mutex_);
  to.pieces.push_back({offset, bytes.size(), crc});
}

void ZipWriter::write(std::size_t record, std::string_view text) { write(record, 0, std::as_bytes(std::span(text))); }

std::uint32_t ZipWriter::crc_of(Record& record) {
  std::ranges::sort(record.pieces, {}, &Piece::offset);
  std::uint64_t end = 0;
  std::uint32_t crc = 0;
  for (const Piece& piece : record.pieces) {
    if (piece.offset != end) break;
    crc = static_cast<std::uint32_t>(crc32_combine(crc, piece.crc, static_cast<z_off_t>(piece.size)));
    end += piece.size;
  }
  if (end != record.size) {
    throw Error(Status::kInternal, formatted("record {} has {} bytes of {}", record.name, end, record.size));
  }
  return crc;
}

std::string ZipWriter::directory(const std::vector<std::uint32_t>& crcs) const {
  std::string out;
  for (std::size_t i = 0; i < records_.size(); ++i) {
    const Record& record = records_[i];
    std::string extra;
    if (is_large(record.size)) {
      put(extra, record.size);
      put(extra, record.size);
    }
    if (is_large(record.header_offset)) put(extra, record.header_offset);
    put<std::uint32_t>(out, 0x02014b50);
    put<std::uint16_t>(out, kVersionZip64);
    put_common(out, crcs[i], record.size);
    put(out, static_cast<std::uint16_t>(record.name.size()));
    put(out, static_cast<std::uint16_t>(extra.empty() ? 0 : extra.size() + 4));
    for (int zeros = 0; zeros < 5; ++zeros) put<std::uint16_t>(out, 0);  // comment, disk, attributes
    put(out, is_large(record.header_offset) ? kLarge : static_cast<std::uint32_t>(record.header_offset));
    out += record.name;
    if (extra.empty()) continue;
    put(out, kLargeId);
    put(out, static_cast<std::uint16_t>(extra.size()));
    out += extra;
  }
  const std::uint64_t size = out.size(), count = records_.size();
  const bool needs_zip64 = is_large(end_) || is_large(size) || count >= 0xffff;
  if (needs_zip64) {
    put<std::uint32_t>(out, 0x06064b50);
    put<std::uint64_t>(out, 44);
    put(out, kVersionZip64);
    put(out, kVersionZip64);
    put<std::uint64_t>(out, 0);  // disks
    put(out, count);
    put(out, count);
    put(out, size);
    put(out, end_);
    put<std::uint32_t>(out, 0x07064b50);
    put<std::uint32_t>(out, 0);
    put<std::uint64_t>(out, end_ + size);
    put<std::uint32_t>(out, 1);
  }
  put<std::uint32_t>(out, 0x06054b50);
  put<std::uint32_t>(out, 0);
  for (int i = 0; i < 2; ++i) put(out, static_cast<std::uint16_t>(std::min<std::uint64_t>(count, 0xffff)));
  put(out, is_large(size) ? kLarge : static_cast<std::uint32_t>(size));
  put(out, is_large(end_) ? kLarge : static_cast<std::uint32_t>(end_));
  put<std::uint16_t>(out, 0);
  return out;
}

void ZipWriter::commit() {
  std::vector<std::uint32_t> crcs;
  for (Record& record : records_) {
    crcs.push_back(crc_of(record));
    std::string head;
    put<std::uint32_t>(head, 0x04034b50);
    put_common(head, crcs.back(), record.size);
    put(head, static_cast<std::uint16_t>(record.name.size()));
    const std::uint64_t fixed = kLocalBytes + record.name.size();
    put(head, static_cast<std::uint16_t>(record.data_offset - record.header_offset - fixed));
    head += record.name;
    if (is_large(record.size)) {
      put(head, kLargeId);
      put<std::uint16_t>(head, 16);
      put(head, record.size);
      put(head, record.size);
    }
    const std::uint64_t padding = record.data_offset - record.header_offset - head.size() - kPaddingBytes;
    put(head, kPaddingId);
    put(head, static_cast<std::uint16_t>(padding));
    head.append(padding, 'Z');
    sink_->write(record.header_offset, std::as_bytes(std::span(head)));
  }
  const std::string end = directory(crcs);
  sink_->write(end_, std::as_bytes(std::span(end)));
  sink_->commit();
}

}  // namespace mnq
