// FNV-1a, 64 bits: tells jobs and contents apart; no protection against who means to deceive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/format.h"

namespace mnq {

class Hash {
 public:
  void add(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) value_ = (value_ ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3;
  }

  std::string text() const { return formatted("{:016x}", value_); }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

}  // namespace mnq
