// Output files appear whole or not at all, whatever stands in their way; input files are what they were when opened.
#include "base/files/file.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cctype>
#include <csignal>
#include <cstring>
#include <thread>
#include <vector>

#include "support/error_of.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

using Names = std::set<std::string>;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

bool never() { return false; }

// A whole file, written and committed.
void write_output(const std::string& path, std::string_view text, bool overwrite = false) {
  OutputFile file(path, overwrite, text.size());
  file.write_at(0, bytes_of(text));
  file.commit(never);
}

void expect_io(const Error& error, std::string_view in_message) {
  EXPECT_EQ(error.status(), Status::kIo) << error.message();
  EXPECT_NE(error.message().find(in_message), std::string::npos) << error.message();
  EXPECT_FALSE(error.subject().empty());
}

TEST(Output, AppearsWhenItIsCommitted) {
  const TempFolder folder;
  const std::string path = folder.path("out");
  {
    OutputFile file(path, false, 6);
    file.write_at(3, bytes_of("def"));
    file.write_at(0, bytes_of("abc"));
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_EQ(folder.names().size(), 1u);
    file.commit(never);
  }
  EXPECT_EQ(folder.names(), Names{"out"});
  EXPECT_EQ(read_bytes(path), "abcdef");
}

TEST(Output, IsGoneWhereItIsNotCommitted) {
  const TempFolder folder;
  { OutputFile file(folder.path("out"), false, 3); }
  EXPECT_EQ(folder.names(), Names{});
  EXPECT_THROW(
      {
        OutputFile file(folder.path("out"), false, 3);
        throw std::runtime_error("in the middle of the work");
      },
      std::runtime_error);
  EXPECT_EQ(folder.names(), Names{});
}

TEST(Output, IsGoneWhereCommitIsCancelled) {
  const TempFolder folder;
  const std::uint64_t size = 20 << 20;  // synced in three pieces
  for (int piece = 0; piece < 4; ++piece) {
    int asked = 0;
    const Error error = error_of([&] {
      OutputFile file(folder.path("out"), false, size);
      file.commit([&] { return asked++ == piece; });
    });
    EXPECT_EQ(error.status(), Status::kCancelled);
    EXPECT_EQ(asked, piece + 1);
    EXPECT_EQ(folder.names(), Names{});
  }
}

TEST(Output, KeepsWhatIsThere) {
  const TempFolder folder;
  const std::string path = folder.path("out");
  write_bytes(path, "old");
  const Error error = error_of([&] { OutputFile(path, false, 3); });
  expect_io(error, "is there already");
  EXPECT_NE(error.suggestion().find("overwrite"), std::string::npos);
  EXPECT_EQ(read_bytes(path), "old");
  EXPECT_EQ(folder.names(), Names{"out"});
}

TEST(Output, KeepsWhatAppearsMeanwhile) {
  const TempFolder folder;
  const std::string path = folder.path("out");
  expect_io(error_of([&] {
              OutputFile file(path, false, 3);
              write_bytes(path, "another's");
              file.commit(never);
            }),
            "appeared meanwhile");
  EXPECT_EQ(read_bytes(path), "another's");
  EXPECT_EQ(folder.names(), Names{"out"});
}

TEST(Output, ReplacesWhereThatIsAllowed) {
  const TempFolder folder;
  const std::string path = folder.path("out");
  write_bytes(path, "an old and longer one");
  { OutputFile file(path, true, 3); }
  EXPECT_EQ(read_bytes(path), "an old and longer one");
  write_output(path, "new", true);
  EXPECT_EQ(read_bytes(path), "new");
  EXPECT_EQ(folder.names(), Names{"out"});
}

TEST(Output, ReplacesWhatALinkNames) {
  const TempFolder folder;
  std::filesystem::create_directory(folder.path("elsewhere"));
  write_bytes(folder.path("elsewhere/real"), "old");
  std::filesystem::create_symlink("elsewhere/real", folder.path("link"));
  expect_io(error_of([&] { OutputFile(folder.path("link"), false, 3); }), "is there already");
  write_output(folder.path("link"), "new", true);
  EXPECT_TRUE(std::filesystem::is_symlink(folder.path("link")));
  EXPECT_EQ(read_bytes(folder.path("elsewhere/real")), "new");
  EXPECT_EQ(folder.names(), (Names{"elsewhere", "link"}));
}

