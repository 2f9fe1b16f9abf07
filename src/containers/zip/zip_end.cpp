#include "containers/zip/zip_end.h"

#include <algorithm>

#include "base/text/format.h"
#include "containers/archive_error.h"
#include "containers/read_text.h"

namespace mnq {
namespace {

constexpr std::uint32_t kEnd64Signature = 0x06064b50, kLocator64Signature = 0x07064b50;
constexpr std::uint64_t kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20;
constexpr std::uint32_t kIn64 = 0xffffffff;  // the number stands in a ZIP64 field
constexpr std::uint16_t kIn64Short = 0xffff;

class EndReader {
 public:
  EndReader(const ByteSource& bytes, const std::string& title) : bytes_(bytes), title_(title) {}

  ZipDirectory find() {
    std::string end;
    const std::uint64_t end_offset = find_end(end);
    const auto disk = number_at<std::uint16_t>(end, 4), directory_disk = number_at<std::uint16_t>(end, 6);
    const auto count_here = number_at<std::uint16_t>(end, 8), count = number_at<std::uint16_t>(end, 10);
    const auto size = number_at<std::uint32_t>(end, 12), offset = number_at<std::uint32_t>(end, 16);
    directory_ = {offset, size, count, end_offset};
    const bool has_64 = find_directory_64(end_offset);
    if (!has_64 && (count == kIn64Short || size == kIn64 || offset == kIn64)) fail("the ZIP64 directory is missing");
    if (!agrees(disk, 0, kIn64Short) || !agrees(directory_disk, 0, kIn64Short) || count_here != count)
      refuse_zip_parts(title_);
    if (!agrees(count, directory_.count, kIn64Short) || !agrees(size, directory_.size, kIn64) ||
        !agrees(offset, directory_.offset, kIn64)) {
      fail("the ZIP64 directory is another than the directory");
    }
    if (directory_.offset > directory_.end || directory_.end - directory_.offset != directory_.size) {
      fail(formatted("the directory of {} bytes at {} does not end at {}", directory_.size, directory_.offset,
                     directory_.end));
    }
    if (directory_.count > directory_.size / kZipEntryBytes) {
      fail(formatted("{} bytes of directory cannot hold {} records", directory_.size, directory_.count));
    }
    return directory_;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { fail_record(title_, {}, what); }

  // The last place that looks like the end record must be it: LibTorch takes that one without looking further. Bytes
  // behind it are read over, as LibTorch and Python do.
  std::uint64_t find_end(std::string& tail) {
    const std::uint64_t tail_size = std::min<std::uint64_t>(bytes_.size(), kEndBytes + 0xffff);
    tail = read_text(bytes_, bytes_.size() - tail_size, tail_size);
    const char signature[] = {'P', 'K', 5, 6};
    const std::size_t at = tail.rfind(std::string_view(signature, sizeof signature));
    if (at == tail.npos) fail("the ZIP directory is missing at the file's end: it was cut off");
    if (tail.size() - at < kEndBytes || tail.size() - at - kEndBytes < number_at<std::uint16_t>(tail, at + 20)) {
      fail("the end of the ZIP directory has the wrong length");
    }
    tail.erase(0, at);
    return bytes_.size() - tail_size + at;
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
    if (number_at<std::uint32_t>(locator, 4) != 0 || number_at<std::uint32_t>(locator, 16) > 1)
      refuse_zip_parts(title_);
    const std::uint64_t locator_offset = end_offset - kLocator64Bytes;
    if (offset > locator_offset || locator_offset - offset < kEnd64Bytes) fail("the ZIP64 directory is missing");
    const std::string end = read_text(bytes_, offset, kEnd64Bytes);
    if (number_at<std::uint32_t>(end, 0) != kEnd64Signature) fail("the ZIP64 directory is missing");
    if (number_at<std::uint64_t>(end, 4) != locator_offset - offset - 12) {
      fail("the end of the ZIP64 directory has the wrong length");
    }
    if (number_at<std::uint32_t>(end, 16) != 0 || number_at<std::uint32_t>(end, 20) != 0) refuse_zip_parts(title_);
    if (number_at<std::uint64_t>(end, 24) != number_at<std::uint64_t>(end, 32)) refuse_zip_parts(title_);
    directory_ = {number_at<std::uint64_t>(end, 48), number_at<std::uint64_t>(end, 40),
                  number_at<std::uint64_t>(end, 32), offset};
    return true;
  }

  const ByteSource& bytes_;
  const std::string& title_;
  ZipDirectory directory_;
};

}  // namespace

ZipDirectory find_zip_directory(const ByteSource& bytes, const std::string& title) {
  return EndReader(bytes, title).find();
}

void refuse_zip_parts(const std::string& title) {
  refuse_record(title, {}, "is one of several parts of a ZIP archive", "join the parts into one file");
}

}  // namespace mnq
