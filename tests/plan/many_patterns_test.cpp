// As many patterns as layers: what they choose, and that it takes no time worth speaking of.
#include <gtest/gtest.h>

#include <ctime>

#include "plan/own_metadata.h"
#include "plan/plan.h"
#include "support/listed_source.h"

namespace mnq::test {
namespace {

constexpr int kCount = 5000;  // trying each for each layer took half a minute

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

std::string layer(int i) { return "model.layers." + std::to_string(i) + ".query"; }

ListedSource many_layers() {
  std::vector<Listed> listed;
  for (int i = 0; i < kCount; ++i) listed.push_back({layer(i) + ".weight", {64, 64}});
  return ListedSource(listed);
}

class ManyPatterns : public testing::TestWithParam<const char*> {
 protected:
  // The pattern of one layer: "#" stands for its number.
  static std::string pattern(int i) {
    std::string text = GetParam();
    return text.replace(text.find('#'), 1, std::to_string(i));
  }
};

TEST_P(ManyPatterns, OfSkipAndLayersChooseQuickly) {
  const ListedSource source = many_layers();
  Settings settings;
  std::string skip;
  for (int i = 0; i < kCount; i += 2) skip += (i == 0 ? "" : ",") + pattern(i);
  set_value(settings, "skip", skip);
  for (int i = 1; i < kCount; i += 2) set_value_for_layers(settings, pattern(i), "bits", i % 4 == 1 ? "4" : "8");
  set_value_for_layers(settings, "no.such.layer", "bits", "4");
  const double start = cpu_seconds();
  const Config config(&settings, nullptr);
  validate_settings(config, settings);
  const Plan plan = make_plan(source, config);
  EXPECT_LT(cpu_seconds() - start, 10);
  for (int i = 0; i < kCount; ++i) {
    const PlannedTensor& planned = plan.tensors[static_cast<std::size_t>(i)];
    ASSERT_EQ(planned.layer.name.name, layer(i));
    EXPECT_EQ(planned.action, i % 2 == 0 ? Action::kCopy : Action::kQuantize) << i;
    if (i % 2 == 0) {
      EXPECT_EQ(planned.reason, "skip=" + pattern(i));
    } else {
      EXPECT_EQ(planned.spec.scheme, i % 4 == 1 ? "qint4" : "qint8") << i;
    }
  }
  EXPECT_EQ(plan.warnings, std::vector<std::string>{"layers: 'no.such.layer' matches no tensor of this model"});
}

INSTANTIATE_TEST_SUITE_P(Forms, ManyPatterns,
                         testing::Values("model.layers.#.query", "model.layers.#.*", "*.#.query", "*.#.*",
                                         "model.*.#.quer?", "model.layers.#.[pq]uery.weight"));

}  // namespace
}  // namespace mnq::test
