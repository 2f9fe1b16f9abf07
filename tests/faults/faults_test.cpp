// Every file call of a job fails once, and before every one that changes something the job is killed once. What is
// there after that is the old output or the new one, whole; nothing of the user's is lost; nothing else is left that is
// not said; and the next run goes on. FAULTS=all tries every call, else some of each kind are.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>

#include "support/process.h"
#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

namespace fs = std::filesystem;

using Files = std::map<std::string, std::string>;  // by name, what is in them; of folders nothing

bool tries_all() { return std::getenv("FAULTS") != nullptr && std::string(std::getenv("FAULTS")) == "all"; }

Files files_in(const std::string& folder) {
  Files files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = fs::relative(entry.path(), folder).string();
    if (entry.is_symlink()) {
      files[name] = "-> " + fs::read_symlink(entry.path()).string();
    } else {
      files[name] = entry.is_regular_file() ? read_bytes(entry.path().string()) : "";
    }
  }
  return files;
}

void put_files(const std::string& folder, const Files& files) {
  for (const auto& [name, bytes] : files) {
    fs::create_directories(fs::path(folder + "/" + name).parent_path());
    write_bytes(folder + "/" + name, bytes);
  }
}

std::string weights(int first, int count) {
  SafetensorsBytes bytes;
  for (int i = first; i < first + count; ++i) {
    std::vector<float> values(64 * 64);
    for (std::size_t k = 0; k < values.size(); ++k) {
      values[k] = static_cast<float>((k * 7919 + static_cast<std::size_t>(i) * 104729) % 1000) / 1000 - 0.5f;
    }
    bytes.add<float>("layers." + std::to_string(i) + ".weight", "F32", "[64,64]", values);
  }
  return bytes.bytes();
}

Files model_folder() {
  return {{"in/model-00001-of-00002.safetensors", weights(0, 2)},
          {"in/model-00002-of-00002.safetensors", weights(2, 2)},
          {"in/model.safetensors.index.json",
           R"({"weight_map": {"layers.0.weight": "model-00001-of-00002.safetensors",
                              "layers.1.weight": "model-00001-of-00002.safetensors",
                              "layers.2.weight": "model-00002-of-00002.safetensors",
                              "layers.3.weight": "model-00002-of-00002.safetensors"}})"},
          {"in/config.json", R"({"model_type": "toy"})"},
          {"in/tokenizer.json", "tokens"},
          {"in/sub/more.txt", "more"}};
}

// A job, and what lies at its output before. "own" is the user's and stays.
struct Job {
  const char* name;
  Files inputs;
  std::vector<std::string> arguments;
  Files old;
  Files own;
  bool is_folder = false;
};

std::ostream& operator<<(std::ostream& out, const Job& job) { return out << job.name; }

const Files kOwn{{"out/notes.txt", "mine"}, {"out/sub/more-notes.txt", "mine, too"}, {"out/runs/log", "lines"}};
const Files kOldFolder{{"out/model.safetensors", "old weights"}, {"out/config.json", "old config"}};

const std::vector<std::string> kToFolder{"quantize", "in", "-o", "out", "--max-shard-size", "9000"};

