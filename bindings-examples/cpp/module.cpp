// A LibTorch module that is quantized to int8 and run: what torch.hpp adds to mono_quant.hpp.
#include <iomanip>
#include <iostream>
#include <mono_quant/torch.hpp>

namespace nn = torch::nn;

int main() {
  torch::manual_seed(1);
  auto net = nn::Sequential(nn::Linear(784, 128), nn::ReLU(), nn::Linear(128, 10));
  const auto result = mono_quant::libtorch::quantize(*net);  // net stays as it is
  for (const auto& layer : result.layers) {
    const bool is_replaced = layer.how == mono_quant::libtorch::LayerOutcome::kReplaced;
    std::cout << layer.name << (is_replaced ? " holds its codes\n" : " " + layer.reason + "\n");
  }

  const torch::Tensor images = torch::rand({32, 784}), expected = net->forward(images);
  const torch::Tensor scores = result.module->as<nn::Sequential>()->forward(images);
  const double sqnr_db = 10 * (expected.square().sum() / (expected - scores).square().sum()).log10().item<double>();
  std::cout << std::fixed << std::setprecision(1) << "weights " << result.report.number("sqnr_db").value_or(0)
            << " dB, outputs " << sqnr_db << " dB\n";
  return sqnr_db > 30 ? 0 : 1;
}
