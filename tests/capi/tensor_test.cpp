// Tensors: copies, and the caller's own memory with the promise to say when it is free again.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>

#include "fixture.h"

namespace mnq::test {
namespace {

const Shape kShape{2, 3};
const std::vector<float> kValues{1, 2, 3, 4, 5, 6};

void count_release(void* count) { ++*static_cast<int*>(count); }

mnq_tensor* wrap(const std::vector<float>& values, int* release_count) {
  mnq_tensor* tensor = nullptr;
  mnq_error* error = nullptr;
  EXPECT_EQ(mnq_tensor_wrap(MNQ_DTYPE_F32, kShape.data(), 2, values.data(), values.size() * sizeof(float),
                            count_release, release_count, &tensor, &error),
            MNQ_OK)
      << mnq_error_message(error);
  return tensor;
}

Model model_of(Tensor tensor) {
  NamedTensors tensors;
  tensors.emplace_back("fc.weight", std::move(tensor));
  return Model::from_tensors(tensors);
}

TEST(Tensor, IsACopy) {
  std::vector<float> values = kValues;
  const Tensor tensor = tensor_of(kShape, values);
  values.assign(6, 0);
  EXPECT_EQ(tensor.dtype(), MNQ_DTYPE_F32);
  EXPECT_EQ(shape_of(tensor), kShape);
  EXPECT_EQ(tensor.bytes().size(), 24u);
  EXPECT_EQ(values_of<float>(tensor), kValues);
}

TEST(Tensor, HasEveryDtypeOfCpp) {
  EXPECT_EQ(tensor_of<double>({1}, {1}).dtype(), MNQ_DTYPE_F64);
  EXPECT_EQ(tensor_of<std::int8_t>({1}, {1}).dtype(), MNQ_DTYPE_I8);
  EXPECT_EQ(tensor_of<std::uint8_t>({1}, {1}).dtype(), MNQ_DTYPE_U8);
  EXPECT_EQ(tensor_of<std::int16_t>({1}, {1}).dtype(), MNQ_DTYPE_I16);
  EXPECT_EQ(tensor_of<std::uint16_t>({1}, {1}).dtype(), MNQ_DTYPE_U16);
  EXPECT_EQ(tensor_of<std::int32_t>({1}, {1}).dtype(), MNQ_DTYPE_I32);
  EXPECT_EQ(tensor_of<std::uint32_t>({1}, {1}).dtype(), MNQ_DTYPE_U32);
  EXPECT_EQ(tensor_of<std::int64_t>({1}, {1}).dtype(), MNQ_DTYPE_I64);
  EXPECT_EQ(tensor_of<std::uint64_t>({1}, {1}).dtype(), MNQ_DTYPE_U64);
}

TEST(Tensor, ScalarAndEmpty) {
  const Tensor scalar = tensor_of<float>({}, {7});
  EXPECT_TRUE(scalar.shape().empty());
  EXPECT_EQ(values_of<float>(scalar), std::vector<float>{7});
  const Tensor empty = tensor_of<float>({3, 0}, {});
  EXPECT_EQ(shape_of(empty), (Shape{3, 0}));
  EXPECT_TRUE(empty.bytes().empty());
}

TEST(Tensor, TwoElementsOfFourBitsShareAByte) {
  const std::byte packed[2] = {};
  const Shape four{4}, three{3};
  EXPECT_EQ(Tensor::copy(MNQ_DTYPE_F4, four, packed).bytes().size(), 2u);
  EXPECT_EQ(error_of([&] { Tensor::copy(MNQ_DTYPE_F4, three, packed); }).code(), MNQ_E_SHAPE);
}

TEST(Tensor, ValuesOfAnotherTypeAreRefused) {
  const Error error = error_of([] { tensor_of(kShape, kValues).values<std::int8_t>(); });
  EXPECT_EQ(error.code(), MNQ_E_DTYPE);
  EXPECT_STREQ(error.what(), "the tensor holds F32");
}

TEST(Tensor, SizesThatDoNotFitSayWhatWould) {
  const Error error = error_of([] { tensor_of<float>({2, 2}, kValues); });
  EXPECT_EQ(error.code(), MNQ_E_SHAPE);
  EXPECT_STREQ(error.what(), "F32 [2, 2] needs 16 bytes, not 24");
}

TEST(WrappedTensor, IsTheCallersMemory) {
  int release_count = 0;
  mnq_tensor* tensor = wrap(kValues, &release_count);
  EXPECT_EQ(mnq_tensor_data(tensor), kValues.data());
  EXPECT_EQ(release_count, 0);
  mnq_tensor_free(tensor);
  EXPECT_EQ(release_count, 1);
}

TEST(WrappedTensor, IsReleasedAfterTheLastUser) {
  int release_count = 0;
  std::optional<Model> model(model_of(Tensor(wrap(kValues, &release_count))));
  std::optional<Tensor> taken(model->tensor("fc.weight"));
  EXPECT_EQ(taken->bytes().data(), static_cast<const void*>(kValues.data()));
  model.reset();
  EXPECT_EQ(release_count, 0);
  taken.reset();
  EXPECT_EQ(release_count, 1);
}

TEST(WrappedTensor, IsNotKeptByACloneNorByWhatIsQuantized) {
  int release_count = 0;
  std::optional<Model> model(model_of(Tensor(wrap(kValues, &release_count))));
  const Model clone = model->clone();
  const Quantized quantized = mono_quant::quantize(*model);
  model.reset();
  EXPECT_EQ(release_count, 1);
  EXPECT_EQ(values_of<float>(clone, "fc.weight"), kValues);
}

TEST(WrappedTensor, FailureDoesNotRelease) {
  int release_count = 0;
  const Shape wrong{5};
  mnq_tensor* tensor = nullptr;
  EXPECT_EQ(mnq_tensor_wrap(MNQ_DTYPE_F32, wrong.data(), 1, kValues.data(), 24, count_release, &release_count, &tensor,
                            nullptr),
            MNQ_E_SHAPE);
  EXPECT_EQ(release_count, 0);
}

TEST(WrappedTensor, EmptyOnesAreReleasedToo) {
  int release_count = 0;
  const Shape empty{0};
  mnq_tensor* tensor = nullptr;
  ASSERT_EQ(
      mnq_tensor_wrap(MNQ_DTYPE_F32, empty.data(), 1, nullptr, 0, count_release, &release_count, &tensor, nullptr),
      MNQ_OK);
  mnq_tensor_free(tensor);
  EXPECT_EQ(release_count, 1);
}

TEST(WrappedTensor, HoldsItsOwnerInCpp) {
  const auto values = std::make_shared<const std::vector<float>>(kValues);
  std::optional<Tensor> tensor(Tensor::wrap(MNQ_DTYPE_F32, kShape, std::as_bytes(std::span(*values)), values));
  EXPECT_EQ(values.use_count(), 2);
  EXPECT_EQ(values_of<float>(*tensor), kValues);
  tensor.reset();
  EXPECT_EQ(values.use_count(), 1);
  const Shape wrong{5};
  EXPECT_EQ(error_of([&] { Tensor::wrap(MNQ_DTYPE_F32, wrong, std::as_bytes(std::span(*values)), values); }).code(),
            MNQ_E_SHAPE);
  EXPECT_EQ(values.use_count(), 1);
}

// A host may pass what lies in the middle of a file.
TEST(WrappedTensor, MayBeUnaligned) {
  std::vector<std::byte> bytes(25);
  std::memcpy(bytes.data() + 1, kValues.data(), 24);
  const auto keep = std::make_shared<int>(0);
  const Model model = model_of(Tensor::wrap(MNQ_DTYPE_F32, kShape, std::span(bytes).subspan(1), keep));
  EXPECT_EQ(values_of<float>(model, "fc.weight"), kValues);
  const Model aligned = one_weight(kShape, kValues);
  const mono_quant::Buffer saved = mono_quant::quantize(model).model.save_memory();
  EXPECT_EQ(saved.text(), mono_quant::quantize(aligned).model.save_memory().text());
}

}  // namespace
}  // namespace mnq::test