std::vector<std::string> with(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::vector<Job> all_jobs() {
  const Files one{{"in.safetensors", weights(0, 3)}};
  const Files module{{"in.pt", read_bytes(std::string(MNQ_TEST_DATA) + "/modules/scripted.pt")}};
  std::vector<Job> jobs{
      {"NewFile", one, {"quantize", "in.safetensors", "-o", "out.safetensors"}, {}, {}},
      {"File",
       one,
       {"quantize", "in.safetensors", "-o", "out.safetensors", "--force"},
       {{"out.safetensors", "old"}},
       {}},
      {"PyTorch", one, {"quantize", "in.safetensors", "-o", "out.pt", "--force"}, {{"out.pt", "old"}}, {}},
      {"Gguf", one, {"quantize", "in.safetensors", "-b", "4", "-o", "out.gguf", "--force"}, {{"out.gguf", "old"}}, {}},
      {"NewFolder", model_folder(), kToFolder, {}, {}, true},
      {"Folder", model_folder(), with(kToFolder, {"--force"}), kOldFolder, kOwn, true},
      {"PlainFolder", model_folder(), with(kToFolder, {"--force", "--format", "folder"}), kOldFolder, kOwn, true},
      {"ResumedFolder", model_folder(), with(kToFolder, {"--resume"}), {}, {}, true},
  };
  if (fs::exists(MNQ_TORCH_LIBRARY)) {
    jobs.push_back({"Module", module, {"quantize", "in.pt", "-o", "out.pt", "--force"}, {{"out.pt", "old"}}, {}});
  }
  return jobs;
}

// What a call may answer.
std::vector<std::string> faults_of(const std::string& call) {
  static const std::map<std::string, std::vector<std::string>> kFaults{{"read", {"5", "4", "part", "end"}},
                                                                       {"pread", {"5", "4", "part", "end"}},
                                                                       {"write", {"28", "4", "part"}},
                                                                       {"pwrite", {"28", "27", "4", "part", "end"}},
                                                                       {"open", {"5", "24"}},
                                                                       {"renameat2", {"5", "22"}},
                                                                       {"link", {"5", "1"}},
                                                                       {"linkat", {"5", "1"}},
                                                                       {"fallocate", {"28", "95"}},
                                                                       {"flock", {"37", "11"}},
                                                                       {"getxattr", {"5", "95"}},
                                                                       {"pthread_create", {"11"}}};
  const auto found = kFaults.find(call);
  return found == kFaults.end() ? std::vector<std::string>{"5"} : found->second;
}

class Faults : public testing::TestWithParam<Job> {
 protected:
  void SetUp() override {
    put_files(folder_.path(), GetParam().inputs);
    inputs_ = files_in(folder_.path());
    reset();
    const Result result = run(GetParam().arguments, {});
    ASSERT_EQ(result.exit_code, 0) << result.err << result.out;
    done_ = outputs();
    for (const auto& [name, bytes] : GetParam().own) ASSERT_EQ(done_[name], bytes) << name;
  }

  void TearDown() override { std::cout << GetParam().name << ": " << runs_ << " runs\n"; }

  // The inputs, and what lies at the output before.
  void reset() {
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      if (!entry.path().filename().string().starts_with("in")) fs::remove_all(entry.path());
    }
    put_files(folder_.path(), GetParam().old);
    put_files(folder_.path(), GetParam().own);
    before_ = outputs();
  }

  // All that lies there but the inputs.
  Files outputs() const {
    Files files = files_in(folder_.path());
    std::erase_if(files, [&](const auto& file) { return inputs_.contains(file.first); });
    return files;
  }

  Result run(const std::vector<std::string>& arguments, std::vector<std::string> environment) {
    ++runs_;
    environment.push_back("LD_PRELOAD=" FAULT_SHIM);
    if (!lacks_.empty()) environment.push_back("FAULT_LACKS=" + lacks_);
    std::vector<std::string> command = with({"/usr/bin/timeout", "-s", "KILL", "60", "/usr/bin/env"}, environment);
    command = with(std::move(command), with({MONOQUANT_EXE}, with(arguments, {"--json", "-j", "2"})));
    return run_process(command, {{"LC_ALL=C"}, folder_.path(), ""});
  }

  std::map<std::string, int> count_calls() {
    reset();
    const TempFolder counts;
    run(GetParam().arguments, {"FAULT_COUNTS=" + counts.path("counts")});
    std::istringstream text(read_bytes(counts.path("counts")));
    std::map<std::string, int> calls;
    for (std::string call; text >> call;) text >> calls[call];
    return calls;
  }

  static std::vector<int> numbers_to_try(int count, int every) {
    std::vector<int> numbers;
    for (int i = 1; i <= count; ++i) {
      if (tries_all() || i == 1 || i == count || i % every == 0) numbers.push_back(i);
    }
    return numbers;
  }

  bool is_whole(const Files& files, const Files& wanted) const {
    return std::ranges::all_of(wanted, [&](const auto& file) {
      const auto found = files.find(file.first);
      return found != files.end() && found->second == file.second;
    });
  }

  // The old output as it was, and nothing of the new one.
  bool is_old(const Files& files) const {
    return is_whole(files, before_) && std::ranges::all_of(done_, [&](const auto& file) {
             return files.contains(file.first) == before_.contains(file.first);
           });
  }

  // What is there and belongs neither to the old output nor to the new one: the first part of its path.
  std::set<std::string> leftovers(const Files& files) const {
    std::set<std::string> names;
    for (const auto& [name, bytes] : files) {
      if (!done_.contains(name) && !before_.contains(name)) names.insert(name.substr(0, name.find('/')));
    }
    return names;
  }

  // The next run, as the user would start it: again, and where it says so with --resume or --force.
  void expect_next_run_goes_on() {
    Result next = run(GetParam().arguments, {});
    for (const char* flag : {"--resume", "--force"}) {
      const bool is_advised =
          next.out.find(std::string(flag)) != std::string::npos ||
          next.out.find(flag == std::string("--force") ? "overwrite=true" : "resume=true") != std::string::npos;
      if (next.exit_code != 0 && is_advised) next = run(with(GetParam().arguments, {flag}), {});
    }
    EXPECT_EQ(next.exit_code, 0) << next.out << next.err;
    EXPECT_EQ(names(outputs()), names(done_));
    EXPECT_TRUE(is_whole(outputs(), done_));
  }

  static std::set<std::string> names(const Files& files) {
    std::set<std::string> names;
    for (const auto& [name, bytes] : files) names.insert(name);
    return names;
  }

  TempFolder folder_;
  Files inputs_, before_, done_;
  std::string lacks_;
  int runs_ = 0;
};

