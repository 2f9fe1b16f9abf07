// The program's own input and output: the same bytes as files, whatever the program's functions do.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <stdexcept>

#include "fixture.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

using mono_quant::Reader;
using mono_quant::Writer;

NamedTensors two_layers() {
  NamedTensors tensors;
  tensors.emplace_back("a.weight", tensor_of<float>({64, 256}, normal_values(64 * 256, 1)));
  tensors.emplace_back("b.weight", tensor_of<float>({300, 1024}, normal_values(300 * 1024, 2)));
  tensors.emplace_back("b.bias", tensor_of<float>({300}, normal_values(300, 3)));
  return tensors;
}

std::string bytes_of_model(const Model& model, mono_quant::Run* run = nullptr) {
  return std::string(model.save_memory(run));
}

Reader reader_over(const std::string& bytes) {
  return Reader(bytes.size(), [&bytes](std::uint64_t offset, std::span<std::byte> into) {
    ASSERT_FALSE(into.empty());
    ASSERT_LE(offset + into.size(), bytes.size());
    std::memcpy(into.data(), bytes.data() + offset, into.size());
  });
}

// Keeps what it is given, in memory.
struct Kept {
  std::mutex mutex;
  std::string bytes;
  std::uint64_t committed = 0;
  int commits = 0, aborts = 0;

  Writer writer() {
    return Writer({.write =
                       [this](std::uint64_t offset, std::span<const std::byte> piece) {
                         const std::lock_guard lock(mutex);
                         if (bytes.size() < offset + piece.size()) bytes.resize(offset + piece.size());
                         std::memcpy(bytes.data() + offset, piece.data(), piece.size());
                       },
                   .commit =
                       [this](std::uint64_t size) {
                         committed = size;
                         ++commits;
                       },
                   .abort = [this] { ++aborts; }});
  }
};

TEST(Reader, GivesWhatTheFileGives) {
  for (const char* format : {"safetensors", "pytorch", "gguf"}) {
    mono_quant::Run run;
    run.set("format", format);
    const std::string bytes = bytes_of_model(Model::from_tensors(two_layers()), &run);
    const Reader reader = reader_over(bytes);
    const Model model = Model::open(reader);
    EXPECT_EQ(model.tensor_names(), Model::open_memory(bytes_of(bytes)).tensor_names()) << format;
    EXPECT_EQ(bytes_of_model(mono_quant::quantize(model).model),
              bytes_of_model(mono_quant::quantize(Model::open_memory(bytes_of(bytes))).model))
        << format;
  }
}

TEST(Reader, CanBeFreedBeforeItsModels) {
  const std::string bytes = bytes_of_model(Model::from_tensors(two_layers()));
  auto released = std::make_shared<int>(0);
  struct AtEnd {
    std::shared_ptr<int> count;
    ~AtEnd() { ++*count; }
  };
  std::optional<Model> model;
  {
    auto last = std::make_shared<AtEnd>(released);
    const Reader reader(bytes.size(), [&bytes, last](std::uint64_t offset, std::span<std::byte> into) {
      std::memcpy(into.data(), bytes.data() + offset, into.size());
    });
    last.reset();
    model.emplace(Model::open(reader));
  }
  EXPECT_EQ(*released, 0);
  EXPECT_EQ(shape_of(model->tensor("a.weight")), (Shape{64, 256}));
  model.reset();
  EXPECT_EQ(*released, 1);
}

TEST(Reader, WhatFailsInItIsAnErrorOfTheCall) {
  const std::string bytes = bytes_of_model(Model::from_tensors(two_layers()));
  std::atomic<bool> fails{true};
  const Reader reader(bytes.size(), [&](std::uint64_t offset, std::span<std::byte> into) {
    if (fails) throw std::runtime_error("the network is down");
    std::memcpy(into.data(), bytes.data() + offset, into.size());
  });
  const Error error = error_of([&] { Model::open(reader); });
  EXPECT_EQ(error.code(), MNQ_E_IO);
  EXPECT_NE(std::string(error.what()).find("returned 1"), std::string::npos) << error.what();
  fails = false;
  const Model model = Model::open(reader);
  fails = true;
  const TempFolder folder;
  EXPECT_EQ(error_of([&] { mono_quant::quantize_to_file(model, folder.path("a.safetensors")); }).code(), MNQ_E_IO);
  EXPECT_TRUE(folder.names().empty());
}

TEST(Reader, KnowsNoneOfAnotherFormat) {
  const std::string bytes = "no checkpoint at all, by any means";
  EXPECT_EQ(error_of([&] { Model::open(reader_over(bytes)); }).code(), MNQ_E_FORMAT);
  const std::string none;
  EXPECT_EQ(error_of([&] { Model::open(reader_over(none)); }).code(), MNQ_E_FORMAT);
}

