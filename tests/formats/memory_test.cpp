// Named tensors in memory as a source.
#include <gtest/gtest.h>

#include "base/text/utf8.h"
#include "formats/memory.h"
#include "support/error_of.h"

namespace mnq::test {
namespace {

Tensor one_byte() { return {DType::kU8, {1}, allocate_bytes(1), 1}; }

TEST(NamedTensors, NamesThatCannotBe) {
  for (const char* name : {"", "\xff", "caf\xc3", "\xed\xa0\x80", "__metadata__"}) {
    const Error error = error_of([&] { make_memory_source({{"good", one_byte()}, {name, one_byte()}}, {}); });
    EXPECT_EQ(error.status(), Status::kInvalidArg) << name;
    EXPECT_TRUE(is_utf8(error.message()));
    EXPECT_TRUE(is_utf8(error.subject()));
  }
  EXPECT_EQ(error_of([&] {
              make_memory_source({{"a", one_byte()}, {"a", one_byte()}}, {});
            }).status(),
            Status::kInvalidArg);
}

TEST(NamedTensors, AreFoundByName) {
  const auto source = make_memory_source({{"a", one_byte()}, {"ü", one_byte()}}, {{"key", "value"}});
  EXPECT_EQ(source->find("ü"), 1u);
  EXPECT_EQ(source->find("b"), TensorSource::kNone);
  EXPECT_EQ(source->size_bytes(), 2u);
  EXPECT_EQ(source->title(), "the model in memory");
}

}  // namespace
}  // namespace mnq::test
