#include "base/files/host_bytes.h"

#include <atomic>

#include "base/error.h"
#include "base/text/format.h"

namespace mnq {
namespace {

constexpr const char* kAdvice = "what the program's own function met is known to the program";

// Calls a function of the program's, and throws kIo where that fails in any way.
template <class Call, class Text>
void ask_host(const Call& call, const Text& text) {
  std::int32_t code = 0;
  try {
    code = call();
  } catch (...) {
    throw Error(Status::kIo, text() + " threw an exception", kAdvice);
  }
  if (code != 0) throw Error(Status::kIo, formatted("{} returned {}", text(), code), kAdvice);
}

class HostBytes final : public ByteSource {
 public:
  HostBytes(std::uint64_t size, HostRead read) : size_(size), read_(std::move(read)) {}
  std::string path() const override { return {}; }
  std::uint64_t size() const override { return size_; }
  std::shared_ptr<const std::byte> view(std::uint64_t) const override { return nullptr; }

  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (into.empty()) return;
    ask_host([&] { return read_(offset, into); },
             [&] { return formatted("the reader's function, asked for {} bytes at {},", into.size(), offset); });
  }

 private:
  std::uint64_t size_;
  HostRead read_;
};

class HostByteSink final : public ByteSink {
 public:
  HostByteSink(const HostOutput& output, std::uint64_t size) : output_(output), end_(size) {}
  HostByteSink(const HostByteSink&) = delete;
  HostByteSink& operator=(const HostByteSink&) = delete;

  ~HostByteSink() override {
    if (is_committed_ || !is_written_) return;
    try {
      output_.abort();
    } catch (...) {  // nobody is left to be told
    }
  }

  void write(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (bytes.empty()) return;
    is_written_ = true;
    reach(offset + bytes.size());
    ask_host([&] { return output_.write(offset, bytes); },
             [&] { return formatted("the writer's function, given {} bytes for {},", bytes.size(), offset); });
  }

  void commit() override {
    ask_host([&] { return output_.commit(end_); }, [] { return std::string("the writer's commit"); });
    is_committed_ = true;
  }

 private:
  void reach(std::uint64_t end) {
    std::uint64_t before = end_;
    while (before < end && !end_.compare_exchange_weak(before, end)) {
    }
  }

  const HostOutput& output_;
  std::atomic<std::uint64_t> end_;  // of what is known to be written
  std::atomic<bool> is_written_{false};
  bool is_committed_ = false;
};

}  // namespace

std::shared_ptr<const ByteSource> host_bytes(std::uint64_t size, HostRead read) {
  return std::make_shared<HostBytes>(size, std::move(read));
}

OpenByteSink host_sink(const HostOutput& output) {
  return [&output](std::uint64_t size) -> std::unique_ptr<ByteSink> {
    return std::make_unique<HostByteSink>(output, size);
  };
}

}  // namespace mnq
