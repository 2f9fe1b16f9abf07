// Folders as input: links, parts of a checkpoint, and files that change while they are read.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "quantize/job_fixture.h"
#include "support/error_of.h"
#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

namespace fs = std::filesystem;

std::string weights(const std::string& name, unsigned seed = 1) {
  return SafetensorsBytes().add(name, "F32", "[32, 32]", normal_values(32 * 32, seed)).bytes();
}

std::string shard_name(int number, int count) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", number, count);
  return name;
}

void make_folder_of_shards(const std::string& path, int count, const std::set<int>& there) {
  fs::create_directories(path);
  write_bytes(path + "/config.json", R"({"model_type": "toy"})");
  for (const int number : there) {
    write_bytes(path + "/" + shard_name(number, count), weights("layers." + std::to_string(number) + ".weight"));
  }
}

Report quantize_to(const std::string& input, const std::string& output, const std::string& settings_text = "{}",
                   RunControl::Progress progress = {}) {
  const auto source = open_source(input);
  const Settings settings = parse_settings(settings_text);
  const Config config(&settings, nullptr);
  RunControl control;
  if (progress) control.set_progress(std::move(progress));
  return quantize(*source, config, control, file_output(*source, output, config, control));
}

bool says(const std::vector<std::string>& texts, const std::string& wanted) {
  return std::ranges::any_of(texts, [&](const std::string& text) { return text.find(wanted) != text.npos; });
}

TEST(FolderLinks, ToElsewhereAreRefusedOrSaid) {
  const TempFolder folder;
  make_folder_of_shards(folder.path("in"), 1, {});
  write_bytes(folder.path("in/model.safetensors"), weights("fc.weight"));
  fs::create_directories(folder.path("in/sub"));
  fs::create_directories(folder.path("elsewhere"));
  write_bytes(folder.path("elsewhere/secret"), R"({"model_type": "SECRET"})");
  write_bytes(folder.path("elsewhere/weights"), weights("other.weight"));
  fs::create_symlink("../elsewhere/secret", folder.path("in/vocab.txt"));
  fs::create_symlink("../../elsewhere/secret", folder.path("in/sub/merges.txt"));
  fs::create_symlink("../elsewhere", folder.path("in/more"));
  fs::create_symlink("nothing", folder.path("in/tokenizer.json"));
  const Report report = quantize_to(folder.path("in"), folder.path("out"));
  EXPECT_TRUE(says(report.warnings(), "links out of the folder: sub/merges.txt, vocab.txt"));
  EXPECT_TRUE(says(report.warnings(), "links to folders: more"));
  EXPECT_TRUE(says(report.warnings(), "links to nothing: tokenizer.json"));
  for (const auto& entry : fs::recursive_directory_iterator(folder.path("out"))) {
    if (entry.is_regular_file()) {
      EXPECT_EQ(read_bytes(entry.path().string()).find("SECRET"), std::string::npos) << entry.path();
    }
  }
  for (const char* file : {"config.json", "model.safetensors"}) {
    const std::string path = folder.path("in/") + file, kept = read_bytes(path);
    for (const char* target : {"../elsewhere/secret", "../elsewhere/weights", "nothing"}) {
      fs::remove(path);
      fs::create_symlink(target, path);
      const Error refused = error_of([&] { open_source(folder.path("in")); });
      EXPECT_EQ(refused.status(), std::string(target) == "nothing" ? Status::kNotFound : Status::kIo)
          << file << " to " << target << ": " << refused.message();
      EXPECT_EQ(refused.subject(), path);
    }
    fs::remove(path);
    write_bytes(path, kept);
  }
}

TEST(FolderLinks, OfASnapshotAreItsFiles) {
  const TempFolder folder;
  const std::string blobs = folder.path("models--x/blobs"), snapshot = folder.path("models--x/snapshots/1");
  fs::create_directories(blobs);
  fs::create_directories(snapshot);
  for (const auto& [name, bytes] : std::map<std::string, std::string>{{"model.safetensors", weights("fc.weight")},
                                                                      {"config.json", R"({"model_type": "toy"})"},
                                                                      {"tokenizer.json", "tokens"}}) {
    write_bytes(blobs + "/of_" + name, bytes);
    fs::create_symlink("../../blobs/of_" + name, snapshot + "/" + name);
  }
  const Report report = quantize_to(snapshot, folder.path("out"));
  EXPECT_FALSE(says(report.warnings(), "link")) << report.warnings().front();
  EXPECT_EQ(read_bytes(folder.path("out/tokenizer.json")), "tokens");
  EXPECT_FALSE(fs::is_symlink(folder.path("out/tokenizer.json")));
}

