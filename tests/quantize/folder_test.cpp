// Folders as output: shards, parts, runs that end early, and what is there already.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>

#include "base/text/format.h"
#include "quantize/job_fixture.h"
#include "support/error_of.h"
#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"

namespace {
bool cannot_exchange = false;  // as on NFS
bool cannot_link = false;      // as on FAT
}  // namespace

// In place of the C library's.
extern "C" int linkat(int from, const char* old_name, int to, const char* new_name, int flags) noexcept {
  if (!cannot_link) return static_cast<int>(::syscall(SYS_linkat, from, old_name, to, new_name, flags));
  errno = EPERM;
  return -1;
}

extern "C" int renameat2(int from, const char* old_name, int to, const char* new_name, unsigned flags) noexcept {
  if (!cannot_exchange) return static_cast<int>(::syscall(SYS_renameat2, from, old_name, to, new_name, flags));
  errno = EINVAL;
  return -1;
}

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
  const bool is_judged = more.find("accuracy_warning") != more.npos;
  const Settings settings =
      parse_settings((is_judged ? "{" : R"({"accuracy_warning": "ignore", )") + (R"("max_shard_size": )" + shard_size) +
                     (more.empty() ? "" : ", ") + more + "}");
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

// transformers and diffusers refuse a quantization_config without a quant_method, and would else load codes as if they
// were weights.
TEST(Folder, APlainOneSaysThatItIsQuantized) {
  const TempFolder folder;
  write_model(folder, "in");
  const Report report = quantize_to(folder.path("in"), folder.path("out"), R"("format": "folder")");
  const Json config = parse_json(read_bytes(folder.path("out") + "/config.json"));
  EXPECT_EQ(config["quantization_config"].dump(), R"({"quantized_by":"mono_quant","version":1})");
  EXPECT_NE(report.json()["warnings"].dump().find("transformers loads no weights that are quantized so"),
            std::string::npos)
      << report.json()["warnings"];
  const auto source = open_source(folder.path("out"));
  EXPECT_TRUE(source->require_weights()[0].spec.has_value());
  RunControl control;
  const Config none(nullptr, nullptr);
  dequantize(*source, none, control, file_output(*source, folder.path("float"), none, control));
  EXPECT_FALSE(parse_json(read_bytes(folder.path("float") + "/config.json")).contains("quantization_config"));
  quantize_to(folder.path("in"), folder.path("half"), R"("format": "folder", "dtype": "float16")");
  EXPECT_FALSE(parse_json(read_bytes(folder.path("half") + "/config.json")).contains("quantization_config"));
}

// A folder of another loader: `weights` and a file that tells whose it is.
void write_foreign_folder(const TempFolder& folder, const std::string& name, const std::string& weights,
                          const std::string& file, const std::string& text) {
  write_model(folder, name);
  fs::rename(folder.path(name) + "/model.safetensors", folder.path(name) + "/" + weights);
  fs::remove(folder.path(name) + "/config.json");
  write_bytes(folder.path(name) + "/" + file, text);
}

TEST(FolderLoaders, DiffusersKeepsItsNamesAndGetsNoConfigThatItLoads) {
  const TempFolder folder;
  write_foreign_folder(folder, "unet", "diffusion_pytorch_model.safetensors", "config.json",
                       R"({"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.30.0"})");
  const Report whole = quantize_to(folder.path("unet"), folder.path("out"), "", nullptr, "1000000");
  EXPECT_TRUE(files_of(folder.path("out")).contains("diffusion_pytorch_model.safetensors"));
  EXPECT_FALSE(files_of(folder.path("out")).contains("model.safetensors"));
  EXPECT_EQ(parse_json(read_bytes(folder.path("out") + "/config.json"))["quantization_config"]["quantized_by"],
            "mono_quant");
  EXPECT_NE(whole.json()["warnings"].dump().find("diffusers loads no weights"), std::string::npos);

  quantize_to(folder.path("unet"), folder.path("half"), R"("dtype": "float16")");
  const auto files = files_of(folder.path("half"));
  EXPECT_TRUE(files.contains("diffusion_pytorch_model-00001-of-00006.safetensors")) << files.begin()->first;
  EXPECT_TRUE(files.contains("diffusion_pytorch_model.safetensors.index.json"));
  EXPECT_EQ(files.at("config.json"), read_bytes(folder.path("unet") + "/config.json"));
  EXPECT_EQ(open_source(folder.path("half"))->tensors().size(), static_cast<std::size_t>(kLayers));
  quantize_to(folder.path("half"), folder.path("again"), R"("resume": true)");
  EXPECT_EQ(files_of(folder.path("again")).count("diffusion_pytorch_model.safetensors.index.json"), 1u);
}

