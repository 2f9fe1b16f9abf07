// What is read of a module's file without LibTorch, against what LibTorch has of it.
#include <filesystem>

#include "module_fixture.h"

namespace mnq::test {
namespace {

// All but the one whose operators LibTorch here does not know.
std::vector<std::string> module_files() {
  std::vector<std::string> files{MNQ_TEST_DATA "/digits_scripted.pt", MNQ_TEST_DATA "/digits_traced.pt",
                                 MNQ_TEST_DATA "/torchscript.pt"};
  for (const auto& entry : std::filesystem::directory_iterator(MNQ_TEST_DATA "/modules")) {
    const bool is_module = entry.path().extension() == ".pt" && entry.path().stem() != "foreign_operator";
    if (is_module) files.push_back(entry.path().string());
  }
  return files;
}

// A plan for a module goes by LibTorch, one for another file by what was read.
mono_quant::Report plan_for(const Model& model, const std::string& format) {
  return mono_quant::plan(model, Config().set("format", format));
}

bool has_disagreement(const mono_quant::Report& report) {
  return std::ranges::any_of(report.warnings(), [](const std::string& warning) {
    return warning.find("LibTorch's reading") != std::string::npos;
  });
}

TEST(Reading, FindsTheLayersThatLibTorchFinds) {
  std::size_t count = 0;
  for (const std::string& file : module_files()) {
    if (file.ends_with("unseen.pt")) continue;
    const Model model = Model::open(file);
    const mono_quant::Report of_file = plan_for(model, "safetensors"), of_libtorch = plan_for(model, "torchscript");
    const auto ours = of_file.layers(), theirs = of_libtorch.layers();
    ASSERT_EQ(ours.size(), theirs.size()) << file;
    for (std::size_t i = 0; i < ours.size(); ++i) {
      for (const char* field : {"tensor", "name", "kind", "action", "reason", "scheme"}) {
        EXPECT_EQ(ours[i].text(field), theirs[i].text(field)) << file << " " << ours[i].text("tensor");
      }
      EXPECT_EQ(ours[i].number("channel_axis"), theirs[i].number("channel_axis"))
          << file << " " << ours[i].text("tensor");
    }
    EXPECT_FALSE(has_disagreement(of_libtorch)) << file;
    count += ours.size();
  }
  EXPECT_GT(count, 150u);
}

TEST(Reading, FindsTheTiesThatLibTorchFinds) {
  for (const std::string& file : module_files()) {
    const Model model = Model::open(file);
    const auto ours = model.layers(), theirs = model.clone().layers();
    ASSERT_EQ(ours.size(), theirs.size()) << file;
    for (std::size_t i = 0; i < ours.size(); ++i)
      EXPECT_EQ(ours[i].ties, theirs[i].ties) << file << " " << ours[i].tensor;
  }
}

TEST(Reading, ReadsTheSameBytes) {
  for (const std::string& file : module_files()) {
    const Model model = Model::open(file), copy = model.clone();
    for (const std::string& name : model.tensor_names()) {
      const Tensor ours = model.tensor(name), theirs = copy.tensor(name);
      ASSERT_TRUE(std::ranges::equal(ours.shape(), theirs.shape())) << file << " " << name;
      ASSERT_EQ(ours.dtype(), theirs.dtype()) << file << " " << name;
      ASSERT_TRUE(std::ranges::equal(ours.bytes(), theirs.bytes())) << file << " " << name;
    }
  }
}

// A weight that goes into a method of an object which the code makes: LibTorch sees it used there.
TEST(Reading, SaysWhereItSeesLessThanLibTorch) {
  const Model model = open_module("unseen");
  const auto layer = layer_of(model, "v");
  EXPECT_EQ(layer.kind, "");
  EXPECT_NE(layer.reason.find("cannot be told without LibTorch"), std::string::npos) << layer.reason;
  EXPECT_FALSE(has_disagreement(plan_for(model, "safetensors")));
  const mono_quant::Report report = plan_for(model, "torchscript");
  EXPECT_TRUE(has_disagreement(report));
  for (const auto& each : report.layers()) {
    if (each.text("tensor") == "v") {
      EXPECT_EQ(each.text("kind"), "Linear");
    }
  }
}

TEST(Reading, KnowsOperatorsThatLibTorchDoesNotHave) {
  EXPECT_EQ(layer_of(open_module("foreign_operator"), "layer.weight").kind, "Linear");
}

}  // namespace
}  // namespace mnq::test
