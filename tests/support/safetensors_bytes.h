// Safetensors files written out by hand, so that tests of the reader do not rest on our own writer: 8 bytes of length,
// JSON, data.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace mnq::test {

class SafetensorsBytes {
 public:
  /// shape: "[2, 4]"
  template <class Value>
  SafetensorsBytes& add(const std::string& name, const char* dtype, const std::string& shape,
                        const std::vector<Value>& values) {
    std::string bytes(values.size() * sizeof(Value), '\0');
    if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    return add_bytes(name, dtype, shape, bytes);
  }

  SafetensorsBytes& add_bytes(const std::string& name, const char* dtype, const std::string& shape,
                              const std::string& bytes) {
    entry(name, dtype, shape, bytes.size());
    data_ += bytes;
    return *this;
  }

  /// Without data: what only declares is the start of a file that ftruncate makes long.
  SafetensorsBytes& declare(const std::string& name, const char* dtype, const std::string& shape,
                            std::uint64_t size_bytes) {
    entry(name, dtype, shape, size_bytes);
    return *this;
  }

  /// json: an object of texts
  SafetensorsBytes& add_metadata(const std::string& json) {
    entries_ += (entries_.empty() ? "" : ",") + ("\"__metadata__\":" + json);
    return *this;
  }

  std::string bytes() const {
    std::string header = "{" + entries_ + "}";
    header.append((8 - header.size() % 8) % 8, ' ');
    const std::uint64_t length = header.size();
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    return bytes + header + data_;
  }

  /// The size of the whole file, declared data included.
  std::uint64_t file_size() const { return bytes().size() - data_.size() + offset_; }

 private:
  void entry(const std::string& name, const char* dtype, const std::string& shape, std::uint64_t size_bytes) {
    entries_ += (entries_.empty() ? "\"" : ",\"") + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
                ",\"data_offsets\":[" + std::to_string(offset_) + "," + std::to_string(offset_ + size_bytes) + "]}";
    offset_ += size_bytes;
  }

  std::string entries_;
  std::string data_;
  std::uint64_t offset_ = 0;
};

}  // namespace mnq::test
