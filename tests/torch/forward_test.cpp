// Running modules through the C ABI.
#include <sys/resource.h>

#include <csignal>
#include <functional>
#include <thread>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

#include "module_fixture.h"

namespace mnq::test {
namespace {

Tensor vector_of(const std::vector<float>& values) {
  return tensor_of(Shape{static_cast<std::int64_t>(values.size())}, values);
}

TEST(Forward, GivesWhatPyTorchGives) {
  for (const char* name :
       {"scripted", "traced", "recurrent", "tied", "tied_traced", "frozen", "root_linear", "methods", "double"}) {
    EXPECT_GE(run_sqnr_db(expected_outputs(name), open_module(name), name), 110) << name;
  }
  EXPECT_GE(run_sqnr_db(expected_outputs("half"), open_module("half"), "half"), 60);
}

TEST(Forward, InIntegersIsNear) {
  for (const char* name : {"scripted", "tied", "root_linear", "methods"}) {
    const auto quantized = mono_quant::quantize(open_module(name), Config(R"({"layer_types": "Linear"})")).model;
    const Outputs integers = outputs_of(quantized.forward(inputs_of(name)));
    EXPECT_GE(sqnr_db(expected_outputs(name), integers), 30) << name;
    const mono_quant::Run run = in_floats();
    EXPECT_NE(integers, outputs_of(quantized.forward(inputs_of(name), &run))) << name << ": both ran the same code";
  }
}

TEST(Forward, IntegerLinearByHand) {
  // Weights of whole numbers up to 127 are their own codes, and so are activations from -128 to 127.
  const Model module = open_module("root_linear");
  const auto quantized = mono_quant::quantize(module, Config()).model;
  const auto codes = quantized.tensor("weight").values<std::int8_t>();
  const auto scales = values_of<float>(quantized, "weight_scale");
  const auto bias = values_of<float>(quantized, "bias");
  std::vector<float> x(40);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(static_cast<int>(i * 37 % 255) - 127);
  x[3] = 127;
  x[4] = -128;
  Values inputs;
  inputs.add(tensor_of(Shape{1, 40}, x));
  const auto outputs = outputs_of(quantized.forward(inputs)).at("0");
  ASSERT_EQ(outputs.size(), 6u);
  for (std::size_t row = 0; row < 6; ++row) {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < 40; ++i) sum += static_cast<std::int64_t>(x[i]) * codes[row * 40 + i];
    EXPECT_FLOAT_EQ(outputs[row], static_cast<float>(sum) * scales[row] + bias[row]);
  }
  // Weights are packed by the first run: the second one and others at once have the same.
  EXPECT_EQ(outputs_of(quantized.forward(inputs)).at("0"), outputs);
  EXPECT_EQ(outputs_of(mono_quant::quantize(module, Config()).model.forward(inputs)).at("0"), outputs);
}

TEST(Forward, TakesArgumentsByPlaceByNameAndByDefault) {
  const Model model = open_module("methods");
  const Tensor x = expected_tensors().tensor("methods.in.0");
  const auto first = [](const Values& values) { return outputs_of(values).at("0").at(0); };
  const float base = first(model.forward(Values().add(x)));
  EXPECT_FLOAT_EQ(first(model.forward(Values().add(x).add(3))), 3 * base);
  EXPECT_FLOAT_EQ(first(model.forward(Values().add(x, "x").add_text("double", "name"))), 2 * base);
  EXPECT_FLOAT_EQ(first(model.forward(Values().add(true, "flip").add(x).add(2))), -2 * base);
  EXPECT_FLOAT_EQ(first(model.forward(Values().add(x).add(1.5, "add"))), base + 1.5f);
  EXPECT_FLOAT_EQ(first(model.forward(Values().add(x).add(1, "add"))), base + 1) << "a whole number for a float";
}

TEST(Forward, SaysWhatDoesNotFit) {
  const Model model = open_module("methods");
  const Tensor x = expected_tensors().tensor("methods.in.0");
  const auto refusal = [&](const Values& inputs) {
    const auto error = error_of([&] { model.forward(inputs); });
    EXPECT_EQ(error.code(), MNQ_E_INVALID_ARG) << error.what();
    EXPECT_NE(error.suggestion().find("forward(x: Tensor, times: int"), std::string::npos) << error.suggestion();
    return error.subject();
  };
  EXPECT_EQ(refusal(Values()), "x");
  EXPECT_EQ(refusal(Values().add(1)), "x");
  EXPECT_EQ(refusal(Values().add(x).add_text("one")), "times");
  EXPECT_EQ(refusal(Values().add(x).add(x, "y")), "y");
  EXPECT_EQ(refusal(Values().add(x).add(1).add_text("plain").add(0.5).add(true).add(7)), "input 5");
  EXPECT_EQ(error_of([&] { model.call("no_such", Values()); }).code(), MNQ_E_NOT_FOUND);
  EXPECT_EQ(error_of([&] { one_weight({1, 2}, {1, 2}).forward(Values()); }).code(), MNQ_E_UNSUPPORTED);
}

TEST(Forward, FlattensWhatIsNested) {
  const Model model = open_module("methods");
  Values inputs;
  inputs.add(vector_of({1, 2}), "pair.0").add(vector_of({0, 1}), "pair.1");
  inputs.add(vector_of({10, 10}), "more.0").add(vector_of({20, 20}), "more.1");
  inputs.add(vector_of({5, 6}), "named.a").add(vector_of({1, 1}), "named.b").add(vector_of({100, 100}), "maybe");
  const Values outputs = model.call("nested", inputs);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < outputs.size(); ++i) names.push_back(outputs.name(i));
  EXPECT_EQ(names,
            (std::vector<std::string>{"0.left", "0.count", "1.named", "1.text", "2.0", "2.1", "3", "4", "5", "6"}));
  EXPECT_EQ(floats_of(outputs.tensor(0)), (std::vector<float>{131, 131}));
  EXPECT_EQ(outputs.integer(1), 2);
  EXPECT_EQ(floats_of(outputs.tensor(2)), (std::vector<float>{6, 7}));
  EXPECT_EQ(outputs.integer(5), 2);
  EXPECT_EQ(outputs.number(6), 2.5);
  EXPECT_EQ(outputs.text(7), "text");
  EXPECT_EQ(outputs.kind(8), MNQ_VALUE_BOOL);
  EXPECT_EQ(outputs.integer(8), 1);
  EXPECT_EQ(floats_of(outputs.tensor(9)), (std::vector<float>{100, 100}));
  EXPECT_EQ(error_of([&] { outputs.tensor(1); }).code(), MNQ_E_DTYPE);
  EXPECT_EQ(error_of([&] { outputs.tensor(10); }).code(), MNQ_E_NOT_FOUND);
}

