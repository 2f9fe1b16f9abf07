// The scheme of src/schemes/README.md, of its file and its row and nothing else: it is one like all others. The
// contract tests of this program run over it too.
#include <gtest/gtest.h>

#include "config/config_table.h"
#include "quantize/job_fixture.h"

namespace mnq::test {
namespace {

TEST(AddedScheme, IsChosenByItsName) {
  ASSERT_NE(find_scheme("qint6_bytes"), nullptr);
  const auto model = one_weight({4, 64}, normal_values(256, 1));
  const Result result = quantize_in_memory(*model, R"({"dtype": "qint6_bytes"})");
  EXPECT_EQ(result.report["layers"][0]["scheme"], "int6 in bytes per channel");
  // The largest of 64 is about 2.4 sigma: 10 log10(12 (31.5 / 2.4)^2).
  EXPECT_NEAR(result.report["layers"][0]["sqnr_db"].get<double>(), 33.1, 2);
  EXPECT_NE(bits_advice().find("or mxfp6 or qint6_bytes"), std::string::npos) << bits_advice();
}

}  // namespace
}  // namespace mnq::test
