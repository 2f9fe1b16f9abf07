// What the fuzz targets share: which ends are right for any input, inputs of several pieces, and the jobs on a source
// with what must hold of their outputs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "config/config.h"
#include "formats/format_table.h"
#include "formats/open_source.h"
#include "plan/own_metadata.h"
#include "quantize/jobs.h"
#include "support/temp_folder.h"

namespace mnq::fuzz {

inline constexpr std::uint64_t kMostBytes = 1u << 20;  // of tensors that are read: a view may repeat its bytes

/// Ends the program with a finding where it does not hold.
inline void require(bool holds, std::string_view what, std::string_view detail) {
  if (holds) return;
  std::fprintf(stderr, "%.*s: %.*s\n", static_cast<int>(what.size()), what.data(), static_cast<int>(detail.size()),
               detail.data());
  std::abort();
}

/// Runs work() and says whether it was done: an error of ours is an answer to any input; what the library calls its own
/// fault is a finding, as is every other exception.
template <class Work>
bool expect_answer(Work&& work) {
  try {
    work();
    return true;
  } catch (const Error& error) {
    require(error.status() != Status::kInternal, "an internal error", error.message());
    return false;
  }
}

/// A part of an input: "@@@ NAME", the end of that line, and what follows up to the next such line.
struct Piece {
  std::string name;
  std::vector<std::byte> bytes;

  std::string text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

inline std::vector<Piece> split_input(const std::uint8_t* data, std::size_t size) {
  constexpr std::string_view kMark = "\n@@@ ";
  const std::string input = "\n" + std::string(reinterpret_cast<const char*>(data), size);
  std::vector<Piece> pieces;
  for (std::size_t at = input.find(kMark); at != input.npos;) {
    const std::size_t name = at + kMark.size();
    const std::size_t end = std::min(input.find('\n', name), input.size());
    const std::size_t begin = std::min(end + 1, input.size());
    at = input.find(kMark, end);
    const auto bytes = std::as_bytes(std::span(input).subspan(begin, std::min(at, input.size()) - std::min(begin, at)));
    pieces.push_back({input.substr(name, end - name), {bytes.begin(), bytes.end()}});
  }
  return pieces;
}

/// The last piece of that name; an empty one where there is none.
inline Piece take_piece(const std::vector<Piece>& pieces, std::string_view name) {
  const auto found = std::ranges::find(pieces.rbegin(), pieces.rend(), name, &Piece::name);
  return found == pieces.rend() ? Piece{} : *found;
}

/// The settings of a piece; none where it is empty. Errors: kConfig.
inline Settings settings_of(const Piece& piece) {
  return piece.bytes.empty() ? Settings{} : parse_settings(piece.text());
}

/// A folder of this process in memory or on disk, as TMPDIR says.
inline std::string own_path(const std::string& name) {
  static const test::TempFolder folder;
  return folder.path(name);
}

using Source = std::shared_ptr<const TensorSource>;
using Job = Report (*)(const TensorSource&, const Config&, RunControl&, const Output&);

/// Every tensor's first bytes, and what the tensors are together.
inline void read_everything(const TensorSource& source) {
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    std::vector<std::byte> bytes(std::min(source.tensors()[i].size_bytes, kMostBytes));
    source.read(i, 0, bytes);
  }
  source.require_weights();
}

inline std::uint64_t bytes_to_read(const TensorSource& source) {
  std::uint64_t sum = 0;
  for (const TensorInfo& tensor : source.tensors()) sum += std::min(tensor.size_bytes, kMostBytes + 1);
  return sum;
}

/// What validate says, or the one error that ended it: codes that their scheme has not.
inline std::vector<std::string> problems_of(const TensorSource& source, const TensorSource* original = nullptr) {
  RunControl control;
  try {
    return validate(source, original, Config(nullptr, nullptr), control).problems();
  } catch (const Error& error) {
    return {error.message()};
  }
}

/// What a job writes where the settings say, in memory where they do not, and that opened again: null where it refused,
/// or made a part of a folder that is not all.
class Written {
 public:
  Written(Job job, const TensorSource& source, const Settings& settings, const std::string& name)
      : job_(job), from_(source), config_(&settings, &own_settings()), path_(own_path(name)) {
    const std::string format = config_.find("format").value;
    if (const Format* found = find_format(format); found != nullptr && found->is_folder) {
      if (write_folder()) expect_sound([&] { return open_source(path_); });
    } else if (format == "auto") {
      if (run(memory_output(from_, source_))) expect_sound([&] { return source_; });
    } else if (run_to_bytes()) {
      expect_sound([&] { return open_memory(std::as_bytes(std::span(bytes_))); });
    }
  }
  Written(const Written&) = delete;
  Written& operator=(const Written&) = delete;

  const Source& source() const { return source_; }

 private:
  static const Settings& own_settings() {
    static const Settings settings = parse_settings(R"({"threads": 1, "overwrite": true})");
    return settings;
  }

  bool run(const Output& output) {
    return expect_answer([&] { job_(from_, config_, control_, output).text(); });
  }

  bool run_to_bytes() {
    return expect_answer([&] { job_(from_, config_, control_, bytes_output(from_, config_, bytes_)); });
  }

  // One part of several stays in the making; merging it says which are missing.
  bool write_folder() {
    std::filesystem::remove_all(path_);
    std::filesystem::remove_all(work_folder(path_));
    const bool is_done = expect_answer(
        [&] { job_(from_, config_, control_, file_output(from_, path_ + "/", config_, control_)).text(); });
    return is_done && (std::filesystem::exists(path_) || expect_answer([&] { merge_folder(path_, true); }));
  }

  // What the library wrote it opens, and finds nothing wrong with it where nothing was wrong with what it was made of.
  template <class Open>
  void expect_sound(Open&& open) {
    try {
      source_ = open();
      const std::vector<std::string> problems = problems_of(*source_, &from_);
      require(problems.empty() || !problems_of(from_).empty(), "what was written is not valid",
              problems.empty() ? "" : problems.front());
    } catch (const Error& error) {
      require(false, "what was written does not open", error.what());
    }
  }

  Job job_;
  const TensorSource& from_;
  Config config_;
  RunControl control_;
  std::string path_, bytes_;
  Source source_;
};

/// Describes, plans, quantizes, and from what that wrote, or from the source where it wrote nothing, converts and
/// dequantizes. settings and then: of the first job, and of those that follow.
inline void run_jobs(const TensorSource& source, const Settings& settings, const Settings& then) {
  expect_answer([&] { describe_source(source); });
  expect_answer([&] { plan_quantize(source, Config(&settings, nullptr)).text(); });
  if (bytes_to_read(source) > kMostBytes) return;
  expect_answer([&] {
    RunControl control;
    validate(source, &source, Config(&settings, nullptr), control).text();
  });
  const Written first(quantize, source, settings, "first");
  const TensorSource& next = first.source() ? *first.source() : source;
  const Written second(convert, next, then, "second");
  const Written third(dequantize, next, then, "third");
  if (!third.source()) return;
  expect_answer([&] {
    RunControl control;
    compare(source, *third.source(), Config(nullptr, nullptr), control).text();
  });
}

}  // namespace mnq::fuzz