TEST(FolderLoaders, PeftWouldLoadCodes) {
  const TempFolder folder;
  write_foreign_folder(folder, "lora", "adapter_model.safetensors", "adapter_config.json", R"({"peft_type": "LORA"})");
  const Error error = error_of([&] { quantize_to(folder.path("lora"), folder.path("out")); });
  EXPECT_EQ(error.status(), Status::kUnsupported);
  EXPECT_NE(error.message().find("PEFT would take the codes"), std::string::npos) << error.message();
  EXPECT_NE(error.suggestion().find("float16"), std::string::npos);
  EXPECT_EQ(folder.names(), (std::set<std::string>{"lora"}));
  quantize_to(folder.path("lora"), folder.path("out"), R"("dtype": "float16")", nullptr, "1000000");
  std::set<std::string> names;
  for (const auto& [name, bytes] : files_of(folder.path("out"))) names.insert(name);
  EXPECT_EQ(names, (std::set<std::string>{"adapter_config.json", "adapter_model.safetensors", "sub/more.txt",
                                          "tokenizer.json"}));
}

TEST(FolderLoaders, APipelineNamesItsModels) {
  const TempFolder folder;
  fs::create_directory(folder.path("pipe"));
  write_bytes(folder.path("pipe/model_index.json"), "{}");
  write_foreign_folder(folder, "pipe/unet", "diffusion_pytorch_model.safetensors", "config.json",
                       R"({"_class_name": "UNet2DConditionModel"})");
  fs::create_directory(folder.path("pipe/tokenizer"));
  const Error error = error_of([&] { open_source(folder.path("pipe")); });
  EXPECT_EQ(error.status(), Status::kUnsupported);
  EXPECT_NE(error.message().find("is a pipeline of diffusers"), std::string::npos) << error.message();
  EXPECT_EQ(error.suggestion(), "pass one of them: " + folder.path("pipe") + "/unet");
}

TEST(FolderLoaders, TimmAndSentenceTransformersKeepTheirs) {
  const TempFolder folder;
  write_foreign_folder(folder, "timm", "model.safetensors", "config.json",
                       R"({"architecture": "resnet18", "num_classes": 10, "pretrained_cfg": {}})");
  const Report report = quantize_to(folder.path("timm"), folder.path("out"));
  EXPECT_NE(report.json()["warnings"].dump().find("timm loads no weights"), std::string::npos);
  EXPECT_TRUE(fs::exists(folder.path("out/model.safetensors.index.json")));
  write_model(folder, "st");
  write_bytes(folder.path("st/modules.json"), R"([{"path": "", "type": "t"}])");
  quantize_to(folder.path("st"), folder.path("st-out"));
  EXPECT_EQ(parse_json(read_bytes(folder.path("st-out") + "/config.json"))["quantization_config"]["quant_method"],
            "compressed-tensors");
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
  EXPECT_EQ(missing.suggestion(), "make first what is missing of the parts: 1/2");
  const Error foreign =
      error_of([&] { quantize_to(folder.path("in"), folder.path("parts"), R"("shard": "1/2", "bits": 4)"); });
  EXPECT_EQ(foreign.status(), Status::kState) << foreign.message();
  quantize_to(folder.path("in"), folder.path("parts"), R"("shard": "1/2")");
  const std::string shard = folder.path("parts.partial") + "/model-00002-of-00003.safetensors";
  const std::string good = read_bytes(shard);
  write_bytes(shard, good.substr(0, good.size() - 1));
  EXPECT_EQ(error_of([&] { merge_folder(folder.path("parts"), false); }).status(), Status::kFormat);
  quantize_to(folder.path("in"), folder.path("parts"), R"("shard": "2/2")");  // makes it again
  EXPECT_EQ(error_of([&] { merge_folder(folder.path("parts"), false, [] { return true; }); }).status(),
            Status::kCancelled);
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
  write_model(folder, "in");
  quantize_to(folder.path("in"), folder.path("out"), R"("shard": "1/3")");
  quantize_to(folder.path("in"), folder.path("out"), R"("shard": "2/3")");
  const std::string first = folder.path("out.partial") + "/model-00001-of-00003.safetensors";
  ASSERT_TRUE(fs::exists(first));
  EXPECT_FALSE(fs::exists(folder.path("out")));
  const auto made = fs::last_write_time(first);
  const Error refused = error_of([&] { quantize_to(folder.path("in"), folder.path("out")); });
  EXPECT_EQ(refused.status(), Status::kState) << refused.message();
  EXPECT_TRUE(fs::exists(first)) << "what was done is lost";
  const Report report = quantize_to(folder.path("in"), folder.path("out"), R"("resume": true)");
  EXPECT_EQ(fs::last_write_time(folder.path("out") + "/model-00001-of-00003.safetensors"), made) << "was made again";
  quantize_to(folder.path("in"), folder.path("whole"));
  EXPECT_EQ(files_of(folder.path("out")), files_of(folder.path("whole")));
  EXPECT_TRUE(report.json()["layers"][0]["sqnr_db"].is_null()) << "an accuracy that this run did not measure";
  EXPECT_FALSE(report.json()["layers"][5]["sqnr_db"].is_null());
  const auto& warnings = report.warnings();
  EXPECT_EQ(std::ranges::count(warnings, "2 of 3 shards were there already: their accuracy is not in this report"), 1);
}

