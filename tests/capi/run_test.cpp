// Progress, cancel, and exceptions that a C++ host's callback throws.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <stdexcept>
#include <thread>

#include "fixture.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

// Enough for several calls of the progress function.
constexpr std::int64_t kRows = 4096;
const Model& large_model() {
  static const Model model = one_weight({kRows, 4096}, normal_values(kRows * 4096, 1));
  return model;
}

TEST(Progress, OnTheThreadOfTheCallAndUpToTheEnd) {
  mono_quant::Run run;
  std::uint64_t last = 0, total = 0;
  run.set_progress([&, caller = std::this_thread::get_id()](std::uint64_t done_bytes, std::uint64_t total_bytes) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    EXPECT_GE(done_bytes, last);
    EXPECT_LE(done_bytes, total_bytes);
    last = done_bytes;
    total = total_bytes;
    return true;
  });
  mono_quant::quantize(large_model(), {}, &run);
  EXPECT_EQ(total, kRows * 4096 * sizeof(float));
  EXPECT_EQ(last, total);
  EXPECT_FALSE(run.is_cancelled());
}

TEST(Progress, ASmallJobReportsTheWhole) {
  mono_quant::Run run;
  int count = 0;
  run.set_progress([&](std::uint64_t done_bytes, std::uint64_t total_bytes) {
    EXPECT_EQ(total_bytes, 16u);
    EXPECT_LE(done_bytes, 16u);
    ++count;
    return true;
  });
  mono_quant::quantize(one_weight({2, 2}, {1, 2, 3, 4}), {}, &run);
  EXPECT_GE(count, 1);
  run.set_progress(nullptr);
  count = 0;
  mono_quant::quantize(one_weight({2, 2}, {1, 2, 3, 4}), {}, &run);
  EXPECT_EQ(count, 0);
}

// The first call of a small job is also its last.
TEST(Progress, NonZeroStopsHoweverSmallTheJob) {
  const TempFolder folder;
  mono_quant::Run run;
  run.set_progress([](std::uint64_t, std::uint64_t) { return false; });
  const Model model = one_weight({2, 2}, {1, 2, 3, 4});
  const Error error = error_of([&] { mono_quant::quantize_to_file(model, folder.path("a.safetensors"), {}, &run); });
  EXPECT_EQ(error.code(), MNQ_E_CANCELLED);
  EXPECT_TRUE(folder.names().empty());
  EXPECT_TRUE(run.is_cancelled());
}

TEST(Progress, NonZeroStopsEveryJob) {
  const TempFolder folder;
  const Model model = one_weight({2, 2}, {1, 2, 3, 4});
  model.save(folder.path("a.safetensors"));
  const auto code_of = [](auto&& job) {
    mono_quant::Run run;
    run.set_progress([](std::uint64_t, std::uint64_t) { return false; });
    return error_of([&] { job(&run); }).code();
  };
  EXPECT_EQ(code_of([&](auto* run) { mono_quant::quantize(model, {}, run); }), MNQ_E_CANCELLED);
  EXPECT_EQ(code_of([&](auto* run) { mono_quant::dequantize(model, run); }), MNQ_E_CANCELLED);
  EXPECT_EQ(code_of([&](auto* run) { mono_quant::compare(model, model, run); }), MNQ_E_CANCELLED);
  EXPECT_EQ(code_of([&](auto* run) { model.save_memory(run); }), MNQ_E_CANCELLED);
  EXPECT_EQ(code_of([&](auto* run) { model.save(folder.path("b.safetensors"), run); }), MNQ_E_CANCELLED);
  EXPECT_EQ(code_of([&](auto* run) { mono_quant::validate_file(folder.path("a.safetensors"), {}, run); }),
            MNQ_E_CANCELLED);
  EXPECT_EQ(folder.names(), std::set<std::string>{"a.safetensors"});
}

TEST(Progress, WhatItThrowsComesOutOfTheCall) {
  const TempFolder folder;
  for (const Model* model : {&large_model()}) {
    mono_quant::Run run;
    run.set_progress([](std::uint64_t, std::uint64_t) -> bool { throw std::out_of_range("mine"); });
    EXPECT_THROW(mono_quant::quantize_to_file(*model, folder.path("a.safetensors"), {}, &run), std::out_of_range);
    EXPECT_TRUE(folder.names().empty());
  }
}

// A function of C++ that throws where C allows nothing of the kind.
std::int32_t throw_int(void*, std::uint64_t, std::uint64_t) { throw 42; }

