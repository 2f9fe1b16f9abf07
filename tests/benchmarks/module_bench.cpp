// Modules against LibTorch itself, in one process and in turns: quantizing a file against loading and saving it, and
// int8 Linear layers in integers against float32. Usage: module_bench FOLDER. Needs 1 GB in FOLDER.
#include <torch/script.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
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

void bench_forward(const std::string& folder) {
  const std::string input = folder + "/linear.pt";
  save_linears(input, 1);
  auto module = torch::jit::load(input);
  const auto quantized = mono_quant::quantize(mono_quant::Model::open(input), mono_quant::Config()).model;
  for (const std::int64_t rows : {1, 32, 128}) {
    const torch::Tensor x = torch::randn({rows, kSize});
    mono_quant::Values inputs;
    inputs.add(mono_quant::libtorch::from_torch(x));
    std::vector<double> floats, integers, ratios;
    const int repeats = rows == 1 ? 20 : 3;
    for (int i = 0; i < kRounds; ++i) {
      const torch::InferenceMode guard;
      floats.push_back(seconds_of([&] {
                         for (int k = 0; k < repeats; ++k) module.forward({x});
                       }) /
                       repeats * 1e3);
      integers.push_back(seconds_of([&] {
                           for (int k = 0; k < repeats; ++k) quantized.forward(inputs);
                         }) /
                         repeats * 1e3);
      ratios.push_back(integers.back() / floats.back());
    }
    const std::string what = "Linear " + std::to_string(rows) + " x 2048 x 2048, ";
    row(what + "LibTorch float32, median, ms", median(floats), "");
    row(what + "ours int8, ms", median(integers), "");
    row("  the second to the first in each round, median", median(ratios), rows == 1 ? "<= 1" : "");
  }
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
  bench_forward(arguments[1]);
}