// Of the same names, shapes and size, as a retrained or repaired checkpoint is.
TEST(FolderJob, DoesNotGoOnWithOtherWeights) {
  const TempFolder folder;
  write_model(folder, "in", true);
  // The NaN is in the last shard: two are done.
  EXPECT_EQ(error_of([&] { quantize_to(folder.path("in"), folder.path("out"), R"("resume": true)"); }).status(),
            Status::kValidation);
  EXPECT_TRUE(fs::exists(folder.path("out.partial") + "/model-00002-of-00003.safetensors"));
  write_model(folder, "in");
  for (const char* more : {R"("resume": true)", R"("shard": "3/3")"}) {
    const Error refused = error_of([&] { quantize_to(folder.path("in"), folder.path("out"), more); });
    EXPECT_EQ(refused.status(), Status::kState) << refused.message();
  }
}

// Without max_shard_size every part has a shard, whatever the model's size, and the shards are those of one run with
// the size that the report names.
TEST(FolderParts, HaveAShardEachWhereNoSizeIsSet) {
  const TempFolder folder;
  write_model(folder, "in");
  for (const int parts : {1, 2, 3, 4, 6}) {
    const std::string out = folder.path("out" + std::to_string(parts));
    std::set<std::uint64_t> sizes;
    for (int part = parts; part >= 1; --part) {
      const std::string shard = formatted(R"("shard": "{}/{}")", part, parts);
      const std::size_t before = fs::exists(out + ".partial") ? files_of(out + ".partial").size() : 0;
      const Report report = quantize_to(folder.path("in"), out, shard, nullptr, "null");
      EXPECT_GT(files_of(out + ".partial").size(), before) << shard;
      const std::string note = report.warnings().back();
      const std::size_t at = note.find(" of up to ");
      ASSERT_NE(at, note.npos) << note;
      sizes.insert(std::stoull(note.substr(at + 10)));
    }
    ASSERT_EQ(sizes.size(), 1U) << "parts that cut differently";
    merge_folder(out, false);
    const std::string whole = folder.path("whole" + std::to_string(parts));
    quantize_to(folder.path("in"), whole, "", nullptr, std::to_string(*sizes.begin()));
    EXPECT_EQ(files_of(out), files_of(whole)) << parts;
  }
}

TEST(FolderParts, ThatHaveNothingToMakeSaySo) {
  const TempFolder folder;
  write_model(folder, "in");
  const auto note = [&](const char* part, const char* size) {
    const Report report = quantize_to(folder.path("in"), folder.path(std::string("out") + size), part, nullptr, size);
    EXPECT_EQ(report.head()["model"]["shards_made"], 0) << part;
    return report.warnings().back();
  };
  EXPECT_EQ(note(R"("shard": "4/4")", "2400"),
            "part 4 of 4: nothing to make, since the folder has only 3 shards: let fewer parts make it, or leave "
            "max_shard_size unset");
  EXPECT_EQ(note(R"("shard": "2/2")", "1000000"),
            "part 2 of 2: nothing to make, since the folder has only 1 shard: let fewer parts make it, or leave "
            "max_shard_size unset");
  // More parts than tensors: there cannot be a shard each.
  EXPECT_EQ(note(R"("shard": "7/7")", "null"),
            "part 7 of 7: nothing to make, since the folder has only 6 shards: let fewer parts make it");
}

TEST(FolderParts, ThatAreMadeAlreadySaySo) {
  const TempFolder folder;
  write_model(folder, "in");
  const auto model_of_run = [&] {
    return Json(quantize_to(folder.path("in"), folder.path("out"), R"("shard": "1/2")").head()["model"]);
  };
  const Json first = model_of_run(), second = model_of_run();
  for (const Json* model : {&first, &second}) {
    EXPECT_EQ((*model)["part"], 1);
    EXPECT_EQ((*model)["parts"], 2);
    EXPECT_EQ((*model)["shards"], 3);
    EXPECT_EQ((*model)["shards_own"], 2);  // the first and the third
  }
  EXPECT_EQ(first["shards_made"], 2);
  EXPECT_EQ(second["shards_made"], 0);
  const Report third = quantize_to(folder.path("in"), folder.path("out"), R"("shard": "1/2")");
  EXPECT_EQ(third.warnings().back().find("part 1 of 2: nothing left to make: 2 of 3 shards of up to 2400 bytes"), 0U);
}

// resume without a part makes what the parts have left, in their shards.
TEST(FolderParts, AreGoneOnWithInTheirShards) {
  const TempFolder folder;
  write_model(folder, "in");
  quantize_to(folder.path("in"), folder.path("out"), R"("shard": "1/3")", nullptr, "null");
  const std::string first = folder.path("out.partial") + "/model-00001-of-00003.safetensors";
  const auto made = fs::last_write_time(first);
  quantize_to(folder.path("in"), folder.path("out"), R"("resume": true)", nullptr, "null");
  EXPECT_EQ(fs::last_write_time(folder.path("out") + "/model-00001-of-00003.safetensors"), made);
}

