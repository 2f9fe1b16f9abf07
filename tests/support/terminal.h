// A terminal with a program in it.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/process.h"

namespace mnq::test {

/// Whether the system makes any: one without /dev/pts does not.
inline bool has_terminals() {
  int controller = -1, terminal = -1;
  if (::openpty(&controller, &terminal, nullptr, nullptr, nullptr) != 0) return false;
  ::close(controller);
  ::close(terminal);
  return true;
}

/// At the start of a test, or of its SetUp.
#define SKIP_WITHOUT_TERMINALS() \
  if (!has_terminals()) GTEST_SKIP() << "this system makes no terminals: /dev/pts is missing"

class TerminalProcess {
 public:
  TerminalProcess(std::vector<std::string> command, const ProcessOptions& options, unsigned short columns) {
    winsize size{};
    size.ws_row = 40;
    size.ws_col = columns;
    std::vector<std::string> environment = clean_environment(options.environment);
    const std::vector<char*> arguments = exec_pointers(command);
    const std::vector<char*> variables = exec_pointers(environment);
    id_ = ::forkpty(&terminal_, nullptr, nullptr, &size);
    if (id_ < 0) throw std::runtime_error("no terminal can be made");
    if (id_ == 0) {
      for (const int each : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) std::signal(each, SIG_DFL);
      if (::chdir(options.folder.c_str()) == 0) ::execve(arguments[0], arguments.data(), variables.data());
      ::_exit(127);
    }
  }
  ~TerminalProcess() {
    if (id_ > 0) {
      ::kill(id_, SIGKILL);
      ::waitpid(id_, nullptr, 0);
    }
    ::close(terminal_);
  }
  TerminalProcess(const TerminalProcess&) = delete;
  TerminalProcess& operator=(const TerminalProcess&) = delete;

  /// As from the keyboard; "\x03" is Ctrl-C.
  void type(const std::string& keys) {
    if (::write(terminal_, keys.data(), keys.size()) < 0) throw std::runtime_error("the terminal takes no keys");
  }

  /// Reads until it shows a text; false where the program ended or a minute passed without it.
  bool wait_for(const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (shown_.find(text) == shown_.npos) {
      if (std::chrono::steady_clock::now() > deadline || !read_some()) return false;
    }
    return true;
  }

  /// The exit code, once it has ended.
  int wait() {
    while (read_some()) {
    }
    int status = 0;
    ::waitpid(id_, &status, 0);
    id_ = 0;
    return exit_code_of(status);
  }

  /// All that was shown, with escape codes; lines end in \r\n.
  const std::string& shown() const { return shown_; }

 private:
  bool read_some() {
    pollfd end{terminal_, POLLIN, 0};
    if (::poll(&end, 1, 1000) <= 0) return true;
    char bytes[4096];
    const ssize_t count = ::read(terminal_, bytes, sizeof bytes);
    if (count <= 0) return false;  // EIO: the program closed its end
    shown_.append(bytes, static_cast<std::size_t>(count));
    return true;
  }

  int terminal_ = -1;
  pid_t id_ = 0;
  std::string shown_;
};

}  // namespace mnq::test
