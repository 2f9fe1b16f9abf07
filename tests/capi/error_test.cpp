// Errors: what went wrong, what to do about it, and what it is about.
#include <gtest/gtest.h>

#include "fixture.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

struct Expected {
  mnq_status code;
  std::string message;  // a part of it
  std::string suggestion;
  std::string subject;
};

void expect_error(const Error& error, const Expected& expected) {
  EXPECT_EQ(error.code(), expected.code) << error.what();
  EXPECT_NE(std::string(error.what()).find(expected.message), std::string::npos) << error.what();
  EXPECT_NE(error.suggestion().find(expected.suggestion), std::string::npos) << error.suggestion();
  EXPECT_EQ(error.subject(), expected.subject) << error.what();
}

TEST(Errors, OfAFileThatIsNotThere) {
  const TempFolder folder;
  const std::string path = folder.path("none.safetensors");
  expect_error(error_of([&] { Model::open(path); }),
               {MNQ_E_NOT_FOUND, path + ": cannot be opened: No such file or directory", "check the path", path});
}

TEST(Errors, OfAFolder) {
  const TempFolder folder;
  expect_error(
      error_of([&] { Model::open(folder.path()); }),
      {MNQ_E_UNSUPPORTED, "is a folder without model.safetensors", "the file with the weights", folder.path()});
}

TEST(Errors, OfAFileThatIsCutOff) {
  const TempFolder folder;
  const std::string path = folder.path("cut.safetensors");
  one_weight({100}, normal_values(100, 1)).save(path);
  write_bytes(path, read_bytes(path).substr(0, 300));
  const Error error = error_of([&] { Model::open(path); });
  EXPECT_EQ(error.code(), MNQ_E_FORMAT);
  EXPECT_NE(std::string(error.what()).find(path), std::string::npos);
  EXPECT_FALSE(error.suggestion().empty());
  EXPECT_FALSE(error.subject().empty());
}

// Languages whose texts are UTF-8 throw on anything else; the file is found all the same.
TEST(Errors, OfAPathThatIsNoUtf8AreUtf8) {
  const TempFolder folder;
  const std::string path = folder.path("caf\xe9.safetensors"), shown = folder.path("caf\xef\xbf\xbd.safetensors");
  const Error error = error_of([&] { Model::open(path); });
  EXPECT_EQ(error.subject(), shown);
  EXPECT_NE(std::string(error.what()).find(shown), std::string::npos) << error.what();
  one_weight({1, 2}, {1, 2}).save(path);
  EXPECT_EQ(Model::open(path).tensor_names().size(), 1u);
}

TEST(Errors, OfSettingsThatAreNoUtf8) {
  Config config;
  for (const auto& [key, value] : {std::pair{"bits\xff", "8"}, {"only", "fc\xe9*"}}) {
    const Error error = error_of([&] { config.set(key, value); });
    EXPECT_EQ(error.code(), MNQ_E_CONFIG) << key;
    EXPECT_NE(std::string(error.what()).find("no UTF-8"), std::string::npos) << error.what();
  }
  EXPECT_EQ(error_of([&] { config.set_for_layers("a\xe9", "bits", "8"); }).code(), MNQ_E_CONFIG);
}

TEST(Errors, OfAMisspelledTensorNameTheNearest) {
  const Model model = one_weight({1, 2}, {1, 2}, "fc1.weight");
  expect_error(error_of([&] { model.tensor("fc1.weigth"); }),
               {MNQ_E_NOT_FOUND, "no tensor fc1.weigth", "did you mean 'fc1.weight'?", "fc1.weigth"});
  expect_error(error_of([&] { model.tensor("bert.embeddings"); }),
               {MNQ_E_NOT_FOUND, "no tensor", "list the names", "bert.embeddings"});
}

TEST(Errors, OfAFolderThatIsNotThere) {
  const TempFolder folder;
  const std::string path = folder.path("none/out.safetensors");
  expect_error(error_of([&] { one_weight({1}, {1}).save(path); }),
               {MNQ_E_IO, path + ": cannot be created: No such file", "create the folder first", path});
}

TEST(Errors, OfAnOutputThatIsThere) {
  const TempFolder folder;
  const std::string path = folder.path("out.safetensors");
  one_weight({1}, {1}).save(path);
  expect_error(error_of([&] { one_weight({1}, {1}).save(path); }),
               {MNQ_E_IO, path + ": is there already", "overwrite=true", path});
}

TEST(Errors, OfAnArgumentNameIt) {
  mnq_error* error = nullptr;
  EXPECT_EQ(mnq_config_validate(nullptr, &error), MNQ_E_INVALID_ARG);
  EXPECT_STREQ(mnq_error_message(error), "config is NULL");
  EXPECT_STREQ(mnq_error_subject(error), "config");
  mnq_error_free(error);
}

TEST(Errors, OfSettings) {
  expect_error(error_of([] { Config(R"({"bits": 9})"); }),
               {MNQ_E_CONFIG, "'9' is not one of 2,3,4,5,6,7,8,16", "bits: ", "bits"});
  expect_error(error_of([] { Config("{"); }), {MNQ_E_CONFIG, "not JSON", "pass an object", ""});
}

// Success leaves no error behind, whatever was there: the caller has freed it.
TEST(Errors, AreClearedOnSuccess) {
  mnq_error* error = nullptr;
  ASSERT_EQ(mnq_config_validate(nullptr, &error), MNQ_E_INVALID_ARG);
  mnq_error_free(error);
  EXPECT_EQ(mnq_set_threads(0, &error), MNQ_OK);
  EXPECT_EQ(error, nullptr);
}

TEST(Errors, BelongToTheCallerAlone) {
  mnq_error *first = nullptr, *second = nullptr;
  EXPECT_EQ(mnq_config_validate(nullptr, &first), MNQ_E_INVALID_ARG);
  EXPECT_EQ(mnq_set_threads(UINT32_MAX, &second), MNQ_E_INVALID_ARG);
  EXPECT_STREQ(mnq_error_message(first), "config is NULL");
  mnq_error_free(first);
  EXPECT_STREQ(mnq_error_subject(second), "count");
  mnq_error_free(second);
}

}  // namespace
}  // namespace mnq::test
