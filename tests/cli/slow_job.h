// A job that lasts long enough to be watched and stopped.
#pragma once

#include <unistd.h>

#include <chrono>
#include <thread>

#include "cli/cli_fixture.h"

namespace mnq::test {

class SlowJobTest : public CliTest {
 protected:
  /// 2 GiB of zeros that take no room on the disk.
  void SetUp() override {
    constexpr std::uint64_t kSize = 1ULL << 31;
    const SafetensorsBytes large = SafetensorsBytes().declare("fc.weight", "F32", "[131072,4096]", kSize);
    write("model.safetensors", large.bytes());
    ASSERT_EQ(::truncate(folder.path("model.safetensors").c_str(), static_cast<off_t>(large.file_size())), 0);
  }

  /// Slow even on a fast machine: one thread, the plain kernels, ranges read first.
  static std::vector<std::string> slow_command() {
    return command_of({"quantize", "model.safetensors", "-o", "out.safetensors", "--threads", "1", "--per-tensor"});
  }
  ProcessOptions slow_options(std::vector<std::string> environment = {}) const {
    environment.emplace_back("MNQ_ISA=generic");
    environment.emplace_back("TERM=xterm");
    return options(std::move(environment));
  }

  /// The output has its temporary file: the job has begun.
  bool wait_until_it_works() const {
    for (int i = 0; i < 6000 && folder.names().size() < 2; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return folder.names().size() >= 2;
  }

  static double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
};

}  // namespace mnq::test
