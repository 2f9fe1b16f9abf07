// Every function that allocates, with each of its allocations failing in turn: once alone, once with all that follow.
// It says OUT_OF_MEMORY, gives nothing, leaves a whole file or none, and works the next time.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "fixture.h"
#include "support/failing_allocations.h"
#include "support/temp_folder.h"

// In place of the C library's: thousands of files are made here, and none of them is to outlast a power cut.
extern "C" [[gnu::visibility("default")]] int fsync(int) { return 0; }
extern "C" [[gnu::visibility("default")]] int sync_file_range(int, off64_t, off64_t, unsigned) { return 0; }

namespace mnq::test {
namespace {

constexpr std::int64_t kMostAllocations = 100'000;

struct Attempt {
  mnq_status status = MNQ_OK;
  bool gave_nothing = true;  // where it failed
  bool allocation_failed = false;
};

// work(error) is a C call; release() frees what it gave, and says whether there was something.
using Work = std::function<mnq_status(mnq_error** error)>;
using Release = std::function<bool()>;

Attempt attempt(const Work& work, const Release& release, std::int64_t failing, bool and_all_after_it) {
  Attempt result;
  mnq_error* error = nullptr;
  {
    const FailingAllocation armed(failing, and_all_after_it);
    result.status = work(&error);
  }
  result.allocation_failed = an_allocation_failed;
  result.gave_nothing = !release();
  EXPECT_EQ(mnq_error_code(error), result.status);
  EXPECT_EQ(mnq_error_message(error)[0] == '\0', result.status == MNQ_OK);
  mnq_error_free(error);
  return result;
}

// step: 1 for each allocation; more where an attempt is slow.
void expect_refusals(const Work& work, const Release& release, bool and_all_after_it, mnq_status with_memory,
                     int step = 1) {
  int refusals = 0;
  for (std::int64_t failing = 0; failing < kMostAllocations; failing += step) {
    const Attempt result = attempt(work, release, failing, and_all_after_it);
    if (!result.allocation_failed) {
      EXPECT_EQ(result.status, with_memory);
      EXPECT_GT(refusals, 0) << "nothing was allocated: what is tested here?";
      return;
    }
    // The standard library can do without some of its buffers.
    if (result.status == with_memory) continue;
    ASSERT_EQ(result.status, MNQ_E_OUT_OF_MEMORY)
        << "allocation " << failing << (and_all_after_it ? " and all after" : "");
    ASSERT_TRUE(result.gave_nothing) << "allocation " << failing;
    ++refusals;
  }
  FAIL() << "it never ends";
}

void expect_refusals(
    const Work& work, const Release& release = [] { return false; }, mnq_status with_memory = MNQ_OK) {
  expect_refusals(work, release, false, with_memory);
  expect_refusals(work, release, true, with_memory);
}

// A call that makes a handle.
template <class Handle>
void expect_refusals(const std::function<mnq_status(Handle** out, mnq_error** error)>& work, void (*free)(Handle*)) {
  Handle* out = nullptr;
  expect_refusals([&](mnq_error** error) { return work(&out, error); },
                  [&] {
                    const bool gave = out != nullptr;
                    free(out);
                    out = nullptr;
                    return gave;
                  });
}

// One call that makes a model and a report.
void expect_refusals_of_job(
    const std::function<mnq_status(mnq_model** out, mnq_report** report, mnq_error** error)>& work) {
  mnq_model* model = nullptr;
  mnq_report* report = nullptr;
  expect_refusals([&](mnq_error** error) { return work(&model, &report, error); },
                  [&] {
                    const bool gave = model != nullptr || report != nullptr;
                    mnq_model_free(model);
                    mnq_report_free(report);
                    model = nullptr;
                    report = nullptr;
                    return gave;
                  });
}

// Whether the folder holds anything but the file `path` with all its bytes: what fails after the file was put in place,
// such as the text of the report, leaves it there.
bool has_half_a_file(const TempFolder& folder, const std::string& path, const std::string& wanted) {
  if (folder.names().empty()) return false;
  return folder.names().size() != 1 || read_bytes(path) != wanted;
}

// A job that writes the file `path` of an empty folder.
void expect_refusals_of_file_job(const TempFolder& folder, const std::string& path,
                                 const std::function<mnq_status(mnq_report** report, mnq_error** error)>& work) {
  mnq_report* report = nullptr;
  ASSERT_EQ(work(&report, nullptr), MNQ_OK);
  const std::string wanted = read_bytes(path);
  const auto release = [&] {
    const bool gave = report != nullptr || has_half_a_file(folder, path, wanted);
    mnq_report_free(report);
    report = nullptr;
    std::filesystem::remove(path);
    return gave;
  };
  EXPECT_FALSE(wanted.empty());
  release();
  expect_refusals([&](mnq_error** error) { return work(&report, error); }, release);
}

Model small_model() {
  NamedTensors tensors;
  tensors.emplace_back("fc.weight", tensor_of<float>({4, 32}, normal_values(128, 1)));
  tensors.emplace_back("fc.bias", tensor_of<float>({4}, {1, 2, 3, 4}));
  tensors.emplace_back("conv.weight", tensor_of<float>({2, 3, 3, 3}, normal_values(54, 2)));
  return Model::from_tensors(tensors);
}

class OutOfMemory : public ::testing::Test {
 protected:
  const TempFolder folder_, outputs_;
  const std::string path_ = folder_.path("a.safetensors"), quantized_path_ = folder_.path("b.safetensors");
  const std::string output_ = outputs_.path("out.safetensors");
  const Model model_ = small_model();
  const Model quantized_ = mono_quant::quantize(model_).model;

