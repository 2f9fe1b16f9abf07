// streams.hpp - part of mono_quant.hpp: the program's own input and output.
#ifndef MONO_QUANT_STREAMS_HPP
#define MONO_QUANT_STREAMS_HPP

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "handle.hpp"
#include "mono_quant.h"

namespace mono_quant {

/// What a checkpoint is read from, by position: see mnq_reader_create. What the function throws ends the call with IO.
class Reader : public detail::Owning<mnq_reader, mnq_reader_free> {
 public:
  /// Fills `into` from `offset` on. Called from several threads at once.
  using Read = std::function<void(std::uint64_t offset, std::span<std::byte> into)>;

  Reader(std::uint64_t size_bytes, Read read) : Owning(make(size_bytes, std::move(read))) {}

 private:
  static mnq_reader* make(std::uint64_t size_bytes, Read read) {
    auto kept = std::make_unique<Read>(std::move(read));
    mnq_reader* reader =
        detail::make<mnq_reader>(mnq_reader_create, size_bytes, &on_read, &on_release, static_cast<void*>(kept.get()));
    static_cast<void>(kept.release());  // on_release has it now
    return reader;
  }
  static std::int32_t on_read(void* user, std::uint64_t offset, void* into, std::size_t size) {
    try {
      (*static_cast<Read*>(user))(offset, {static_cast<std::byte*>(into), size});
      return 0;
    } catch (...) {
      return 1;
    }
  }
  static void on_release(void* user) { delete static_cast<Read*>(user); }
};

/// What a checkpoint is written to, by position: see mnq_writer_create. What the functions throw ends the call with IO.
class Writer : public detail::Owning<mnq_writer, mnq_writer_free> {
 public:
  struct Functions {
    std::function<void(std::uint64_t offset, std::span<const std::byte> bytes)> write;  ///< from several threads
    std::function<void(std::uint64_t size_bytes)> commit = {};                          ///< may be empty
    std::function<void()> abort = {};                                                   ///< may be empty
  };

  explicit Writer(Functions functions) : Owning(make(std::move(functions))) {}

 private:
  static mnq_writer* make(Functions functions) {
    auto kept = std::make_unique<Functions>(std::move(functions));
    mnq_writer* writer = detail::make<mnq_writer>(mnq_writer_create, &on_write, &on_commit, &on_abort, &on_release,
                                                  static_cast<void*>(kept.get()));
    static_cast<void>(kept.release());  // on_release has it now
    return writer;
  }
  template <class Work>
  static std::int32_t code_of(Work&& work) {
    try {
      work();
      return 0;
    } catch (...) {
      return 1;
    }
  }
  static Functions& functions(void* user) { return *static_cast<Functions*>(user); }
  static std::int32_t on_write(void* user, std::uint64_t offset, const void* data, std::size_t size) {
    return code_of([&] { functions(user).write(offset, {static_cast<const std::byte*>(data), size}); });
  }
  static std::int32_t on_commit(void* user, std::uint64_t size_bytes) {
    return code_of([&] {
      if (functions(user).commit) functions(user).commit(size_bytes);
    });
  }
  static void on_abort(void* user) {
    code_of([&] {
      if (functions(user).abort) functions(user).abort();
    });
  }
  static void on_release(void* user) { delete static_cast<Functions*>(user); }
};

}  // namespace mono_quant

#endif  // MONO_QUANT_STREAMS_HPP
