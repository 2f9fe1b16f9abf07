// One model, config and run of many threads; and an input that nobody changes.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>

#include "fixture.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

constexpr int kThreads = 8;

void run_in_threads(const std::function<void(int thread)>& work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
}

Model network() {
  NamedTensors tensors;
  for (int i = 0; i < 5; ++i) {
    const std::string name = "layer" + std::to_string(i);
    tensors.emplace_back(name + ".weight", tensor_of({64, 200}, normal_values(64 * 200, static_cast<unsigned>(i))));
    tensors.emplace_back(name + ".bias", tensor_of({64}, normal_values(64, static_cast<unsigned>(i + 100))));
  }
  return Model::from_tensors(tensors);
}

TEST(Threads, QuantizeOneModelAtOnce) {
  const Model model = network();
  const Config config(R"({"bits": 4, "group_size": 32, "min_parameters": 0})");
  const mono_quant::Buffer wanted = mono_quant::quantize(model, config).model.save_memory();
  run_in_threads([&](int) {
    for (int repeat = 0; repeat < 3; ++repeat) {
      EXPECT_EQ(mono_quant::quantize(model, config).model.save_memory().text(), wanted.text());
    }
  });
}

TEST(Threads, EveryConstFunctionOfOneModelAtOnce) {
  const TempFolder folder;
  network().save(folder.path("in.safetensors"));
  const Model model = Model::open(folder.path("in.safetensors"));
  const Config config;
  const mono_quant::Run settings;
  const std::vector<float> weights = values_of<float>(model, "layer3.weight");
  run_in_threads([&](int thread) {
    EXPECT_EQ(values_of<float>(model, "layer3.weight"), weights);
    EXPECT_EQ(model.layers(&config, &settings).size(), 10u);
    EXPECT_EQ(mono_quant::plan(model, config, &settings).number("layers_quantized"), 5);
    EXPECT_EQ(mono_quant::compare(model, model).number("exact"), 1);
    EXPECT_EQ(mono_quant::resolve(config, "bits").value, "8");
    EXPECT_EQ(model.clone().tensor_names(), model.tensor_names());
    EXPECT_NE(model.describe_json(), "");
    mono_quant::quantize_to_file(model, folder.path("out" + std::to_string(thread) + ".safetensors"), config);
  });
  EXPECT_EQ(folder.names().size(), kThreads + 1u);
  for (int i = 1; i < kThreads; ++i) {
    EXPECT_EQ(read_bytes(folder.path("out" + std::to_string(i) + ".safetensors")),
              read_bytes(folder.path("out0.safetensors")));
  }
}

// Much of what these give is made when it is first asked for.
TEST(Threads, EveryConstFunctionOfQuantizedModelsAndReportsAtOnce) {
  const TempFolder folder;
  const Model model = network();
  mono_quant::quantize_to_file(model, folder.path("quantized.safetensors"));
  const Model quantized = Model::open(folder.path("quantized.safetensors"));
  const std::string floats(mono_quant::dequantize(quantized).model.save_memory().text());
  const std::string report_text = mono_quant::plan(model).json();
  const Report report = mono_quant::plan(model), comparison = mono_quant::compare(model, quantized);
  const Tensor tensor = quantized.tensor("layer0.bias");
  run_in_threads([&](int thread) {
    const std::string text = thread % 2 == 0 ? report.json() : "";  // the other half asks for a layer first
    EXPECT_EQ(report.layers().at(2).text("name"), "layer1");
    EXPECT_EQ(report.json(), report_text);
    EXPECT_TRUE(text.empty() || text == report_text);
    EXPECT_GT(comparison.layers().at(0).number("sqnr_db"), 30);
    EXPECT_GT(comparison.number("sqnr_db"), 30);
    EXPECT_EQ(values_of<float>(tensor), values_of<float>(model, "layer0.bias"));
    EXPECT_EQ(mono_quant::dequantize(quantized).model.save_memory().text(), floats);
    EXPECT_EQ(error_of([&] { quantized.tensor("layer9.bias"); }).code(), MNQ_E_NOT_FOUND);
    quantized.save(folder.path("copy" + std::to_string(thread) + ".safetensors"));
  });
  for (int i = 1; i < kThreads; ++i) {
    EXPECT_EQ(read_bytes(folder.path("copy" + std::to_string(i) + ".safetensors")),
              read_bytes(folder.path("copy0.safetensors")));
  }
}

