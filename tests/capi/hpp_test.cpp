// What the C++ face adds to the C functions: ownership, exceptions, sizes that are checked.
#include <gtest/gtest.h>

#include <array>
#include <stdexcept>
#include <type_traits>

#include "fixture.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

using mono_quant::Buffer;

template <class Handle>
constexpr bool kIsMoveOnly = std::is_nothrow_move_constructible_v<Handle>&& std::is_nothrow_move_assignable_v<Handle> &&
                             !std::is_copy_constructible_v<Handle> && !std::is_copy_assignable_v<Handle>;
static_assert(kIsMoveOnly<Buffer> && kIsMoveOnly<Config> && kIsMoveOnly<mono_quant::Run> && kIsMoveOnly<Tensor> &&
              kIsMoveOnly<Model> && kIsMoveOnly<Report>);

// The layers are views of a report: of one that is gone before they are, they cannot be had.
template <class Value>
concept HasLayers = requires(Value&& value) {
  static_cast<Value&&>(value).layers();
};
static_assert(HasLayers<const Report&> && HasLayers<Report&> && !HasLayers<Report>);

const std::vector<float> kValues{1.27f, -0.64f, 0.1f, 0};

TEST(CppFace, HandlesCanBeGivenAwayAndTakenBack) {
  Tensor tensor = tensor_of<float>({4}, kValues);
  mnq_tensor* handle = tensor.release();
  EXPECT_EQ(tensor.get(), nullptr);
  EXPECT_EQ(values_of<float>(Tensor(handle)), kValues);
}

TEST(CppFace, MovingMovesTheHandle) {
  Model model = one_weight({1, 4}, kValues);
  const mnq_model* handle = model.get();
  Model moved = std::move(model);
  EXPECT_EQ(moved.get(), handle);
  moved = one_weight({2, 2}, kValues);
  EXPECT_EQ(shape_of(moved.tensor("fc.weight")), (Shape{2, 2}));
}

TEST(CppFace, AnErrorSaysWhatTheCErrorSays) {
  mnq_error* wanted = nullptr;
  mnq_config* config = nullptr;
  ASSERT_EQ(mnq_config_create("{\"bitz\": 8}", &config, &wanted), MNQ_E_CONFIG);
  const Error error = error_of([] { Config("{\"bitz\": 8}"); });
  EXPECT_EQ(error.code(), MNQ_E_CONFIG);
  EXPECT_STREQ(error.what(), mnq_error_message(wanted));
  EXPECT_EQ(error.suggestion(), mnq_error_suggestion(wanted));
  EXPECT_EQ(error.subject(), mnq_error_subject(wanted));
  EXPECT_FALSE(error.suggestion().empty());
  EXPECT_EQ(error.subject(), "bitz");
  mnq_error_free(wanted);
}

TEST(CppFace, ANulInATextIsRefusedAndNotTheEnd) {
  const std::string text("4\0008", 3);
  Config config;
  EXPECT_EQ(error_of([&] { config.set("bits", text); }).code(), MNQ_E_INVALID_ARG);
  EXPECT_EQ(error_of([&] { Model::open(text); }).code(), MNQ_E_INVALID_ARG);
  EXPECT_EQ(config.json(), "{}");
}

TEST(CppFace, SettingsTakeNumbersAndTruthValues) {
  Config config;
  config.set("bits", 4).set("symmetric", false).set("sqnr_warning_db", 12.5).set_for_layers("head", "group_size", 32u);
  EXPECT_EQ(mono_quant::resolve(config, "bits").value, "4");
  EXPECT_EQ(mono_quant::resolve(config, "symmetric").value, "false");
  EXPECT_EQ(mono_quant::resolve(config, "sqnr_warning_db").value, "12.5");
  EXPECT_EQ(mono_quant::resolve(config, "group_size", "head").value, "32");
}

TEST(CppFace, WhatTheProgressFunctionThrowsComesOut) {
  const TempFolder folder;
  const Model model = one_weight({1, 4}, kValues);
  mono_quant::Run run;
  run.set_progress([](std::uint64_t, std::uint64_t) -> bool { throw std::logic_error("enough"); });
  EXPECT_THROW(mono_quant::quantize(model, {}, &run), std::logic_error);
  mono_quant::Run other;
  other.set_progress([](std::uint64_t, std::uint64_t) -> bool { throw std::logic_error("enough"); });
  EXPECT_THROW(model.save(folder.path("out.safetensors"), &other), std::logic_error);
  // It came out once: what the run says from now on is that it is cancelled.
  EXPECT_EQ(error_of([&] { model.save(folder.path("out.safetensors"), &other); }).code(), MNQ_E_CANCELLED);
}