// Any byte of any file that is read or carried on, where no sample would look, and with the time of the last write set
// back.
TEST(FolderJob, DoesNotGoOnWithAnInputThatChanged) {
  const TempFolder folder;
  write_model(folder, "in");
  const auto change = [](const std::string& file) {
    const auto written = fs::last_write_time(file);
    std::string bytes = read_bytes(file);
    bytes[bytes.size() / 3] ^= 1;
    write_bytes(file, bytes);
    fs::last_write_time(file, written);
  };
  quantize_to(folder.path("in"), folder.path("out"), R"("shard": "1/2")");
  for (const char* name : {"model.safetensors", "tokenizer.json", "sub/more.txt"}) {
    const std::string file = folder.path("in/") + name, kept = read_bytes(file);
    change(file);
    for (const char* more : {R"("resume": true)", R"("shard": "2/2")"}) {
      const Error refused = error_of([&] { quantize_to(folder.path("in"), folder.path("out"), more); });
      EXPECT_EQ(refused.status(), Status::kState) << name << ": " << refused.message();
      EXPECT_NE(refused.message().find("another input, or the input was changed"), std::string::npos);
    }
    write_bytes(file, kept);
  }
  // A copy is the same input, wherever it lies.
  fs::copy(folder.path("in"), folder.path("copy"), fs::copy_options::recursive);
  quantize_to(folder.path("copy"), folder.path("out"), R"("shard": "2/2")");
  merge_folder(folder.path("out"), false);
  quantize_to(folder.path("in"), folder.path("whole"));
  EXPECT_EQ(files_of(folder.path("out")), files_of(folder.path("whole")));
}

// A large one is known by the times of its files, too.
TEST(FolderJob, KnowsALargeInputByItsTimes) {
  const TempFolder folder;
  fs::create_directories(folder.path("in"));
  SafetensorsBytes large;
  large.declare("fc.weight", "F32", "[17000, 1024]", 17000ull * 4096);
  write_bytes(folder.path("in/model.safetensors"), large.bytes());
  fs::resize_file(folder.path("in/model.safetensors"), large.file_size());
  write_bytes(folder.path("in/config.json"), R"({"model_type": "toy"})");
  quantize_to(folder.path("in"), folder.path("out"), R"("shard": "1/1")");
  quantize_to(folder.path("in"), folder.path("out"), R"("shard": "1/1")");
  fs::copy(folder.path("in"), folder.path("copy"), fs::copy_options::recursive);
  for (const char* name : {"model.safetensors", "config.json"}) {
    fs::last_write_time(folder.path("copy/") + name, fs::last_write_time(folder.path("in/") + name));
  }
  quantize_to(folder.path("copy"), folder.path("out"), R"("shard": "1/1")");
  const auto written = fs::last_write_time(folder.path("in/model.safetensors"));
  fs::last_write_time(folder.path("in/model.safetensors"), written + std::chrono::nanoseconds(100));
  const Error refused = error_of([&] { quantize_to(folder.path("in"), folder.path("out"), R"("resume": true)"); });
  EXPECT_EQ(refused.status(), Status::kState) << refused.message();
  EXPECT_NE(refused.suggestion().find("cp -a"), std::string::npos) << refused.suggestion();
}

// A run that must not accept a layer cannot go on with shards whose layers nobody judged.
TEST(FolderJob, DoesNotGoOnWithWhatWasNotJudged) {
  const TempFolder folder;
  write_model(folder, "in");
  quantize_to(folder.path("in"), folder.path("out"), R"("shard": "1/2", "accuracy_warning": "warn")");
  const char* strict = R"("resume": true, "accuracy_warning": "error")";
  EXPECT_EQ(error_of([&] { quantize_to(folder.path("in"), folder.path("out"), strict); }).status(), Status::kState);
  quantize_to(folder.path("in"), folder.path("out"), R"("resume": true, "accuracy_warning": "warn")");
}

TEST(FolderJob, LeavesAFolderThatNoJobMade) {
  const TempFolder folder;
  write_model(folder, "in");
  fs::create_directory(folder.path("out.partial"));
  write_bytes(folder.path("out.partial") + "/thesis.txt", "mine");
  for (const char* more : {"", R"("resume": true)", R"("shard": "1/2")", R"("overwrite": true)"}) {
    EXPECT_EQ(error_of([&] { quantize_to(folder.path("in"), folder.path("out"), more); }).status(), Status::kState)
        << more;
  }
  EXPECT_EQ(files_of(folder.path("out.partial")), (std::map<std::string, std::string>{{"thesis.txt", "mine"}}));
  fs::remove(folder.path("out.partial") + "/thesis.txt");
  quantize_to(folder.path("in"), folder.path("out"), R"("resume": true)");
}

TEST(FolderJob, SaysWhatACancelledRunLeaves) {
  const TempFolder folder;
  write_model(folder, "in");
  RunControl control;
  control.set_progress(cancel_at(0.9));
  const Error cancelled =
      error_of([&] { quantize_to(folder.path("in"), folder.path("out"), R"("resume": true)", &control); });
  EXPECT_EQ(cancelled.status(), Status::kCancelled);
  EXPECT_EQ(cancelled.message(), "cancelled: " + folder.path("out.partial") + " holds what is done");
  EXPECT_EQ(folder.names(), (std::set<std::string>{"in", "out.partial"}));
}

