// How folders say that they are quantized.
#include "formats/folder/quantization_methods.h"

#include <gtest/gtest.h>

#include "support/error_of.h"
#include "support/listed_source.h"

namespace mnq::test {
namespace {

std::unique_ptr<TensorSource> adapt(const std::string& config) {
  return adapt_quantized_folder(std::make_unique<ListedSource>(std::vector<Listed>{{"a.weight", {4, 4}}}),
                                parse_json(config));
}

TEST(QuantizationMethods, AreNamedWhereOneIsNotRead) {
  for (const std::string method : {"aqlm", "gptq"}) {
    const Error error = error_of([&] { adapt(R"({"quantization_config": {"quant_method": ")" + method + R"("}})"); });
    EXPECT_EQ(error.status(), Status::kUnsupported);
    EXPECT_NE(error.message().find("is quantized by " + method + ", which is not supported, or has no such tensors"),
              std::string::npos)
        << error.message();
  }
}

TEST(QuantizationMethods, LeaveFloatsAndOurOwnFoldersAsTheyAre) {
  for (const char* config : {"null", "{}", R"({"quantization_config": null})",
                             R"({"quantization_config": {"quantized_by": "mono_quant", "version": 1}})"}) {
    EXPECT_EQ(adapt(config)->tensors().size(), 1u) << config;
  }
}

TEST(QuantizationMethods, KnowTheirTensorsByName) {
  const ListedSource words({{"a.weight_packed", {4, 1}, DType::kI32}}),
      bytes({{"a.weight", {4, 4}, DType::kI8}, {"a.weight_scale", {4, 1}}}),
      floats({{"a.weight", {4, 4}}, {"a.weight_scale", {4, 1}}});
  EXPECT_TRUE(may_be_of_quantized_folder(words));
  EXPECT_TRUE(may_be_of_quantized_folder(bytes));
  EXPECT_FALSE(may_be_of_quantized_folder(floats));
}

}  // namespace
}  // namespace mnq::test