TEST(FolderShards, WithoutAnIndexAreAllThereOrAnError) {
  const TempFolder folder;
  make_folder_of_shards(folder.path("all"), 3, {1, 2, 3});
  EXPECT_EQ(open_source(folder.path("all"))->tensors().size(), 3U);
  int i = 0;
  for (const std::set<int>& there : {std::set<int>{2}, {1, 2}, {1, 3}, {2, 3}}) {
    const std::string path = folder.path("part" + std::to_string(i++));
    make_folder_of_shards(path, 3, there);
    const Error refused = error_of([&] { open_source(path); });
    EXPECT_EQ(refused.status(), Status::kFormat) << refused.message();
    EXPECT_NE(refused.message().find(std::to_string(there.size()) + " of 3 shards"), std::string::npos)
        << refused.message();
  }
  // By itself one may be worked on, and it is said.
  const auto alone = open_source(folder.path("part0/") + shard_name(2, 3));
  EXPECT_EQ(alone->remarks(), std::vector<std::string>{"by its name it is shard 2 of 3: the others were not read"});
  // PyTorch's, and of another name.
  for (const char* name : {"pytorch_model-00001-of-00002.bin", "diffusion_pytorch_model-00002-of-00002.safetensors"}) {
    fs::create_directories(folder.path("one"));
    fs::copy_file(folder.path("all/") + shard_name(1, 3), folder.path("one/") + name);
    EXPECT_EQ(error_of([&] { open_source(folder.path("one")); }).status(), Status::kFormat) << name;
    fs::remove_all(folder.path("one"));
  }
  make_folder_of_shards(folder.path("two"), 3, {1, 2, 3});
  fs::copy_file(folder.path("all/") + shard_name(1, 3), folder.path("two/") + shard_name(1, 2));
  EXPECT_EQ(error_of([&] { open_source(folder.path("two")); }).status(), Status::kFormat);
}

TEST(FolderShards, ThatAnIndexDoesNotNameAreSaid) {
  const TempFolder folder;
  make_folder_of_shards(folder.path("in"), 3, {1, 3});
  const auto write_index = [&](const std::string& map) {
    write_bytes(folder.path("in/model.safetensors.index.json"), R"({"weight_map": {)" + map + "}}");
  };
  const std::string first = R"("layers.1.weight": ")" + shard_name(1, 3) + "\"";
  write_index(first + R"(, "layers.3.weight": ")" + shard_name(3, 3) + "\"");
  EXPECT_TRUE(says(open_source(folder.path("in"))->remarks(), "the index names 2 of 3 shards"));
  write_index(first);
  EXPECT_TRUE(says(open_source(folder.path("in"))->remarks(), shard_name(3, 3) + " lies beside the index"));
  write_index(first + R"(, "layers.2.weight": ")" + shard_name(2, 3) + "\"");
  const Error missing = error_of([&] { open_source(folder.path("in")); });
  EXPECT_EQ(missing.status(), Status::kNotFound) << missing.message();
  fs::create_symlink("../../blobs/2", folder.path("in/") + shard_name(2, 3));
  const Error dangling = error_of([&] { open_source(folder.path("in")); });
  EXPECT_NE(dangling.message().find("is a link to ../../blobs/2"), std::string::npos) << dangling.message();
}

// Runs a job while a file that it reads is written to: in place, with the same size.
Error error_while_changed(const std::string& input, const std::string& output, const std::string& changed) {
  bool is_done = false;
  const std::string bytes = read_bytes(changed);
  return error_of([&] {
    quantize_to(input, output, "{}", [&](std::uint64_t, std::uint64_t) {
      if (!std::exchange(is_done, true)) {
        ::usleep(20000);
        write_bytes(changed, bytes);
      }
      return true;
    });
  });
}

TEST(ChangedInput, IsAnErrorAndNothingIsPublished) {
  const TempFolder folder;
  make_folder_of_shards(folder.path("in"), 2, {1, 2});
  write_bytes(folder.path("in/tokenizer.json"), "tokens");
  write_bytes(folder.path("one.safetensors"), weights("fc.weight"));
  const auto before = folder.names();
  const std::string shard = folder.path("in/") + shard_name(2, 2);
  for (const auto& [input, output, changed] : std::vector<std::tuple<std::string, std::string, std::string>>{
           {folder.path("one.safetensors"), folder.path("out.safetensors"), folder.path("one.safetensors")},
           {folder.path("one.safetensors"), folder.path("out.pt"), folder.path("one.safetensors")},
           {folder.path("in"), folder.path("out.gguf"), shard},
           {folder.path("in"), folder.path("out"), shard},
           {folder.path("in"), folder.path("out"), folder.path("in/config.json")},
           {folder.path("in"), folder.path("out"), folder.path("in/tokenizer.json")},
       }) {
    const Error error = error_while_changed(input, output, changed);
    EXPECT_EQ(error.status(), Status::kIo) << output << ": " << error.message();
    EXPECT_NE(error.message().find("was changed"), std::string::npos) << error.message();
    EXPECT_EQ(folder.names(), before);
  }
}

TEST(ChangedInput, IsAnErrorOfJobsThatOnlyRead) {
  const TempFolder folder;
  const std::string path = folder.path("in.safetensors");
  write_bytes(path, weights("fc.weight"));
  const auto source = open_source(path), other = open_source(path);
  ::usleep(20000);
  write_bytes(path, weights("fc.weight", 2));
  RunControl control;
  const Config config(nullptr, nullptr);
  EXPECT_EQ(error_of([&] { validate(*source, nullptr, config, control); }).status(), Status::kIo);
  EXPECT_EQ(error_of([&] { compare(*source, *other, config, control); }).status(), Status::kIo);
}

}  // namespace
}  // namespace mnq::test
