// Models: from named tensors and from bytes; copied, saved, looked into.
#include <gtest/gtest.h>

#include <optional>

#include "fixture.h"
#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

NamedTensors two_tensors() {
  NamedTensors tensors;
  tensors.emplace_back("fc.weight", tensor_of<float>({2, 2}, {1, 2, 3, 4}));
  tensors.emplace_back("fc.bias", tensor_of<float>({2}, {5, 6}));
  return tensors;
}

Error error_of_names(const std::vector<std::string>& names) {
  NamedTensors tensors;
  for (const std::string& name : names) tensors.emplace_back(name, tensor_of<float>({1}, {1}));
  return error_of([&] { Model::from_tensors(tensors); });
}

TEST(Model, KeepsTheTensorsInTheirOrder) {
  const Model model = Model::from_tensors(two_tensors());
  EXPECT_EQ(model.tensor_names(), (std::vector<std::string>{"fc.weight", "fc.bias"}));
  EXPECT_EQ(values_of<float>(model, "fc.weight"), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(values_of<float>(model, "fc.bias"), (std::vector<float>{5, 6}));
}

TEST(Model, ATensorThatIsNotThere) {
  const Error error = error_of([] { one_weight({1}, {1}).tensor("fc.weigth"); });
  EXPECT_EQ(error.code(), MNQ_E_NOT_FOUND);
  EXPECT_EQ(error.subject(), "fc.weigth");
}

TEST(Model, NamesThatCannotBe) {
  EXPECT_EQ(error_of_names({"a", "b", "a"}).code(), MNQ_E_INVALID_ARG);
  EXPECT_EQ(error_of_names({"a", "b", "a"}).subject(), "a");
  EXPECT_EQ(error_of_names({"a", ""}).code(), MNQ_E_INVALID_ARG);
  EXPECT_EQ(error_of_names({"__metadata__"}).code(), MNQ_E_INVALID_ARG);
  EXPECT_EQ(error_of_names({"caf\xc3\xa9"}).code(), MNQ_OK);
}

TEST(Model, NamesThatAreNotUtf8) {
  for (const char* name : {"caf\xe9", "\xff", "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80"}) {
    EXPECT_EQ(error_of_names({name}).code(), MNQ_E_INVALID_ARG) << name;
  }
}

TEST(Model, TenThousandTensors) {
  NamedTensors tensors;
  for (int i = 0; i < 10000; ++i) {
    tensors.emplace_back("layer" + std::to_string(i) + ".weight",
                         tensor_of<float>({1, 2}, {static_cast<float>(i), 127 - static_cast<float>(i % 100)}));
  }
  const Model model = Model::from_tensors(tensors);
  ASSERT_EQ(mnq_model_tensor_count(model.get()), 10000u);
  EXPECT_EQ(values_of<float>(model, "layer9999.weight"), (std::vector<float>{9999, 28}));
  const Quantized quantized = mono_quant::quantize(model);
  EXPECT_EQ(quantized.report.number("layers_quantized"), 10000);
  EXPECT_EQ(values_of<float>(quantized.model, "layer9999.weight_scale"), (std::vector<float>{9999 / 127.f}));
  const mono_quant::Buffer saved = quantized.model.save_memory();
  EXPECT_EQ(Model::open_memory(saved.bytes()).tensor_names().size(), 20000u);
}

TEST(Model, FromBytesWithoutACopy) {
  const std::string bytes = SafetensorsBytes().add<float>("a", "F32", "[2]", {1, 2}).bytes();
  const Model model = Model::open_memory(bytes_of(bytes));
  const Tensor tensor = model.tensor("a");
  EXPECT_EQ(values_of<float>(tensor), (std::vector<float>{1, 2}));
  EXPECT_EQ(static_cast<const void*>(tensor.bytes().data()), bytes.data() + bytes.size() - 8);
}

// The header of a file can have any length, so data can lie anywhere.
TEST(Model, FromBytesThatAreNotAligned) {
  const std::string bytes = "_" + SafetensorsBytes().add<float>("a", "F32", "[2]", {1, 2}).bytes();
  const Model model = Model::open_memory(bytes_of(bytes).subspan(1));
  EXPECT_EQ(values_of<float>(model, "a"), (std::vector<float>{1, 2}));
}

TEST(Model, CloneIsIndependentOfTheBytes) {
  std::string bytes = SafetensorsBytes().add<float>("a", "F32", "[2]", {1, 2}).bytes();
  const Model clone = Model::open_memory(bytes_of(bytes)).clone();
  bytes.assign(bytes.size(), 'x');
  EXPECT_EQ(values_of<float>(clone, "a"), (std::vector<float>{1, 2}));
}

TEST(Model, CloneIsIndependentOfTheFile) {
  std::optional<TempFolder> folder(std::in_place);
  Model::from_tensors(two_tensors()).save(folder->path("a.safetensors"));
  const Model clone = Model::open(folder->path("a.safetensors")).clone();
  folder.reset();
  EXPECT_EQ(values_of<float>(clone, "fc.bias"), (std::vector<float>{5, 6}));
}

TEST(Model, SavedFileAndSavedBytesAreTheSame) {
  const TempFolder folder;
  const Model model = Model::from_tensors(two_tensors());
  model.save(folder.path("a.safetensors"));
  EXPECT_EQ(read_bytes(folder.path("a.safetensors")), model.save_memory().text());
  EXPECT_EQ(folder.names(), std::set<std::string>{"a.safetensors"});
}

TEST(Model, WhatIsSavedCanBeOpened) {
  const TempFolder folder;
  Model::from_tensors(two_tensors()).save(folder.path("caf\xc3\xa9.safetensors"));
  const Model model = Model::open(folder.path("caf\xc3\xa9.safetensors"));
  EXPECT_EQ(values_of<float>(model, "fc.weight"), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(shape_of(model.tensor("fc.weight")), (Shape{2, 2}));
  EXPECT_EQ(mono_quant::detect_format(folder.path("caf\xc3\xa9.safetensors")), "safetensors");
}

mnq_status status_of_format(const TempFolder& folder, const std::string& bytes) {
  write_bytes(folder.path("a.safetensors"), bytes);
  return error_of([&] { mono_quant::detect_format(folder.path("a.safetensors")); }).code();
}

TEST(Model, TheFormatIsThatOfTheContent) {
  const TempFolder folder;
  const std::string good = SafetensorsBytes().add<float>("a", "F32", "[1]", {1}).bytes();
  EXPECT_EQ(status_of_format(folder, good), MNQ_OK);
  EXPECT_EQ(status_of_format(folder, "GGUF and more than that"), MNQ_OK);
  EXPECT_EQ(status_of_format(folder, std::string(257, ' ') + "ustar"), MNQ_E_UNSUPPORTED);
  EXPECT_EQ(status_of_format(folder, "PK\x03\x04 and more than that"), MNQ_E_FORMAT);
  EXPECT_EQ(status_of_format(folder, "nothing that is known"), MNQ_E_FORMAT);
  EXPECT_EQ(status_of_format(folder, good.substr(0, 20)), MNQ_E_FORMAT);
  EXPECT_EQ(status_of_format(folder, ""), MNQ_E_FORMAT);
}

TEST(Model, SaveReplacesOnlyWhereAskedFor) {
  const TempFolder folder;
  write_bytes(folder.path("a.safetensors"), "old");
  const Model model = Model::from_tensors(two_tensors());
  const Error error = error_of([&] { model.save(folder.path("a.safetensors")); });
  EXPECT_EQ(error.code(), MNQ_E_IO);
  EXPECT_EQ(error.subject(), folder.path("a.safetensors"));
  EXPECT_EQ(read_bytes(folder.path("a.safetensors")), "old");
  mono_quant::Run run;
  run.set("overwrite", "true");
  model.save(folder.path("a.safetensors"), &run);
  EXPECT_EQ(Model::open(folder.path("a.safetensors")).tensor_names().size(), 2u);
}

TEST(Model, NeverReplacesItsOwnFile) {
  const TempFolder folder;
  Model::from_tensors(two_tensors()).save(folder.path("a.safetensors"));
  mono_quant::Run run;
  run.set("overwrite", "true");
  const Model model = Model::open(folder.path("a.safetensors"));
  EXPECT_EQ(error_of([&] { model.save(folder.path("a.safetensors"), &run); }).code(), MNQ_E_INVALID_ARG);
}

TEST(Model, OfNoTensors) {
  const Model model = Model::from_tensors({});
  EXPECT_TRUE(model.tensor_names().empty());
  const mono_quant::Buffer saved = model.save_memory();
  EXPECT_TRUE(Model::open_memory(saved.bytes()).tensor_names().empty());
}

TEST(Model, DescribesItself) {
  const std::string json = Model::from_tensors(two_tensors()).describe_json();
  EXPECT_NE(json.find(R"("format":"memory","path":null,"size_bytes":24,"parameters":6)"), std::string::npos) << json;
  EXPECT_NE(json.find(R"({"name":"fc.bias","dtype":"F32","shape":[2],"size_bytes":8})"), std::string::npos) << json;
}

}  // namespace
}  // namespace mnq::test