// Files and folders are read and written, what the process has in common is asked and set.
TEST(Threads, EveryFunctionWithoutAHandleAtOnce) {
  const TempFolder folder;
  const std::string in = folder.path("in.safetensors"), quantized = folder.path("quantized.safetensors");
  network().save(in);
  mono_quant::quantize_file(in, quantized);
  std::atomic<int> message_count = 0;
  mono_quant::set_log_callback([&](mnq_log_level, std::string_view) { ++message_count; });
  run_in_threads([&](int thread) {
    const std::string name = std::to_string(thread);
    mono_quant::set_threads(1 + static_cast<std::uint32_t>(thread) % 4);
    EXPECT_GT(mono_quant::threads(), 0u);
    EXPECT_NE(mono_quant::build_info(), "");
    EXPECT_NE(Config::keys_json(), "");
    EXPECT_EQ(mono_quant::detect_format(in), "safetensors");
    const Config shards(R"({"format": "compressed-tensors", "max_shard_size": 20000, "sqnr_warning_db": 100})");
    mono_quant::quantize_file(in, folder.path("folder" + name), shards);
    mono_quant::dequantize_file(quantized, folder.path("floats" + name + ".safetensors"));
    mono_quant::convert_file(quantized, folder.path("converted" + name + ".gguf"));
    EXPECT_EQ(mono_quant::validate_file(quantized, in).number("valid"), 1);
    mono_quant::Run run;
    run.set_progress([&](std::uint64_t, std::uint64_t) { return false; });
    EXPECT_EQ(error_of([&] {
                mono_quant::quantize_file(in, folder.path("cancelled" + name + ".safetensors"), {}, &run);
              }).code(),
              MNQ_E_CANCELLED);
  });
  mono_quant::set_threads(0);
  mono_quant::set_log_callback({});
  EXPECT_GT(message_count, 0);
  EXPECT_EQ(folder.names().size(), 3 * kThreads + 2u);
  for (int i = 1; i < kThreads; ++i) {
    EXPECT_EQ(read_bytes(folder.path("converted" + std::to_string(i) + ".gguf")),
              read_bytes(folder.path("converted0.gguf")));
  }
}

// Only one of them can be the first.
TEST(Threads, OneFileIsMadeOnce) {
  const TempFolder folder;
  const Model model = network();
  std::vector<mnq_status> statuses(kThreads);
  run_in_threads([&](int thread) {
    statuses[static_cast<std::size_t>(thread)] = error_of([&] { model.save(folder.path("out.safetensors")); }).code();
  });
  EXPECT_EQ(std::ranges::count(statuses, MNQ_OK), 1);
  // Another one is at work on it, or has made it.
  EXPECT_EQ(std::ranges::count(statuses, MNQ_E_STATE) + std::ranges::count(statuses, MNQ_E_IO), kThreads - 1);
  EXPECT_EQ(folder.names(), std::set<std::string>{"out.safetensors"});
}

TEST(Threads, OneTensorInManyModels) {
  int release_count = 0;
  const std::vector<float> values{127, 1};
  const Shape shape{1, 2};
  mnq_tensor* handle = nullptr;
  ASSERT_EQ(mnq_tensor_wrap(
                MNQ_DTYPE_F32, shape.data(), 2, values.data(), 8, [](void* count) { ++*static_cast<int*>(count); },
                &release_count, &handle, nullptr),
            MNQ_OK);
  const char* const name = "a.weight";
  run_in_threads([&](int) {
    const mnq_tensor* tensor = handle;
    mnq_model* model = nullptr;
    EXPECT_EQ(mnq_model_from_tensors(&name, &tensor, 1, &model, nullptr), MNQ_OK);
    EXPECT_EQ(values_of<float>(Model(model), name), values);
  });
  EXPECT_EQ(release_count, 0);
  mnq_tensor_free(handle);
  EXPECT_EQ(release_count, 1);
}

TEST(Input, InMemoryIsNeverChanged) {
  std::vector<float> values = normal_values(64 * 200, 1);
  const std::vector<float> before = values;
  const Shape shape{64, 200};
  NamedTensors tensors;
  tensors.emplace_back("a.weight", Tensor::wrap(MNQ_DTYPE_F32, shape, std::as_bytes(std::span(values)), nullptr));
  const Model model = Model::from_tensors(tensors);
  for (const char* settings : {"{}", R"({"bits": 4})", R"({"dtype": "quint8"})", R"({"dtype": "float16"})",
                               R"({"per_channel": false})", R"({"group_size": 7})"}) {
    const Model quantized = mono_quant::quantize(model, Config(settings)).model;
    mono_quant::dequantize(quantized);
    mono_quant::compare(model, quantized);
    EXPECT_EQ(values, before) << settings;
  }
}

TEST(Input, OnDiskIsNeverChanged) {
  const TempFolder folder;
  network().save(folder.path("in.safetensors"));
  const std::string before = read_bytes(folder.path("in.safetensors"));
  const auto written = std::filesystem::last_write_time(folder.path("in.safetensors"));
  mono_quant::quantize_file(folder.path("in.safetensors"), folder.path("out.safetensors"));
  mono_quant::validate_file(folder.path("in.safetensors"));
  mono_quant::dequantize_file(folder.path("in.safetensors"), folder.path("back.safetensors"));
  EXPECT_EQ(read_bytes(folder.path("in.safetensors")), before);
  EXPECT_EQ(std::filesystem::last_write_time(folder.path("in.safetensors")), written);
}

}  // namespace
}  // namespace mnq::test
