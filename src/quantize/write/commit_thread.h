// A thread that commits one shard while the next one is worked on.
#pragma once

#include <exception>
#include <functional>
#include <thread>

namespace mnq {

class CommitThread {
 public:
  ~CommitThread();

  /// Runs the body beside the caller, once the one before it is done. Errors: those of the one before.
  void commit(std::function<void()> body);

  /// Until the last body is done. Errors: its own.
  void wait();

 private:
  std::function<void()> body_;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace mnq
