// DLPack in and out, against the structures of dlpack.h 1.x as a framework compiles them.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

struct DLPackVersion {
  std::uint32_t major;
  std::uint32_t minor;
};
struct DLDevice {
  std::int32_t device_type;
  std::int32_t device_id;
};
struct DLDataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  std::int32_t ndim;
  DLDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensor* self);
};
struct DLManagedTensorVersioned {
  DLPackVersion version;
  void* manager_ctx;
  void (*deleter)(DLManagedTensorVersioned* self);
  std::uint64_t flags;
  DLTensor dl_tensor;
};

#include "fixture.h"

namespace mnq::test {
namespace {

constexpr std::int32_t kCpu = 1, kCuda = 2;
constexpr DLDataType kFloat32{2, 32, 1};
constexpr std::uint64_t kReadOnly = 1;

// What a framework hands over: [2, 3] float32.
class Producer {
 public:
  Producer() {
    managed.version = {1, 0};
    managed.manager_ctx = this;
    managed.deleter = [](DLManagedTensorVersioned* self) { ++static_cast<Producer*>(self->manager_ctx)->delete_count; };
    managed.dl_tensor = {values.data(), {kCpu, 0}, 2, kFloat32, shape.data(), nullptr, 0};
  }
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  std::vector<float> values{1, 2, 3, 4, 5, 6};
  Shape shape{2, 3};
  Shape strides{3, 1};
  int delete_count = 0;
  DLManagedTensorVersioned managed{};
};

TEST(FromDLPack, IsTheSameMemory) {
  Producer producer;
  {
    const Tensor tensor = Tensor::from_dlpack(&producer.managed);
    EXPECT_EQ(tensor.dtype(), MNQ_DTYPE_F32);
    EXPECT_EQ(shape_of(tensor), producer.shape);
    EXPECT_EQ(static_cast<const void*>(tensor.bytes().data()), producer.values.data());
    EXPECT_EQ(producer.delete_count, 0);
  }
  EXPECT_EQ(producer.delete_count, 1);
}

TEST(FromDLPack, IsDeletedAfterTheLastUser) {
  Producer producer;
  {
    NamedTensors tensors;
    tensors.emplace_back("a", Tensor::from_dlpack(&producer.managed));
    const Model model = Model::from_tensors(tensors);
    tensors.clear();
    EXPECT_EQ(producer.delete_count, 0);
    EXPECT_EQ(values_of<float>(model, "a"), producer.values);
  }
  EXPECT_EQ(producer.delete_count, 1);
}

TEST(FromDLPack, WithoutADeleter) {
  Producer producer;
  producer.managed.deleter = nullptr;
  EXPECT_EQ(values_of<float>(Tensor::from_dlpack(&producer.managed)), producer.values);
}

TEST(FromDLPack, ByteOffset) {
  Producer producer;
  producer.shape = {2, 2};
  producer.managed.dl_tensor.byte_offset = 8;
  EXPECT_EQ(values_of<float>(Tensor::from_dlpack(&producer.managed)), (std::vector<float>{3, 4, 5, 6}));
}

TEST(FromDLPack, StridesOfAContiguousTensor) {
  Producer producer;
  producer.managed.dl_tensor.strides = producer.strides.data();
  EXPECT_EQ(values_of<float>(Tensor::from_dlpack(&producer.managed)), producer.values);
}

// An axis of one element may have any stride: PyTorch gives such.
TEST(FromDLPack, StridesThatDoNotMatter) {
  Producer producer;
  producer.shape = {1, 6};
  producer.strides = {99, 1};
  producer.managed.dl_tensor.strides = producer.strides.data();
  EXPECT_EQ(values_of<float>(Tensor::from_dlpack(&producer.managed)), producer.values);
}

TEST(FromDLPack, NewerMinorVersionsAreTaken) {
  Producer producer;
  producer.managed.version = {1, 7};
  EXPECT_EQ(values_of<float>(Tensor::from_dlpack(&producer.managed)), producer.values);
}

// Refuses it and leaves it to the caller.
void expect_refusal(Producer& producer, mnq_status status, const char* word) {
  {
    const Error error = error_of([&] { Tensor::from_dlpack(&producer.managed); });
    EXPECT_EQ(error.code(), status) << error.what();
    EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  }
  EXPECT_EQ(producer.delete_count, 0);
}

TEST(FromDLPack, Strided) {
  Producer producer;
  producer.strides = {1, 2};
  producer.managed.dl_tensor.strides = producer.strides.data();
  expect_refusal(producer, MNQ_E_UNSUPPORTED, "contiguous");
}

TEST(FromDLPack, Broadcast) {
  Producer producer;
  producer.strides = {0, 1};
  producer.managed.dl_tensor.strides = producer.strides.data();
  expect_refusal(producer, MNQ_E_UNSUPPORTED, "contiguous");
}

TEST(FromDLPack, OnAnotherDevice) {
  Producer producer;
  producer.managed.dl_tensor.device = {kCuda, 0};
  expect_refusal(producer, MNQ_E_UNSUPPORTED, "device");
}

TEST(FromDLPack, OfAnotherMajorVersion) {
  Producer producer;
  producer.managed.version = {2, 0};
  expect_refusal(producer, MNQ_E_UNSUPPORTED, "version 2.0");
}

TEST(FromDLPack, OfATypeThatIsNone) {
  Producer producer;
  for (const DLDataType type : {DLDataType{99, 32, 1}, DLDataType{2, 17, 1}, DLDataType{2, 32, 4}}) {
    producer.managed.dl_tensor.dtype = type;
    expect_refusal(producer, MNQ_E_UNSUPPORTED, "type code");
  }
}

TEST(FromDLPack, ImpossibleSizes) {
  Producer producer;
  producer.shape = {2, -3};
  expect_refusal(producer, MNQ_E_SHAPE, "shape");
  producer.shape = {INT64_MAX, INT64_MAX};
  expect_refusal(producer, MNQ_E_SHAPE, "shape");
  producer.managed.dl_tensor.ndim = -1;
  expect_refusal(producer, MNQ_E_SHAPE, "rank");
}

TEST(FromDLPack, NullsInside) {
  Producer producer;
  producer.managed.dl_tensor.data = nullptr;
  expect_refusal(producer, MNQ_E_INVALID_ARG, "data");
  producer.managed.dl_tensor.shape = nullptr;
  expect_refusal(producer, MNQ_E_INVALID_ARG, "shape");
}

TEST(ToDLPack, OutlivesTheTensor) {
  DLManagedTensorVersioned* managed = tensor_of<float>({2, 2}, {1, 2, 3, 4}).to_dlpack();
  EXPECT_EQ(managed->version.major, 1u);
  EXPECT_EQ(managed->flags & kReadOnly, kReadOnly);
  const DLTensor& tensor = managed->dl_tensor;
  EXPECT_EQ(tensor.device.device_type, kCpu);
  ASSERT_EQ(tensor.ndim, 2);
  EXPECT_EQ(tensor.shape[0], 2);
  EXPECT_EQ(tensor.shape[1], 2);
  EXPECT_EQ(tensor.strides[0], 2);
  EXPECT_EQ(tensor.strides[1], 1);
  EXPECT_EQ(tensor.dtype.code, 2);
  EXPECT_EQ(tensor.dtype.bits, 32);
  EXPECT_EQ(tensor.dtype.lanes, 1);
  EXPECT_EQ(static_cast<const float*>(tensor.data)[3], 4);
  managed->deleter(managed);
}

TEST(ToDLPack, ComesBackTheSameWithoutACopy) {
  const Tensor tensor = tensor_of<std::int16_t>({3}, {-1, 0, 1});
  const Tensor back = Tensor::from_dlpack(tensor.to_dlpack());
  EXPECT_EQ(back.bytes().data(), tensor.bytes().data());
  EXPECT_EQ(values_of<std::int16_t>(back), (std::vector<std::int16_t>{-1, 0, 1}));
}

TEST(ToDLPack, EveryDtypeComesBackAsItself) {
  const Shape shape{4};  // whole bytes for 4 and 6 bits too
  const std::vector<std::byte> zeros(64);
  for (mnq_dtype dtype = MNQ_DTYPE_BOOL; dtype <= MNQ_DTYPE_F8_E5M2FNUZ; ++dtype) {
    mnq_tensor* tensor = nullptr;
    std::size_t size = 1;
    while (size <= zeros.size() &&
           mnq_tensor_create(dtype, shape.data(), 1, zeros.data(), size, &tensor, nullptr) != MNQ_OK) {
      ++size;
    }
    ASSERT_NE(tensor, nullptr) << mnq_dtype_name(dtype);
    const Tensor owner(tensor);
    EXPECT_EQ(Tensor::from_dlpack(owner.to_dlpack()).dtype(), dtype) << mnq_dtype_name(dtype);
  }
}

TEST(ToDLPack, ScalarsAndEmptyTensors) {
  const Tensor scalar = Tensor::from_dlpack(tensor_of<float>({}, {7}).to_dlpack());
  EXPECT_EQ(values_of<float>(scalar), std::vector<float>{7});
  const Tensor empty = Tensor::from_dlpack(tensor_of<float>({0, 4}, {}).to_dlpack());
  EXPECT_EQ(shape_of(empty), (Shape{0, 4}));
}

// Before DLPack 1.0: ownership is taken only on success.
TEST(DLPackUnversioned, SharesAndReleases) {
  std::vector<float> values{1, 2, 3, 4, 5, 6};
  Shape shape{2, 3};
  int deletes = 0;
  DLManagedTensor managed{{values.data(), {kCpu, 0}, 2, kFloat32, shape.data(), nullptr, 4},
                          &deletes,
                          [](DLManagedTensor* self) { ++*static_cast<int*>(self->manager_ctx); }};
  managed.dl_tensor.ndim = -1;
  EXPECT_EQ(error_of([&] { Tensor::from_dlpack(&managed); }).code(), MNQ_E_SHAPE);
  EXPECT_EQ(deletes, 0);
  managed.dl_tensor.ndim = 2;
  shape = {1, 5};
  {
    const Tensor tensor = Tensor::from_dlpack(&managed);
    EXPECT_EQ(shape_of(tensor), (Shape{1, 5}));
    EXPECT_EQ(tensor.bytes().data(), reinterpret_cast<const std::byte*>(values.data() + 1));  // 4 bytes on
    EXPECT_EQ(deletes, 0);
  }
  EXPECT_EQ(deletes, 1);
}

}  // namespace
}  // namespace mnq::test