TEST(Writer, GetsTheBytesOfTheFile) {
  const TempFolder folder;
  const Model model = Model::from_tensors(two_layers());
  for (const auto& [format, name] :
       {std::pair("safetensors", "a.safetensors"), {"pytorch", "a.pt"}, {"gguf", "a.gguf"}}) {
    mono_quant::Run run;
    run.set("format", format).set("bits", "4").set("group_size", "32");
    mono_quant::quantize_to_file(model, folder.path(name), {}, &run);
    Kept kept;
    Writer writer = kept.writer();
    const auto report = mono_quant::quantize_to(model, writer, {}, &run);
    EXPECT_EQ(report.number("layers_quantized"), 2) << format;
    const std::string wanted = read_bytes(folder.path(name));
    EXPECT_EQ(kept.committed, wanted.size()) << format;
    kept.bytes.resize(kept.committed);
    EXPECT_TRUE(kept.bytes == wanted) << format;
    EXPECT_EQ(kept.commits, 1);
    EXPECT_EQ(kept.aborts, 0);
  }
}

TEST(Writer, TakesFloatsAndCopiesToo) {
  const Model model = Model::from_tensors(two_layers());
  const Model quantized = mono_quant::quantize(model).model;
  Kept saved, floats;
  Writer to_saved = saved.writer(), to_floats = floats.writer();
  quantized.save(to_saved);
  EXPECT_EQ(saved.bytes, bytes_of_model(quantized));
  const auto report = mono_quant::dequantize_to(quantized, to_floats);
  EXPECT_EQ(floats.bytes, bytes_of_model(mono_quant::dequantize(quantized).model));
  EXPECT_EQ(report.layers().front().text("action"), "dequantize");
}

TEST(Writer, IsToldToForgetWhatFailed) {
  const Model model = Model::from_tensors(two_layers());
  Kept kept;
  Writer writer = kept.writer();
  mono_quant::Run run;
  run.set_progress([](std::uint64_t done, std::uint64_t total) { return done < total; });
  EXPECT_EQ(error_of([&] { mono_quant::quantize_to(model, writer, {}, &run); }).code(), MNQ_E_CANCELLED);
  EXPECT_EQ(kept.commits, 0);
  EXPECT_EQ(kept.aborts, 1);
  run.reset();
  run.set_progress(nullptr);
  mono_quant::quantize_to(model, writer, {}, &run);
  EXPECT_EQ(kept.commits, 1);
  EXPECT_EQ(kept.aborts, 1);
}

TEST(Writer, WhatFailsInItIsAnErrorOfTheCall) {
  const Model model = Model::from_tensors(two_layers());
  int aborts = 0;
  Writer full({.write = [](std::uint64_t, std::span<const std::byte>) { throw std::runtime_error("full"); },
               .abort = [&] { ++aborts; }});
  EXPECT_EQ(error_of([&] { model.save(full); }).code(), MNQ_E_IO);
  EXPECT_EQ(aborts, 1);
  Writer late({.write = [](std::uint64_t, std::span<const std::byte>) {},
               .commit = [](std::uint64_t) { throw std::runtime_error("the upload was refused"); },
               .abort = [&] { ++aborts; }});
  EXPECT_EQ(error_of([&] { model.save(late); }).code(), MNQ_E_IO);
  EXPECT_EQ(aborts, 2);
}

TEST(Writer, TakesOneOutputAtATime) {
  const Model model = Model::from_tensors(two_layers());
  Writer* itself = nullptr;
  mnq_status inner = MNQ_OK;
  Writer writer({.write = [&](std::uint64_t, std::span<const std::byte>) {
    inner = mnq_model_save_to_writer(model.get(), itself->get(), nullptr, nullptr);
  }});
  itself = &writer;
  model.save(writer);
  EXPECT_EQ(inner, MNQ_E_STATE);
}

TEST(Writer, HoldsOneFileAndNoFolder) {
  const Model model = Model::from_tensors(two_layers());
  Kept kept;
  Writer writer = kept.writer();
  mono_quant::Run run;
  run.set("format", "compressed-tensors");
  EXPECT_EQ(error_of([&] { model.save(writer, &run); }).code(), MNQ_E_UNSUPPORTED);
  EXPECT_EQ(kept.commits + kept.aborts, 0);
}

TEST(WrappedMemory, IsReleasedOnceNobodyUsesIt) {
  auto bytes = std::make_shared<const std::string>(bytes_of_model(Model::from_tensors(two_layers())));
  const std::weak_ptr<const std::string> alive = bytes;
  const std::span<const std::byte> view = bytes_of(*bytes);
  std::optional<Model> model(Model::open_memory(view, std::move(bytes)));
  std::optional<Tensor> tensor(model->tensor("b.weight"));
  model.reset();
  EXPECT_FALSE(alive.expired());  // the tensor shares it
  EXPECT_EQ(values_of<float>(*tensor), normal_values(300 * 1024, 2));
  tensor.reset();
  EXPECT_TRUE(alive.expired());
}

}  // namespace
}  // namespace mnq::test