TEST(FolderJob, SaysWhatAFailedRunLeaves) {
  const TempFolder folder;
  write_model(folder, "in", true);
  const Error failed = error_of([&] { quantize_to(folder.path("in"), folder.path("out"), R"("resume": true)"); });
  EXPECT_EQ(failed.status(), Status::kValidation);
  EXPECT_NE(failed.suggestion().find(folder.path("out.partial") + " holds what is done: run it again to go on"),
            std::string::npos)
      << failed.suggestion();
  EXPECT_EQ(error_of([&] { quantize_to(folder.path("in"), folder.path("other"), ""); })
                .suggestion()
                .find("holds what is done"),
            std::string::npos);
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

// The folder that holds the input, one above it, the link it came by, and files that go into the output.
TEST(FolderInput, IsNeverReplaced) {
  const TempFolder folder;
  write_model(folder, "in");
  fs::create_directory(folder.path("up"));
  quantize_to(folder.path("in"), folder.path("up/shards"), R"("format": "folder")");
  fs::create_directory(folder.path("links"));
  fs::create_symlink("../in/model.safetensors", folder.path("links/model.safetensors"));
  fs::create_symlink("up/shards", folder.path("to_shards"));
  const auto before = files_of(folder.path());
  const std::string force = R"("overwrite": true)";
  for (const auto& [input, output] : std::vector<std::pair<std::string, std::string>>{
           {"in", "in"},
           {"in/model.safetensors", "in"},
           {"links/model.safetensors", "links"},
           {"links/model.safetensors", "in/"},
           {"up/shards", "up"},
           {"up/shards", "to_shards"},
           {"up/shards/model.safetensors.index.json", "up/shards/"},
           {"up/shards/model-00001-of-00003.safetensors", "up/shards/"},
           {"in", "in/sub"},
       }) {
    const Error refused = error_of([&] { quantize_to(folder.path(input), folder.path(output), force); });
    EXPECT_EQ(refused.status(), Status::kInvalidArg) << input << " to " << output << ": " << refused.message();
  }
  for (const char* file : {"config.json", "model.safetensors.index.json", "tokenizer.json", "sub/more.txt",
                           "model-00002-of-00003.safetensors"}) {
    const auto source = open_source(folder.path("up/shards"));
    const Settings settings = parse_settings(R"({"overwrite": true, "format": "pytorch"})");
    const Config config(&settings, nullptr);
    RunControl control;
    const Error refused = error_of([&] { file_output(*source, folder.path("up/shards/") + file, config, control); });
    EXPECT_EQ(refused.status(), Status::kInvalidArg) << file << ": " << refused.message();
  }
  EXPECT_EQ(files_of(folder.path()), before);
}

TEST(FolderInput, HasFoldersOfModules) {
  const TempFolder folder;
  write_model(folder, "in");
  for (const char* name : {"2_Dense", "onnx"}) fs::create_directory(folder.path("in") + "/" + name);
  write_bytes(folder.path("in") + "/modules.json", R"([{"path": ""}, {"path": "2_Dense"}])");
  write_bytes(folder.path("in") + "/2_Dense/model.safetensors", "weights of another module");
  write_bytes(folder.path("in") + "/2_Dense/large.onnx", "of a module, whatever it is called");
  fs::resize_file(folder.path("in") + "/2_Dense/model.safetensors", (64u << 20) + 1);
  write_bytes(folder.path("in") + "/onnx/model.onnx", "a copy in another form");
  const Report report = quantize_to(folder.path("in"), folder.path("out"));
  const auto files = files_of(folder.path("out"));
  EXPECT_EQ(files.at("2_Dense/model.safetensors").size(), (64u << 20) + 1);
  EXPECT_TRUE(files.contains("2_Dense/large.onnx"));
  EXPECT_FALSE(files.contains("onnx/model.onnx"));
  EXPECT_EQ(report.warnings().at(0),
            "not carried on, since only the weights that are read and small files are: model.onnx, onnx/model.onnx");
}

TEST(FolderInput, OfSafetensorsHasNoKeys) {
  const TempFolder folder;
  write_model(folder, "in");
  const Error refused = error_of([&] { open_source(folder.path("in"), {"state_dict"}); });
  EXPECT_EQ(refused.status(), Status::kConfig) << refused.message();
}

class FewFiles {
 public:
  explicit FewFiles(rlim_t more) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const int next = ::open("/dev/null", O_RDONLY);
    ::close(next);
    const rlimit fewer{static_cast<rlim_t>(next) + more, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &fewer);
  }
  ~FewFiles() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST(FolderInput, MayHaveMoreShardsThanFilesMayBeOpen) {
  constexpr int kShards = 60;
  const TempFolder folder;
  std::vector<NamedTensor> tensors;
  for (int i = 0; i < kShards; ++i) {
    tensors.push_back(
        {"layers." + std::to_string(i) + ".weight", tensor_of(DType::kF32, {1}, std::vector<float>{float(i)})});
  }
  const auto model = model_of(std::move(tensors));
  const Settings settings = parse_settings(R"({"format": "folder", "max_shard_size": 1})");
  const Config config(&settings, nullptr);
  RunControl control;
  convert(*model, config, control, file_output(*model, folder.path("in/"), config, control));
  const auto source = [&] {
    const FewFiles limit(40);
    return open_source(folder.path("in"));
  }();
  for (const int i : {0, 59, 1, 30, 0}) {
    EXPECT_EQ(read_values<float>(*source, "layers." + std::to_string(i) + ".weight"), std::vector<float>{float(i)});
  }
  // Shards 1 to 10 are closed by now; one that is replaced is not read.
  const std::string shard = folder.path("in") + "/model-00005-of-00060.safetensors";
  write_bytes(shard + ".new", read_bytes(shard));
  fs::rename(shard + ".new", shard);
  const Error replaced = error_of([&] { read_values<float>(*source, "layers.4.weight"); });
  EXPECT_EQ(replaced.status(), Status::kIo) << replaced.message();
  const Error refused = error_of([&] {
    const FewFiles limit(2);
    open_source(folder.path("in"));
  });
  EXPECT_EQ(refused.status(), Status::kIo) << refused.message();
  EXPECT_NE(refused.suggestion().find("ulimit"), std::string::npos) << refused.suggestion();
}

TEST(FolderReplaced, LosesItsCheckpointOnly) {
  const TempFolder folder;
  write_model(folder, "in");
  fs::create_directories(folder.path("out/sub/runs"));
  const std::set<std::string> kept{"other.pt",          "lora.safetensors",      "model.fp16.safetensors", "a.gguf",
                                   "sub/runs/model.pt", "sub/model.safetensors", "training_args.bin",      "notes.txt"};
  const std::set<std::string> lost{
      "model.safetensors", "model.safetensors.index.json", "model-00001-of-00009.safetensors",
      "pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin"};
  for (const auto& name : kept) write_bytes(folder.path("out/" + name), name);
  for (const auto& name : lost) write_bytes(folder.path("out/" + name), name);
  write_bytes(folder.path("out/tokenizer.json"), "old");
  quantize_to(folder.path("in"), folder.path("out"), R"("overwrite": true)");
  const auto files = files_of(folder.path("out"));
  for (const auto& name : kept) EXPECT_TRUE(files.contains(name) && files.at(name) == name) << name;
  for (const auto& name : lost) {
    EXPECT_FALSE(files.contains(name) && files.at(name) == name) << name;
  }
  EXPECT_EQ(files.at("tokenizer.json"), "tokens");
  EXPECT_EQ(folder.names(), (std::set<std::string>{"in", "out"}));
}

// What is made of a file goes by the config.json of the folder that it replaces: one that cannot be read is not taken
// for none.
TEST(FolderReplaced, ItsConfigIsRead) {
  const TempFolder folder;
  write_model(folder, "in");
  fs::create_directory(folder.path("out"));
  write_bytes(folder.path("out/config.json"), R"({"model_type": "llama", "hidden")");
  const auto before = files_of(folder.path("out"));
  const auto replace = [&] {
    quantize_to(folder.path("in/model.safetensors"), folder.path("out"), R"("overwrite": true)");
  };
  const Error damaged = error_of(replace);
  EXPECT_EQ(damaged.status(), Status::kFormat) << damaged.message();
  EXPECT_NE(damaged.message().find(folder.path("out/config.json")), std::string::npos) << damaged.message();
  EXPECT_EQ(files_of(folder.path("out")), before);
  fs::remove(folder.path("out/config.json"));
  fs::create_symlink("../in/config.json", folder.path("out/config.json"));
  EXPECT_EQ(error_of(replace).status(), Status::kIo);
  fs::remove(folder.path("out/config.json"));
  replace();
}

TEST(FolderReplaced, ItsLinksAreNotFollowed) {
  const TempFolder folder;
  write_model(folder, "in");
  fs::create_directory(folder.path("elsewhere"));
  write_bytes(folder.path("elsewhere/more.txt"), "mine");
  write_bytes(folder.path("elsewhere/weights.bin"), "mine");
  fs::create_directory(folder.path("out"));
  fs::create_symlink("../elsewhere", folder.path("out/other"));
  fs::create_symlink("../elsewhere", folder.path("out/sub"));  // where the new one has a folder
  fs::create_symlink("../elsewhere/more.txt", folder.path("out/tokenizer.json"));
  const auto before = files_of(folder.path("elsewhere"));
  quantize_to(folder.path("in"), folder.path("out"), R"("overwrite": true)");
  EXPECT_EQ(files_of(folder.path("elsewhere")), before);
  EXPECT_TRUE(fs::is_symlink(folder.path("out/other")));
  EXPECT_EQ(read_bytes(folder.path("out/sub/more.txt")), "more");
  EXPECT_EQ(read_bytes(folder.path("out/tokenizer.json")), "tokens");
}

// A folder where the new one has a file, and the other way around.
TEST(FolderReplaced, WhatCannotBeMovedStays) {
  for (const bool exchanges : {true, false}) {
    const TempFolder folder;
    write_model(folder, "in");
    fs::create_directories(folder.path("out/tokenizer.json"));
    write_bytes(folder.path("out/tokenizer.json/note"), "mine");
    write_bytes(folder.path("out/sub"), "mine, too");
    write_bytes(folder.path("out/zz"), "last");
    cannot_exchange = !exchanges;
    const Report report = quantize_to(folder.path("in"), folder.path("out"), R"("overwrite": true)");
    cannot_exchange = false;
    const std::string left = folder.path(exchanges ? "out.partial" : "out.replaced");
    EXPECT_EQ(files_of(left),
              (std::map<std::string, std::string>{{"sub", "mine, too"}, {"tokenizer.json/note", "mine"}}));
    EXPECT_TRUE(std::ranges::any_of(report.warnings(), [&](const auto& text) { return text.starts_with(left); }));
    EXPECT_EQ(read_bytes(folder.path("out/zz")), "last");
    EXPECT_EQ(open_source(folder.path("out"))->format(), "compressed-tensors");
  }
}

TEST(FolderReplaced, WithoutAnExchangeOfNames) {
  const TempFolder folder;
  write_model(folder, "in");
  cannot_exchange = true;
  quantize_to(folder.path("in"), folder.path("out"));
  write_bytes(folder.path("out/notes.txt"), "mine");
  quantize_to(folder.path("in"), folder.path("out"), R"("overwrite": true)");
  cannot_exchange = false;
  EXPECT_EQ(read_bytes(folder.path("out/notes.txt")), "mine");
  EXPECT_EQ(folder.names(), (std::set<std::string>{"in", "out"}));
}

// A folder that appears while the job runs is not replaced, and the work is not lost.
TEST(FolderReplaced, NotUnasked) {
  const TempFolder folder;
  write_model(folder, "in");
  RunControl control;
  control.set_progress([&](std::uint64_t, std::uint64_t) {
    fs::create_directory(folder.path("out"));
    write_bytes(folder.path("out/notes.txt"), "mine");
    return true;
  });
  const Error late = error_of([&] { quantize_to(folder.path("in"), folder.path("out"), "", &control); });
  EXPECT_EQ(late.status(), Status::kIo);
  EXPECT_NE(late.message().find(folder.path("out.partial")), std::string::npos) << late.message();
  EXPECT_EQ(files_of(folder.path("out")), (std::map<std::string, std::string>{{"notes.txt", "mine"}}));
  fs::remove_all(folder.path("out"));
  merge_folder(folder.path("out"), false);
  quantize_to(folder.path("in"), folder.path("whole"));
  EXPECT_EQ(files_of(folder.path("out")), files_of(folder.path("whole")));
}

TEST(FolderReplaced, ALinkStaysOne) {
  const TempFolder folder;
  write_model(folder, "in");
  fs::create_directory(folder.path("real"));
  write_bytes(folder.path("real/notes.txt"), "mine");
  fs::create_directory_symlink("real", folder.path("out"));
  quantize_to(folder.path("in"), folder.path("out/"), R"("overwrite": true)");
  for (const char* part : {R"("shard": "1/2", "overwrite": true)", R"("shard": "2/2", "overwrite": true)"}) {
    quantize_to(folder.path("in"), folder.path("out"), part);
  }
  merge_folder(folder.path("out"), true);
  EXPECT_TRUE(fs::is_symlink(folder.path("out")));
  EXPECT_EQ(read_bytes(folder.path("real/notes.txt")), "mine");
  EXPECT_EQ(open_source(folder.path("real"))->format(), "compressed-tensors");
  EXPECT_EQ(folder.names(), (std::set<std::string>{"in", "out", "real"}));
}

mode_t mode_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777;
}

