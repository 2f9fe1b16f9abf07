// The program's own input and output.
#include "formats/open_source.h"
#include "guard.h"
#include "handles.h"
#include "quantize/jobs.h"

using namespace mnq;
using namespace mnq::capi;

mnq_status mnq_reader_create(uint64_t size_bytes, mnq_read_fn read, mnq_release_fn release, void* user,
                             mnq_reader** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    require(read, "read");
    const auto owner = std::make_shared<Releaser>();
    auto bytes = host_bytes(size_bytes, [read, user, owner](std::uint64_t offset, std::span<std::byte> into) {
      return read(user, offset, into.data(), into.size());
    });
    *out = new mnq_reader{{}, std::move(bytes)};
    owner->arm(release, user);
  });
}

void mnq_reader_free(mnq_reader* reader) noexcept { delete live(reader); }

mnq_status mnq_model_open_reader(const mnq_reader* reader, const mnq_run* run, mnq_model** out,
                                 mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    *out = new mnq_model{{}, open_source(require(reader, "reader")->bytes, open_settings(settings_of(nullptr, run)))};
  });
}

mnq_status mnq_writer_create(mnq_write_fn write, mnq_commit_fn commit, mnq_abort_fn abort, mnq_release_fn release,
                             void* user, mnq_writer** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    require(write, "write");
    auto writer = std::make_unique<mnq_writer>();
    writer->output.write = [write, user](std::uint64_t offset, std::span<const std::byte> bytes) {
      return write(user, offset, bytes.data(), bytes.size());
    };
    writer->output.commit = [commit, user](std::uint64_t size) { return commit == nullptr ? 0 : commit(user, size); };
    writer->output.abort = [abort, user] {
      if (abort != nullptr) abort(user);
    };
    const auto owner = std::make_shared<Releaser>();
    writer->owner = owner;
    *out = writer.release();
    owner->arm(release, user);
  });
}

void mnq_writer_free(mnq_writer* writer) noexcept { delete live(writer); }