// Each output as one text, tensors as their numbers.
std::vector<std::string> texts_of(const Values& values) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::string text = values.name(i) + ":";
    if (values.kind(i) == MNQ_VALUE_TENSOR) {
      for (const float value : floats_of(values.tensor(i))) text += " " + std::to_string(std::lround(value));
    } else if (values.kind(i) == MNQ_VALUE_TEXT) {
      text += " " + values.text(i);
    } else if (values.kind(i) == MNQ_VALUE_FLOAT) {
      text += " " + std::to_string(values.number(i));
    } else {
      text += values.kind(i) == MNQ_VALUE_NONE ? " None" : " " + std::to_string(values.integer(i));
    }
    texts.push_back(text);
  }
  return texts;
}
using Texts = std::vector<std::string>;

Values four_numbers() { return std::move(Values().add(tensor_of(Shape{1, 4}, std::vector<float>{1, 2, 3, 4}), "x")); }

TEST(Forward, LeavesWhatTheModuleHoldsInItsResults) {
  const Model model = open_module("values");
  const std::string before(model.save_memory().text());
  const mono_quant::Run run = in_floats();
  for (int call = 0; call < 3; ++call) {
    const Texts texts = texts_of(model.forward(four_numbers(), &run));
    ASSERT_EQ(texts.size(), 13u);
    EXPECT_EQ(Texts(texts.begin() + 1, texts.end()),
              (Texts{"1.0: 1", "1.1: two", "1.2: 3.500000", "2.0: 1", "2.1: 2", "3.0: 1 1", "3.1: 0 0", "4.0: 1 1 1",
                     "5.0: 7", "5.1: 8", "5.2.0: 9", "5.2.1: 10"}))
        << "call " << call;
  }
  EXPECT_TRUE(model.save_memory() == before);
}

