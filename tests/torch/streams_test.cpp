// Modules through the program's own input and output.
#include <gtest/gtest.h>

#include <cstring>
#include <mutex>

#include "capi/fixture.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

using mono_quant::Reader;
using mono_quant::Writer;

TEST(ModuleStreams, GiveTheBytesOfTheFile) {
  const TempFolder folder;
  const std::string path = std::string(MNQ_TEST_DATA) + "/digits_scripted.pt";
  mono_quant::quantize_file(path, folder.path("digits.pt"));
  const std::string bytes = read_bytes(path), wanted = read_bytes(folder.path("digits.pt"));
  const Model model = Model::open(Reader(bytes.size(), [&](std::uint64_t offset, std::span<std::byte> into) {
    std::memcpy(into.data(), bytes.data() + offset, into.size());
  }));
  std::mutex mutex;
  std::string written;
  Writer writer({.write = [&](std::uint64_t offset, std::span<const std::byte> piece) {
    const std::lock_guard lock(mutex);
    if (written.size() < offset + piece.size()) written.resize(offset + piece.size());
    std::memcpy(written.data() + offset, piece.data(), piece.size());
  }});
  mono_quant::quantize_to(model, writer);
  EXPECT_TRUE(written == wanted);
}

TEST(ModuleStreams, WhatFailsInTheReaderIsAnErrorOfTheCall) {
  const std::string bytes = read_bytes(std::string(MNQ_TEST_DATA) + "/digits_scripted.pt");
  bool fails = false;
  const Model model = Model::open(Reader(bytes.size(), [&](std::uint64_t offset, std::span<std::byte> into) {
    if (fails) throw 1;
    std::memcpy(into.data(), bytes.data() + offset, into.size());
  }));
  fails = true;
  EXPECT_EQ(error_of([&] { mono_quant::quantize(model); }).code(), MNQ_E_IO);
}

}  // namespace
}  // namespace mnq::test
