// Modules against LibTorch itself, in one process and in turns: quantizing a file against loading and saving it, and
// layers in integers against float32. Usage: module_bench FOLDER. Needs 1 GB in FOLDER.
#include <torch/script.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mono_quant/torch.hpp"

namespace {

constexpr int kRounds = 9;
constexpr std::int64_t kSize = 2048;

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Linear layers of kSize in a row, as a TorchScript file.
void save_linears(const std::string& path, int count) {
  torch::manual_seed(1);
  torch::jit::Module module("__torch__.Linears");
  std::string body = "def forward(self, x: Tensor) -> Tensor:\n";
  for (int i = 0; i < count; ++i) {
    const std::string name = "weight" + std::to_string(i);
    module.register_parameter(name, torch::randn({kSize, kSize}) * 0.02, false);
    body += "  x = torch.linear(x, self." + name + ")\n";
  }
  module.define(body + "  return x\n");
  module.eval();
  module.save(path);
}

void row(const std::string& what, double measured, const char* bar) {
  std::printf("%-68s %9.3f %9s\n", what.c_str(), measured, bar);
}

void bench_quantize(const std::string& folder) {
  const std::string input = folder + "/linears.pt", copy = folder + "/copy.pt", output = folder + "/int8.pt";
  save_linears(input, 24);  // 403 MB
  std::vector<double> copies, quantizes, ratios;
  mono_quant::Run run;
  run.set("overwrite", "true");
  for (int i = 0; i < kRounds; ++i) {
    copies.push_back(seconds_of([&] { torch::jit::load(input).save(copy); }));
    quantizes.push_back(seconds_of([&] { mono_quant::quantize_file(input, output, mono_quant::Config(), &run); }));
    ratios.push_back(quantizes.back() / copies.back());
  }
  row("torch::jit load and save of 403 MB of TorchScript, median, seconds", median(copies), "");
  row("quantize of it to int8, checks, SQNR and fsync included, seconds", median(quantizes), "");
  row("  the second to the first in each round, median", median(ratios), "<= 1.5");
  for (const std::string& file : {input, copy, output}) std::filesystem::remove(file);
}

// A module as one runs it here, beside its float32 original in LibTorch; bars: for one row, and for 128.
struct Form {
  const char* name;
  const char* settings;
  const char* bars[2];
};
constexpr Form kForms[] = {{"int8", "{}", {">= 8", ">= 3.5"}},
                           {"int4 g128", R"({"bits": 4})", {">= 10", ">= 2.5"}},
                           {"int4 g32", R"({"bits": 4, "group_size": 32})", {">= 10", ">= 2.5"}}};

struct Forward {
  std::string what;
  at::Tensor x;
  int repeats;
  std::optional<std::size_t> bar = std::nullopt;  // which of a form's
};

// Milliseconds that one thread had of the CPU for a call: on a machine that has other work the wall's say little.
double time_of(const Forward& work, const std::function<void()>& call) {
  const std::clock_t start = std::clock();
  for (int i = 0; i < work.repeats; ++i) call();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / work.repeats * 1e3;
}

void bench_forward(torch::jit::Module& module, const mono_quant::Model& model, const Forward& work) {
  const torch::InferenceMode guard;
  std::vector<mono_quant::Model> quantized;
  for (const Form& form : kForms) {
    quantized.push_back(mono_quant::quantize(model, mono_quant::Config(form.settings)).model);
  }
  mono_quant::Values inputs;
  inputs.add(mono_quant::libtorch::from_torch(work.x));
  std::vector<double> floats, times[std::size(kForms)], ratios[std::size(kForms)];
  for (int round = 0; round < kRounds; ++round) {
    floats.push_back(time_of(work, [&] { module.forward({work.x}); }));
    for (std::size_t i = 0; i < std::size(kForms); ++i) {
      times[i].push_back(time_of(work, [&] { quantized[i].forward(inputs); }));
      ratios[i].push_back(floats.back() / times[i].back());
    }
  }
  row(work.what + ", LibTorch float32, one thread, ms", median(floats), "");
  for (std::size_t i = 0; i < std::size(kForms); ++i) {
    row("  ours " + std::string(kForms[i].name) + ", ms", median(times[i]), "");
    row("    the first to it in each round, median", median(ratios[i]), work.bar ? kForms[i].bars[*work.bar] : "");
  }
}

void bench_linear(const std::string& folder) {
  const std::string input = folder + "/linear.pt";
  save_linears(input, 1);
  auto module = torch::jit::load(input);
  const auto model = mono_quant::Model::open(input);
  const auto bench = [&](std::int64_t rows, int repeats, std::optional<std::size_t> bar) {
    bench_forward(module, model,
                  {"Linear " + std::to_string(rows) + " x 2048 x 2048", torch::randn({rows, kSize}), repeats, bar});
  };
  bench(1, 50, 0);
  bench(32, 5, std::nullopt);
  bench(128, 5, 1);
  std::filesystem::remove(input);
}

void bench_convolution(const std::string& folder, const char* name, const at::Tensor& weight, const at::Tensor& x) {
  const std::string input = folder + "/convolution.pt";
  torch::jit::Module module("__torch__.Convolution");
  module.register_parameter("weight", weight * 0.05, false);
  module.define("def forward(self, x: Tensor) -> Tensor:\n  return torch.conv2d(x, self.weight)\n");
  module.eval();
  module.save(input);
  auto loaded = torch::jit::load(input);
  bench_forward(loaded, mono_quant::Model::open(input), {name, x, 3});
  std::filesystem::remove(input);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: module_bench FOLDER\n");
    return 2;
  }
  std::filesystem::create_directories(arguments[1]);
  std::printf("%-68s %9s %9s\n", "", "measured", "bar");
  bench_quantize(arguments[1]);
  at::set_num_threads(1);
  mono_quant::set_threads(1);
  bench_linear(arguments[1]);
  bench_convolution(arguments[1], "1 x 1 convolution, 512 to 512 channels of 4 x 28 x 28",
                    torch::randn({512, 512, 1, 1}), torch::randn({4, 512, 28, 28}));
  bench_convolution(arguments[1], "3 x 3 convolution, 64 to 64 channels of 56 x 56", torch::randn({64, 64, 3, 3}),
                    torch::randn({1, 64, 56, 56}));
  bench_convolution(arguments[1], "3 x 3 convolution, 256 to 256 channels of 4 x 14 x 14",
                    torch::randn({256, 256, 3, 3}), torch::randn({4, 256, 14, 14}));
}