TEST(Progress, AnExceptionThroughTheCFunctionsStopsTheJob) {
  const TempFolder folder;
  mono_quant::Run run;
  ASSERT_EQ(mnq_run_set_progress(run.get(), throw_int, nullptr, nullptr), MNQ_OK);
  mnq_report* report = nullptr;
  mnq_error* error = nullptr;
  EXPECT_EQ(mnq_quantize_to_file(large_model().get(), folder.path("a.safetensors").c_str(), nullptr, run.get(), &report,
                                 &error),
            MNQ_E_CANCELLED);
  EXPECT_EQ(report, nullptr);
  EXPECT_EQ(mnq_error_code(error), MNQ_E_CANCELLED);
  mnq_error_free(error);
  EXPECT_TRUE(folder.names().empty());
}

TEST(Cancel, BeforeTheJobAndForGood) {
  mono_quant::Run run;
  run.cancel();
  const Model model = one_weight({2, 2}, {1, 2, 3, 4});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(error_of([&] { mono_quant::quantize(model, {}, &run); }).code(), MNQ_E_CANCELLED);
  }
  EXPECT_EQ(mono_quant::quantize(model).report.number("layers_quantized"), 1);
}

TEST(Cancel, FromAnotherThreadLeavesNothing) {
  const TempFolder folder;
  mono_quant::Run run;
  run.set("threads", "1");
  std::atomic<bool> started{false};
  run.set_progress([&](std::uint64_t, std::uint64_t) {
    started = true;
    while (!run.is_cancelled()) std::this_thread::yield();  // the job is under way until then
    return true;
  });
  std::thread other([&] {
    while (!started) std::this_thread::yield();
    run.cancel();
  });
  const Error error =
      error_of([&] { mono_quant::quantize_to_file(large_model(), folder.path("a.safetensors"), {}, &run); });
  other.join();
  EXPECT_EQ(error.code(), MNQ_E_CANCELLED);
  EXPECT_TRUE(folder.names().empty());
}

TEST(Cancel, KeepsTheFileThatWasThere) {
  const TempFolder folder;
  write_bytes(folder.path("a.safetensors"), "old");
  mono_quant::Run run;
  run.set("overwrite", "true").set_progress([](std::uint64_t, std::uint64_t) { return false; });
  EXPECT_EQ(
      error_of([&] { mono_quant::quantize_to_file(large_model(), folder.path("a.safetensors"), {}, &run); }).code(),
      MNQ_E_CANCELLED);
  EXPECT_EQ(read_bytes(folder.path("a.safetensors")), "old");
  EXPECT_EQ(folder.names(), std::set<std::string>{"a.safetensors"});
}

// A run that quantizes and then saves what it made has had a use for all its keys.
TEST(Run, KeysOfAnEarlierJobAreNotWarnedOf) {
  const TempFolder folder;
  std::vector<std::string> messages;
  mono_quant::set_log_callback([&](mnq_log_level, std::string_view message) { messages.emplace_back(message); });
  const Model model = one_weight({1, 2}, {127, 1});
  mono_quant::Run fresh, used;
  fresh.set("bits", "8");
  used.set("bits", "8");
  model.save(folder.path("a.safetensors"), &fresh);
  ASSERT_EQ(messages, std::vector<std::string>{"bits has no effect here: only quantizing follows it"});
  mono_quant::quantize(model, {}, &used).model.save(folder.path("b.safetensors"), &used);
  mono_quant::set_log_callback(nullptr);
  EXPECT_EQ(messages.size(), 1u) << messages.back();
}

TEST(Progress, BeginsAtNothing) {
  mono_quant::Run run;
  std::vector<std::uint64_t> done;
  run.set_progress([&](std::uint64_t done_bytes, std::uint64_t) { return done.push_back(done_bytes), true; });
  mono_quant::quantize(one_weight({2, 2}, {1, 2, 3, 4}), {}, &run);
  EXPECT_EQ(done.front(), 0u);
  EXPECT_EQ(done.back(), 16u);
}

struct Seen {
  std::size_t index, count;
  std::string layer, action;
  double sqnr_db;
};

std::vector<Seen> observe(const Model& model, const Config& config, mono_quant::Run& run) {
  std::vector<Seen> seen;
  run.set_observer([&, caller = std::this_thread::get_id()](const mono_quant::Run::TensorDone& done) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    seen.push_back({done.index, done.count, done.layer, done.action, done.sqnr_db});
    return true;
  });
  mono_quant::quantize(model, config, &run);
  return seen;
}

