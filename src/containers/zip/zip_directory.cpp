#include "containers/zip/zip_directory.h"

#include <algorithm>

#include "base/text/format.h"
#include "base/text/utf8.h"
#include "containers/archive_error.h"
#include "containers/read_text.h"
#include "containers/zip/zip_end.h"

namespace mnq {
namespace {

constexpr std::uint32_t kLocalSignature = 0x04034b50, kEntrySignature = 0x02014b50;
constexpr std::uint64_t kLocalBytes = 30;
constexpr std::uint32_t kIn64 = 0xffffffff;  // the number stands in a ZIP64 field
constexpr std::uint16_t kIn64Short = 0xffff;

class DirectoryReader {
 public:
  DirectoryReader(const ByteSource& bytes, const std::string& title)
      : bytes_(bytes), title_(title), directory_(find_zip_directory(bytes, title)) {}

  std::vector<ZipEntry> read() {
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

  ZipEntry read_entry(std::string_view text, std::size_t& at) {
    const std::string_view rest = text.substr(at);
    if (rest.size() < kZipEntryBytes || number_at<std::uint32_t>(rest, 0) != kEntrySignature) {
      fail(formatted("the directory is damaged at byte {}", directory_.offset + at));
    }
    const EntryHead head{number_at<std::uint16_t>(rest, 8),  number_at<std::uint16_t>(rest, 10),
                         number_at<std::uint16_t>(rest, 34), number_at<std::uint32_t>(rest, 24),
                         number_at<std::uint32_t>(rest, 20), number_at<std::uint32_t>(rest, 42)};
    const std::size_t name_size = number_at<std::uint16_t>(rest, 28), extra_size = number_at<std::uint16_t>(rest, 30);
    const std::size_t size = kZipEntryBytes + name_size + extra_size + number_at<std::uint16_t>(rest, 32);
    if (rest.size() < size) fail(formatted("the directory is damaged at byte {}", directory_.offset + at));
    ZipEntry entry;
    entry.name = rest.substr(kZipEntryBytes, name_size);
    entry.crc32 = number_at<std::uint32_t>(rest, 16);
    check_kind(entry, head);
    entry.is_deflated = head.method == 8;
    read_numbers(entry, head, rest.substr(kZipEntryBytes + name_size, extra_size));
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
    if (head.disk != 0 && head.disk != kIn64Short) refuse_zip_parts(title_);
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
  const ZipDirectory directory_;
};

}  // namespace

std::vector<ZipEntry> read_zip_directory(const ByteSource& bytes, const std::string& title) {
  return DirectoryReader(bytes, title).read();
}

}  // namespace mnq
