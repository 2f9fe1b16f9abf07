// A stack of our own for what recurses as deep as a file says. How much a thread of the host has is not ours to know: 8
// MiB, 128 KiB, or the 32 KiB that some hosts give. The thread stays the same, and with it all that belongs to it: its
// settings, its worker threads, its locks.
#pragma once

#include <cstddef>
#include <functional>

namespace mnq {

/// Of address space; memory only as far as it is used. A few stacks are kept for the next calls, with little memory.
inline constexpr std::size_t kOwnStackBytes = std::size_t{256} << 20;

/// Calls work() there; in place where it runs there already. What work throws comes through. Errors: kOutOfMemory.
void on_own_stack(const std::function<void()>& work);

/// Calls work() on the stack that on_own_stack was called on, for what calls the host back: hosts look at where their
/// thread's stack is. In place elsewhere. What work throws comes through.
void on_host_stack(const std::function<void()>& work);

}  // namespace mnq
