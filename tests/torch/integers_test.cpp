// Modules that run in integers, of layers made here with LibTorch: beside the packed layers of the C ABI, which give
// the exact sums, and beside what the file holds.
#include <gtest/gtest.h>
#include <torch/script.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <memory>
#include <mono_quant/torch.hpp>
#include <sstream>
#include <string>

namespace {

using mono_quant::Config;
using mono_quant::Model;
using mono_quant::libtorch::from_torch;
using mono_quant::libtorch::to_torch;

// A module with one layer `fc`, whose forward is the expression.
Model module_of(const std::string& expression, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  torch::jit::Module layer("__torch__.Layer");
  layer.register_parameter("weight", weight, false);
  if (bias) layer.register_parameter("bias", *bias, false);
  layer.define("def apply(self, x: Tensor, weight: Tensor) -> Tensor:\n  return " + expression +
               "\ndef forward(self, x: Tensor) -> Tensor:\n  return self.apply(x, self.weight)\n");
  torch::jit::Module root("__torch__.Root");
  root.register_module("fc", layer);
  root.define("def forward(self, x: Tensor) -> Tensor:\n  return self.fc.forward(x)\n");
  root.eval();
  std::stringstream stream;
  root.save(stream);
  const auto bytes = std::make_shared<const std::string>(stream.str());
  return Model::open_memory(std::as_bytes(std::span(*bytes)), bytes);
}

Model quantized(const Model& model, const std::string& settings) {
  Config config(settings);
  config.set("min_parameters", "0");
  return mono_quant::quantize(model, config).model;
}

at::Tensor run(const Model& model, const at::Tensor& x, const char* activations = "dynamic") {
  mono_quant::Run run;
  run.set("activations", activations);
  mono_quant::Values inputs;
  inputs.add(from_torch(x.contiguous()));
  return to_torch(model.forward(inputs, &run).tensor(0)).clone();
}

// The same rows through the layer packed by itself.
at::Tensor run_alone(const Model& model, const at::Tensor& rows) {
  return to_torch(mono_quant::Linear(model, "fc").run(from_torch(rows.contiguous()))).clone();
}

double sqnr_db(const at::Tensor& reference, const at::Tensor& other) {
  if (reference.sizes() != other.sizes()) return -INFINITY;
  const double error = (reference.to(at::kDouble) - other.to(at::kDouble)).square().sum().item<double>();
  return error == 0 ? INFINITY : 10 * std::log10(reference.to(at::kDouble).square().sum().item<double>() / error);
}

constexpr const char* kLinear = "torch.linear(x, weight, self.bias)";

// int8 and int4, of every form in which a module may hold them.
constexpr const char* kSettings[] = {
    R"({})",
    R"({"symmetric": false})",
    R"({"per_channel": false})",
    R"({"dtype": "quint8"})",
    R"({"dtype": "quint8", "per_channel": false})",
    R"({"group_size": 32})",
    R"({"dtype": "quint8", "group_size": 64})",
    R"({"bits": 4, "group_size": 32})",
    R"({"bits": 4, "group_size": 64})",
    R"({"bits": 4})",
    R"({"bits": 4, "group_size": 0})",
    R"({"bits": 4, "group_size": 32, "symmetric": false})",
    R"({"bits": 4, "symmetric": false})",
    R"({"bits": 4, "group_size": 0, "symmetric": false})",
    R"({"bits": 4, "group_size": 32, "method": "search"})",
};

TEST(Integers, OfLinearLayersAreTheExactSums) {
  torch::manual_seed(1);
  const Model model = module_of(kLinear, torch::randn({77, 300}), torch::randn({77}));
  for (const char* settings : kSettings) {
    const Model integers = quantized(model, settings);
    for (const std::int64_t rows : {1, 13}) {
      const at::Tensor x = torch::randn({rows, 300}) + 0.5;
      const at::Tensor y = run(integers, x), floats = run(integers, x, "float");
      EXPECT_TRUE(y.equal(run_alone(integers, x))) << settings;
      EXPECT_GE(sqnr_db(floats, y), 38) << settings << ": only activations were rounded";
      EXPECT_FALSE(y.equal(floats)) << settings << ": it ran in floats";
    }
  }
}

TEST(Integers, OfBfloat16StayBfloat16) {
  torch::manual_seed(2);
  for (const char* settings : kSettings) {
    const Model integers = quantized(
        module_of(kLinear, torch::randn({40, 256}).to(at::kBFloat16), torch::randn({40}).to(at::kBFloat16)), settings);
    const at::Tensor x = torch::randn({3, 256}).to(at::kBFloat16);
    const at::Tensor y = run(integers, x);
    EXPECT_EQ(y.scalar_type(), at::kBFloat16) << settings;
    EXPECT_TRUE(y.equal(run_alone(integers, x))) << settings;
    EXPECT_GE(sqnr_db(run(integers, x, "float"), y), 35) << settings;
  }
}

TEST(Integers, OfPointwiseConvolutionsAreTheExactSums) {
  torch::manual_seed(3);
  struct Form {
    std::string expression;
    std::vector<std::int64_t> weight, x;
  };
  const std::string one = ", [1], [0], [1], 1)", two = ", [1, 1], [0, 0], [1, 1], 1)";
  const std::string last = "x.contiguous(memory_format=2)";  // torch.channels_last
  const Form forms[] = {
      {"torch.conv1d(x, weight, self.bias" + one, {24, 96, 1}, {2, 96, 250}},
      {"torch.conv1d(x, weight, self.bias, [1], [0], [3], 1)", {24, 96, 1}, {96, 50}},
      {"torch.conv2d(x, weight, self.bias" + two, {24, 96, 1, 1}, {3, 96, 7, 5}},
      {"torch.conv2d(x, weight, self.bias" + two, {24, 96, 1, 1}, {96, 7, 5}},
      {"torch.conv2d(" + last + ", weight, self.bias" + two, {24, 96, 1, 1}, {3, 96, 7, 5}},
      {"torch._convolution(x, weight, self.bias, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, False, False, True, True)",
       {24, 96, 1, 1},
       {3, 96, 7, 5}},
      {"torch.conv3d(x, weight, self.bias, [1, 1, 1], [0, 0, 0], [1, 1, 1], 1)", {24, 96, 1, 1, 1}, {2, 96, 3, 2, 2}},
  };
  for (const Form& form : forms) {
    const Model model = module_of(form.expression, torch::randn(form.weight), torch::randn({24}));
    const auto channels = static_cast<std::int64_t>(form.x.size() - form.weight.size() + 1);
    for (const char* settings : kSettings) {
      const Model integers = quantized(model, settings);
      const at::Tensor x = torch::randn(form.x), y = run(integers, x);
      EXPECT_TRUE(y.equal(run_alone(integers, x.movedim(channels, -1)).movedim(-1, channels)))
          << form.expression << settings;
      EXPECT_GE(sqnr_db(run(integers, x, "float"), y), 38) << form.expression << settings;
    }
  }
}

TEST(Integers, OfPointwiseConvolutionsOfBfloat16StayBfloat16) {
  torch::manual_seed(9);
  const Model model = module_of("torch.conv1d(x, weight, self.bias, [1], [0], [1], 1)",
                                torch::randn({24, 96, 1}).to(at::kBFloat16), torch::randn({24}).to(at::kBFloat16));
  const Model integers = quantized(model, R"({"bits": 4, "group_size": 32})");
  const at::Tensor x = torch::randn({2, 96, 21}).to(at::kBFloat16), y = run(integers, x);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(y.equal(run_alone(integers, x.movedim(1, -1)).movedim(-1, 1)));
}

// Whether products of bytes are added without saturating: where LibTorch's convolutions of integers are exact.
bool multiplies_bytes_exactly() {
  std::ifstream cpus("/proc/cpuinfo");
  for (std::string line; std::getline(cpus, line);) {
    if (line.starts_with("flags")) return (line + " ").find("vnni ") != std::string::npos;
  }
  return false;
}

struct PlacesForm {
  std::string expression;
  std::vector<std::int64_t> weight, x;
  std::function<at::Tensor(const at::Tensor& x, const at::Tensor& weight)> sums;  // without a bias
};

std::vector<PlacesForm> places_forms() {
  using List = at::IntArrayRef;
  return {
      {"torch.conv2d(x, weight, self.bias, [1, 1], [1, 1], [1, 1], 1)",
       {24, 64, 3, 3},
       {2, 64, 14, 13},
       [](const auto& x, const auto& w) { return at::conv2d(x, w, {}, 1, 1); }},
      {"torch.conv2d(x, weight, self.bias, [2, 1], [0, 2], [1, 2], 2)",
       {24, 32, 3, 3},
       {64, 24, 29},
       [](const auto& x, const auto& w) {
         return at::conv2d(x, w, {}, List{2, 1}, List{0, 2}, List{1, 2}, 2);
       }},
      {"torch.conv2d(x.contiguous(memory_format=2), weight, self.bias, [1, 1], [1, 1], [1, 1], 1)",
       {24, 64, 3, 3},
       {2, 64, 14, 13},
       [](const auto& x, const auto& w) { return at::conv2d(x, w, {}, 1, 1); }},
      {"torch._convolution(x, weight, self.bias, [2, 2], [0, 0], [1, 1], False, [0, 0], 1, False, False, True, True)",
       {64, 128, 1, 1},
       {1, 128, 30, 30},
       [](const auto& x, const auto& w) { return at::conv2d(x, w, {}, 2); }},
      {"torch.conv2d(x, weight, self.bias, [1, 1], [1, 1], [1, 1], 96)",
       {96, 1, 3, 3},
       {2, 96, 40, 40},
       [](const auto& x, const auto& w) { return at::conv2d(x, w, {}, 1, 1, 1, 96); }},
      {"torch.conv2d(x, weight, self.bias, [1, 1], [1, 1], [1, 1], 9)",  // as RegNet has them
       {216, 24, 3, 3},
       {1, 216, 28, 28},
       [](const auto& x, const auto& w) { return at::conv2d(x, w, {}, 1, 1, 1, 9); }},
      {"torch.conv2d(x, weight, self.bias, [1, 1], [2, 2], [2, 2], 1)",  // as DeepLab has them
       {64, 64, 3, 3},
       {1, 64, 56, 56},
       [](const auto& x, const auto& w) { return at::conv2d(x, w, {}, 1, 2, 2); }},
      {"torch.conv2d(x, weight, self.bias, [1, 1], [3, 3], [1, 1], 8)",
       {16, 1, 3, 3},
       {1, 8, 100, 100},
       [](const auto& x, const auto& w) { return at::conv2d(x, w, {}, 1, 3, 1, 8); }},
      {"torch.conv2d(x, weight, self.bias, [1, 1], [1, 1], [1, 1], 2)",
       {34, 17, 3, 3},
       {1, 34, 57, 57},
       [](const auto& x, const auto& w) { return at::conv2d(x, w, {}, 1, 1, 1, 2); }},
      {"torch.conv1d(x, weight, self.bias, [2], [0], [1], 1)",
       {7, 32, 7},
       {1, 32, 20000},
       [](const auto& x, const auto& w) { return at::conv1d(x, w, {}, 2); }},
      {"torch.conv1d(x, weight, self.bias, [1], [2], [1], 1)",
       {48, 64, 5},
       {2, 64, 100},
       [](const auto& x, const auto& w) { return at::conv1d(x, w, {}, 1, 2); }},
      {"torch.conv3d(x, weight, self.bias, [1, 1, 1], [1, 1, 1], [1, 1, 1], 1)",
       {16, 16, 3, 3, 3},
       {1, 16, 8, 7, 9},
       [](const auto& x, const auto& w) { return at::conv3d(x, w, {}, 1, 1); }},
  };
}

// By the definition, in double: codes of an example times the file's codes.
at::Tensor convolved(const PlacesForm& form, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const bool is_single = x.dim() < weight.dim();
  const at::Tensor examples = is_single ? x.unsqueeze(0) : x;
  std::vector<std::int64_t> over_rows(static_cast<std::size_t>(weight.dim()), 1), over_outputs = over_rows;
  over_rows.front() = over_outputs[1] = -1;
  const at::Tensor scales = weight.abs().flatten(1).amax(1) / 127;
  const at::Tensor codes = (weight / scales.view(over_rows)).round().clamp(-127, 127).to(at::kDouble);
  std::vector<at::Tensor> outputs;
  for (const at::Tensor& example : examples.split(1)) {
    const float low = std::min(example.min().item<float>(), 0.0f), high = std::max(example.max().item<float>(), 0.0f);
    const float scale = (high - low) / 255, zero_point = std::nearbyint(-low / scale);
    const at::Tensor inputs = ((example / scale).round() + zero_point).clamp(0, 255) - zero_point;
    outputs.push_back(form.sums(inputs.to(at::kDouble), codes) * scale * scales.to(at::kDouble).view(over_outputs) +
                      bias.to(at::kDouble).view(over_outputs));
  }
  const at::Tensor all = at::cat(outputs);
  return is_single ? all.squeeze(0) : all;
}

TEST(Integers, OfOtherConvolutionsAreTheExactSums) {
  torch::manual_seed(4);
  for (const PlacesForm& form : places_forms()) {
    const at::Tensor weight = torch::randn(form.weight) * 0.1, bias = torch::randn({form.weight.front()});
    const Model integers = quantized(module_of(form.expression, weight, bias), "{}");
    for (const auto& [least, most] : {std::pair(-100.0f, 100.0f), std::pair(0.0f, 100.0f), std::pair(-100.0f, 0.0f)}) {
      const at::Tensor x = (torch::randn(form.x) + 0.3).clamp(least, most), y = run(integers, x);
      const at::Tensor floats = run(integers, x, "float");
      EXPECT_EQ(y.sizes(), floats.sizes()) << form.expression;
      EXPECT_EQ(y.is_contiguous(), floats.is_contiguous()) << form.expression;
      if (!multiplies_bytes_exactly()) {
        EXPECT_TRUE(y.equal(floats)) << form.expression;
        continue;
      }
      const at::Tensor wanted = convolved(form, x, weight, bias);
      EXPECT_LE((y - wanted).abs().max().item<double>(), 1e-6 * wanted.abs().max().item<double>()) << form.expression;
      EXPECT_GE(sqnr_db(floats, y), 38) << form.expression << ": only activations were rounded";
      EXPECT_FALSE(y.equal(floats)) << form.expression << ": it ran in floats";
    }
  }
}

TEST(Integers, OfOtherConvolutionsTakeExamplesOneByOne) {
  torch::manual_seed(10);
  const PlacesForm form = places_forms().front();
  const Model integers =
      quantized(module_of(form.expression, torch::randn(form.weight), torch::randn({form.weight.front()})), "{}");
  const at::Tensor one = torch::randn(form.x), other = torch::randn(form.x) * 100;
  const at::Tensor together = run(integers, at::cat({one, other}));
  EXPECT_TRUE(together.equal(at::cat({run(integers, one), run(integers, other)})));
  at::Tensor infinite = one.clone();
  infinite[0][0][0][0] = INFINITY;
  EXPECT_TRUE(run(integers, infinite).allclose(run(integers, infinite, "float"), 1e-5, 1e-8, true));
}

// What has no output is an error, in integers as in floats.
TEST(Integers, OfOtherConvolutionsFailAsFloatsDo) {
  for (const char* padding : {"[-1, -1]", "[0, 0]"}) {
    const Model integers =
        quantized(module_of("torch.conv2d(x, weight, self.bias, [1, 1], " + std::string(padding) + ", [1, 1], 1)",
                            torch::randn({48, 64, 7, 7}), torch::randn({48})),
                  "{}");
    const auto message = [&](const char* activations) -> std::string {
      try {
        run(integers, torch::randn({1, 64, 6, 6}), activations);
      } catch (const mono_quant::Error& error) {
        return error.what();
      }
      return "none";
    };
    EXPECT_EQ(message("dynamic"), message("float"));
    EXPECT_NE(message("float"), "none");
  }
}

TEST(Integers, OfOtherConvolutionsOfBfloat16StayBfloat16) {
  torch::manual_seed(11);
  const PlacesForm form = places_forms().front();
  const at::Tensor weight = torch::randn(form.weight).to(at::kBFloat16), bias = torch::randn({24}).to(at::kBFloat16);
  const Model integers = quantized(module_of(form.expression, weight, bias), "{}");
  const at::Tensor x = torch::randn(form.x).to(at::kBFloat16), y = run(integers, x);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_GE(sqnr_db(convolved(form, x.to(at::kFloat), weight.to(at::kFloat), bias), y), 35);
}

TEST(Integers, AreNotForConvolutionsThatCannotBeExact) {
  torch::manual_seed(4);
  struct Other {
    const char* expression;
    std::vector<std::int64_t> weight;
    const char* settings;
  };
  const char* plain = "torch.conv2d(x, weight, self.bias, [1, 1], [1, 1], [1, 1], 1)";
  const Other others[] = {
      {plain, {24, 64, 3, 3}, R"({"group_size": 32})"},
      {plain, {24, 64, 3, 3}, R"({"bits": 4, "group_size": 32})"},
      {plain, {24, 64, 3, 3}, R"({"symmetric": false})"},
      {plain, {24, 64, 3, 3}, R"({"dtype": "quint8"})"},
      {"torch.conv2d(x, weight, self.bias, [1, 1], \"same\", [1, 1], 1)", {24, 64, 3, 3}, "{}"},
      {"torch.conv_transpose2d(x, weight, self.bias, [1, 1], [0, 0], [0, 0], 1, [1, 1])", {64, 24, 3, 3}, "{}"},
      {"torch.conv2d(x[:, :, :3, :3], weight, self.bias, [1, 1], [1, 1], [1, 1], 1)", {24, 64, 3, 3}, "{}"},
  };
  for (const auto& [expression, shape, settings] : others) {
    const Model integers = quantized(module_of(expression, torch::randn(shape), torch::randn({24})), settings);
    const at::Tensor x = torch::randn({2, 64, 14, 13});
    EXPECT_TRUE(run(integers, x).equal(run(integers, x, "float"))) << expression << settings;
  }
}

// Whatever the kernels do not take runs as the file holds it.
TEST(Integers, LeaveOtherDtypesToLibTorch) {
  torch::manual_seed(5);
  for (const auto type : {at::kDouble, at::kHalf}) {
    const Model model = module_of(kLinear, torch::randn({8, 64}).to(type), torch::randn({8}).to(type));
    for (const char* settings : {R"({})", R"({"bits": 4, "group_size": 32})"}) {
      const Model integers = quantized(model, settings);
      const at::Tensor x = torch::randn({2, 64}).to(type);
      EXPECT_TRUE(run(integers, x).equal(run(integers, x, "float"))) << settings;
    }
  }
  const Model odd_groups =
      quantized(module_of(kLinear, torch::randn({8, 64}), torch::randn({8})), R"({"bits": 4, "group_size": 24})");
  const at::Tensor x = torch::randn({2, 64});
  EXPECT_TRUE(run(odd_groups, x).equal(run(odd_groups, x, "float")));
}

TEST(Integers, AreTheSameBitsInAnyNumberOfThreads) {
  torch::manual_seed(6);
  const Model model = module_of(kLinear, torch::randn({512, 1024}), torch::randn({512}));
  for (const char* settings : {R"({})", R"({"bits": 4, "group_size": 32})"}) {
    const Model integers = quantized(model, settings);
    for (const std::int64_t rows : {1, 40}) {
      const at::Tensor x = torch::randn({rows, 1024});
      mono_quant::set_threads(1);
      const at::Tensor alone = run(integers, x);
      mono_quant::set_threads(2);
      const at::Tensor together = run(integers, x);
      mono_quant::set_threads(0);
      EXPECT_TRUE(alone.equal(together)) << settings;
    }
  }
}

TEST(Integers, TakeWhatAModuleComputesAnew) {
  torch::manual_seed(7);
  const Model model = module_of("torch.linear(x[0], weight, x[1, 0, :4])", torch::randn({4, 32}), std::nullopt);
  for (const char* settings : {R"({})", R"({"bits": 4, "group_size": 32})"}) {
    const Model integers = quantized(model, settings);
    at::Tensor x = torch::randn({2, 1, 32});
    x[1].zero_();
    const at::Tensor plain = run(integers, x);
    for (const float bias : {0.5f, -2.f, 0.5f}) {
      x[1].fill_(bias);
      EXPECT_TRUE(run(integers, x).equal(plain + bias)) << settings;
    }
  }
}

TEST(Integers, RowsThatAreNotFiniteAreNaN) {
  const Model model = module_of(kLinear, torch::randn({5, 32}), torch::randn({5}));
  at::Tensor x = torch::randn({2, 32});
  x[1][7] = INFINITY;
  const at::Tensor y = run(quantized(model, R"({"bits": 4, "group_size": 32})"), x);
  EXPECT_TRUE(y[0].isfinite().all().item<bool>());
  EXPECT_TRUE(y[1].isnan().all().item<bool>());
}

TEST(Integers, TakeNoRowsAndGiveNone) {
  const Model model = module_of(kLinear, torch::randn({5, 32}), torch::randn({5}));
  for (const char* settings : {R"({})", R"({"bits": 4, "group_size": 32})"}) {
    EXPECT_EQ(run(quantized(model, settings), torch::randn({2, 0, 32})).sizes(), (at::IntArrayRef{2, 0, 5}));
  }
}

TEST(Integers, GiveTheSameOnceTheFileIsLoaded) {
  torch::manual_seed(8);
  const Model model =
      module_of("torch.conv1d(x, weight, self.bias, [1], [0], [1], 1)", torch::randn({8, 64, 1}), torch::randn({8}));
  for (const char* settings : kSettings) {
    const Model integers = quantized(model, settings);
    const at::Tensor x = torch::randn({2, 64, 9}), y = run(integers, x);
    const auto saved = integers.save_memory();
    EXPECT_TRUE(run(Model::open_memory(saved.bytes()), x).equal(y)) << settings;
    EXPECT_GE(sqnr_db(run(model, x), run(mono_quant::dequantize(integers).model, x)), 15) << settings;
  }
}

// A value of /proc/self/status in MiB; 0 where it has none.
std::size_t status_mib(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return std::stoul(line.substr(name.size() + 1)) / 1024;
  }
  return 0;
}

