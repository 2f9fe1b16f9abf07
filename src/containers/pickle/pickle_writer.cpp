#include "containers/pickle/pickle_writer.h"

#include <bit>
#include <limits>

#include "base/text/format.h"

namespace mnq {

static_assert(std::endian::native == std::endian::little);

void PickleWriter::text(std::string_view text) {
  raw('X', static_cast<std::uint32_t>(text.size()));
  out_ += text;
}

// Protocol 2 has no bytes: as Python writes them, each is a character of a text.
void PickleWriter::bytes(std::string_view bytes) {
  std::string characters;
  for (const char byte : bytes) {
    const auto code = static_cast<unsigned char>(byte);
    if (code < 0x80) {
      characters += byte;
    } else {
      characters += static_cast<char>(0xc0 | (code >> 6));
      characters += static_cast<char>(0x80 | (code & 0x3f));
    }
  }
  global("_codecs", "encode");
  text(characters);
  text("latin1");
  opcodes("\x86R");
}

void PickleWriter::integer(std::int64_t value) {
  if (value >= 0 && value <= std::numeric_limits<std::uint8_t>::max()) {
    return raw('K', static_cast<std::uint8_t>(value));
  }
  if (value >= std::numeric_limits<std::int32_t>::min() && value <= std::numeric_limits<std::int32_t>::max()) {
    return raw('J', static_cast<std::int32_t>(value));
  }
  digits({reinterpret_cast<const char*>(&value), sizeof value});
}

void PickleWriter::digits(std::string_view digits) {
  raw('\x8a', static_cast<std::uint8_t>(digits.size()));
  out_ += digits;
}

void PickleWriter::real(double value) { raw('G', __builtin_bswap64(std::bit_cast<std::uint64_t>(value))); }

void PickleWriter::global(std::string_view module, std::string_view name) {
  out_ += formatted("c{}\n{}\n", module, name);
}

void PickleWriter::numbered(char small, char large, std::uint32_t number) {
  if (number <= std::numeric_limits<std::uint8_t>::max()) return raw(small, static_cast<std::uint8_t>(number));
  raw(large, number);
}

}  // namespace mnq