TEST(FolderReplaced, KeepsItsPermissions) {
  for (const bool exchanges : {true, false}) {
    const TempFolder folder;
    write_model(folder, "in");
    fs::create_directories(folder.path("out/private"));
    write_bytes(folder.path("out/model.safetensors"), "old weights");
    write_bytes(folder.path("out/tokenizer.json"), "old");
    write_bytes(folder.path("out/private/key"), "mine");
    ::chmod(folder.path("out/model.safetensors").c_str(), 0600);
    ::chmod(folder.path("out/tokenizer.json").c_str(), 0604);
    ::chmod(folder.path("out/private/key").c_str(), 0400);
    ::chmod(folder.path("out/private").c_str(), 0750);
    ::chmod(folder.path("out").c_str(), 02711);
    cannot_exchange = !exchanges;
    RunControl control;
    control.set_progress([&](std::uint64_t, std::uint64_t) {
      EXPECT_EQ(mode_of(folder.path("out.partial")) & 0777, 0700u) << "anyone may read what is to be private";
      return true;
    });
    quantize_to(folder.path("in"), folder.path("out"), R"("overwrite": true)", &control);
    cannot_exchange = false;
    EXPECT_EQ(mode_of(folder.path("out")), 02711u);
    EXPECT_EQ(mode_of(folder.path("out/private")), 0750u);
    EXPECT_EQ(mode_of(folder.path("out/private/key")), 0400u);
    EXPECT_EQ(mode_of(folder.path("out/tokenizer.json")), 0604u);
    EXPECT_EQ(mode_of(folder.path("out/model-00001-of-00003.safetensors")), 0600u) << "weights as private as the old";
  }
}

