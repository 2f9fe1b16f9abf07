#include "quantize/write/commit_thread.h"

#include <system_error>
#include <utility>

namespace mnq {

CommitThread::~CommitThread() {
  if (thread_.joinable()) thread_.join();
}

void CommitThread::commit(std::function<void()> body) {
  wait();
  body_ = std::move(body);
  try {
    thread_ = std::thread([this] {
      try {
        body_();
      } catch (...) {
        failure_ = std::current_exception();
      }
    });
  } catch (const std::system_error&) {  // no thread is to be had
    body_();
  }
}

void CommitThread::wait() {
  if (thread_.joinable()) thread_.join();
  body_ = nullptr;
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

}  // namespace mnq
