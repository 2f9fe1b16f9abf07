// Blocks of GGUF files as ggml's own quantizers make them (method=minmax): bytes that ggml_quantize_chunk of
// libggml-python 0.20.2 gave for the same weights. Those of Q8_0 to Q5_1: tests/loaders.
#include <gtest/gtest.h>

#include "quantize/job_fixture.h"
#include "support/error_of.h"

namespace mnq::test {
namespace {

using Bytes = std::vector<int>;

struct Blocks {
  std::string kind;  // in the report
  double sqnr_db = 0;
  Bytes bytes;  // of the only tensor
};

Blocks blocks_of(const std::string& settings, Shape shape, std::vector<float> weights) {
  weights.resize(element_count(shape));
  const auto source = one_weight(std::move(shape), weights);
  const Settings parsed =
      parse_settings(R"({"format": "gguf", "min_parameters": 0, "accuracy_warning": "ignore", )" + settings + "}");
  const Config config(&parsed, nullptr);
  RunControl control;
  std::string bytes;
  const Json report = quantize(*source, config, control, bytes_output(*source, config, bytes)).json();
  const auto written = open_memory(std::as_bytes(std::span(bytes)));
  const std::size_t part = written->require_weights().at(0).parts.at(0);
  std::vector<std::byte> stored(written->tensors()[part].size_bytes);
  written->read(part, 0, stored);
  const Json& sqnr_db = report["model"]["sqnr_db"];
  Blocks blocks{report["layers"][0]["reason"].text(), sqnr_db.is_null() ? 0 : sqnr_db.get<double>(), {}};
  for (const std::byte each : stored) blocks.bytes.push_back(std::to_integer<int>(each));
  return blocks;
}

// Values between two codes, and scales that are halfway between two, below the least normal one, too large, and 0.
const std::vector<float> kHalfway{6, .25f, .75f, -1.25f, 5, -5, 2.4f, 0, 1.75f, -.2f, 3.5f, -2.5f, 4.9f, .6f, -3, 1};

std::vector<float> in_groups(const std::vector<std::vector<float>>& groups) {
  std::vector<float> all;
  for (std::vector<float> group : groups) {
    group.resize(16);
    all.insert(all.end(), group.begin(), group.end());
  }
  return all;
}

TEST(GgmlBlocks, Nvfp4) {
  std::vector<float> last(16);
  last[0] = 6.375f, last[15] = -1;
  std::vector<float> steps;
  for (int i = 0; i < 16; ++i) steps.push_back(i % 2 == 0 ? .5f : -.5f);
  const std::vector<float> weights = in_groups({kHalfway,
                                                last,
                                                {},
                                                {.0876f, -.05f, .03f, .01f},  //
                                                {1800, -900, 2688, 300},
                                                {.005f, -.003f},
                                                steps,
                                                {1e-9f, 1e-9f}});
  const Blocks made = blocks_of(R"("dtype": "nvfp4", "method": "minmax")", {2, 64}, weights);
  EXPECT_EQ(made.kind, "as NVFP4");
  EXPECT_EQ(made.bytes, (Bytes{56,  57,  0,   7,   55,  0,   81,  202, 102, 30,  212, 32, 7, 0, 0, 0, 0, 0,
                               0,   160, 0,   0,   0,   0,   0,   0,   0,   0,   7,   14, 4, 1, 0, 0, 0, 0,  //
                               126, 0,   27,  0,   6,   12,  7,   1,   0,   0,   0,   0,  0, 0, 0, 0, 0, 0,
                               0,   0,   119, 255, 119, 255, 119, 255, 119, 255, 0,   0,  0, 0, 0, 0, 0, 0}));
}

TEST(GgmlBlocks, Mxfp4) {
  std::vector<float> weights = kHalfway;
  weights[0] = 7;
  weights.insert(weights.end(), weights.begin(), weights.begin() + 16);
  const Blocks made = blocks_of(R"("dtype": "mxfp4", "method": "minmax")", {2, 32}, weights);
  EXPECT_EQ(made.kind, "as MXFP4");
  EXPECT_EQ(made.bytes, (Bytes{127, 119, 0, 17, 170, 102, 238, 68, 0, 51, 0, 85, 204, 102, 17, 221, 34,
                               0,   0,   0, 0,  0,   0,   0,   0,  0, 0,  0, 0,  0,   0,   0,  0,   0}));
}

// Groups of 16 fit these rows, and blocks of 64 do not.
TEST(GgmlBlocks, RowsThatBlocksDoNotFitStayFloat) {
  EXPECT_EQ(blocks_of(R"("dtype": "nvfp4")", {2, 48}, {}).kind, "GGUF's blocks of 64 do not fit [2, 48]");
}

// Without minmax the scale is searched for, and loses less.
TEST(GgmlBlocks, ASearchLosesLess) {
  const std::vector<float> weights = normal_values(64 * 256, 3);
  const Blocks minmax = blocks_of(R"("dtype": "nvfp4", "method": "minmax")", {64, 256}, weights);
  EXPECT_NEAR(minmax.sqnr_db, 20.4, 0.3);
  EXPECT_GT(blocks_of(R"("dtype": "nvfp4")", {64, 256}, weights).sqnr_db, minmax.sqnr_db + 0.5);
}

}  // namespace
}  // namespace mnq::test