TEST(CppFace, NumbersThatAreNotThereAreNothing) {
  const Report report = mono_quant::plan(one_weight({1, 4}, kValues));
  EXPECT_EQ(report.number("bytes_before"), 16);
  EXPECT_EQ(report.number("sqnr_db"), std::nullopt);
  ASSERT_EQ(report.layers().size(), 1u);
  EXPECT_EQ(report.layers()[0].number("bits"), 8);
  EXPECT_EQ(report.layers()[0].number("sqnr_db"), std::nullopt);
  EXPECT_EQ(report.layers()[0].text("name"), "fc");
  EXPECT_EQ(report.layers()[0].text("no such text"), "");
}

TEST(CppFace, UnalignedElementsAreRefused) {
  const std::array<std::byte, 9> bytes{};
  const Shape shape{2};
  const Tensor tensor = Tensor::wrap(MNQ_DTYPE_F32, shape, std::span(bytes).subspan(1), nullptr);
  const Tensor aligned = Tensor::wrap(MNQ_DTYPE_F32, shape, std::span(bytes).first(8), nullptr);
  const bool is_first = reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(float) == 0;
  EXPECT_EQ(error_of([&] { (is_first ? tensor : aligned).values<float>(); }).code(), MNQ_E_INVALID_ARG);
}

TEST(CppFace, SpansOfAnotherSizeAreRefused) {
  namespace kernels = mono_quant::kernels;
  const kernels::Rows rows{1, 4, 3};
  EXPECT_EQ(rows.scales(), 2u);
  std::vector<float> scales(2), too_few(1), weights(4);
  std::vector<std::int8_t> codes(4), zero_points(2), one(1);
  std::vector<std::uint8_t> packed(1);
  const auto code_of = [](auto&& work) { return error_of(work).code(); };
  EXPECT_EQ(code_of([&] { kernels::ranges(kValues, rows, too_few, scales); }), MNQ_E_SHAPE);
  EXPECT_EQ(code_of([&] { kernels::quantize(kValues, rows, 8, true, too_few, {}, codes); }), MNQ_E_SHAPE);
  EXPECT_EQ(code_of([&] { kernels::quantize(kValues, rows, 8, false, scales, {}, codes); }), MNQ_E_SHAPE);
  EXPECT_EQ(code_of([&] { kernels::quantize(kValues, rows, 8, true, scales, one, codes); }), MNQ_E_SHAPE);
  EXPECT_EQ(code_of([&] { kernels::quantize(kValues, rows, 8, true, scales, {}, one); }), MNQ_E_SHAPE);
  EXPECT_EQ(code_of([&] { kernels::dequantize(codes, rows, too_few, {}, weights); }), MNQ_E_SHAPE);
  EXPECT_EQ(code_of([&] { kernels::dequantize(codes, rows, scales, one, weights); }), MNQ_E_SHAPE);
  EXPECT_EQ(code_of([&] { kernels::pack_int4(codes, packed); }), MNQ_E_SHAPE);
  EXPECT_EQ(code_of([&] { kernels::unpack_int4(packed, codes); }), MNQ_E_SHAPE);
  EXPECT_EQ(code_of([&] { kernels::sqnr_db(kValues, too_few); }), MNQ_E_SHAPE);
}

// 0.05 is lost in the first row of the reference: 10 log10(0.25 / 0.0025) = 20 dB.
TEST(CppFace, KernelsWorkOnSpans) {
  namespace kernels = mono_quant::kernels;
  const std::vector<float> reference{0.5f, 0, 0}, other{0.5f, 0.05f, 0};
  EXPECT_NEAR(kernels::sqnr_db(reference, other), 20, 1e-4);
  const std::vector<std::int8_t> codes{-8, 7, 0};
  std::vector<std::uint8_t> packed(2);
  std::vector<std::int8_t> unpacked(3);
  kernels::pack_int4(codes, packed);
  EXPECT_EQ(packed, (std::vector<std::uint8_t>{0xf0, 0x08}));
  kernels::unpack_int4(packed, unpacked);
  EXPECT_EQ(unpacked, codes);
}