TEST(Forward, GivesTheSameTupleAtEachOfItsPlaces) {
  const Model model = open_module("values");
  EXPECT_EQ(texts_of(model.call("twice", Values().add(vector_of({10})))),
            (Texts{"0.0: 11", "0.1: 12", "1.0: 11", "1.1: 12", "2.0.0: 11", "2.0.1: 12", "2.1.0: 11", "2.1.1: 12"}));
}

TEST(Forward, OutputsDoNotShareTheMemoryOfInputs) {
  std::vector<float> x{1, 2, 3, 4};
  const auto run = [&](const char* module, const char* method) {
    const Tensor wrapped = Tensor::wrap(MNQ_DTYPE_F32, Shape{4}, std::as_bytes(std::span(x)), nullptr);
    return open_module(module).call(method, Values().add(wrapped));
  };
  const Values itself = run("values", "either"), views = run("wide", "same");
  x.assign(4, -1);
  EXPECT_EQ(texts_of(itself), Texts{"0: 1 2 3 4"});
  EXPECT_EQ(texts_of(views), (Texts{"0: 1 2 3 4", "1: 2 3 4"}));
}

TEST(Forward, TakesDictsOfWhatIsNested) {
  const Model model = open_module("values");
  const Texts texts = texts_of(model.call("dicts", Values()
                                                       .add(vector_of({1}), "lists.a.0")
                                                       .add(vector_of({2}), "lists.a.1")
                                                       .add(vector_of({3}), "lists.b.0")
                                                       .add(vector_of({4}), "pairs.p.0")
                                                       .add(5, "pairs.p.1")
                                                       .add(vector_of({6}), "dicts.d.dotted.key")
                                                       .add_none("dicts.empty")));
  EXPECT_EQ(texts, (Texts{"0.a.0: 1", "0.a.1: 2", "0.b.0: 3", "1.p.0: 4", "1.p.1: 5", "2.d.dotted.key: 6"}));
}

TEST(Forward, TakesNoneForAnEmptyListOrDict) {
  const Model model = open_module("values");
  const Tensor one = vector_of({1});
  EXPECT_EQ(texts_of(model.call("count", Values().add_none("some").add_none("named"))), (Texts{"0: 0", "1: 0"}));
  EXPECT_EQ(texts_of(model.call("count", Values().add_none("named").add(one).add(one))), (Texts{"0: 2", "1: 0"}));
}

TEST(Forward, TakesEitherMemberOfAUnion) {
  const Model model = open_module("values");
  EXPECT_EQ(texts_of(model.call("either", Values().add(vector_of({1})))), Texts{"0: 1"});
  EXPECT_EQ(texts_of(model.call("either", Values().add(vector_of({1}), "x.0").add(vector_of({2}), "x.1"))),
            Texts{"0: 1 2"});
}

TEST(Forward, SaysWhichPartDoesNotFit) {
  const Model values = open_module("values"), wide = open_module("wide"), methods = open_module("methods");
  const Tensor x = vector_of({1});
  const auto refusal = [&](const Model& model, const char* method, const Values& inputs) {
    const auto error = error_of([&] { model.call(method, inputs); });
    EXPECT_EQ(error.code(), MNQ_E_INVALID_ARG) << error.what();
    return error.subject() + " | " + error.what();
  };
  EXPECT_EQ(refusal(wide, "same", Values().add(x, "input")), "input | same: there is no argument 'input'");
  EXPECT_EQ(refusal(wide, "same", Values().add(x, "x").add(x, "x")), "x | same: the input 'x' is given twice");
  EXPECT_EQ(refusal(values, "count", Values().add(x, "some.0").add(x, "some.2").add_none("named")),
            "some.1 | count: 'some.2' has no place: 'some.1' is missing");
  EXPECT_EQ(refusal(values, "count", Values().add(x, "some").add_none("named")),
            "some | count: 'some' is a List[Tensor]: name its parts some.0, some.1");
  EXPECT_EQ(refusal(methods, "nested", Values().add(x, "pair")),
            "pair | nested: 'pair' is a Tuple[Tensor, Tensor]: name its parts pair.0, pair.1");
  EXPECT_EQ(refusal(methods, "nested", Values().add(x, "pair.0")), "pair.1 | nested: 'pair.1' is missing");
  EXPECT_EQ(refusal(methods, "nested", Values().add(x, "pair.1")), "pair.0 | nested: 'pair.0' is missing");
}

