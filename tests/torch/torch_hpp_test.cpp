// torch.hpp: tensors without copies, layers by type, and copies of modules, replaced or dequantized.
#include <gtest/gtest.h>

#include <cmath>
#include <mono_quant/torch.hpp>

namespace {

namespace nn = torch::nn;
using mono_quant::Config;
using mono_quant::libtorch::LayerOutcome;
using mono_quant::libtorch::quantizable_layers;
using mono_quant::libtorch::quantize;

double sqnr_db(const at::Tensor& reference, const at::Tensor& other) {
  const double error = (reference - other).to(at::kDouble).square().sum().item<double>();
  return error == 0 ? INFINITY : 10 * std::log10(reference.to(at::kDouble).square().sum().item<double>() / error);
}

// A user's module: its forward calls typed members.
struct NetImpl : nn::Cloneable<NetImpl> {
  NetImpl() { reset(); }
  void reset() override {
    conv = register_module("conv", nn::Conv2d(nn::Conv2dOptions(2, 4, 3).padding(1)));
    fc = register_module("fc", nn::Linear(4 * 36, 10));
    head = register_module("head", nn::Sequential(nn::Linear(10, 10), nn::ReLU()));
  }
  at::Tensor forward(const at::Tensor& x) { return head->forward(fc->forward(conv->forward(x).relu().flatten(1))); }
  nn::Conv2d conv{nullptr};
  nn::Linear fc{nullptr};
  nn::Sequential head{nullptr};
};

struct NotCloneableImpl : nn::Module {
  NotCloneableImpl() { fc = register_module("fc", nn::Linear(2, 2)); }
  nn::Linear fc{nullptr};
};

// Classes derived from a layer and from Sequential, which compute something else.
struct ReluLinearImpl : nn::LinearImpl {
  using nn::LinearImpl::LinearImpl;
  at::Tensor forward(const at::Tensor& x) { return nn::LinearImpl::forward(x).relu() * 2; }
  std::shared_ptr<nn::Module> clone(const std::optional<torch::Device>& = std::nullopt) const override {
    auto copy = std::make_shared<ReluLinearImpl>(options);
    copy->weight.set_data(weight.detach().clone());
    copy->bias.set_data(bias.detach().clone());
    return copy;
  }
};
TORCH_MODULE(ReluLinear);

struct ResidualImpl : nn::SequentialImpl {
  using nn::SequentialImpl::SequentialImpl;
  at::Tensor forward(const at::Tensor& x) { return x * 3 + nn::SequentialImpl::forward(x); }
  std::shared_ptr<nn::Module> clone(const std::optional<torch::Device>& device = std::nullopt) const override {
    auto copy = std::make_shared<ResidualImpl>();
    for (const auto& module : *this) copy->push_back(module.clone(device));
    return copy;
  }
};
TORCH_MODULE(Residual);

struct SlicedImpl : nn::LinearImpl {  // without a clone() of its own
  using nn::LinearImpl::LinearImpl;
  at::Tensor forward(const at::Tensor& x) { return -nn::LinearImpl::forward(x); }
};
TORCH_MODULE(Sliced);

std::vector<LayerOutcome::How> outcomes_of(const mono_quant::libtorch::QuantizedModule& result) {
  std::vector<LayerOutcome::How> outcomes;
  for (const auto& layer : result.layers) {
    if (layer.tensor.ends_with("weight")) outcomes.push_back(layer.how);
  }
  return outcomes;
}
using Hows = std::vector<LayerOutcome::How>;

nn::Sequential sequential() {
  torch::manual_seed(1);
  return nn::Sequential(nn::Conv2d(nn::Conv2dOptions(2, 4, 3).stride(2).padding(1).bias(false)), nn::ReLU(),
                        nn::ConvTranspose2d(nn::ConvTranspose2dOptions(4, 6, 3).groups(2)), nn::BatchNorm2d(6),
                        nn::Flatten(), nn::Linear(6 * 49, 32), nn::Linear(32, 8));
}

TEST(Tensors, ShareTheirMemory) {
  const at::Tensor tensor = torch::arange(6, at::kFloat).reshape({2, 3});
  const mono_quant::Tensor ours = mono_quant::libtorch::from_torch(tensor);
  EXPECT_EQ(static_cast<const void*>(ours.bytes().data()), tensor.const_data_ptr());
  EXPECT_EQ(std::vector<std::int64_t>(ours.shape().begin(), ours.shape().end()), (std::vector<std::int64_t>{2, 3}));
  const at::Tensor back = mono_quant::libtorch::to_torch(mono_quant::libtorch::from_torch(tensor));
  EXPECT_EQ(back.const_data_ptr(), tensor.const_data_ptr());
  EXPECT_TRUE(back.equal(tensor));
  for (const auto type : {at::kHalf, at::kBFloat16, at::kDouble, at::kChar, at::kLong, at::kBool}) {
    EXPECT_TRUE(
        mono_quant::libtorch::to_torch(mono_quant::libtorch::from_torch(tensor.to(type))).equal(tensor.to(type)));
  }
  EXPECT_EQ(mono_quant::libtorch::to_torch(mono_quant::libtorch::from_torch(torch::empty({0, 3}))).sizes(),
            (std::vector<std::int64_t>{0, 3}));
}

TEST(Tensors, RefuseWhatCannotBeShared) {
  const auto code_of = [](const at::Tensor& tensor) {
    try {
      mono_quant::libtorch::from_torch(tensor);
    } catch (const mono_quant::Error& error) {
      return error.code();
    }
    return MNQ_OK + 0;
  };
  EXPECT_EQ(code_of(torch::zeros({2, 3}).t()), MNQ_E_UNSUPPORTED);
  EXPECT_EQ(code_of(torch::zeros({2, 3}).to_sparse()), MNQ_E_UNSUPPORTED);
  EXPECT_EQ(code_of(at::Tensor()), MNQ_E_UNSUPPORTED);
  EXPECT_EQ(code_of(torch::zeros({2}, at::kComplexDouble)), MNQ_E_DTYPE);
}

TEST(Layers, GoByTheTypeOfTheirModule) {
  const auto layers = quantizable_layers(*NetImpl().clone());
  std::map<std::string, std::string> kinds;
  for (const auto& layer : layers) {
    EXPECT_NE(layer.kind.empty(), layer.reason.empty()) << layer.tensor;
    if (!layer.kind.empty()) kinds[layer.name] = layer.kind;
  }
  EXPECT_EQ(kinds, (std::map<std::string, std::string>{{"conv", "Conv2d"}, {"fc", "Linear"}, {"head.0", "Linear"}}));
  EXPECT_EQ(quantizable_layers(*nn::Linear(3, 2))[0].kind, "Linear") << "at the root";
  const auto recurrent = quantizable_layers(*nn::LSTM(4, 3));
  EXPECT_EQ(recurrent[0].kind, "LSTM");
  EXPECT_EQ(recurrent[0].name, "weight_ih_l0");
}

TEST(Layers, AreListedOnceWhereTheyAreShared) {
  nn::Linear shared(3, 3);
  const auto layers = quantizable_layers(*nn::Sequential(shared, nn::ReLU(), shared));
  ASSERT_EQ(layers.size(), 2u);
  EXPECT_EQ(layers[0].ties, (std::vector<std::string>{"2.weight"}));
}

TEST(Quantize, LeavesTheOriginalAsItWas) {
  auto net = sequential();
  const at::Tensor x = torch::randn({2, 2, 9, 9});
  net->eval();
  std::vector<at::Tensor> before;
  for (const auto& tensor : net->parameters()) before.push_back(tensor.detach().clone());
  const at::Tensor output = net->forward(x);
  quantize(*net);
  quantize(*net, Config(R"({"bits": 4, "min_parameters": 0})"));
  const auto after = net->parameters();
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(before[i].equal(after[i]));
  EXPECT_TRUE(net->forward(x).equal(output));
}

TEST(Quantize, ReplacesTheLayersOfASequential) {
  auto net = sequential();
  net->eval();
  const at::Tensor x = torch::randn({3, 2, 9, 9});
  struct Case {
    const char* config;
    double least_db;
  };
  for (const Case& one :
       {Case{"{}", 35}, Case{R"({"dtype": "quint8"})", 35}, Case{R"({"per_channel": false})", 30},
        Case{R"({"group_size": 7})", 35}, Case{R"({"bits": 4, "min_parameters": 0, "group_size": 8})", 12},
        Case{R"({"bits": 4, "min_parameters": 0, "symmetric": false, "group_size": 5})", 14},
        Case{R"({"dtype": "float16"})", 55}}) {
    const auto result = quantize(*net, Config(one.config));
    auto* copy = result.module->as<nn::SequentialImpl>();
    ASSERT_NE(copy, nullptr);
    EXPECT_GE(sqnr_db(net->forward(x), copy->forward(x)), one.least_db) << one.config;
    int replaced = 0;
    for (const auto& layer : result.layers) replaced += layer.how == LayerOutcome::kReplaced;
    EXPECT_EQ(replaced, 4) << one.config;
    for (const auto& item : result.module->named_parameters()) EXPECT_LT(item.value().dim(), 2) << item.key();

    // The same network with the values that the codes stand for.
    auto reference = std::dynamic_pointer_cast<nn::SequentialImpl>(net->clone());
    const torch::NoGradGuard no_grad;
    for (auto& item : reference->named_parameters()) {
      for (const auto& inner : copy->named_modules()) {
        const auto set = [&](const auto* quantized) {
          if (quantized != nullptr && inner.key() + ".weight" == item.key()) item.value().copy_(quantized->weight());
        };
        set(inner.value()->as<mono_quant::libtorch::detail::QuantizedLinearImpl>());
        set(inner.value()->as<mono_quant::libtorch::detail::QuantizedConvImpl>());
      }
    }
    EXPECT_GE(sqnr_db(reference->forward(x), copy->forward(x)), 60) << one.config;
    auto again = std::dynamic_pointer_cast<nn::SequentialImpl>(result.module->clone());
    EXPECT_TRUE(again->forward(x).equal(copy->forward(x))) << "a quantized copy can be cloned";
  }
}

TEST(Quantize, ByHand) {
  nn::Sequential net(nn::Linear(nn::LinearOptions(4, 1).bias(false)));
  const torch::NoGradGuard no_grad;
  net->parameters()[0].copy_(torch::tensor({1.27f, -0.64f, 0.1f, 0.0f}).reshape({1, 4}));
  const auto result = quantize(*net);
  EXPECT_TRUE(result.codes["0.weight"].equal(torch::tensor({127, -64, 10, 0}, at::kChar).reshape({1, 4})));
  EXPECT_FLOAT_EQ(result.codes["0.weight_scale"].item<float>(), 0.01f);
  const at::Tensor y = result.module->as<nn::SequentialImpl>()->forward(torch::tensor({{1.0f, 1.0f, 1.0f, 1.0f}}));
  EXPECT_FLOAT_EQ(y.item<float>(), 0.73f);
}

TEST(Quantize, SetsTheWeightsOfOtherModules) {
  torch::manual_seed(2);
  auto net = std::make_shared<NetImpl>();
  const at::Tensor x = torch::randn({2, 2, 6, 6});
  const auto result = quantize(*net);
  for (const auto& layer : result.layers) {
    EXPECT_NE(layer.how, LayerOutcome::kReplaced) << layer.name;
    EXPECT_EQ(layer.how == LayerOutcome::kDequantized, layer.tensor.ends_with("weight")) << layer.tensor;
    EXPECT_FALSE(layer.reason.empty());
  }
  auto* copy = result.module->as<NetImpl>();
  const double db = sqnr_db(net->forward(x), copy->forward(x));
  EXPECT_GE(db, 35);
  EXPECT_LE(db, 80) << "nothing was rounded";
  const at::Tensor codes = result.codes["fc.weight"], scale = result.codes["fc.weight_scale"];
  EXPECT_EQ(codes.scalar_type(), at::kChar);
  EXPECT_TRUE(copy->fc->weight.equal(codes.to(at::kFloat) * scale));
}

TEST(Quantize, KeepsWhatIsShared) {
  torch::manual_seed(3);
  nn::Linear shared(6, 6);
  nn::Sequential net(shared, nn::ReLU(), shared);
  const auto result = quantize(*net);
  const auto children = result.module->children();
  EXPECT_EQ(children[0], children[2]);
  EXPECT_EQ(result.report.number("layers_quantized"), 1);
}

TEST(Quantize, WeightsOfAnyFloatTypeAndLayout) {
  torch::manual_seed(4);
  for (const auto type : {at::kHalf, at::kBFloat16, at::kDouble}) {
    nn::Sequential net(nn::Embedding(20, 16), nn::Linear(16, 8));
    net->to(type);
    const auto result = quantize(*net);
    const at::Tensor ids = torch::arange(20);
    const at::Tensor y = result.module->as<nn::SequentialImpl>()->forward(ids);
    EXPECT_EQ(y.scalar_type(), type);
    EXPECT_GE(sqnr_db(net->forward(ids).to(at::kDouble), y.to(at::kDouble)), 30);
  }
  nn::Linear transposed(5, 7);
  transposed->weight.set_data(torch::randn({5, 7}).t());
  EXPECT_GE(quantize(*transposed).report.number("sqnr_db"), 35);
}

TEST(Quantize, ChoosesByTypeAsAsked) {
  nn::Sequential net(nn::Embedding(30, 32), nn::Linear(32, 32));
  const auto how = [&](const char* config, std::size_t index) { return quantize(*net, Config(config)).layers[index]; };
  EXPECT_EQ(how(R"({"layer_types": "Embedding"})", 1).how, LayerOutcome::kSkipped);
  EXPECT_EQ(how(R"({"bits": 4})", 0).how, LayerOutcome::kSkipped);
  EXPECT_NE(how(R"({"bits": 4})", 0).reason, "");
  EXPECT_EQ(how(R"({"bits": 4})", 1).how, LayerOutcome::kReplaced);
  EXPECT_EQ(how(R"({"skip": "1"})", 1).how, LayerOutcome::kSkipped);
  EXPECT_EQ(quantize(*nn::LSTM(8, 8)).layers[0].how, LayerOutcome::kSkipped);
  EXPECT_EQ(quantize(*nn::LSTM(8, 8), Config(R"({"layer_types": "LSTM"})")).layers[0].how, LayerOutcome::kDequantized);
}

TEST(Quantize, ChoosesByTypeAsTheRunAsks) {
  nn::Sequential net(nn::Embedding(30, 32), nn::Linear(32, 32));
  mono_quant::Run run;
  run.set("layer_types", "Embedding").set("bits", 4);
  const auto result = quantize(*net, {}, &run);
  EXPECT_EQ(outcomes_of(result), (Hows{LayerOutcome::kReplaced, LayerOutcome::kSkipped}));
  EXPECT_NE(result.layers[1].reason.find("layer_types"), std::string::npos) << result.layers[1].reason;
}

// A Linear called norm, and an embedding that is called as nothing else: names say nothing here.
TEST(Quantize, GoesByTypesWhateverTheNames) {
  nn::Sequential net;
  net->push_back("table", nn::Embedding(30, 32));
  net->push_back("norm", nn::Linear(32, 32));
  const auto kind_of = [](const mono_quant::ReportLayer& layer) { return layer.text("kind"); };
  const auto result = quantize(*net, Config(R"({"bits": 4})"));
  EXPECT_EQ(outcomes_of(result), (Hows{LayerOutcome::kSkipped, LayerOutcome::kReplaced}));
  ASSERT_EQ(result.report.layers().size(), 2u);
  EXPECT_EQ(kind_of(result.report.layers()[0]), "Embedding");
  EXPECT_EQ(kind_of(result.report.layers()[1]), "Linear");
}

TEST(Quantize, AnEmbeddingThatIsTiedIsOneFirstOfAll) {
  nn::Linear head(nn::LinearOptions(32, 30).bias(false));
  nn::Embedding table(30, 32);
  table->weight.set_data(head->weight);
  nn::Sequential net(head, table);
  EXPECT_EQ(quantizable_layers(*net)[0].kind, "Embedding");
  EXPECT_EQ(quantize(*net, Config(R"({"bits": 4})")).layers[0].how, LayerOutcome::kSkipped);
  EXPECT_EQ(quantize(*net).report.number("layers_quantized"), 1);
}

TEST(Quantize, KeepsClassesThatAreDerivedFromALayer) {
  torch::manual_seed(5);
  nn::Sequential net(ReluLinear(32, 32), nn::Linear(32, 8));
  const at::Tensor x = torch::randn({4, 32});
  const auto result = quantize(*net);
  EXPECT_EQ(outcomes_of(result), (Hows{LayerOutcome::kDequantized, LayerOutcome::kReplaced}));
  EXPECT_NE(result.layers[0].reason.find("derived from Linear"), std::string::npos) << result.layers[0].reason;
  const double db = sqnr_db(net->forward(x), result.module->as<nn::SequentialImpl>()->forward(x));
  EXPECT_GE(db, 35);
  EXPECT_LE(db, 80) << "nothing was rounded";

  Residual residual(nn::Linear(32, 32), nn::Linear(32, 32));
  const auto copy = quantize(*residual);
  ASSERT_NE(copy.module->as<ResidualImpl>(), nullptr);
  EXPECT_GE(sqnr_db(residual->forward(x), copy.module->as<ResidualImpl>()->forward(x)), 35);
}

TEST(Quantize, RefusesACloneOfAnotherClass) {
  const std::vector<std::shared_ptr<nn::Module>> modules{Sliced(4, 4).ptr(), nn::Sequential(Sliced(4, 4)).ptr(),
                                                         nn::Sequential(Residual(Sliced(4, 4))).ptr()};
  for (const auto& module : modules) {
    try {
      quantize(*module);
      FAIL() << *module;
    } catch (const mono_quant::Error& error) {
      EXPECT_EQ(error.code(), MNQ_E_UNSUPPORTED);
      EXPECT_NE(std::string(error.what()).find("SlicedImpl"), std::string::npos) << error.what();
    }
  }
}

TEST(Quantize, ByEitherAxis) {
  torch::manual_seed(6);
  const at::Tensor x = torch::randn({3, 64});
  for (const char* config : {R"({"channel_axis": 1})", R"({"channel_axis": -1})",
                             R"({"channel_axis": 1, "symmetric": false})", R"({"channel_axis": -2})"}) {
    for (const int outputs : {64, 32}) {
      nn::Sequential net(nn::Linear(64, outputs));
      const auto result = quantize(*net, Config(config));
      EXPECT_EQ(outcomes_of(result), Hows{LayerOutcome::kReplaced});
      EXPECT_GE(sqnr_db(net->forward(x), result.module->as<nn::SequentialImpl>()->forward(x)), 35) << config;
    }
  }
}

TEST(Quantize, KeepsTheAxisThatWasAskedFor) {
  nn::Sequential net(nn::ConvTranspose1d(nn::ConvTranspose1dOptions(4, 6, 3)));
  EXPECT_EQ(quantize(*net).codes["0.weight_scale"].numel(), 6);
  const char* config = R"({"layers": [{"name": "0", "channel_axis": 0}]})";
  EXPECT_EQ(quantize(*net, Config(config)).codes["0.weight_scale"].numel(), 4);
}

TEST(Quantize, ConvolutionsOfOneExample) {
  torch::manual_seed(7);
  struct Case {
    nn::Sequential net;
    at::Tensor x;
  };
  const auto conv = nn::Conv1dOptions(4, 6, 3).stride(2).padding(1).dilation(2);
  const auto up = nn::ConvTranspose1dOptions(4, 6, 3).stride(2).output_padding(1).dilation(2).groups(2);
  for (Case one :
       {Case{nn::Sequential(nn::Conv1d(conv)), torch::randn({4, 20})},
        Case{nn::Sequential(nn::Conv2d(nn::Conv2dOptions(4, 6, 3).groups(2))), torch::randn({4, 9, 8})},
        Case{nn::Sequential(nn::Conv3d(nn::Conv3dOptions(4, 6, 2))), torch::randn({4, 5, 6, 7})},
        Case{nn::Sequential(nn::ConvTranspose1d(up)), torch::randn({4, 9})},
        Case{nn::Sequential(nn::ConvTranspose2d(nn::ConvTranspose2dOptions(4, 6, 3))), torch::randn({4, 5, 6})},
        Case{nn::Sequential(nn::ConvTranspose3d(nn::ConvTranspose3dOptions(4, 6, 2))), torch::randn({4, 3, 4, 5})}}) {
    const auto result = quantize(*one.net);
    EXPECT_EQ(outcomes_of(result), Hows{LayerOutcome::kReplaced});
    auto* copy = result.module->as<nn::SequentialImpl>();
    EXPECT_GE(sqnr_db(one.net->forward(one.x), copy->forward(one.x)), 35);
    const at::Tensor batch = one.x.unsqueeze(0);
    EXPECT_GE(sqnr_db(one.net->forward(batch), copy->forward(batch)), 35);
  }
}

TEST(Quantize, CodesStayWhatTheyAreInAnotherFloatType) {
  torch::manual_seed(8);
  nn::Sequential net(nn::Linear(64, 64), nn::Linear(64, 16));
  const at::Tensor x = torch::randn({3, 64});
  for (const char* config : {"{}", R"({"symmetric": false})", R"({"bits": 4})", R"({"dtype": "float16"})"}) {
    for (const auto type : {at::kHalf, at::kBFloat16, at::kDouble}) {
      const auto result = quantize(*net, Config(config));
      auto* copy = result.module->as<nn::SequentialImpl>();
      const at::Tensor before = copy->forward(x);
      std::map<std::string, at::Tensor> buffers;
      for (const auto& item : copy->named_buffers()) buffers[item.key()] = item.value().clone();
      copy->to(type);
      for (const auto& item : copy->named_buffers()) EXPECT_TRUE(item.value().equal(buffers[item.key()]));
      const at::Tensor after = copy->forward(x.to(type));
      EXPECT_EQ(after.scalar_type(), type);
      EXPECT_GE(sqnr_db(before, after), type == at::kBFloat16 ? 35 : 50) << config << ' ' << type;
      copy->to(at::Device(at::kCPU), at::kFloat);
      EXPECT_GE(sqnr_db(before, copy->forward(x)), type == at::kBFloat16 ? 45 : 60) << "the bias was rounded once";
    }
  }
}

TEST(Quantize, KeepsWhatNeedsNoGradient) {
  auto net = std::make_shared<NetImpl>();
  net->fc->weight.set_requires_grad(false);
  net->head[0]->as<nn::LinearImpl>()->bias.set_requires_grad(false);
  const auto result = quantize(*net);
  for (const auto& item : net->named_parameters()) {
    EXPECT_EQ(result.module->named_parameters()[item.key()].requires_grad(), item.value().requires_grad())
        << item.key();
  }
  nn::Sequential layers(nn::Linear(4, 4));
  layers[0]->as<nn::LinearImpl>()->bias.set_requires_grad(false);
  EXPECT_FALSE(quantize(*layers).module->named_parameters()["0.bias"].requires_grad());
}

TEST(Quantize, WeightsThatAreTied) {
  torch::manual_seed(9);
  const at::Tensor x = torch::randn({4, 32});
  nn::Linear a(32, 32), b(32, 32);
  b->weight.set_data(a->weight);
  nn::Sequential net(a, nn::ReLU(), b);
  const auto result = quantize(*net);
  EXPECT_EQ(result.report.number("layers_quantized"), 1);
  EXPECT_EQ(quantizable_layers(*net)[0].ties, std::vector<std::string>{"2.weight"});
  EXPECT_EQ(outcomes_of(result), Hows{LayerOutcome::kReplaced});
  const auto buffers = result.module->named_buffers();
  EXPECT_EQ(buffers["0.weight"].const_data_ptr(), buffers["2.weight"].const_data_ptr());
  EXPECT_EQ(buffers["2.weight"].scalar_type(), at::kChar);
  EXPECT_GE(sqnr_db(net->forward(x), result.module->as<nn::SequentialImpl>()->forward(x)), 35);

  ReluLinear other(32, 32);
  other->weight.set_data(a->weight);
  nn::Sequential mixed(a, other);
  const auto partly = quantize(*mixed);
  EXPECT_EQ(outcomes_of(partly), Hows{LayerOutcome::kDequantized});
  EXPECT_NE(partly.layers[0].reason.find("share its weight"), std::string::npos) << partly.layers[0].reason;
  EXPECT_GE(sqnr_db(mixed->forward(x), partly.module->as<nn::SequentialImpl>()->forward(x)), 35);
}

TEST(Quantize, SetsTheWeightsOfNamedModules) {
  torch::manual_seed(10);
  Residual inner;
  inner->push_back("named", nn::Linear(32, 32));
  nn::Sequential net;
  net->push_back("first", nn::Linear(32, 32));
  net->push_back("inner", inner);
  const at::Tensor x = torch::randn({4, 32});
  const auto result = quantize(*net);
  EXPECT_EQ(outcomes_of(result), (Hows{LayerOutcome::kReplaced, LayerOutcome::kDequantized}));
  const at::Tensor weight = result.module->children()[1]->children()[0]->named_parameters()["weight"];
  EXPECT_TRUE(weight.equal(result.codes["inner.named.weight"] * result.codes["inner.named.weight_scale"]));
}

TEST(Quantize, SaysWhatCannotBeCloned) {
  try {
    quantize(*std::make_shared<NotCloneableImpl>());
    FAIL();
  } catch (const mono_quant::Error& error) {
    EXPECT_EQ(error.code(), MNQ_E_UNSUPPORTED);
    EXPECT_NE(error.suggestion().find("Cloneable"), std::string::npos);
  }
}

}  // namespace