NamedTensors three_tensors(float last = 1) {
  NamedTensors tensors;
  tensors.emplace_back("a.weight", tensor_of<float>({1, 2}, {127, 1}));
  tensors.emplace_back("a.bias", tensor_of<float>({0}, {}));
  tensors.emplace_back("b.weight", tensor_of<float>({1, 2}, {127, last}));
  return tensors;
}

TEST(Observer, HearsOfEveryTensorInOrder) {
  mono_quant::Run run;
  const auto seen = observe(Model::from_tensors(three_tensors(0.25f)), {}, run);
  ASSERT_EQ(seen.size(), 3u);
  const std::vector<std::string> layers{"a", "a.bias", "b"}, actions{"quantize", "copy", "quantize"};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(seen[i].index, i);
    EXPECT_EQ(seen[i].count, 3u);
    EXPECT_EQ(seen[i].layer, layers[i]);
    EXPECT_EQ(seen[i].action, actions[i]);
  }
  EXPECT_EQ(seen[0].sqnr_db, INFINITY);
  EXPECT_TRUE(std::isnan(seen[1].sqnr_db));
  EXPECT_NEAR(seen[2].sqnr_db, 10 * std::log10((127.0 * 127 + 0.0625) / 0.0625), 1e-9);
}

// A job that starts over for a weight that cannot be quantized tells nothing twice.
TEST(Observer, HearsNothingTwice) {
  mono_quant::Run run;
  const auto seen = observe(Model::from_tensors(three_tensors(INFINITY)), Config(R"({"nonfinite": "copy"})"), run);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[2].index, 2u);
  EXPECT_EQ(seen[2].action, "copy");
}

TEST(Observer, HearsOfShardsAsOfOneModel) {
  const TempFolder folder;
  mono_quant::Run run;
  run.set("max_shard_size", "1");
  std::vector<std::size_t> seen;
  run.set_observer([&](const mono_quant::Run::TensorDone& done) { return seen.push_back(done.index), true; });
  mono_quant::quantize_to_file(Model::from_tensors(three_tensors()), folder.path("out/"), {}, &run);
  EXPECT_EQ(seen, (std::vector<std::size_t>{0, 1, 2}));
}

TEST(Observer, NonZeroAndWhatItThrowsStopTheJob) {
  const Model model = Model::from_tensors(three_tensors());
  mono_quant::Run run;
  run.set_observer([](const mono_quant::Run::TensorDone&) { return false; });
  EXPECT_EQ(error_of([&] { mono_quant::quantize(model, {}, &run); }).code(), MNQ_E_CANCELLED);
  run.reset();
  run.set_observer([](const mono_quant::Run::TensorDone&) -> bool { throw std::out_of_range("mine"); });
  EXPECT_THROW(mono_quant::quantize(model, {}, &run), std::out_of_range);
  run.reset();
  run.set_observer(nullptr);
  EXPECT_EQ(mono_quant::quantize(model, {}, &run).report.number("layers_quantized"), 2);
}

TEST(Run, ItsMessagesGoToItsOwnFunction) {
  std::vector<std::string> process, own;
  mono_quant::set_log_callback([&](mnq_log_level, std::string_view message) { process.emplace_back(message); });
  mono_quant::Run run;
  run.set("bits", "8").set_log([&](mnq_log_level level, std::string_view message) {
    EXPECT_EQ(level, MNQ_LOG_WARNING);
    own.emplace_back(message);
  });
  const Model model = one_weight({1, 2}, {127, 1});
  model.save_memory(&run);
  EXPECT_EQ(own, std::vector<std::string>{"bits has no effect here: only quantizing follows it"});
  EXPECT_TRUE(process.empty());
  run.set_log(nullptr);
  model.save_memory(&run);
  mono_quant::set_log_callback(nullptr);
  EXPECT_EQ(process, own);
}

TEST(Run, ItsSettingsWinOverTheConfig) {
  Config config(R"({"bits": 8})");
  mono_quant::Run run;
  run.set("bits", "4").set("group_size", "2").set("min_parameters", "0");
  const Quantized quantized = mono_quant::quantize(one_weight({1, 2}, {1, 2}), config, &run);
  EXPECT_EQ(quantized.report.layers().front().text("scheme"), "int4 group 2");
}

}  // namespace
}  // namespace mnq::test
