// Programs as a user runs them: arguments and environment in; exit code, stdout, stderr and time out.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <string>
#include <vector>

extern char** environ;

namespace mnq::test {

/// Of a program that ended: its exit code, or minus the signal that killed it.
inline int exit_code_of(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -WTERMSIG(wait_status);
}

struct Result {
  int exit_code = -1;
  std::string out;
  std::string err;
};

struct ProcessOptions {
  std::vector<std::string> environment;  ///< "NAME=value", besides PATH and what sanitizers need
  std::string folder;                    ///< to run in; empty: the test's own
  std::string stdout_to;                 ///< a file for stdout; empty: Result::out
};

/// The environment a program gets: none of the caller's but what it needs to run.
inline std::vector<std::string> clean_environment(const std::vector<std::string>& more) {
  std::vector<std::string> clean;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    for (const char* kept : {"PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TMPDIR="}) {
      if (text.starts_with(kept)) clean.push_back(text);
    }
  }
  clean.insert(clean.end(), more.begin(), more.end());
  return clean;
}

/// Pointers as exec wants them; valid as long as the texts are.
inline std::vector<char*> exec_pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// What ignores signals hands that down: a program in a test takes them.
struct FreshSignals {
  FreshSignals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int each : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) sigaddset(&signals, each);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  }
  ~FreshSignals() { posix_spawnattr_destroy(&attributes); }
  FreshSignals(const FreshSignals&) = delete;
  FreshSignals& operator=(const FreshSignals&) = delete;

  posix_spawnattr_t attributes;
};

/// A program that runs. Ended with the object at the latest.
class Process {
 public:
  explicit Process(std::vector<std::string> command, const ProcessOptions& options = {}) {
    open_pipe(out_);
    open_pipe(err_);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (!options.folder.empty()) posix_spawn_file_actions_addchdir_np(&actions, options.folder.c_str());
    if (options.stdout_to.empty()) {
      posix_spawn_file_actions_adddup2(&actions, out_[1], STDOUT_FILENO);
    } else {
      posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, options.stdout_to.c_str(), O_WRONLY, 0);
    }
    posix_spawn_file_actions_adddup2(&actions, err_[1], STDERR_FILENO);
    const FreshSignals signals;
    std::vector<std::string> environment = clean_environment(options.environment);
    const int error = ::posix_spawn(&id_, command[0].c_str(), &actions, &signals.attributes,
                                    exec_pointers(command).data(), exec_pointers(environment).data());
    posix_spawn_file_actions_destroy(&actions);
    close_end(out_[1]);
    close_end(err_[1]);
    if (error != 0) throw std::runtime_error(command[0] + " cannot be started");
  }
  ~Process() {
    if (id_ > 0) {
      ::kill(id_, SIGKILL);
      ::waitpid(id_, nullptr, 0);
    }
    for (int* end : {&out_[0], &err_[0]}) close_end(*end);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t id() const { return id_; }
  void send(int signal_number) const { ::kill(id_, signal_number); }

  /// As a reader that goes away: `program | head -0`.
  void close_stdout() { close_end(out_[0]); }

  Result wait() {
    Result result;
    while (out_[0] >= 0 || err_[0] >= 0) {
      std::array<pollfd, 2> ends{pollfd{out_[0], POLLIN, 0}, pollfd{err_[0], POLLIN, 0}};
      if (::poll(ends.data(), ends.size(), -1) < 0 && errno != EINTR) break;
      if (ends[0].revents != 0) read_some(out_[0], result.out);
      if (ends[1].revents != 0) read_some(err_[0], result.err);
    }
    int status = 0;
    ::waitpid(id_, &status, 0);
    id_ = 0;
    result.exit_code = exit_code_of(status);
    return result;
  }

 private:
  static void open_pipe(std::array<int, 2>& ends) {
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe can be made");
  }
  static void close_end(int& end) {
    if (end >= 0) ::close(end);
    end = -1;
  }
  static void read_some(int& end, std::string& into) {
    std::array<char, 4096> bytes;
    const ssize_t count = ::read(end, bytes.data(), bytes.size());
    if (count > 0) {
      into.append(bytes.data(), static_cast<std::size_t>(count));
    } else if (count == 0 || errno != EINTR) {
      close_end(end);
    }
  }

  pid_t id_ = 0;
  std::array<int, 2> out_{-1, -1};
  std::array<int, 2> err_{-1, -1};
};

inline Result run_process(std::vector<std::string> command, const ProcessOptions& options = {}) {
  return Process(std::move(command), options).wait();
}

}  // namespace mnq::test