TEST(FolderReplaced, WithoutHardLinks) {
  for (const bool exchanges : {true, false}) {
    const TempFolder folder;
    write_model(folder, "in");
    fs::create_directories(folder.path("out/sub/deep"));
    write_bytes(folder.path("out/sub/deep/notes.txt"), "mine");
    write_bytes(folder.path("out/sub/more.txt"), "old");
    fs::create_symlink("nowhere", folder.path("out/link"));
    fs::last_write_time(folder.path("out/sub/deep/notes.txt"), fs::file_time_type() + std::chrono::hours(1));
    cannot_link = true;
    cannot_exchange = !exchanges;
    quantize_to(folder.path("in"), folder.path("out"), R"("overwrite": true)");
    cannot_link = cannot_exchange = false;
    EXPECT_EQ(read_bytes(folder.path("out/sub/deep/notes.txt")), "mine");
    EXPECT_EQ(fs::last_write_time(folder.path("out/sub/deep/notes.txt")), fs::file_time_type() + std::chrono::hours(1));
    EXPECT_EQ(read_bytes(folder.path("out/sub/more.txt")), "more");
    EXPECT_EQ(fs::read_symlink(folder.path("out/link")), "nowhere");
    EXPECT_EQ(folder.names(), (std::set<std::string>{"in", "out"}));
  }
}

