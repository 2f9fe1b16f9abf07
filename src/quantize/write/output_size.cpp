#include "quantize/write/output_size.h"

#include "formats/folder/output/folder_output.h"
#include "quantize/write/shards.h"
#include "quantize/write/sink_request.h"

namespace mnq {
namespace {

class Nowhere final : public ByteSink {
 public:
  void write(std::uint64_t, std::span<const std::byte>) override {}
  void commit() override {}
};

// A sink asks for its size before anything is written.
std::uint64_t file_size(const TensorSource& source, const PlanSlice& plan, const Format& format, Metadata metadata) {
  std::uint64_t size_bytes = 0;
  format.open_sink({plan, metadata, source.companion(), &source}, [&](std::uint64_t size) {
    size_bytes = size;
    return std::make_unique<Nowhere>();
  });
  return size_bytes;
}

// As write_folder.cpp cuts and marks them.
std::uint64_t folder_size(const TensorSource& source, const Plan& plan, const Format& format, const JobSettings& job) {
  const std::vector<PlanSlice> shards = cut_shards(plan, choose_shard_size(plan, job));
  std::uint64_t size_bytes = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    Metadata metadata = output_metadata(source, shards[i]);
    metadata.insert(FolderOutput::mark_like(i, shards.size()));
    size_bytes += file_size(source, shards[i], format, std::move(metadata));
  }
  return size_bytes;
}

}  // namespace

std::optional<std::uint64_t> output_size(const TensorSource& source, const Plan& plan, const Format& format,
                                         const JobSettings& job) {
  if (format.is_module || format.open_sink == nullptr) return std::nullopt;
  if (format.is_folder) return folder_size(source, plan, format, job);
  const PlanSlice all(plan);
  return file_size(source, all, format, output_metadata(source, all));
}

}  // namespace mnq