TEST(Forward, RunsHooksAroundForward) {
  const Model model = open_module("hooked");
  const mono_quant::Run run = in_floats();
  const auto hooked = outputs_of(model.forward(four_numbers(), &run)).at("0");
  Values plus_one;
  plus_one.add(tensor_of(Shape{1, 4}, std::vector<float>{2, 3, 4, 5}), "x");
  const auto bare = outputs_of(model.call("bare", plus_one, &run)).at("0");
  for (std::size_t i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(hooked[i], 2 * bare[i]);
  const auto integers = outputs_of(mono_quant::quantize(model, Config()).model.forward(four_numbers())).at("0");
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(integers[i], hooked[i], 0.2);
}

TEST(Forward, TakesNothingForWhatIsOptional) {
  const Model model = open_module("methods");
  Values inputs;
  inputs.add(vector_of({1}), "pair.0").add(vector_of({1}), "pair.1").add(vector_of({1}), "more.0");
  inputs.add(vector_of({1}), "named.a").add(vector_of({1}), "named.b").add_none("maybe");
  EXPECT_EQ(model.call("nested", inputs).kind(9), MNQ_VALUE_NONE);
}

TEST(Forward, ErrorsAreShort) {
  const Model model = open_module("methods");
  const auto message_of = [&](const char* method) {
    const auto error = error_of([&] { model.call(method, inputs_of("methods")); });
    EXPECT_EQ(error.code(), MNQ_E_TORCH);
    return std::string(error.what());
  };
  EXPECT_EQ(message_of("bad_reshape"),
            "bad_reshape: RuntimeError: shape '[3, -1, 1000]' is invalid for input of size 16");
  EXPECT_EQ(message_of("refuses"), "refuses: builtins.ValueError: this method takes nothing");
  const Tensor wrong = vector_of({1, 2, 3});
  const std::string shapes = error_of([&] { model.forward(Values().add(wrong)); }).what();
  EXPECT_EQ(shapes.find('\n'), std::string::npos) << shapes;
  EXPECT_LT(shapes.size(), 200u) << shapes;
}

TEST(Forward, ErrorsSayWhatToDo) {
  std::vector<double> x{1, 2, 3, 4};
  const auto dtype = error_of([&] { open_module("values").forward(Values().add(tensor_of(Shape{1, 4}, x)), nullptr); });
  EXPECT_EQ(dtype.code(), MNQ_E_TORCH);
  EXPECT_NE(dtype.suggestion().find("dtype of the module's weights"), std::string::npos) << dtype.what();
  const auto operation = [] {
#if defined(__SANITIZE_ADDRESS__)
    const __lsan::ScopedDisabler leaks_of_libtorch;  // which keeps what it compiled of code that has an error
#endif
    return error_of([] { mono_quant::quantize(open_module("foreign_operator"), Config()); });
  }();
  EXPECT_EQ(operation.code(), MNQ_E_UNSUPPORTED);
  EXPECT_NE(std::string(operation.what()).find("torchvision::nms"), std::string::npos) << operation.what();
  EXPECT_NE(operation.suggestion().find("torchvision"), std::string::npos);
}

TEST(Forward, LeavesItsInputsAsTheyAre) {
  const Model model = open_module("methods");
  const Tensor x = vector_of({1, 2, 3});
  EXPECT_EQ(outputs_of(model.call("writes", Values().add(x))).at("0"), (std::vector<float>{2, 3, 4}));
  EXPECT_EQ(floats_of(x), (std::vector<float>{1, 2, 3}));
}

TEST(Forward, OutputsOutliveTheModel) {
  Values outputs = [] { return open_module("root_linear").forward(inputs_of("root_linear")); }();
  const Tensor tensor = outputs.tensor(0);
  outputs = Values();
  EXPECT_EQ(floats_of(tensor).size(), 18u);
}

TEST(Forward, OfAStatefulModuleKeepsItsStateInAPrivateCopy) {
  const Model model = open_module("stateful");
  const std::string before(model.save_memory().text());
  const Tensor x = tensor_of(Shape{1, 4}, std::vector<float>{1, 2, 3, 4});
  const auto state = [&] { return outputs_of(model.forward(Values().add(x))).at("0"); };
  const auto once = state(), twice = state();
  for (std::size_t i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(twice[i], 2 * once[i]);
  model.call("reset", Values());
  EXPECT_EQ(state(), once);
  EXPECT_TRUE(model.save_memory() == before);
  EXPECT_EQ(values_of<float>(model, "state"), (std::vector<float>(4, 0)));
}

TEST(Forward, InFloatsAndInIntegersShareOneState) {
  const Model model = open_module("counter");
  const mono_quant::Run floats = in_floats();
  const auto count = [&](const mono_quant::Run* run) {
    const Texts texts = texts_of(model.forward(four_numbers(), run));
    EXPECT_EQ(texts[1].substr(3), texts[2].substr(3));
    return texts[2];
  };
  EXPECT_EQ(count(nullptr), "2: 1");
  EXPECT_EQ(count(&floats), "2: 2");
  EXPECT_EQ(count(&floats), "2: 3");
  EXPECT_EQ(count(nullptr), "2: 4");
  EXPECT_EQ(texts_of(model.clone().forward(four_numbers()))[2], "2: 1") << "a clone begins anew";
}

TEST(Forward, KeepsNoMemoryOfItsCaller) {
  const Model model = open_module("counter");
  std::vector<float> x{1, 2, 3, 4};
  {
    const Tensor wrapped = Tensor::wrap(MNQ_DTYPE_F32, Shape{1, 4}, std::as_bytes(std::span(x)), nullptr);
    model.forward(Values().add(wrapped));
  }
  x.assign(4, -1);
  EXPECT_EQ(texts_of(model.forward(four_numbers()))[3], "3: 1 2 3 4");
}

TEST(Forward, SharedResultsFromSeveralThreads) {
  const Model model = open_module("values");
  const mono_quant::Run run = in_floats();
  const Texts wanted = texts_of(model.forward(four_numbers(), &run));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int repeat = 0; repeat < 50; ++repeat) EXPECT_EQ(texts_of(model.forward(four_numbers(), &run)), wanted);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Forward, FromSeveralThreadsAtOnce) {
  const Model model = mono_quant::quantize(open_module("scripted"), Config()).model;
  const Model stateful = open_module("stateful");
  const Outputs wanted = outputs_of(model.forward(inputs_of("scripted")));
  const Tensor one = tensor_of(Shape{1, 4}, std::vector<float>{1, 2, 3, 4});
  const auto step = outputs_of(stateful.forward(Values().add(one))).at("0");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int repeat = 0; repeat < 20; ++repeat) {
        EXPECT_GE(sqnr_db(wanted, outputs_of(model.forward(inputs_of("scripted")))), 100);
        stateful.forward(Values().add(one));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto last = outputs_of(stateful.forward(Values().add(one))).at("0");
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(last[i], 82 * step[i], 1e-3) << "every call counted once";
}

TEST(Validate, AModuleThatIsSound) {
  const Model original = open_module("scripted");
  const Model quantized = mono_quant::quantize(original, Config()).model;
  const Values inputs = inputs_of("scripted");
  const auto report = mono_quant::validate(quantized, &original, &inputs);
  EXPECT_EQ(report.problems(), std::vector<std::string>());
  EXPECT_EQ(report.number("valid"), 1);
  EXPECT_EQ(report.number("ran"), 1);
  EXPECT_GE(report.number("output_sqnr_db"), 30);
  EXPECT_EQ(mono_quant::validate(original, &original, &inputs).number("output_sqnr_db"), INFINITY);
  EXPECT_EQ(mono_quant::validate(quantized).number("ran"), 0);
}

TEST(Validate, OutputsThatAreNotFinite) {
  const Model model = open_module("root_linear");
  std::vector<float> x(40, 1);
  x[5] = NAN;
  Values inputs;
  inputs.add(tensor_of(Shape{1, 40}, x));
  const auto report = mono_quant::validate(model, nullptr, &inputs);
  EXPECT_EQ(report.number("valid"), 0);
  ASSERT_FALSE(report.problems().empty());
  EXPECT_NE(report.problems()[0].find("not finite"), std::string::npos);
}

TEST(Validate, AModuleThatDoesNotRun) {
  const Model model = open_module("root_linear");
  Values inputs;
  inputs.add(vector_of({1, 2, 3}));
  const auto report = mono_quant::validate(model, nullptr, &inputs);
  EXPECT_EQ(report.number("valid"), 0);
  EXPECT_EQ(error_of([&] {
              mono_quant::validate(model, nullptr, [] {
                static Values none;
                return &none;
              }());
            }).code(),
            MNQ_E_INVALID_ARG);
}

TEST(Validate, LeavesTheStateOfTheModuleAsItIs) {
  const Model model = open_module("counter");
  const Values inputs = four_numbers();
  model.forward(inputs);
  const auto report = mono_quant::validate(model, &model, &inputs);
  EXPECT_EQ(report.problems(), Texts());
  EXPECT_EQ(report.number("output_sqnr_db"), INFINITY);
  EXPECT_EQ(texts_of(model.forward(inputs))[2], "2: 2");
}

TEST(Validate, AModuleThatDrawsRandomNumbers) {
  const Values inputs = four_numbers();
  const auto report = mono_quant::validate(open_module("random"), nullptr, &inputs);
  EXPECT_EQ(report.problems(), Texts());
  ASSERT_EQ(report.warnings().size(), 1u);
  EXPECT_NE(report.warnings()[0].find("other outputs at every call"), std::string::npos);
}

TEST(Validate, OutputsThatAreNoFloats) {
  const Model model = open_module("labels"), shifted = open_module("labels_shifted");
  Values inputs;
  inputs.add(tensor_of(Shape{2, 4}, std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}));
  const auto same = mono_quant::validate(model, &model, &inputs);
  EXPECT_EQ(same.number("output_exact"), 1);
  EXPECT_EQ(same.warnings(), Texts());
  const auto report = mono_quant::validate(model, &shifted, &inputs);
  EXPECT_EQ(report.number("output_exact"), 0);
  EXPECT_EQ(report.number("output_sqnr_db"), std::nullopt);
  EXPECT_EQ(report.warnings(), (Texts{"output 0: 2 of 2 values differ", "output 1: 1 of 1 values differ",
                                      "output 2: 1 of 1 values differ", "output 3: 1 of 1 values differ"}));
}