// Forgets what the process had at most.
bool reset_peak() { return static_cast<bool>(std::ofstream("/proc/self/clear_refs") << "5" << std::flush); }

TEST(Integers, HaveNoWeightsInFloats) {
#ifdef MNQ_TEST_SANITIZED
  GTEST_SKIP() << "sanitizers keep what was freed for a while";
#endif
  constexpr std::int64_t kSize = 4096;  // 64 MiB of floats, 16 of int8 and 8 of int4
  for (const auto& [settings, most] : {std::pair(R"({})", 24), std::pair(R"({"bits": 4})", 16)}) {
    const Model integers =
        quantized(module_of("torch.linear(x, weight)", torch::randn({kSize, kSize}), std::nullopt), settings);
    const at::Tensor x = torch::randn({1, kSize});
    if (!reset_peak()) GTEST_SKIP() << "this system does not tell";
    const std::size_t before = status_mib("VmRSS");
    run(integers, x);
    EXPECT_LE(status_mib("VmHWM"), before + static_cast<std::size_t>(most)) << settings;
  }
}

TEST(Integers, ArePackedOnlyForAsLongAsTheModuleIsThere) {
#ifdef MNQ_TEST_SANITIZED
  GTEST_SKIP() << "sanitizers keep what was freed for a while";
#endif
  constexpr std::int64_t kSize = 4096;
  const Model model = module_of("torch.linear(x, weight)", torch::randn({kSize, kSize}), std::nullopt);
  const at::Tensor x = torch::randn({1, kSize});
  run(quantized(model, R"({})"), x);
  const std::size_t before = status_mib("VmRSS");
  for (int i = 0; i < 4; ++i) run(quantized(model, R"({})"), x);
  EXPECT_LE(status_mib("VmRSS"), before + 16) << "of 4 times 32 MiB";
}

}  // namespace