TEST(Output, MakesWhatALinkNames) {
  const TempFolder folder;
  std::filesystem::create_directory(folder.path("elsewhere"));
  std::filesystem::create_symlink("elsewhere/real", folder.path("second"));
  std::filesystem::create_symlink(folder.path("second"), folder.path("first"));
  write_output(folder.path("first"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder.path("first")));
  EXPECT_TRUE(std::filesystem::is_symlink(folder.path("second")));
  EXPECT_EQ(read_bytes(folder.path("elsewhere/real")), "new");
}

TEST(Output, LinksInACircle) {
  const TempFolder folder;
  std::filesystem::create_symlink("b", folder.path("a"));
  std::filesystem::create_symlink("a", folder.path("b"));
  expect_io(error_of([&] { OutputFile(folder.path("a"), true, 3); }), "a: ");
  EXPECT_EQ(folder.names(), (Names{"a", "b"}));
}

TEST(Output, NeedsItsFolder) {
  const TempFolder folder;
  const Error error = error_of([&] { OutputFile(folder.path("none/out"), false, 3); });
  expect_io(error, "No such file or directory");
  EXPECT_EQ(error.suggestion(), "create the folder first");
}

TEST(Output, NeverReplacesAFolder) {
  const TempFolder folder;
  std::filesystem::create_directory(folder.path("out"));
  expect_io(error_of([&] { OutputFile(folder.path("out"), true, 3); }), "is not a regular file");
  EXPECT_EQ(folder.names(), Names{"out"});
}

TEST(Output, NeverReplacesADevice) {
  expect_io(error_of([] { OutputFile("/dev/null", true, 3); }), "is not a regular file");
}

TEST(Output, ReadOnlyFolder) {
  const TempFolder folder;
  ::chmod(folder.path().c_str(), 0555);
  if (::access(folder.path().c_str(), W_OK) == 0) GTEST_SKIP() << "root writes everywhere";
  const Error error = error_of([&] { OutputFile(folder.path("out"), false, 3); });
  expect_io(error, "Permission denied");
  EXPECT_NE(error.suggestion().find("permissions"), std::string::npos);
  ::chmod(folder.path().c_str(), 0755);
}

TEST(Output, NameOfTheGreatestLength) {
  const TempFolder folder;
  const std::string name(255, 'n');
  write_output(folder.path(name), "new");
  EXPECT_EQ(folder.names(), Names{name});
  expect_io(error_of([&] { write_output(folder.path(name + "n"), "new"); }), "too long");
  EXPECT_EQ(folder.names(), Names{name});
}

TEST(Output, NothingToWrite) {
  const TempFolder folder;
  write_output(folder.path("out"), "");
  EXPECT_EQ(folder.names(), Names{"out"});
  EXPECT_EQ(read_bytes(folder.path("out")), "");
}

mode_t mode_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 0777;
}

class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  ~Umask() { ::umask(before_); }

 private:
  mode_t before_;
};

TEST(OutputPermissions, AreThoseOfTheFileThatIsReplaced) {
  const TempFolder folder;
  const Umask umask(022);
  for (const mode_t mode : {0600u, 0640u, 0666u, 0400u, 0755u}) {
    write_bytes(folder.path("out"), "old");
    ::chmod(folder.path("out").c_str(), mode);
    {
      OutputFile file(folder.path("out"), true, 3);
      for (const auto& name : folder.names()) EXPECT_EQ(mode_of(folder.path(name)), mode) << name;
      file.write_at(0, bytes_of("new"));
      file.commit(never);
    }
    EXPECT_EQ(mode_of(folder.path("out")), mode);
    EXPECT_EQ(read_bytes(folder.path("out")), "new");
    std::filesystem::remove(folder.path("out"));
  }
}

TEST(OutputPermissions, FollowTheUmaskWhereNothingIsReplaced) {
  const TempFolder folder;
  const Umask umask(027);
  write_output(folder.path("out"), "new");
  EXPECT_EQ(mode_of(folder.path("out")), 0640u);
}

