// Folders as output: shards, parts, runs that end early, and what is there already.
#include <gtest/gtest.h>

#include <filesystem>

#include "quantize/job_fixture.h"
#include "support/error_of.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

namespace fs = std::filesystem;

constexpr int kLayers = 6;

// A Hugging Face folder of six layers of 4 KiB.
void write_model(const TempFolder& folder, const std::string& name, bool has_nan = false) {
  std::vector<NamedTensor> tensors;
  for (int i = 0; i < kLayers; ++i) {
    auto values = normal_values(32 * 32, static_cast<unsigned>(i));
    if (has_nan && i == 4) values[5] = NAN;
    tensors.push_back({"layers." + std::to_string(i) + ".weight", tensor_of(DType::kF32, {32, 32}, values)});
  }
  const auto model = model_of(std::move(tensors));
  RunControl control;
  fs::create_directories(folder.path(name) + "/sub");
  const Settings settings = parse_settings(R"({"overwrite": true})");
  const Config config(&settings, nullptr);
  convert(*model, config, control, file_output(*model, folder.path(name) + "/model.safetensors", config, control));
  write_bytes(folder.path(name) + "/config.json", R"({"model_type": "toy", "hidden_size": 32, "eps": 1e-12})");
  write_bytes(folder.path(name) + "/tokenizer.json", "tokens");
  write_bytes(folder.path(name) + "/sub/more.txt", "more");
  write_bytes(folder.path(name) + "/model.onnx", "not carried on");
}

Report quantize_to(const std::string& input, const std::string& output, const std::string& more = "",
                   RunControl* control = nullptr, const std::string& shard_size = "2400") {
  const auto source = open_source(input);
  const Settings settings = parse_settings(R"({"accuracy_warning": "ignore", "max_shard_size": )" + shard_size +
                                           (more.empty() ? "" : ", " + more) + "}");
  const Config config(&settings, nullptr);
  RunControl own;
  RunControl& used = control == nullptr ? own : *control;
  return quantize(*source, config, used, file_output(*source, output, config, used));
}

std::map<std::string, std::string> files_of(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file())
      files.emplace(fs::relative(entry.path(), folder).string(), read_bytes(entry.path().string()));
  }
  return files;
}

TEST(Folder, HasShardsIndexConfigAndSmallFiles) {
  const TempFolder folder;
  write_model(folder, "in");
  quantize_to(folder.path("in"), folder.path("out"));
  std::set<std::string> names;
  for (const auto& [name, bytes] : files_of(folder.path("out"))) names.insert(name);
  EXPECT_EQ(names, (std::set<std::string>{"config.json", "model-00001-of-00003.safetensors",
                                          "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors",
                                          "model.safetensors.index.json", "sub/more.txt", "tokenizer.json"}));
  const Json index = parse_json(read_bytes(folder.path("out") + "/model.safetensors.index.json"));
  EXPECT_EQ(index["weight_map"]["layers.0.weight_packed"], "model-00001-of-00003.safetensors");
  EXPECT_EQ(index["weight_map"]["layers.5.weight_scale"], "model-00003-of-00003.safetensors");
  EXPECT_EQ(index["metadata"]["total_size"], kLayers * (32 * 32 + 32 * 4 + 16));
  const Json config = parse_json(read_bytes(folder.path("out") + "/config.json"));
  EXPECT_EQ(config["eps"], 1e-12);
  EXPECT_EQ(config["quantization_config"]["config_groups"]["group_0"]["weights"]["num_bits"], 8);
  EXPECT_EQ(open_source(folder.path("out"))->format(), "compressed-tensors");
  EXPECT_EQ(folder.names(), (std::set<std::string>{"in", "out"}));
}

TEST(Folder, DequantizedHasNoQuantizationConfig) {
  const TempFolder folder;
  write_model(folder, "in");
  quantize_to(folder.path("in"), folder.path("out"), R"("bits": 4, "group_size": 32)");
  const auto source = open_source(folder.path("out"));
  RunControl control;
  const Config config(nullptr, nullptr);
  dequantize(*source, config, control, file_output(*source, folder.path("float"), config, control));
  EXPECT_FALSE(parse_json(read_bytes(folder.path("float") + "/config.json")).contains("quantization_config"));
  EXPECT_EQ(open_source(folder.path("float"))->format(), "folder");
  EXPECT_EQ(open_source(folder.path("float"))->tensors().size(), static_cast<std::size_t>(kLayers));
}

// In any order, some of them twice.
TEST(FolderParts, GiveTheBytesOfOneRun) {
  const TempFolder folder;
  write_model(folder, "in");
  quantize_to(folder.path("in"), folder.path("whole"));
  for (const char* part : {R"("shard": "3/3")", R"("shard": "1/3")", R"("shard": "3/3")", R"("shard": "2/3")"}) {
    EXPECT_FALSE(fs::exists(folder.path("parts")));
    quantize_to(folder.path("in"), folder.path("parts"), part);
  }
  merge_folder(folder.path("parts"), false);
  EXPECT_EQ(files_of(folder.path("parts")), files_of(folder.path("whole")));
  EXPECT_FALSE(fs::exists(folder.path("parts.partial")));
}

