// Checkpoints of very many small tensors: what each costs in memory.
#include <sys/resource.h>
#include <sys/wait.h>

#include "cli/cli_fixture.h"

namespace mnq::test {
namespace {

constexpr int kFew = 2000, kMany = 22000;
// By the ending of the model's name, a file of either form, or a folder: what a tensor's names, shapes and plan take,
// and what the form holds of it. More than that is a copy too many: before the plan held views of names, and the report
// took it apart, it was 2,200 in safetensors and 3,700 in the others. Of 100,000 tensors, among which what grows by
// doubling is less, it is 1,470, 1,940 and 1,730.
struct Form {
  const char* ending;
  long most_bytes;
};
std::ostream& operator<<(std::ostream& stream, const Form& form) { return stream << form.ending; }

class ManyTensors : public CliTest, public testing::WithParamInterface<Form> {
 protected:
  void SetUp() override {
    for (const int count : {kFew, kMany}) {
      SafetensorsBytes model;
      for (int i = 0; i < count; ++i) {
        model.add<float>("model.layers." + std::to_string(i) + ".self_attn.q_proj.weight", "F32", "[2,2]",
                         {1, 2, 3, 4});
      }
      write("floats.safetensors", model.bytes());
      peak({"convert", folder.path("floats.safetensors"), "-o", folder.path(name(count)), "--quiet"});
    }
  }

  static std::string name(int count) { return std::to_string(count) + GetParam().ending; }

  // The most memory that the program had, in bytes.
  long peak(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), MONOQUANT_EXE);
    const std::vector<char*> pointers = exec_pointers(arguments);
    const pid_t child = ::fork();
    if (child == 0) {
      ::execv(pointers[0], pointers.data());
      ::_exit(127);
    }
    int status = 0;
    rusage used{};
    EXPECT_EQ(::wait4(child, &status, 0, &used), child);
    EXPECT_EQ(exit_code_of(status), 0);
    return used.ru_maxrss * 1024;
  }
};

TEST_P(ManyTensors, TakeLittleMemoryEach) {
#ifdef MNQ_TEST_SANITIZED
  GTEST_SKIP() << "sanitizers have memory of their own";
#endif
  const auto quantize = [&](int count) {
    return peak({"quantize", folder.path(name(count)), "-o", folder.path("out" + name(count)), "--quiet"});
  };
  const long few = quantize(kFew), many = quantize(kMany);
  EXPECT_LT((many - few) / (kMany - kFew), GetParam().most_bytes);
}

INSTANTIATE_TEST_SUITE_P(Forms, ManyTensors,
                         testing::Values(Form{".safetensors", 2000}, Form{".pt", 2500}, Form{"/", 2200}));

}  // namespace
}  // namespace mnq::test