  OutOfMemory() {
    model_.save(path_);
    quantized_.save(quantized_path_);
  }
};

TEST_F(OutOfMemory, Library) { expect_refusals<mnq_buffer>(mnq_build_info, mnq_buffer_free); }

TEST_F(OutOfMemory, Configs) {
  const char* const json = R"({"bits": "4", "skip": "a,b", "layers": [{"name": "fc", "bits": 8}]})";
  const Config config(json);
  expect_refusals<mnq_config>([&](auto out, auto error) { return mnq_config_create(json, out, error); },
                              mnq_config_free);
  expect_refusals<mnq_buffer>([&](auto out, auto error) { return mnq_config_to_json(config.get(), out, error); },
                              mnq_buffer_free);
  expect_refusals<mnq_buffer>(mnq_config_list_keys, mnq_buffer_free);
  expect_refusals<mnq_buffer>(
      [&](auto out, auto error) {
        return mnq_config_resolve(config.get(), nullptr, "fc", "skip", out, nullptr, error);
      },
      mnq_buffer_free);
}

TEST_F(OutOfMemory, ASettingIsMadeOrNot) {
  const char* const value = "a pattern that is too long to need no memory";
  mnq_config* config = Config().release();
  expect_refusals([&](auto error) { return mnq_config_set(config, "skip", value, error); },
                  [&] {
                    const bool changed = Config(std::exchange(config, nullptr)).json() != "{}";
                    config = Config().release();
                    return changed;
                  });
  expect_refusals([&](auto error) { return mnq_config_set_for_layers(config, "fc*", "bits", "4", error); },
                  [&] {
                    const bool changed = Config(std::exchange(config, nullptr)).json() != "{}";
                    config = Config().release();
                    return changed;
                  });
  mnq_config_free(config);
}

TEST_F(OutOfMemory, Runs) { expect_refusals<mnq_run>(mnq_run_create, mnq_run_free); }

TEST_F(OutOfMemory, Tensors) {
  const std::vector<float> values(4);
  const Shape shape{2, 2};
  int releases = 0;
  expect_refusals<mnq_tensor>(
      [&](auto out, auto error) {
        return mnq_tensor_create(MNQ_DTYPE_F32, shape.data(), 2, values.data(), 16, out, error);
      },
      mnq_tensor_free);
  expect_refusals<mnq_tensor>(
      [&](auto out, auto error) {
        return mnq_tensor_wrap(
            MNQ_DTYPE_F32, shape.data(), 2, values.data(), 16, [](void* count) { ++*static_cast<int*>(count); },
            &releases, out, error);
      },
      mnq_tensor_free);
  EXPECT_EQ(releases, 2);  // of the two that were made
}

TEST_F(OutOfMemory, MoreThanThereIs) {
  const Shape shape{std::int64_t{1} << 46};
  const std::byte byte{};
  mnq_tensor* tensor = nullptr;
  mnq_error* error = nullptr;
  EXPECT_EQ(mnq_tensor_create(MNQ_DTYPE_U8, shape.data(), 1, &byte, std::size_t{1} << 46, &tensor, &error),
            MNQ_E_OUT_OF_MEMORY);
  EXPECT_EQ(tensor, nullptr);
  EXPECT_STREQ(mnq_error_message(error), "out of memory");
  mnq_error_free(error);
}

TEST_F(OutOfMemory, Models) {
  const Tensor tensor = tensor_of<float>({2, 2}, {1, 2, 3, 4});
  const char* const name = "a name that is too long to need no memory";
  const mnq_tensor* const tensors = tensor.get();
  const std::string bytes = read_bytes(path_);
  expect_refusals<mnq_model>(
      [&](auto out, auto error) { return mnq_model_from_tensors(&name, &tensors, 1, out, error); }, mnq_model_free);
  const mnq_layer_tensor layers[2] = {
      {sizeof(mnq_layer_tensor), name, tensors, "Linear", -1, nullptr},
      {sizeof(mnq_layer_tensor), "another name that is too long", nullptr, "Embedding", -1, name}};
  expect_refusals<mnq_model>([&](auto out, auto error) { return mnq_model_from_layers(layers, 2, out, error); },
                             mnq_model_free);
  expect_refusals<mnq_model>([&](auto out, auto error) { return mnq_model_open(path_.c_str(), out, error); },
                             mnq_model_free);
  expect_refusals<mnq_model>([&](auto out, auto error) { return mnq_model_open(quantized_path_.c_str(), out, error); },
                             mnq_model_free);
  expect_refusals<mnq_model>(
      [&](auto out, auto error) { return mnq_model_open_memory(bytes.data(), bytes.size(), out, error); },
      mnq_model_free);
  expect_refusals<mnq_model>([&](auto out, auto error) { return mnq_model_clone(model_.get(), out, error); },
                             mnq_model_free);
}

TEST_F(OutOfMemory, WhatIsAskedOfAModel) {
  const Model file = Model::open(path_);
  expect_refusals<mnq_tensor>(
      [&](auto out, auto error) { return mnq_model_get_tensor(file.get(), "fc.weight", out, error); }, mnq_tensor_free);
  expect_refusals<mnq_buffer>([&](auto out, auto error) { return mnq_model_describe(quantized_.get(), out, error); },
                              mnq_buffer_free);
  expect_refusals<mnq_layers>(
      [&](auto out, auto error) { return mnq_model_list_layers(model_.get(), nullptr, nullptr, out, error); },
      mnq_layers_free);
}

TEST_F(OutOfMemory, Saving) {
  expect_refusals<mnq_buffer>(
      [&](auto out, auto error) { return mnq_model_save_memory(quantized_.get(), nullptr, out, error); },
      mnq_buffer_free);
  expect_refusals_of_file_job(outputs_, output_, [&](auto, auto error) {
    return mnq_model_save(quantized_.get(), output_.c_str(), nullptr, error);
  });
}

TEST_F(OutOfMemory, Quantizing) {
  expect_refusals_of_job([&](auto out, auto report, auto error) {
    return mnq_quantize(model_.get(), nullptr, nullptr, out, report, error);
  });
  expect_refusals_of_file_job(outputs_, output_, [&](auto report, auto error) {
    return mnq_quantize_file(path_.c_str(), output_.c_str(), nullptr, nullptr, report, error);
  });
  expect_refusals<mnq_report>(
      [&](auto out, auto error) { return mnq_plan(model_.get(), nullptr, nullptr, out, error); }, mnq_report_free);
}

TEST_F(OutOfMemory, QuantizingAsymmetricallyToInt4) {
  Config config;
  config.set("bits", 4).set("symmetric", false).set("group_size", 16);
  expect_refusals_of_job([&](auto out, auto report, auto error) {
    return mnq_quantize(model_.get(), config.get(), nullptr, out, report, error);
  });
}

TEST_F(OutOfMemory, Dequantizing) {
  expect_refusals_of_job(
      [&](auto out, auto report, auto error) { return mnq_dequantize(quantized_.get(), nullptr, out, report, error); });
  expect_refusals_of_file_job(outputs_, output_, [&](auto report, auto error) {
    return mnq_dequantize_file(quantized_path_.c_str(), output_.c_str(), nullptr, report, error);
  });
}

TEST_F(OutOfMemory, OneTensor) {
  const Tensor tensor = model_.tensor("fc.weight");
  mnq_values* parts = nullptr;
  mnq_report* report = nullptr;
  expect_refusals(
      [&](auto error) {
        return mnq_tensor_quantize(tensor.get(), nullptr, nullptr, nullptr, nullptr, &parts, &report, error);
      },
      [&] {
        const bool gave = parts != nullptr || report != nullptr;
        mnq_values_free(parts);
        mnq_report_free(report);
        parts = nullptr;
        report = nullptr;
        return gave;
      });
  const auto made = mono_quant::quantize_tensor(tensor);
  expect_refusals<mnq_tensor>(
      [&](auto out, auto error) { return mnq_tensor_dequantize(made.parts.get(), nullptr, out, error); },
      mnq_tensor_free);
  expect_refusals<mnq_tensor>(
      [&](auto out, auto error) { return mnq_model_get_float(quantized_.get(), "fc.weight", nullptr, out, error); },
      mnq_tensor_free);
}

// The program's functions are let go only where the handle was made.
TEST_F(OutOfMemory, Streams) {
  int releases = 0;
  const mnq_release_fn release = [](void* count) { ++*static_cast<int*>(count); };
  const mnq_read_fn read = [](void*, std::uint64_t, void*, std::size_t) -> std::int32_t { return 1; };
  const mnq_write_fn write = [](void*, std::uint64_t, const void*, std::size_t) -> std::int32_t { return 0; };
  expect_refusals<mnq_reader>(
      [&](auto out, auto error) { return mnq_reader_create(8, read, release, &releases, out, error); },
      mnq_reader_free);
  EXPECT_EQ(releases, 2);
  expect_refusals<mnq_writer>(
      [&](auto out, auto error) { return mnq_writer_create(write, nullptr, nullptr, release, &releases, out, error); },
      mnq_writer_free);
  EXPECT_EQ(releases, 4);
  const std::string bytes = read_bytes(path_);
  expect_refusals<mnq_model>(
      [&](auto out, auto error) {
        return mnq_model_wrap_memory(bytes.data(), bytes.size(), release, &releases, nullptr, out, error);
      },
      mnq_model_free);
  EXPECT_EQ(releases, 6);
  mono_quant::Writer writer({.write = [](std::uint64_t, std::span<const std::byte>) {}});
  expect_refusals([&](auto error) { return mnq_model_save_to_writer(quantized_.get(), writer.get(), nullptr, error); });
  expect_refusals<mnq_buffer>([](auto out, auto error) { return mnq_list_capabilities(out, error); }, mnq_buffer_free);
}

TEST_F(OutOfMemory, ComparingAndValidating) {
  expect_refusals<mnq_report>(
      [&](auto out, auto error) { return mnq_compare(model_.get(), quantized_.get(), nullptr, out, error); },
      mnq_report_free);
  expect_refusals<mnq_report>(
      [&](auto out, auto error) {
        return mnq_validate_file(quantized_path_.c_str(), path_.c_str(), nullptr, out, error);
      },
      mnq_report_free);
}

TEST_F(OutOfMemory, Values) {
  expect_refusals<mnq_values>([](auto out, auto error) { return mnq_values_create(out, error); }, mnq_values_free);
  mono_quant::Values values;
  const auto none = [] { return false; };
  const std::string name(100, 'x');
  expect_refusals([&](auto error) { return mnq_values_add_text(values.get(), name.c_str(), name.c_str(), error); },
                  none);
  const Tensor tensor = model_.tensor("fc.weight");
  expect_refusals([&](auto error) { return mnq_values_add_tensor(values.get(), name.c_str(), tensor.get(), error); },
                  none);
}

// A folder is there whole, or what was made of it is gone; where only its name was left to give, it waits for a merge.
TEST_F(OutOfMemory, Folders) {
  const TempFolder inputs;
  const std::string in = inputs.path("in"), out = outputs_.path("out");
  std::filesystem::create_directories(in + "/sub");
  std::filesystem::copy_file(path_, in + "/model.safetensors");
  write_bytes(in + "/config.json", "{}");
  write_bytes(in + "/sub/small.txt", "text");
  expect_refusals<mnq_model>([&](auto made, auto error) { return mnq_model_open(in.c_str(), made, error); },
                             mnq_model_free);
  mono_quant::Run run;
  run.set("max_shard_size", 170);
  mnq_report* report = nullptr;
  const auto work = [&](mnq_error** error) {
    return mnq_quantize_file(in.c_str(), out.c_str(), nullptr, run.get(), &report, error);
  };
  const auto release = [&] {
    const bool is_whole = std::filesystem::exists(out + "/model.safetensors.index.json") ||
                          std::filesystem::exists(out + ".partial/model.safetensors.index.json");
    const bool gave = report != nullptr || (!outputs_.names().empty() && !is_whole);
    mnq_report_free(report);
    report = nullptr;
    for (const std::string& name : outputs_.names()) std::filesystem::remove_all(outputs_.path(name));
    return gave;
  };
  ASSERT_EQ(work(nullptr), MNQ_OK);
  ASSERT_EQ(outputs_.names(), std::set<std::string>{"out"});
  release();
  constexpr int kStep = 7;  // an attempt makes, renames and removes ten files
  expect_refusals(work, release, false, MNQ_OK, kStep);
  expect_refusals(work, release, true, MNQ_OK, kStep);
}

TEST_F(OutOfMemory, PyTorchFiles) {
  const std::string pt = folder_.path("a.pt"), out = outputs_.path("out.pt");
  model_.save(pt);
  expect_refusals<mnq_model>([&](auto made, auto error) { return mnq_model_open(pt.c_str(), made, error); },
                             mnq_model_free);
  expect_refusals_of_file_job(outputs_, out, [&](auto report, auto error) {
    return mnq_quantize_file(pt.c_str(), out.c_str(), nullptr, nullptr, report, error);
  });
}

TEST_F(OutOfMemory, LinearLayers) {
  expect_refusals<mnq_linear>(
      [&](auto out, auto error) { return mnq_linear_create(model_.get(), "fc", nullptr, nullptr, out, error); },
      mnq_linear_free);
  expect_refusals<mnq_linear>(
      [&](auto out, auto error) { return mnq_linear_create(quantized_.get(), "fc", nullptr, nullptr, out, error); },
      mnq_linear_free);
  mnq_linear* linear = nullptr;
  ASSERT_EQ(mnq_linear_create(quantized_.get(), "fc", nullptr, nullptr, &linear, nullptr), MNQ_OK);
  const Tensor rows = tensor_of<float>({3, 32}, normal_values(96, 4));
  expect_refusals<mnq_tensor>(
      [&](auto out, auto error) { return mnq_linear_run_tensor(linear, rows.get(), MNQ_DTYPE_F32, out, error); },
      mnq_tensor_free);
  expect_refusals<mnq_buffer>([&](auto out, auto error) { return mnq_linear_describe(linear, out, error); },
                              mnq_buffer_free);
  mnq_linear_free(linear);
}

// One thread and scratch: nothing is left to allocate.
TEST_F(OutOfMemory, ARowNeedsNoMemory) {
  mono_quant::Run run;
  run.set("threads", 1);
  mnq_linear* linear = nullptr;
  ASSERT_EQ(mnq_linear_create(quantized_.get(), "fc", nullptr, run.get(), &linear, nullptr), MNQ_OK);
  const std::vector<float> rows = normal_values(96, 4);
  std::vector<float> out(12);
  std::size_t size = 0;
  ASSERT_EQ(mnq_linear_scratch_size(linear, 3, &size, nullptr), MNQ_OK);
  std::vector<char> scratch(size);
  {
    const FailingAllocation armed(0, true);
    EXPECT_EQ(
        mnq_linear_run(linear, rows.data(), 3, MNQ_DTYPE_F32, out.data(), MNQ_DTYPE_F32, scratch.data(), size, nullptr),
        MNQ_OK);
  }
  EXPECT_FALSE(an_allocation_failed);
  mnq_linear_free(linear);
}

TEST_F(OutOfMemory, Embeddings) {
  mnq_embedding* embedding = nullptr;
  expect_refusals<mnq_embedding>(
      [&](auto out, auto error) { return mnq_embedding_create(quantized_.get(), "fc", out, error); },
      mnq_embedding_free);
  ASSERT_EQ(mnq_embedding_create(quantized_.get(), "fc", &embedding, nullptr), MNQ_OK);
  const Tensor indices = tensor_of<std::int64_t>({2}, {3, 0});
  expect_refusals<mnq_tensor>(
      [&](auto out, auto error) {
        return mnq_embedding_run_tensor(embedding, indices.get(), MNQ_DTYPE_F32, out, error);
      },
      mnq_tensor_free);
  mnq_embedding_free(embedding);
}

// Saying what is wrong needs memory, too.
TEST_F(OutOfMemory, OtherErrors) {
  const Report report = mono_quant::plan(model_);
  double value = 0;
  const auto none = [] { return false; };
  expect_refusals([&](auto error) { return mnq_report_number(report.get(), "no such number", &value, error); }, none,
                  MNQ_E_NOT_FOUND);
  mnq_model* model = nullptr;
  expect_refusals([&](auto error) { return mnq_model_open("no such file", &model, error); }, none, MNQ_E_NOT_FOUND);
  expect_refusals([&](auto error) { return mnq_model_open_memory("12345678{}", 10, &model, error); }, none,
                  MNQ_E_FORMAT);
  expect_refusals([&](auto error) { return mnq_model_open(nullptr, &model, error); }, none, MNQ_E_INVALID_ARG);
}

}  // namespace
}  // namespace mnq::test