TEST(FolderParts, MergeSaysWhatIsMissingOrForeign) {
  const TempFolder folder;
  write_model(folder, "in");
  EXPECT_EQ(error_of([&] { merge_folder(folder.path("parts"), false); }).status(), Status::kNotFound);
  quantize_to(folder.path("in"), folder.path("parts"), R"("shard": "2/2")");
  const Error missing = error_of([&] { merge_folder(folder.path("parts"), false); });
  EXPECT_EQ(missing.status(), Status::kState);
  EXPECT_EQ(missing.subject(), "model-00001-of-00003.safetensors");
  const Error foreign =
      error_of([&] { quantize_to(folder.path("in"), folder.path("parts"), R"("shard": "1/2", "bits": 4)"); });
  EXPECT_EQ(foreign.status(), Status::kState) << foreign.message();
  quantize_to(folder.path("in"), folder.path("parts"), R"("shard": "1/2")");
  const std::string shard = folder.path("parts.partial") + "/model-00002-of-00003.safetensors";
  const std::string good = read_bytes(shard);
  write_bytes(shard, good.substr(0, good.size() - 1));
  EXPECT_EQ(error_of([&] { merge_folder(folder.path("parts"), false); }).status(), Status::kFormat);
  quantize_to(folder.path("in"), folder.path("parts"), R"("shard": "2/2")");  // makes it again
  merge_folder(folder.path("parts"), false);
  EXPECT_EQ(read_bytes(folder.path("parts") + "/model-00002-of-00003.safetensors"), good);
  EXPECT_EQ(error_of([&] { quantize_to(folder.path("in"), folder.path("x"), R"("shard": "3/2")"); }).status(),
            Status::kConfig);
}

// Cancels once this share of the bytes is done.
RunControl::Progress cancel_at(double share) {
  return [share](std::uint64_t done, std::uint64_t total) {
    return static_cast<double>(done) < share * static_cast<double>(total);
  };
}

TEST(FolderJob, LeavesNothingWhereItFails) {
  const TempFolder folder;
  write_model(folder, "in", true);
  EXPECT_EQ(error_of([&] { quantize_to(folder.path("in"), folder.path("out")); }).status(), Status::kValidation);
  EXPECT_EQ(folder.names(), std::set<std::string>{"in"});
  RunControl control;
  control.set_progress(cancel_at(0));
  write_model(folder, "good");
  EXPECT_EQ(error_of([&] { quantize_to(folder.path("good"), folder.path("out"), "", &control); }).status(),
            Status::kCancelled);
  EXPECT_EQ(folder.names(), (std::set<std::string>{"good", "in"}));
}

TEST(FolderJob, GoesOnWhereItEnded) {
  const TempFolder folder;
  write_model(folder, "in", true);
  // The NaN is in the last shard: two are done.
  EXPECT_EQ(error_of([&] { quantize_to(folder.path("in"), folder.path("out"), R"("resume": true)"); }).status(),
            Status::kValidation);
  const std::string first = folder.path("out.partial") + "/model-00001-of-00003.safetensors";
  ASSERT_TRUE(fs::exists(first));
  EXPECT_FALSE(fs::exists(folder.path("out")));
  const auto made = fs::last_write_time(first);
  const Error refused = error_of([&] { quantize_to(folder.path("in"), folder.path("out")); });
  EXPECT_EQ(refused.status(), Status::kState) << refused.message();
  EXPECT_TRUE(fs::exists(first)) << "what was done is lost";
  write_model(folder, "in");  // repaired
  const Report report = quantize_to(folder.path("in"), folder.path("out"), R"("resume": true)");
  EXPECT_EQ(fs::last_write_time(folder.path("out") + "/model-00001-of-00003.safetensors"), made) << "was made again";
  quantize_to(folder.path("in"), folder.path("whole"));
  EXPECT_EQ(files_of(folder.path("out")), files_of(folder.path("whole")));
  EXPECT_TRUE(report.json()["layers"][0]["sqnr_db"].is_null()) << "an accuracy that this run did not measure";
  EXPECT_FALSE(report.json()["layers"][5]["sqnr_db"].is_null());
  EXPECT_EQ(report.warnings().at(0), "2 of 3 shards were there already: their accuracy is not in this report");
}

TEST(FolderJob, NaNMayBeCopied) {
  const TempFolder folder;
  write_model(folder, "in", true);
  const Report report = quantize_to(folder.path("in"), folder.path("out"), R"("nonfinite": "copy")");
  EXPECT_EQ(report.json()["model"]["layers_quantized"], kLayers - 1);
  const Json config = parse_json(read_bytes(folder.path("out") + "/config.json"));
  EXPECT_EQ(config["quantization_config"]["ignore"], Json(std::vector<std::string>{"layers.4"}));
  EXPECT_EQ(folder.names(), (std::set<std::string>{"in", "out"}));
}

TEST(FolderJob, ReplacesOnlyWhereAskedAndKeepsWhatIsNotItsOwn) {
  const TempFolder folder;
  write_model(folder, "in");
  quantize_to(folder.path("in"), folder.path("out"));
  write_bytes(folder.path("out") + "/notes.txt", "mine");
  const auto before = files_of(folder.path("out"));
  const Error refused = error_of([&] { quantize_to(folder.path("in"), folder.path("out")); });
  EXPECT_EQ(refused.status(), Status::kIo);
  EXPECT_EQ(files_of(folder.path("out")), before);
  quantize_to(folder.path("in"), folder.path("out"), R"("overwrite": true)", nullptr, "1000000000");
  const auto after = files_of(folder.path("out"));
  EXPECT_TRUE(after.contains("model.safetensors"));
  EXPECT_FALSE(after.contains("model-00001-of-00003.safetensors")) << "a stale shard";
  EXPECT_FALSE(after.contains("model.safetensors.index.json")) << "a stale index";
  EXPECT_EQ(after.at("notes.txt"), "mine");
  EXPECT_EQ(folder.names(), (std::set<std::string>{"in", "out"}));
  EXPECT_EQ(error_of([&] { quantize_to(folder.path("in"), folder.path("in") + "/", R"("overwrite": true)"); }).status(),
            Status::kInvalidArg);
}

}  // namespace
}  // namespace mnq::test
