// Quantized modules: what they compute, what stays as it was, and the way back.
#include "module_fixture.h"

namespace mnq::test {
namespace {

struct Case {
  const char* config;
  double least_db;  // of the outputs, against the float module
};
// Bounds: what the rows of accuracy.md leave after a few layers of small fan-in.
constexpr Case kCases[] = {
    {R"({})", 34},
    {R"({"per_channel": false})", 30},
    {R"({"dtype": "quint8"})", 35},
    {R"({"group_size": 16})", 35},
    {R"({"dtype": "quint8", "group_size": 7})", 35},
    {R"({"dtype": "float16"})", 55},
    {R"({"dtype": "float8_e4m3"})", 24},
    {R"({"dtype": "float8_e4m3", "per_channel": false})", 24},
    {R"({"dtype": "float8_e4m3", "group_size": 16})", 24},
    {R"({"bits": 4, "min_parameters": 0, "group_size": 16})", 9},
    {R"({"bits": 4, "min_parameters": 0, "group_size": 0})", 7},
    {R"({"bits": 4, "min_parameters": 0, "group_size": 5, "symmetric": false})", 13},
};
constexpr const char* kAllTypes =
    "Linear,Conv1d,Conv2d,Conv3d,ConvTranspose1d,ConvTranspose2d,ConvTranspose3d,Embedding,LSTM,GRU,LSTMCell,GRUCell";
constexpr const char* kModules[] = {"scripted",    "traced", "recurrent", "tied",  "tied_traced",
                                    "root_linear", "half",   "bfloat16",  "double"};

Config config_of(const Case& one) {
  Config config(one.config);
  config.set("layer_types", kAllTypes);
  return config;
}

TEST(QuantizedModule, GivesWhatItsDequantizedWeightsGive) {
  for (const char* name : kModules) {
    const Model model = open_module(name);
    for (const Case& one : kCases) {
      const auto quantized = mono_quant::quantize(model, config_of(one)).model;
      const Outputs outputs = [&] {
        const mono_quant::Run run = in_floats();
        return outputs_of(quantized.forward(inputs_of(name), &run));
      }();
      EXPECT_GE(sqnr_db(expected_outputs(name), outputs), one.least_db) << name << " " << one.config;
      const auto dequantized = mono_quant::dequantize(quantized).model;
      EXPECT_GE(run_sqnr_db(outputs, dequantized, name), 60) << name << " " << one.config;
    }
  }
}

TEST(QuantizedModule, GivesTheSameOnceSavedAndLoaded) {
  for (const char* name : kModules) {
    for (const Case& one : kCases) {
      const auto quantized = mono_quant::quantize(open_module(name), config_of(one));
      const std::string saved(quantized.model.save_memory().text());
      const Model loaded = Model::open_memory(bytes_of(saved));
      const mono_quant::Run run = in_floats();
      EXPECT_EQ(outputs_of(loaded.forward(inputs_of(name), &run)),
                outputs_of(quantized.model.forward(inputs_of(name), &run)))
          << name << " " << one.config;
      EXPECT_EQ(mono_quant::compare(quantized.model, loaded).number("exact"), 1);
    }
  }
}

TEST(QuantizedModule, IsQuantizedInEveryLayerThatWasAskedFor) {
  const auto report = mono_quant::quantize(open_module("scripted"), config_of(kCases[0])).report;
  EXPECT_EQ(report.number("layers_quantized"), 13);
  EXPECT_GE(report.number("sqnr_db"), 41);
  EXPECT_EQ(mono_quant::quantize(open_module("recurrent"), config_of(kCases[0])).report.number("layers_quantized"), 14);
}

TEST(QuantizedModule, HasTheCodesOfItsWeightsAsASafetensorsFileHasThem) {
  const TempFolder folder;
  const Model module = open_module("scripted");
  module.save(folder.path("weights.safetensors"));
  const Model weights = Model::open(folder.path("weights.safetensors"));
  for (const char* json :
       {R"({"layer_types": "Linear"})", R"({"layer_types": "Linear", "bits": 4, "group_size": 8})"}) {
    const auto a = mono_quant::quantize(module, Config(json)).model;
    const auto b = mono_quant::quantize(weights, Config(json)).model;
    for (const std::string name : {"first.weight", "inner.2.0.weight"}) {
      const bool packed = std::string(json).find("bits") != std::string::npos;
      for (const std::string suffix : {packed ? "_packed" : "", "_scale"}) {
        EXPECT_TRUE(std::ranges::equal(a.tensor(name + suffix).bytes(), b.tensor(name + suffix).bytes())) << name;
        EXPECT_EQ(a.tensor(name + suffix).dtype(), b.tensor(name + suffix).dtype());
      }
    }
  }
}

TEST(QuantizedModule, LeavesTheOriginalAsItWasByteForByte) {
  const TempFolder folder;
  for (const char* name : kModules) {
    const std::string file = read_bytes(module_file(name));
    const Model model = open_module(name);
    const std::string before(model.save_memory().text());
    for (const Case& one : kCases) mono_quant::quantize(model, config_of(one)).model.forward(inputs_of(name));
    EXPECT_TRUE(model.save_memory() == before) << name;
    EXPECT_EQ(read_bytes(module_file(name)), file);
    const Model reloaded = Model::open_memory(bytes_of(before));
    EXPECT_EQ(mono_quant::compare(open_module(name), reloaded).number("exact"), 1) << name;
    const mono_quant::Run run = in_floats();
    EXPECT_EQ(outputs_of(reloaded.forward(inputs_of(name), &run)),
              outputs_of(open_module(name).forward(inputs_of(name), &run)));
  }
}

TEST(QuantizedModule, LeavesItsStateAndInputsAsTheyWereWhenItRuns) {
  const Model model = open_module("writers");
  const std::string before(model.save_memory().text());
  const std::vector<float> ones(4, 1);
  for (const Shape& shape : {Shape{4}, Shape{1, 4}}) {  // the first is written to, the second has the state written to
    const Tensor given = tensor_of(shape, ones);
    Values inputs;
    inputs.add(tensor_of(Shape{1, 4}, ones)).add(given);
    model.forward(inputs);
    EXPECT_TRUE(model.save_memory() == before);
    EXPECT_EQ(floats_of(given), ones);
  }
}

TEST(QuantizedModule, KeepsTiesAndSharedModules) {
  const TempFolder folder;
  for (const char* name : {"tied", "tied_traced"}) {
    mono_quant::quantize_file(module_file(name), folder.path(std::string(name) + ".pt"));
    const Model model = Model::open(folder.path(std::string(name) + ".pt"));
    EXPECT_EQ(layer_of(model, "embedding.weight").ties, (std::vector<std::string>{"head.weight"}));
    EXPECT_EQ(layer_of(model, "a.weight").ties, (std::vector<std::string>{"again.weight"}));
    EXPECT_EQ(layer_of(model, "b.weight").ties, std::vector<std::string>());
  }
}

TEST(QuantizedModule, TreatsLayersOfOneTypeApart) {
  const auto quantized = mono_quant::quantize(open_module("tied"), Config(R"({"only": "b"})"));
  EXPECT_EQ(quantized.report.number("layers_quantized"), 1);
  EXPECT_EQ(quantized.model.tensor("b.weight").dtype(), MNQ_DTYPE_I8);
  EXPECT_EQ(quantized.model.tensor("a.weight").dtype(), MNQ_DTYPE_F32);
  EXPECT_GE(run_sqnr_db(expected_outputs("tied"), quantized.model, "tied"), 40);
}

TEST(QuantizedModule, MixesSchemes) {
  Config config(R"({"layer_types": "Linear,Embedding"})");
  config.set_for_layers("inner.*", "bits", 4).set_for_layers("inner.*", "min_parameters", 0);
  config.set_for_layers("first", "dtype", "quint8").set_for_layers("embedding", "dtype", "float16");
  const auto quantized = mono_quant::quantize(open_module("scripted"), config);
  EXPECT_EQ(quantized.model.tensor("inner.0.weight_packed").dtype(), MNQ_DTYPE_I32);
  EXPECT_EQ(quantized.model.tensor("first.weight").dtype(), MNQ_DTYPE_U8);
  EXPECT_EQ(quantized.model.tensor("embedding.weight").dtype(), MNQ_DTYPE_F16);
  EXPECT_GE(run_sqnr_db(expected_outputs("scripted"), quantized.model, "scripted"), 15);
}

TEST(QuantizedModule, KeepsMethodsExtraFilesAndTheRest) {
  const TempFolder folder;
  mono_quant::quantize_file(module_file("scripted"), folder.path("scripted.pt"));
  EXPECT_NE(Model::open(folder.path("scripted.pt")).describe_json().find(R"("notes.txt":"kept")"), std::string::npos);
  mono_quant::quantize_file(module_file("methods"), folder.path("methods.pt"));
  const Model model = Model::open(folder.path("methods.pt"));
  Values inputs = inputs_of("methods");
  inputs.add(2).add_text("double");
  const Outputs once = outputs_of(model.forward(inputs_of("methods")));
  const Outputs four_times = outputs_of(model.forward(inputs));
  ASSERT_EQ(once.at("0").size(), 16u);
  for (std::size_t i = 0; i < 16; ++i) EXPECT_FLOAT_EQ(four_times.at("0")[i], 4 * once.at("0")[i]);
}

TEST(QuantizedModule, CanBeQuantizedFurther) {
  const auto first = mono_quant::quantize(open_module("scripted"), Config(R"({"layer_types": "Linear"})"));
  const auto second = mono_quant::quantize(first.model, Config(R"({"layer_types": "Conv2d,Embedding"})"));
  EXPECT_EQ(second.report.number("layers_quantized"), 2);
  EXPECT_GE(run_sqnr_db(expected_outputs("scripted"), second.model, "scripted"), 34);
  EXPECT_GE(run_sqnr_db(expected_outputs("scripted"), mono_quant::dequantize(second.model).model, "scripted"), 34);
}

TEST(DequantizedModule, IsAFloatModuleOfTheSameTensors) {
  for (const char* name : {"scripted", "traced", "tied", "half", "recurrent"}) {
    const Model model = open_module(name);
    for (const Case& one : kCases) {
      const auto back = mono_quant::dequantize(mono_quant::quantize(model, config_of(one)).model).model;
      const auto sorted = [](const Model& of) {
        auto names = of.tensor_names();
        std::ranges::sort(names);
        return names;
      };
      EXPECT_EQ(sorted(back), sorted(model)) << name << " " << one.config;
      for (const std::string& tensor : model.tensor_names()) {
        EXPECT_EQ(back.tensor(tensor).dtype(), model.tensor(tensor).dtype()) << tensor;
      }
      EXPECT_EQ(back.describe_json().find("mono_quant"), std::string::npos);
    }
  }
}

TEST(ConvertedModule, IsASafetensorsFileOfItsTensors) {
  const TempFolder folder;
  const Model module = open_module("tied");
  module.save(folder.path("tied.safetensors"));
  const Model converted = Model::open(folder.path("tied.safetensors"));
  EXPECT_EQ(mono_quant::compare(module, converted).number("exact"), 1);
  EXPECT_NE(converted.describe_json().find(R"("head.weight":"embedding.weight")"), std::string::npos);
  const Report report = mono_quant::quantize_to_file(module, folder.path("int4.safetensors"), Config(R"({"bits": 4})"));
  EXPECT_EQ(report.number("layers_quantized"), 2) << "a and b; int4 leaves the embedding";
  const auto quantized = mono_quant::quantize(module, Config(R"({"bits": 4})"));
  EXPECT_EQ(mono_quant::compare(quantized.model, Model::open(folder.path("int4.safetensors"))).number("exact"), 1);
}

TEST(SavedModule, IsThereWholeOrNotAtAll) {
  const TempFolder folder;
  write_bytes(folder.path("there.pt"), "precious");
  const auto refused = error_of([&] { mono_quant::quantize_file(module_file("tied"), folder.path("there.pt")); });
  EXPECT_EQ(refused.code(), MNQ_E_IO);
  EXPECT_EQ(read_bytes(folder.path("there.pt")), "precious");
  EXPECT_EQ(error_of([&] { open_module("tied").save(folder.path("no/such.pt")); }).code(), MNQ_E_IO);
  EXPECT_EQ(error_of([&] { open_module("tied").save(folder.path("tied.xyz")); }).code(), MNQ_E_INVALID_ARG);
  EXPECT_EQ(error_of([&] { one_weight({1, 2}, {1, 2}).save(folder.path("tensors.jit")); }).code(), MNQ_E_UNSUPPORTED);
  mono_quant::Run run;
  run.cancel();
  EXPECT_EQ(error_of([&] { open_module("tied").save(folder.path("cancelled.pt"), &run); }).code(), MNQ_E_CANCELLED);
  EXPECT_EQ(folder.names(), (std::set<std::string>{"there.pt"}));
}

TEST(ClonedModule, IsIndependentAndTheSame) {
  for (const char* name : {"scripted", "recurrent", "tied", "stateful", "methods"}) {
    std::optional<Model> clone;
    {
      const Model model = open_module(name);
      clone = model.clone();
      EXPECT_EQ(mono_quant::compare(model, *clone).number("exact"), 1) << name;
    }
    const Model again = Model::open_memory(bytes_of(std::string(clone->save_memory().text())));
    EXPECT_EQ(again.tensor_names(), clone->tensor_names());
  }
}

}  // namespace
}  // namespace mnq::test
