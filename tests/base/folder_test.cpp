// Folders as they are read: what fails is an error, and what a name leads to is looked at.
#include "base/files/folder.h"

#include <dirent.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/files/file.h"
#include "base/files/input_folder.h"
#include "support/error_of.h"
#include "support/temp_folder.h"

namespace {

// A call of the C library that fails with EIO once, after some that do not.
std::string failing_call;
int calls_before = 0;

bool fails(const char* call) {
  if (failing_call != call || calls_before-- != 0) return false;
  errno = EIO;
  return true;
}

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

// In place of the C library's.
extern "C" {
dirent* readdir(DIR* folder) { return fails("readdir") ? nullptr : real<dirent*(DIR*)>("readdir")(folder); }
int stat(const char* path, struct stat* status) noexcept {
  return fails("stat") ? -1 : real<int(const char*, struct stat*)>("stat")(path, status);
}
int fstat(int fd, struct stat* status) noexcept {
  return fails("fstat") ? -1 : real<int(int, struct stat*)>("fstat")(fd, status);
}
int fstatat(int folder, const char* name, struct stat* status, int flags) noexcept {
  return fails("fstatat") ? -1 : real<int(int, const char*, struct stat*, int)>("fstatat")(folder, name, status, flags);
}
ssize_t readlink(const char* path, char* into, size_t size) noexcept {
  return fails("readlink") ? -1 : real<ssize_t(const char*, char*, size_t)>("readlink")(path, into, size);
}
}

namespace mnq::test {
namespace {

namespace fs = std::filesystem;

class FailingCall {
 public:
  FailingCall(const char* call, int before) {
    failing_call = call;
    calls_before = before;
  }
  ~FailingCall() { failing_call.clear(); }
  bool happened() const { return calls_before < 0; }
};

// Each call fails in turn until all have gone well: any failure is an error.
template <class Action>
void expect_error_of_each(const char* call, int least, Action&& action) {
  for (int before = 0;; ++before) {
    const FailingCall failing(call, before);
    const Error error = error_of(action);
    if (!failing.happened()) {
      EXPECT_GE(before, least) << call << " was not called as often";
      EXPECT_EQ(error.status(), Status::kOk) << error.message();
      return;
    }
    EXPECT_EQ(error.status(), Status::kIo) << call << " " << before;
    EXPECT_NE(error.message().find("Input/output error"), std::string::npos) << error.message();
  }
}

TEST(FolderCalls, ThatFailAreNoEndsAndNoAbsences) {
  const TempFolder folder;
  for (const char* name : {"a", "b", "c"}) write_bytes(folder.path(name), name);
  fs::create_symlink("a", folder.path("link"));
  const auto list = [&] { EXPECT_EQ(list_folder(folder.path()).size(), 4U); };
  expect_error_of_each("readdir", 5, list);
  expect_error_of_each("fstatat", 5, list);
  expect_error_of_each("stat", 1, [&] { EXPECT_TRUE(path_exists(folder.path("a"))); });
  expect_error_of_each("stat", 1, [&] { EXPECT_TRUE(is_folder(folder.path())); });
  expect_error_of_each("stat", 1, [&] { EXPECT_FALSE(path_exists(folder.path("none"))); });
  const auto open = [&] {
    EXPECT_EQ(InputFile(folder.path("link")).place().real_path(), fs::canonical(folder.path("a")));
  };
  expect_error_of_each("fstat", 2, open);
  expect_error_of_each("readlink", 1, open);
  expect_error_of_each("readlink", 2, [&] { EXPECT_EQ(resolve_links(folder.path("link")), folder.path("a")); });
}

TEST(InputFolderLinks, AreFollowedWithinItAndIntoTheBlobsOfACache) {
  const TempFolder cache;
  const std::string snapshot = cache.path("models--a--b/snapshots/0123");
  fs::create_directories(snapshot + "/1_Pooling");
  fs::create_directories(cache.path("models--a--b/blobs"));
  write_bytes(cache.path("models--a--b/blobs/77"), "blob");
  write_bytes(cache.path("secret"), "secret");
  write_bytes(snapshot + "/plain", "plain");
  fs::create_symlink("../../blobs/77", snapshot + "/config.json");
  fs::create_symlink("../../../blobs/77", snapshot + "/1_Pooling/config.json");
  fs::create_symlink("plain", snapshot + "/inside");
  fs::create_symlink("../../../secret", snapshot + "/outside");
  fs::create_symlink(cache.path("secret"), snapshot + "/absolute");
  fs::create_symlink("outside", snapshot + "/through");
  fs::create_symlink("../../blobs/78", snapshot + "/dangling");
  fs::create_symlink(snapshot, cache.path("model"));  // as the user names it
  for (const std::string& path : {snapshot, cache.path("model"), cache.path("model/")}) {
    InputFolder folder(path);
    for (const char* name : {"plain", "inside", "config.json", "1_Pooling/config.json"}) {
      EXPECT_NE(folder.open(name), nullptr) << name;
    }
    EXPECT_EQ(folder.opened().size(), 4U);
    for (const char* name : {"outside", "absolute", "through"}) {
      EXPECT_EQ(folder.open_inside(name), nullptr) << name;
      const Error refused = error_of([&] { folder.open_if_there(name); });
      EXPECT_EQ(refused.status(), Status::kIo) << name;
      EXPECT_NE(refused.message().find(cache.path("secret")), std::string::npos) << refused.message();
    }
    EXPECT_EQ(folder.opened().size(), 4U);
    const Error dangling = error_of([&] { folder.open_if_there("dangling"); });
    EXPECT_EQ(dangling.status(), Status::kNotFound);
    EXPECT_NE(dangling.message().find("../../blobs/78"), std::string::npos) << dangling.message();
    EXPECT_EQ(folder.open_if_there("none"), nullptr);
  }
  // Of another folder they are files of somebody else.
  fs::create_directories(cache.path("copy"));
  fs::create_symlink(cache.path("models--a--b/blobs/77"), cache.path("copy/config.json"));
  InputFolder copy(cache.path("copy"));
  EXPECT_EQ(copy.open_inside("config.json"), nullptr);
}

// Opening a FIFO would wait for ever; a socket and a device are not read.
TEST(InputFolderLinks, AreNotFollowedToWhatIsNoFile) {
  const TempFolder temp;
  ASSERT_EQ(::mkfifo(temp.path("fifo").c_str(), 0600), 0);
  fs::create_symlink("/dev/zero", temp.path("device"));
  fs::create_symlink("fifo", temp.path("link"));
  sockaddr_un address{AF_UNIX, {}};
  const std::string name = temp.path("socket");
  ASSERT_LT(name.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  const FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  InputFolder folder(temp.path());
  for (const char* entry : {"fifo", "device", "link", "socket"}) {
    const Error refused = error_of([&] { folder.open_inside(entry); });
    EXPECT_EQ(refused.status(), Status::kIo) << entry;
    EXPECT_NE(refused.message().find("is not a regular file"), std::string::npos) << refused.message();
  }
}

TEST(InputFileStamp, TellsAWrite) {
  const TempFolder folder;
  write_bytes(folder.path("a"), "some bytes");
  const InputFile file(folder.path("a"));
  file.require_unchanged();
  EXPECT_EQ(file.stamp().size_bytes, 10U);
  // A clock tick later than the first write, whatever the file system's is.
  const auto before = fs::last_write_time(folder.path("a"));
  while (fs::last_write_time(folder.path("a")) == before) write_bytes(folder.path("a"), "same bytes");
  const Error changed = error_of([&] { file.require_unchanged(); });
  EXPECT_EQ(changed.status(), Status::kIo);
  EXPECT_EQ(changed.subject(), folder.path("a"));
  // A time that is set back does not hide it.
  const InputFile again(folder.path("a"));
  const auto written = fs::last_write_time(folder.path("a"));
  ::usleep(20000);
  write_bytes(folder.path("a"), "others now");
  fs::last_write_time(folder.path("a"), written);
  EXPECT_EQ(error_of([&] { again.require_unchanged(); }).status(), Status::kIo);
}

}  // namespace
}  // namespace mnq::test
