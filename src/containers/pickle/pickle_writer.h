// Values as a pickle of protocol 2, which every PyTorch reads and torch.load(weights_only=True) knows best.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mnq {

class PickleWriter {
 public:
  explicit PickleWriter(std::string& out) : out_(out) {}

  static constexpr std::string_view kStart{"\x80\x02", 2}, kEnd{"."};

  void opcode(char code) { out_ += code; }
  void opcodes(std::string_view codes) { out_ += codes; }
  void text(std::string_view text);  ///< UTF-8
  void bytes(std::string_view bytes);
  void integer(std::int64_t value);
  void digits(std::string_view digits);  ///< little-endian two's complement, at most kMostDigits bytes
  void real(double value);
  void boolean(bool value) { out_ += value ? '\x88' : '\x89'; }
  void global(std::string_view module, std::string_view name);

  static constexpr std::size_t kMostDigits = 255;

  /// Remembers what was written last under a number, and writes that again.
  void put(std::uint32_t number) { numbered('q', 'r', number); }
  void get(std::uint32_t number) { numbered('h', 'j', number); }

 private:
  template <class Number>
  void raw(char code, Number number) {
    out_ += code;
    out_.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  void numbered(char small, char large, std::uint32_t number);

  std::string& out_;
};

}  // namespace mnq
