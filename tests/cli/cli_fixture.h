// The executable as a user runs it, in a folder of its own, on checkpoints whose numbers are worked out by hand.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/process.h"
#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"

namespace mnq::test {

/// fc.weight [2, 4] and fc.bias [2]. In int8 per channel: row 0 has the scale 127 / 127 = 1, and 0.5 becomes 0 (half to
/// even): an error of 0.5. Row 1 is zero. SQNR = 10 log10((127² + 0.5²) / 0.5²) = 10 log10(64517) = 48.1 dB. The
/// weight's 32 bytes become 8 of codes and 8 of scales; with the bias 40 bytes become 24.
inline SafetensorsBytes tiny_model() {
  return SafetensorsBytes()
      .add<float>("fc.weight", "F32", "[2,4]", {127, 0.5, 0, 0, 0, 0, 0, 0})
      .add<float>("fc.bias", "F32", "[2]", {1, 2});
}

class CliTest : public testing::Test {
 protected:
  void SetUp() override { write("model.safetensors", tiny_model().bytes()); }

  void write(const std::string& name, const std::string& bytes) { write_bytes(folder.path(name), bytes); }
  std::string read(const std::string& name) const { return read_bytes(folder.path(name)); }

  static std::vector<std::string> command_of(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), MONOQUANT_EXE);
    return arguments;
  }

  ProcessOptions options(std::vector<std::string> environment = {}) const {
    environment.emplace_back("LC_ALL=C.UTF-8");
    return {std::move(environment), folder.path(), ""};
  }

  Result run(const std::vector<std::string>& arguments, const std::vector<std::string>& environment = {}) const {
    return run_process(command_of(arguments), options(environment));
  }

  /// Runs what must succeed, and gives the JSON document that it prints.
  nlohmann::json run_json(const std::vector<std::string>& arguments) const {
    const Result result = run(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(result.out, nullptr, false);
  }

  TempFolder folder;
};

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

/// The line that holds a text; "" where none does.
inline std::string line_with(const std::string& text, const std::string& part) {
  const std::size_t at = text.find(part);
  if (at == text.npos) return "";
  const std::size_t begin = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
  return text.substr(begin, text.find('\n', at) - begin);
}

}  // namespace mnq::test
