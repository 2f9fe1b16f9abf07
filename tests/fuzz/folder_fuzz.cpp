// Any files as a model folder: the index, config.json, its shards and what else lies there, each a piece of the input;
// the pieces "settings" and "then" are no files. What is made of the folder must open again.
#include <fstream>

#include "fuzz/fuzz.h"

namespace mnq::fuzz {
namespace {

// No name leads out of the folder: that is for the tests of links and paths.
bool is_plain_name(std::string_view name) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";
  return !name.empty() && name.size() < 100 && name.front() != '/' && name.back() != '/' &&
         name.find_first_not_of(kPlain) == name.npos && name.find("..") == name.npos;
}

void write_piece(const std::filesystem::path& path, const Piece& piece) {
  std::error_code ignored;  // one piece's folder may be another's file
  std::filesystem::create_directories(path.parent_path(), ignored);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(piece.bytes.data()), std::ssize(piece.bytes));
}

void write_files(const std::string& folder, const std::vector<Piece>& pieces) {
  constexpr std::size_t kMostFiles = 16;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  for (const Piece& piece : std::span(pieces).first(std::min(pieces.size(), kMostFiles))) {
    const bool is_file = piece.name != "settings" && piece.name != "then" && is_plain_name(piece.name);
    if (is_file) write_piece(std::filesystem::path(folder) / piece.name, piece);
  }
}

}  // namespace
}  // namespace mnq::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mnq;
  const auto pieces = fuzz::split_input(data, size);
  const std::string folder = fuzz::own_path("model");
  fuzz::expect_answer([&] {
    fuzz::write_files(folder, pieces);
    fuzz::expect_answer([&] { open_source(folder + "/model.safetensors"); });
    fuzz::expect_answer([&] { open_source(folder + "/model.safetensors.index.json"); });
    fuzz::expect_answer([&] { detect_format(folder); });
    const auto source = open_source(folder);
    fuzz::run_jobs(*source, fuzz::settings_of(fuzz::take_piece(pieces, "settings")),
                   fuzz::settings_of(fuzz::take_piece(pieces, "then")));
  });
  return 0;
}