TEST(Validate, OutputsOfAnotherForm) {
  const Model wide = open_module("wide"), tall = open_module("tall"), labels = open_module("labels");
  Values inputs;
  inputs.add(tensor_of(Shape{2, 4}, std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}));
  const auto shape = mono_quant::validate(wide, &tall, &inputs);
  EXPECT_EQ(shape.number("output_exact"), 0);
  ASSERT_FALSE(shape.problems().empty());  // the modules' weights differ, too
  EXPECT_EQ(shape.problems().back(), "output 0: is F32 [2, 4], and the original gives 0: F32 [4, 2]");
  const auto count = mono_quant::validate(wide, &labels, &inputs);
  ASSERT_FALSE(count.problems().empty());
  EXPECT_EQ(count.problems().back(), "it has 1 outputs, the original 4");
}

// A limit of the process in place of a full disk: each write that goes beyond it fails.
TEST(Save, ToAFullDiskIsAnErrorAndLeavesNothing) {
  const Model model = open_module("values");
  const std::size_t size = model.save_memory().bytes().size();
  TempFolder folder;
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  for (std::size_t limit = 0; limit < size; limit += 101) {
    rlimit lower = before;
    lower.rlim_cur = limit;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &lower), 0);
    const auto code = error_of([&] { model.save(folder.path("module.pt")); }).code();
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_EQ(code, MNQ_E_IO) << limit;
    EXPECT_TRUE(folder.names().empty()) << limit;
  }
  model.save(folder.path("module.pt"));
}

}  // namespace
}  // namespace mnq::test
