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

void ZipWriter::Record::append(std::uint64_t bytes, std::uint32_t crc_of_bytes) {
  crc = static_cast<std::uint32_t>(crc32_combine(crc, crc_of_bytes, static_cast<z_off_t>(bytes)));
  summed += bytes;
}

std::size_t ZipWriter::add(std::string_view name, std::uint64_t size) {
  const std::uint64_t head = end_ + kLocalBytes + name.size() + (is_large(size) ? kLocalLargeBytes : 0);
  names_ += name;
  const std::uint64_t data_offset = (head + kPaddingBytes + kAlignment - 1) / kAlignment * kAlignment;
  records_.push_back({names_.size(), size, data_offset});
  end_ = records_.back().end();
  return records_.size() - 1;
}

std::string_view ZipWriter::name(std::size_t record) const {
  const std::uint64_t begin = record == 0 ? 0 : records_[record - 1].name_end;
  return std::string_view(names_).substr(begin, records_[record].name_end - begin);
}

void ZipWriter::open(const OpenByteSink& open) {
  std::uint64_t size = end_;
  hand_over_directory([&](std::string_view piece) { size += piece.size(); });
  sink_ = open(size);
}

void ZipWriter::write(std::size_t record, std::uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  sink_->write(records_[record].data_offset + offset, bytes);
  const std::uint32_t crc =
      kernels::kernel_table().crc32(0, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  const std::lock_guard lock(mutex_);
  add_piece(record, offset, {bytes.size(), crc});
}

void ZipWriter::write(std::size_t record, std::string_view text) { write(record, 0, std::as_bytes(std::span(text))); }

void ZipWriter::add_piece(std::size_t record, std::uint64_t offset, const Piece& piece) {
  Record& to = records_[record];
  if (offset != to.summed) {
    early_[record].emplace(offset, piece);
    return;
  }
  to.append(piece.size, piece.crc);
  const auto early = early_.find(record);
  if (early == early_.end()) return;
  Pieces& pieces = early->second;
  for (auto next = pieces.find(to.summed); next != pieces.end(); next = pieces.find(to.summed)) {
    to.append(next->second.size, next->second.crc);
    pieces.erase(next);
  }
  if (pieces.empty()) early_.erase(early);
}

void ZipWriter::require_whole(std::size_t record) const {
  const Record& of = records_[record];
  if (of.summed == of.size) return;
  throw Error(Status::kInternal, formatted("record {} has {} bytes of {}", name(record), of.summed, of.size));
}

std::string ZipWriter::local_header(std::size_t record) const {
  const Record& of = records_[record];
  const std::uint64_t space = of.data_offset - header_offset(record);
  std::string head;
  put<std::uint32_t>(head, 0x04034b50);
  put_common(head, of.crc, of.size);
  put(head, static_cast<std::uint16_t>(name(record).size()));
  put(head, static_cast<std::uint16_t>(space - kLocalBytes - name(record).size()));
  head += name(record);
  if (is_large(of.size)) {
    put(head, kLargeId);
    put<std::uint16_t>(head, 16);
    put(head, of.size);
    put(head, of.size);
  }
  const std::uint64_t padding = space - head.size() - kPaddingBytes;
  put(head, kPaddingId);
  put(head, static_cast<std::uint16_t>(padding));
  return head.append(padding, 'Z');
}

std::string ZipWriter::directory_entry(std::size_t record) const {
  const Record& of = records_[record];
  const std::uint64_t offset = header_offset(record);
  std::string out, extra;
  if (is_large(of.size)) {
    put(extra, of.size);
    put(extra, of.size);
  }
  if (is_large(offset)) put(extra, offset);
  put<std::uint32_t>(out, 0x02014b50);
  put<std::uint16_t>(out, kVersionZip64);
  put_common(out, of.crc, of.size);
  put(out, static_cast<std::uint16_t>(name(record).size()));
  put(out, static_cast<std::uint16_t>(extra.empty() ? 0 : extra.size() + 4));
  for (int zeros = 0; zeros < 5; ++zeros) put<std::uint16_t>(out, 0);  // comment, disk, attributes
  put(out, is_large(offset) ? kLarge : static_cast<std::uint32_t>(offset));
  out += name(record);
  if (extra.empty()) return out;
  put(out, kLargeId);
  put(out, static_cast<std::uint16_t>(extra.size()));
  return out += extra;
}

std::string ZipWriter::directory_end(std::uint64_t size) const {
  std::string out;
  const std::uint64_t count = records_.size();
  if (is_large(end_) || is_large(size) || count >= 0xffff) {
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

void ZipWriter::hand_over_directory(const WriteText& write) const {
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < records_.size(); ++i) {
    const std::string entry = directory_entry(i);
    size += entry.size();
    write(entry);
  }
  write(directory_end(size));
}

void ZipWriter::commit() {
  constexpr std::size_t kPiece = 1u << 20;
  for (std::size_t i = 0; i < records_.size(); ++i) {
    require_whole(i);
    const std::string head = local_header(i);
    sink_->write(header_offset(i), std::as_bytes(std::span(head)));
  }
  std::string pending;
  std::uint64_t at = end_;
  const auto flush = [&] {
    sink_->write(at, std::as_bytes(std::span(pending)));
    at += pending.size();
    pending.clear();
  };
  hand_over_directory([&](std::string_view piece) {
    pending += piece;
    if (pending.size() >= kPiece) flush();
  });
  if (!pending.empty()) flush();
  sink_->commit();
}

}  // namespace mnq
