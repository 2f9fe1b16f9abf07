// A report's text is written layer by layer: it is what its JSON says, whichever is asked for first.
#include <gtest/gtest.h>

#include "quantize/job_fixture.h"

namespace mnq::test {
namespace {

std::shared_ptr<const TensorSource> some_model(unsigned seed) {
  return model_of({{"fc.weight", tensor_of(DType::kF32, {4, 32}, normal_values(128, seed))},
                   {"fc.bias", tensor_of(DType::kF32, {4}, normal_values(4, seed))},
                   {"steps", tensor_of(DType::kI64, {1}, std::vector<std::int64_t>{seed})},
                   {"embed \"x\".weight", tensor_of(DType::kF32, {4, 8}, normal_values(32, seed))}});
}

void expect_same(const Report& text_first, const Report& json_first) {
  Json json = json_first.json(), parsed = parse_json(text_first.text());
  EXPECT_EQ(json["layers"], parsed["layers"]);
  EXPECT_EQ(json_first.text(), json.dump());
  EXPECT_EQ(text_first.text(), text_first.json().dump());
  EXPECT_EQ(parsed["layers"].size(), text_first.layers().size());
}

TEST(ReportText, IsTheJson) {
  const auto model = some_model(1), other = some_model(2);
  RunControl control;
  const Config config(nullptr, nullptr);
  std::shared_ptr<const TensorSource> made;
  const auto run = [&] { return quantize(*model, config, control, memory_output(*model, made)); };
  expect_same(run(), run());
  expect_same(compare(*model, *other, config, control), compare(*model, *other, config, control));
  expect_same(plan_quantize(*model, config), plan_quantize(*model, config));
  expect_same(validate(*model, nullptr, config, control), validate(*model, nullptr, config, control));
}

}  // namespace
}  // namespace mnq::test