// A run that was killed with `out` still the old folder had the user's files linked. They change, one goes, one comes.
TEST(FolderReplaced, KeepsTheLastStateOfWhatIsTheUsers) {
  const TempFolder folder;
  write_model(folder, "in");
  fs::create_directory(folder.path("out"));
  write_bytes(folder.path("out/model.safetensors"), "old weights");
  quantize_to(folder.path("in"), folder.path("out"), R"("overwrite": true, "shard": "1/1")");
  write_bytes(folder.path("out.partial/notes.txt"), "as it was then");
  write_bytes(folder.path("out/notes.txt"), "as it is now");
  write_bytes(folder.path("out/more.txt"), "came later");
  quantize_to(folder.path("in"), folder.path("out"), R"("overwrite": true, "resume": true)");
  EXPECT_EQ(read_bytes(folder.path("out/notes.txt")), "as it is now");
  EXPECT_EQ(read_bytes(folder.path("out/more.txt")), "came later");
  EXPECT_EQ(folder.names(), (std::set<std::string>{"in", "out"}));
}

TEST(FolderJob, TakesThePlaceOfAnEmptyFolder) {
  for (const char* more : {"", R"("overwrite": true)", R"("resume": true)"}) {
    const TempFolder folder;
    write_model(folder, "in");
    fs::create_directory(folder.path("out.partial"));
    quantize_to(folder.path("in"), folder.path("out"), more);
    EXPECT_EQ(folder.names(), (std::set<std::string>{"in", "out"})) << more;
  }
}

// Whole jobs disturb each other and every part; parts only themselves.
TEST(FolderJob, IsOneRunsAtATime) {
  const TempFolder folder;
  write_model(folder, "in");
  const auto during = [&](const std::string& first, const std::string& second) {
    fs::remove_all(folder.path("out.partial"));
    RunControl control;
    bool is_refused = false, is_tried = false;
    control.set_progress([&](std::uint64_t, std::uint64_t) {
      if (std::exchange(is_tried, true)) return true;
      try {
        quantize_to(folder.path("in"), folder.path("out"), second);
      } catch (const Error& error) {
        is_refused = error.status() == Status::kState &&
                     error.message().find("process " + std::to_string(::getpid()) + " on ") != std::string::npos;
      }
      return true;
    });
    quantize_to(folder.path("in"), folder.path("out"), first, &control);
    EXPECT_TRUE(is_tried);
    return is_refused;
  };
  EXPECT_TRUE(during(R"("overwrite": true)", R"("overwrite": true)"));
  EXPECT_TRUE(during(R"("overwrite": true)", R"("overwrite": true, "shard": "1/2")"));
  EXPECT_TRUE(during(R"("overwrite": true, "shard": "1/2")", R"("overwrite": true, "resume": true)"));
  EXPECT_TRUE(during(R"("overwrite": true, "shard": "1/3")", R"("overwrite": true, "shard": "1/3")"));
  EXPECT_FALSE(during(R"("overwrite": true, "shard": "2/3")", R"("overwrite": true, "shard": "3/3")"));
  quantize_to(folder.path("in"), folder.path("out"), R"("overwrite": true, "resume": true)");
  EXPECT_EQ(folder.names(), (std::set<std::string>{"in", "out"}));
}

TEST(FolderReplaced, HasAName) {
  const TempFolder folder;
  write_model(folder, "in");
  fs::create_directory(folder.path("out"));
  for (const char* path : {"out/.", "out/..", "out/./"}) {
    const Error refused = error_of([&] { quantize_to(folder.path("in"), folder.path(path), R"("overwrite": true)"); });
    EXPECT_EQ(refused.status(), Status::kInvalidArg) << path << ": " << refused.message();
  }
}

}  // namespace
}  // namespace mnq::test