// A process that begins to write a file and is killed before that is there.
void leave_temporary(const std::string& path) {
  const pid_t child = ::fork();
  if (child == 0) {
    OutputFile file(path, true, 3);
    ::kill(::getpid(), SIGKILL);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
}

TEST(OutputTemporaries, OfDeadRunsAreRemovedByTheNext) {
  const TempFolder folder;
  for (const std::string& name : {std::string("out"), std::string(255, 'n')}) {
    leave_temporary(folder.path(name));
    EXPECT_EQ(folder.names().size(), 1u);
    write_output(folder.path(name), "new");
    EXPECT_EQ(folder.names(), Names{name});
    std::filesystem::remove(folder.path(name));
  }
}

TEST(OutputTemporaries, OfOtherOutputsAndOtherProgramsStay) {
  const TempFolder folder;
  leave_temporary(folder.path("out.more"));
  const std::string dead = *folder.names().begin();
  const Names others{".out.swp", ".out.123-4.tmp", ".out.mnq-file.tmp", ".out.mnq-file.host.12-x.tmp", "notes"};
  for (const auto& name : others) write_bytes(folder.path(name), "mine");
  std::filesystem::create_directory(folder.path(".out.mnq-file.host.1-2.tmp"));
  write_output(folder.path("out"), "new");
  Names expected = others;
  expected.insert({dead, "out", ".out.mnq-file.host.1-2.tmp"});
  EXPECT_EQ(folder.names(), expected);
}

TEST(OutputTemporaries, OfALiveRunAreAReasonToStop) {
  const TempFolder folder;
  const std::string path = folder.path("out");
  write_bytes(path, "old");
  OutputFile first(path, true, 3);
  const Error second = error_of([&] { OutputFile(path, true, 3); });
  EXPECT_EQ(second.status(), Status::kState);
  std::array<char, 256> host{};
  ASSERT_EQ(::gethostname(host.data(), host.size() - 1), 0);
  for (char* c = host.data(); *c != 0; ++c) *c = std::isalnum(static_cast<unsigned char>(*c)) ? *c : '-';
  EXPECT_EQ(second.message(), path + ": process " + std::to_string(::getpid()) + " on " +
                                  std::string(host.data()).substr(0, 60) + " is at work on it");
  EXPECT_FALSE(second.suggestion().empty());
  first.write_at(0, bytes_of("new"));
  first.commit(never);
  EXPECT_EQ(read_bytes(path), "new");
  EXPECT_EQ(folder.names(), Names{"out"});
}

// Of many that start at once one goes on, and its file is whole.
TEST(OutputTemporaries, OneOfManyGoesOn) {
  const TempFolder folder;
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> done{0}, waiting{4};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        for (--waiting; waiting > 0;) std::this_thread::yield();
        try {
          OutputFile file(folder.path("out"), true, 4);
          file.write_at(0, bytes_of(std::string(4, static_cast<char>('a' + i))));
          file.commit(never);
          ++done;
        } catch (const Error& error) {
          EXPECT_EQ(error.status(), Status::kState) << error.message();
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_GE(done, 1);
    const std::string made = read_bytes(folder.path("out"));
    EXPECT_EQ(made, std::string(4, made.at(0)));
    EXPECT_EQ(folder.names(), Names{"out"});
  }
}

class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

bool is_pending(int signal_number) {
  sigset_t pending;
  ::sigpending(&pending);
  return ::sigismember(&pending, signal_number) == 1;
}

// The system's answer to that is a signal that ends the process, of whoever the library is part.
TEST(OutputLimit, IsAnErrorAndNoSignal) {
  const TempFolder folder;
  for (const std::uint64_t reserved : {0u, 100'000u}) {
    const Error error = error_of([&] {
      const FileSizeLimit limit(4096);
      OutputFile file(folder.path("out"), false, reserved);
      file.write_at(0, bytes_of(std::string(100'000, 'x')));
    });
    expect_io(error, "File too large");
    EXPECT_NE(error.suggestion().find("ulimit -f"), std::string::npos) << error.suggestion();
    EXPECT_EQ(folder.names(), Names{});
    EXPECT_FALSE(is_pending(SIGXFSZ));
  }
  struct sigaction action {};
  ::sigaction(SIGXFSZ, nullptr, &action);
  EXPECT_EQ(action.sa_handler, SIG_DFL);
  sigset_t blocked;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  EXPECT_EQ(::sigismember(&blocked, SIGXFSZ), 0);
}

// A signal that the host holds back itself is still there for it.
TEST(OutputLimit, TakesNoSignalOfTheHost) {
  const TempFolder folder;
  sigset_t signal, before;
  ::sigemptyset(&signal);
  ::sigaddset(&signal, SIGXFSZ);
  ::pthread_sigmask(SIG_BLOCK, &signal, &before);
  ::raise(SIGXFSZ);
  error_of([&] {
    const FileSizeLimit limit(4096);
    OutputFile file(folder.path("out"), false, 0);
    file.write_at(0, bytes_of(std::string(100'000, 'x')));
  });
  EXPECT_TRUE(is_pending(SIGXFSZ));
  int taken = 0;
  ::sigwait(&signal, &taken);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// A disk of one megabyte for the test's time.
class SmallDisk : public testing::Test {
 protected:
  void SetUp() override {
    if (::mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
      GTEST_SKIP() << "no disk can be mounted here: " << std::strerror(errno);
    }
    is_mounted_ = true;
  }
  void TearDown() override {
    if (is_mounted_) ::umount(folder_.path().c_str());
  }

  TempFolder folder_;
  bool is_mounted_ = false;
};

TEST_F(SmallDisk, IsFullBeforeTheWork) {
  const Error error = error_of([&] { OutputFile(folder_.path("out"), false, 2 << 20); });
  expect_io(error, "it needs 2.1 MB: No space left on device");
  EXPECT_NE(error.suggestion().find("free some space"), std::string::npos);
  EXPECT_EQ(folder_.names(), Names{});
}

TEST_F(SmallDisk, IsFullInTheMiddle) {
  const std::string megabytes(2 << 20, 'x');
  expect_io(error_of([&] {
              OutputFile file(folder_.path("out"), false, 3);
              file.write_at(0, bytes_of(megabytes));
            }),
            "No space left on device");
  EXPECT_EQ(folder_.names(), Names{});
}

TEST(Input, ReadsByPosition) {
  const TempFolder folder;
  write_bytes(folder.path("in"), "abcdef");
  const InputFile file(folder.path("in"));
  EXPECT_EQ(file.size(), 6u);
  std::array<std::byte, 3> read{};
  file.read_at(2, read);
  EXPECT_EQ(std::memcmp(read.data(), "cde", 3), 0);
  file.read_at(6, std::span<std::byte>());
}

TEST(Input, BecomesShorter) {
  const TempFolder folder;
  write_bytes(folder.path("in"), "abcdef");
  const InputFile file(folder.path("in"));
  std::filesystem::resize_file(folder.path("in"), 4);
  std::array<std::byte, 3> read{};
  expect_io(error_of([&] { file.read_at(2, read); }), "ends at byte 4");
}

TEST(Input, LiesAtItsNamesAndBelowItsFolders) {
  const TempFolder folder;
  for (const char* name : {"in", "in/deep", "in2", "links"}) std::filesystem::create_directory(folder.path(name));
  write_bytes(folder.path("in/deep/file"), "a");
  write_bytes(folder.path("in/other"), "a");
  std::filesystem::create_symlink("../in/deep/file", folder.path("links/soft"));
  std::filesystem::create_symlink("in", folder.path("to_in"));
  std::filesystem::create_hard_link(folder.path("in/deep/file"), folder.path("hard"));
  const InputFile file(folder.path("links/soft"));
  for (const char* here : {"in/deep/file", "links/soft", "hard", "to_in/deep/file", "in", "in/", "in/deep", "to_in",
                           "links", ".", "in/deep/../../in"}) {
    EXPECT_TRUE(file.place().is_at_or_below(folder.path(here))) << here;
  }
  for (const char* elsewhere : {"in/other", "none", "in2", "in/deep/none", "links/none"}) {
    EXPECT_FALSE(file.place().is_at_or_below(folder.path(elsewhere))) << elsewhere;
  }
}

TEST(Input, WhatIsNoFile) {
  const TempFolder folder;
  write_bytes(folder.path("file"), "a");
  const auto status_of = [](const std::string& path) { return error_of([&] { InputFile file(path); }).status(); };
  EXPECT_EQ(status_of(folder.path("none")), Status::kNotFound);
  EXPECT_EQ(status_of(folder.path("file/none")), Status::kNotFound);
  EXPECT_EQ(status_of(""), Status::kNotFound);
  EXPECT_EQ(status_of(folder.path()), Status::kUnsupported);
  EXPECT_EQ(status_of("/dev/null"), Status::kIo);
  ASSERT_EQ(::mkfifo(folder.path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(status_of(folder.path("fifo")), Status::kIo);
}

}  // namespace
}  // namespace mnq::test
