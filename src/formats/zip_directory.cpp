#include "formats/zip_directory.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "base/format.h"
#include "base/utf8.h"
#include "formats/archive_error.h"

static_assert(std::endian::native == std::endian::little);

namespace mnq {
namespace {

constexpr std::uint32_t kLocalSignature = 0x04034b50, kEntrySignature = 0x02014b50, kEndSignature = 0x06054b50,
                        kEnd64Signature = 0x06064b50, kLocator64Signature = 0x07064b50;
constexpr std::uint64_t kLocalBytes = 30, kEntryBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20;
constexpr std::uint32_t kIn64 = 0xffffffff;  // the number stands in a ZIP64 field
constexpr std::uint16_t kIn64Short = 0xffff;

template <class Number>
Number number_at(std::string_view bytes, std::size_t offset) {
  Number number;
  std::memcpy(&number, bytes.data() + offset, sizeof number);
  return number;
}

std::string read_text(const ByteSource& bytes, std::uint64_t offset, std::uint64_t size) {
  std::string text(size, '\0');
  bytes.read(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

// What the record at the archive's end says; with ZIP64 the large one.
struct Directory {
  std::uint64_t offset = 0, size = 0, count = 0;
  std::uint64_t end = 0;  // where the first record after the directory starts
};

class DirectoryReader {
 public:
  DirectoryReader(const ByteSource& bytes, const std::string& title) : bytes_(bytes), title_(title) {}

  std::vector<ZipEntry> read() {
    find_directory();
    const std::string text = read_text(bytes_, directory_.offset, directory_.size);
    std::vector<ZipEntry> entries;
    std::size_t at = 0;
    while (at < text.size()) entries.push_back(read_entry(text, at));
    if (entries.size() != directory_.count) {
      fail(formatted("the directory holds {} records, but says {}", entries.size(), directory_.count));
    }
    for (ZipEntry& entry : entries) check_local_header(entry);
    check_places(entries);
    return entries;
  }

 private:
  struct EntryHead {
    std::uint16_t flags = 0, method = 0, disk = 0;
    std::uint32_t size = 0, stored_size = 0, header_offset = 0;
  };

  [[noreturn]] void fail(const std::string& what) const { fail_record(title_, {}, what); }
  [[noreturn]] void fail(const ZipEntry& entry, const std::string& what) const {
    fail_record(title_, entry.name, what);
  }

  // The last place that looks like the end record must be it: LibTorch takes that one without looking further.
  std::uint64_t find_end(std::string& tail) {
    const std::uint64_t tail_size = std::min<std::uint64_t>(bytes_.size(), kEndBytes + 0xffff);
    tail = read_text(bytes_, bytes_.size() - tail_size, tail_size);
    const char signature[] = {'P', 'K', 5, 6};
    const std::size_t at = tail.rfind(std::string_view(signature, sizeof signature));
    if (at == tail.npos) fail("the ZIP directory is missing at the file's end: it was cut off");
    if (tail.size() - at < kEndBytes || tail.size() - at - kEndBytes != number_at<std::uint16_t>(tail, at + 20)) {
      fail("the end of the ZIP directory has the wrong length");
    }
    tail.erase(0, at);
    return bytes_.size() - tail_size + at;
  }

  void find_directory() {
    std::string end;
    const std::uint64_t end_offset = find_end(end);
    const auto disk = number_at<std::uint16_t>(end, 4), directory_disk = number_at<std::uint16_t>(end, 6);
    const auto count_here = number_at<std::uint16_t>(end, 8), count = number_at<std::uint16_t>(end, 10);
    const auto size = number_at<std::uint32_t>(end, 12), offset = number_at<std::uint32_t>(end, 16);
    directory_ = {offset, size, count, end_offset};
    const bool has_64 = find_directory_64(end_offset);
    if (!has_64 && (count == kIn64Short || size == kIn64 || offset == kIn64)) fail("the ZIP64 directory is missing");
    if (!agrees(disk, 0, kIn64Short) || !agrees(directory_disk, 0, kIn64Short) || count_here != count) refuse_parts();
    if (!agrees(count, directory_.count, kIn64Short) || !agrees(size, directory_.size, kIn64) ||
        !agrees(offset, directory_.offset, kIn64)) {
      fail("the ZIP64 directory is another than the directory");
    }
    if (directory_.offset > directory_.end || directory_.end - directory_.offset != directory_.size) {
      fail(formatted("the directory of {} bytes at {} does not end at {}", directory_.size, directory_.offset,
                     directory_.end));
    }
    if (directory_.count > directory_.size / kEntryBytes) {
      fail(formatted("{} bytes of directory cannot hold {} records", directory_.size, directory_.count));
    }
  }

  static bool agrees(std::uint64_t small, std::uint64_t large, std::uint64_t in_64) {
    return small == large || small == in_64;
  }

  // Fills directory_ where there is a ZIP64 locator in front of the end record.
  bool find_directory_64(std::uint64_t end_offset) {
    if (end_offset < kLocator64Bytes) return false;
    const std::string locator = read_text(bytes_, end_offset - kLocator64Bytes, kLocator64Bytes);
    if (number_at<std::uint32_t>(locator, 0) != kLocator64Signature) return false;
    const auto offset = number_at<std::uint64_t>(locator, 8);
    if (number_at<std::uint32_t>(locator, 4) != 0 || number_at<std::uint32_t>(locator, 16) > 1) refuse_parts();
    const std::uint64_t locator_offset = end_offset - kLocator64Bytes;
    if (offset > locator_offset || locator_offset - offset < kEnd64Bytes) fail("the ZIP64 directory is missing");
    const std::string end = read_text(bytes_, offset, kEnd64Bytes);
    if (number_at<std::uint32_t>(end, 0) != kEnd64Signature) fail("the ZIP64 directory is missing");
    if (number_at<std::uint64_t>(end, 4) != locator_offset - offset - 12) {
      fail("the end of the ZIP64 directory has the wrong length");
    }
    if (number_at<std::uint32_t>(end, 16) != 0 || number_at<std::uint32_t>(end, 20) != 0) refuse_parts();
    if (number_at<std::uint64_t>(end, 24) != number_at<std::uint64_t>(end, 32)) refuse_parts();
    directory_ = {number_at<std::uint64_t>(end, 48), number_at<std::uint64_t>(end, 40),
                  number_at<std::uint64_t>(end, 32), offset};
    return true;
  }

  [[noreturn]] void refuse_parts() const {
    refuse_record(title_, {}, "is one of several parts of a ZIP archive", "join the parts into one file");
  }

  ZipEntry read_entry(std::string_view text, std::size_t& at) {
    const std::string_view rest = text.substr(at);
    if (rest.size() < kEntryBytes || number_at<std::uint32_t>(rest, 0) != kEntrySignature) {
      fail(formatted("the directory is damaged at byte {}", directory_.offset + at));
    }
    const EntryHead head{number_at<std::uint16_t>(rest, 8),  number_at<std::uint16_t>(rest, 10),
                         number_at<std::uint16_t>(rest, 34), number_at<std::uint32_t>(rest, 24),
                         number_at<std::uint32_t>(rest, 20), number_at<std::uint32_t>(rest, 42)};
    const std::size_t name_size = number_at<std::uint16_t>(rest, 28), extra_size = number_at<std::uint16_t>(rest, 30);
    const std::size_t size = kEntryBytes + name_size + extra_size + number_at<std::uint16_t>(rest, 32);
    if (rest.size() < size) fail(formatted("the directory is damaged at byte {}", directory_.offset + at));
    ZipEntry entry;
    entry.name = rest.substr(kEntryBytes, name_size);
    entry.crc32 = number_at<std::uint32_t>(rest, 16);
    check_kind(entry, head);
    entry.is_deflated = head.method == 8;
    read_numbers(entry, head, rest.substr(kEntryBytes + name_size, extra_size));
    check_sizes(entry);
    at += size;
    return entry;
  }

  void check_kind(const ZipEntry& entry, const EntryHead& head) const {
    if (entry.name.empty() || entry.name.find('\0') != entry.name.npos || !is_utf8(entry.name)) {
      fail(formatted("the record '{}' has no sound name", shown(entry.name)));
    }
    if ((head.flags & 0x2041) != 0)
      refuse_record(title_, entry.name, "is encrypted", "save the file without a password");
    if ((head.flags & 0x20) != 0)
      refuse_record(title_, entry.name, "is a patch of another file", "save the file again");
    if (head.method != 0 && head.method != 8) {
      refuse_record(title_, entry.name, formatted("is compressed by method {}", head.method),
                    "save it uncompressed or deflated");
    }
    if (head.disk != 0 && head.disk != kIn64Short) refuse_parts();
  }

  // The numbers that do not fit in 32 bits stand in the ZIP64 field, in this order.
  void read_numbers(ZipEntry& entry, const EntryHead& head, std::string_view extra) const {
    std::string_view field = zip64_field(entry, extra);
    entry.size = number_or_64(entry, head.size, field);
    entry.stored_size = number_or_64(entry, head.stored_size, field);
    entry.header_offset = number_or_64(entry, head.header_offset, field);
  }

  std::uint64_t number_or_64(const ZipEntry& entry, std::uint32_t number, std::string_view& field) const {
    if (number != kIn64) return number;
    if (field.size() < 8) fail(entry, "its ZIP64 sizes are missing");
    const auto large = number_at<std::uint64_t>(field, 0);
    field.remove_prefix(8);
    return large;
  }

  // Empty where there is none.
  std::string_view zip64_field(const ZipEntry& entry, std::string_view extra) const {
    std::string_view found;
    while (!extra.empty()) {
      if (extra.size() < 4 || extra.size() - 4 < number_at<std::uint16_t>(extra, 2)) {
        fail(entry, "its extra fields are damaged");
      }
      const std::size_t size = number_at<std::uint16_t>(extra, 2);
      if (number_at<std::uint16_t>(extra, 0) == 1) {
        if (!found.empty()) fail(entry, "its ZIP64 sizes are there twice");
        found = extra.substr(4, size);
      }
      extra.remove_prefix(4 + size);
    }
    return found;
  }

  void check_sizes(const ZipEntry& entry) const {
    if (entry.header_offset > directory_.offset || entry.stored_size > directory_.offset - entry.header_offset) {
      fail(entry, formatted("{} bytes at {} lie beyond the {} bytes of data", entry.stored_size, entry.header_offset,
                            directory_.offset));
    }
    if (!entry.is_deflated && entry.size != entry.stored_size) {
      fail(entry, formatted("is stored, but has {} bytes of {}", entry.stored_size, entry.size));
    }
    // Deflate cannot do better than 1032 to 1.
    if (entry.is_deflated && entry.size / 1032 > entry.stored_size) {
      fail(entry, formatted("{} bytes cannot be deflated to {}", entry.size, entry.stored_size));
    }
  }

  void check_local_header(ZipEntry& entry) const {
    if (directory_.offset - entry.header_offset < kLocalBytes) fail(entry, "its header is cut off");
    const std::string head = read_text(bytes_, entry.header_offset, kLocalBytes);
    if (number_at<std::uint32_t>(head, 0) != kLocalSignature) fail(entry, "its header is missing");
    const std::uint64_t name_size = number_at<std::uint16_t>(head, 26), extra_size = number_at<std::uint16_t>(head, 28);
    entry.data_offset = entry.header_offset + kLocalBytes + name_size + extra_size;
    if (entry.data_offset > directory_.offset || entry.stored_size > directory_.offset - entry.data_offset) {
      fail(entry, formatted("{} bytes at {} lie beyond the {} bytes of data", entry.stored_size, entry.data_offset,
                            directory_.offset));
    }
    const std::string rest = read_text(bytes_, entry.header_offset + kLocalBytes, name_size + extra_size);
    if (std::string_view(rest).substr(0, name_size) != entry.name) fail(entry, "has another name in its header");
    check_agrees(entry, head, std::string_view(rest).substr(name_size));
  }

  void check_agrees(const ZipEntry& entry, std::string_view head, std::string_view extra) const {
    const auto flags = number_at<std::uint16_t>(head, 6);
    if ((flags & 0x2061) != 0) fail(entry, "has other flags in its header");
    if (number_at<std::uint16_t>(head, 8) != (entry.is_deflated ? 8 : 0))
      fail(entry, "has another method in its header");
    std::string_view field = zip64_field(entry, extra);
    const bool has_descriptor = (flags & 8) != 0;  // then the numbers may be 0: they follow the data
    const auto crc = number_at<std::uint32_t>(head, 14);
    const std::uint64_t size = local_number(entry, number_at<std::uint32_t>(head, 22), field, has_descriptor);
    const std::uint64_t stored = local_number(entry, number_at<std::uint32_t>(head, 18), field, has_descriptor);
    const auto matches = [&](std::uint64_t local, std::uint64_t global) {
      return local == global || (has_descriptor && local == 0);
    };
    if (!matches(size, entry.size) || !matches(stored, entry.stored_size))
      fail(entry, "has another size in its header");
    if (!matches(crc, entry.crc32)) fail(entry, "has another checksum in its header");
  }

  std::uint64_t local_number(const ZipEntry& entry, std::uint32_t number, std::string_view& field,
                             bool has_descriptor) const {
    if (number == kIn64 && has_descriptor && field.empty()) return 0;
    return number_or_64(entry, number, field);
  }

  void check_places(const std::vector<ZipEntry>& entries) const {
    std::vector<const ZipEntry*> sorted;
    for (const ZipEntry& entry : entries) sorted.push_back(&entry);
    std::ranges::sort(sorted, {}, [](const ZipEntry* entry) { return entry->header_offset; });
    for (std::size_t i = 1; i < sorted.size(); ++i) {
      const ZipEntry& before = *sorted[i - 1];
      if (before.data_offset + before.stored_size > sorted[i]->header_offset) {
        fail(*sorted[i], formatted("overlaps record {}", shown(before.name)));
      }
    }
  }

  const ByteSource& bytes_;
  const std::string& title_;
  Directory directory_;
};

}  // namespace

std::vector<ZipEntry> read_zip_directory(const ByteSource& bytes, const std::string& title) {
  return DirectoryReader(bytes, title).read();
}

}  // namespace mnq