TEST_P(Faults, OfACallAreErrorsOrMadeGood) {
  for (const auto& [call, count] : count_calls()) {
    if (call == "changing") continue;
    for (const int number : numbers_to_try(count, 50)) {
      for (const std::string& fault : faults_of(call)) {
        reset();
        const std::string wish = call + ":" + std::to_string(number) + ":" + fault;
        SCOPED_TRACE(wish);
        const Result result = run(GetParam().arguments, {"FAULT=" + wish});
        const Files after = outputs();
        EXPECT_GE(result.exit_code, 0) << "it crashed";
        EXPECT_LT(result.exit_code, 100) << "it hung or was killed";
        EXPECT_TRUE(is_whole(files_in(folder_.path()), inputs_)) << "an input changed";
        EXPECT_TRUE(result.exit_code != 0 || is_whole(after, done_)) << "a wrong output, and status 0";
        EXPECT_TRUE(is_old(after) || is_whole(after, done_)) << "neither the old output nor the new one";
        // What could not be removed is left to the next run.
        const bool is_removal = call.starts_with("unlink") || call == "flock";
        bool is_left = false;
        for (const std::string& name : leftovers(after)) {
          is_left = true;
          EXPECT_TRUE(is_removal || result.out.find(name) != std::string::npos) << name << " is left: " << result.out;
        }
        if (is_left || (tries_all() && result.exit_code != 0)) expect_next_run_goes_on();
      }
    }
  }
}

class Kills : public Faults {
 protected:
  void try_all() {
    const int count = count_calls()["changing"];
    for (const int number : numbers_to_try(count, 9)) {
      reset();
      SCOPED_TRACE("killed before change " + std::to_string(number) + " of " + std::to_string(count) + " without " +
                   lacks_);
      const Result result = run(GetParam().arguments, {"FAULT=changing:" + std::to_string(number) + ":kill"});
      EXPECT_TRUE(result.exit_code == -SIGKILL || result.exit_code == 128 + SIGKILL) << result.exit_code;
      const Files after = outputs();
      // Without an exchange there is a moment at which neither has the name, and the next run ends it.
      const bool is_between =
          !lacks_.empty() && fs::exists(folder_.path("out.replaced")) && !fs::exists(folder_.path("out"));
      if (!is_between) {
        EXPECT_TRUE(is_old(after) || is_whole(after, done_)) << "neither the old output nor the new one";
        for (const auto& [name, bytes] : GetParam().own) {
          EXPECT_TRUE(after.contains(name) && after.at(name) == bytes) << name << " is lost";
        }
      }
      expect_next_run_goes_on();
    }
  }
};

TEST_P(Kills, LeaveTheOldOrTheNew) { try_all(); }

TEST_P(Kills, LeaveTheOldOrTheNewWithoutWhatSomeFileSystemsLack) {
  lacks_ = "exchange,noreplace";
  try_all();
  lacks_ = "exchange,noreplace,link";
  try_all();
}

const auto kName = [](const auto& job) { return std::string(job.param.name); };
INSTANTIATE_TEST_SUITE_P(Job, Faults, testing::ValuesIn(all_jobs()), kName);
INSTANTIATE_TEST_SUITE_P(Job, Kills, testing::ValuesIn(all_jobs()), kName);

}  // namespace
}  // namespace mnq::test