// Two rows of 32: 1 at the first place of the first, -1 at the second place of the second.
TEST(CppFace, ALinearRunsOnTensorsAndOnMemory) {
  std::vector<float> weight(64), row(32);
  weight[0] = 1, weight[33] = -1;
  row[0] = 1, row[1] = 0.5f;
  const Tensor rows = tensor_of<float>({1, 32}, row), bias = tensor_of<float>({2}, {0, 2});
  const mono_quant::Linear linear(tensor_of<float>({2, 32}, weight), &bias);
  const std::vector<float> of_tensors = values_of<float>(linear.run(rows));
  EXPECT_NEAR(of_tensors.at(0), 1, 0.01);
  EXPECT_NEAR(of_tensors.at(1), 1.5, 0.01);
  std::vector<float> out(2);
  std::vector<std::byte> scratch(linear.scratch_size(1));
  linear.run(row.data(), 1, MNQ_DTYPE_F32, out.data(), MNQ_DTYPE_F32, scratch);
  EXPECT_EQ(out, of_tensors);
  EXPECT_EQ(linear.run(rows, MNQ_DTYPE_BF16).dtype(), MNQ_DTYPE_BF16);
  EXPECT_EQ(values_of<float>(mono_quant::Linear(one_weight({2, 32}, weight), "fc").run(rows)).at(0), of_tensors[0]);
}

TEST(CppFace, ALinearOfCodesChecksItsSpans) {
  const std::vector<std::int8_t> codes(64, 1);
  const std::vector<float> scales{0.5f, 2}, ones(32, 1);
  const mono_quant::kernels::Rows rows{.row_count = 2, .row_length = 32};
  const auto linear = mono_quant::Linear::from_codes(codes, rows, 8, scales);
  const std::vector<float> out = values_of<float>(linear.run(tensor_of<float>({1, 32}, ones)));
  EXPECT_NEAR(out.at(0), 16, 0.1);
  EXPECT_NEAR(out.at(1), 64, 0.4);
  EXPECT_NE(linear.describe_json().find("\"output_count\":2"), std::string::npos);
  EXPECT_THROW(mono_quant::Linear::from_codes(codes, rows, 8, std::span(scales).first(1)), mono_quant::Error);
}

TEST(CppFace, AnEmbeddingGathersRows) {
  const mono_quant::Embedding embedding(one_weight({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}), "fc");
  const Tensor rows = embedding.run(tensor_of<std::int64_t>({2}, {1, 0}));
  EXPECT_EQ(values_of<float>(rows), (std::vector<float>{5, 6, 7, 8, 1, 2, 3, 4}));
  std::vector<float> out(4);
  const std::vector<std::int64_t> second{1};
  embedding.run(second, out.data());
  EXPECT_EQ(out, (std::vector<float>{5, 6, 7, 8}));
  EXPECT_NE(embedding.describe_json().find("\"row_count\":2"), std::string::npos);
}

TEST(CppFace, TheLogFunctionMayThrow) {
  std::vector<std::string> messages;
  mono_quant::set_log_callback([&](mnq_log_level, std::string_view message) {
    messages.emplace_back(message);
    throw std::logic_error("no room");
  });
  Config config;
  config.set("sqnr_warning_db", 200);
  mono_quant::quantize(one_weight({1, 4}, kValues), config);
  mono_quant::set_log_callback(nullptr);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_NE(messages[0].find("fc: "), std::string::npos);
  mono_quant::quantize(one_weight({1, 4}, kValues), config);
  EXPECT_EQ(messages.size(), 1u);
}

TEST(CppFace, ABufferIsTheBytesOfTheFile) {
  const TempFolder folder;
  const Model model = one_weight({1, 4}, kValues);
  const Buffer buffer = model.save_memory();
  model.save(folder.path("out.safetensors"));
  EXPECT_EQ(buffer.text(), read_bytes(folder.path("out.safetensors")));
  EXPECT_EQ(values_of<float>(Model::open_memory(buffer.bytes()), "fc.weight"), kValues);
}

}  // namespace
}  // namespace mnq::test
