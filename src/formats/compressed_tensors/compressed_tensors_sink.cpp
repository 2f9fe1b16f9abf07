// One shard of a compressed-tensors folder.
#include <algorithm>
#include <cstring>
#include <mutex>

#include "formats/collected_tensors.h"
#include "formats/compressed_tensors/compressed_tensors.h"
#include "formats/compressed_tensors/compressed_tensors_layout.h"
#include "formats/compressed_tensors/compressed_tensors_models.h"
#include "formats/safetensors/safetensors.h"
#include "kernels/float_conversions.h"
#include "plan/logical_tensors.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

using namespace compressed_tensors;

class CompressedTensorsSink final : public TensorSink {
 public:
  CompressedTensorsSink(const SinkRequest& request, const OpenByteSink& open)
      : places_(request.tensors.size()), needs_plain_weights_(needs_plain_weights(request.companion)) {
    const CollectedTensors collected(request.tensors, request.metadata);
    std::vector<TensorInfo> infos;
    for (const LogicalTensor& tensor : require_logical_tensors(collected)) {
      if (!tensor.spec || scheme_of(*tensor.spec).is_cast) {
        for (const std::size_t part : tensor.parts) {
          places_[part].index = infos.size();
          infos.push_back(request.tensors[part]);
        }
      } else {
        add(tensor, request.tensors, infos);
      }
    }
    metadata_ = request.metadata;
    metadata_.erase(std::string(kMetadataKey));
    if (has_ggml_scales_) metadata_.insert_or_assign(std::string(kGgmlScalesKey), "true");
    sink_ = open_safetensors_sink({infos, metadata_}, open);
    for (const auto& [index, shape] : shapes_) sink_->write(index, 0, std::as_bytes(std::span(shape)));
  }

  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override {
    Place& place = places_[tensor];
    switch (place.how) {
      case How::kAsItIs:
        return sink_->write(place.index, offset, bytes);
      case How::kScale:
        return write_scales(place, offset, bytes);
      case How::kBytes:
        return write_bytes(place, offset, bytes);
      case How::kZeroPoints:
        return write_zero_points(place, offset, bytes);
      case How::kDropped:
        return;
    }
  }

  void commit(const Metadata&) override { sink_->commit(metadata_); }

 private:
  enum class How { kAsItIs, kScale, kBytes, kZeroPoints, kDropped };
  struct Place {
    How how = How::kAsItIs;
    std::size_t index = 0;
    DType dtype = DType::kF32;        // of scales
    std::uint64_t columns = 0;        // of codes; of zero points the groups
    std::uint64_t row_bytes = 0;      // of codes: columns, padded where they are packed
    bool turns_over = false;          // codes and zero points
    std::uint64_t left = 0;           // zero points: bytes that are to come
    std::vector<std::byte> gathered;  // zero points
  };

  void add(const LogicalTensor& tensor, const std::vector<TensorInfo>& stored, std::vector<TensorInfo>& infos) {
    const QuantizedSpec& spec = *tensor.spec;
    const Scheme& scheme = scheme_of(spec);
    const std::vector<StoredPart> parts = scheme.parts(spec);
    const bool is_packed = is_packed_layout(spec, needs_plain_weights_);
    const bool is_bytes = scheme.pack == nullptr;
    has_ggml_scales_ = has_ggml_scales_ || spec.is_ggml;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      Place& place = places_[tensor.parts[i]];
      TensorInfo info = stored[tensor.parts[i]];
      place.index = infos.size();
      if (parts[i].role == PartRole::kScale) {
        place.how = How::kScale;
        place.dtype = info.dtype = spec.scale_dtype;
      } else if (parts[i].role == PartRole::kCodes && is_bytes) {
        place_codes(place, info, spec, is_packed);
      } else if (parts[i].role == PartRole::kZeroPoint && is_bytes) {
        if (spec.symmetric) {  // uint8 that is the same everywhere
          place.how = How::kDropped;
          continue;
        }
        place_zero_points(place, info, spec, is_packed);
      }
      info.size_bytes = *checked_size_bytes(info.dtype, info.shape);
      if (place.how == How::kZeroPoints) place.gathered.resize(info.size_bytes);
      infos.push_back(std::move(info));
    }
    if (!is_bytes || !is_packed) return;
    shapes_.emplace_back(infos.size(), spec.shape);
    infos.push_back({tensor.name + std::string(kShapeSuffix), DType::kI64, {2}, 16});
  }

  // In words codes are unsigned, as bytes signed.
  static bool turns_over(const QuantizedSpec& spec, bool is_packed) {
    const bool is_signed = scheme_of(spec).rule.code_xor == 0;
    return is_signed == is_packed;
  }

  static void place_codes(Place& place, TensorInfo& info, const QuantizedSpec& spec, bool is_packed) {
    place.how = How::kBytes;
    place.turns_over = turns_over(spec, is_packed);
    place.columns = place.row_bytes = static_cast<std::uint64_t>(spec.shape[1]);
    info.dtype = DType::kI8;
    if (!is_packed) return;
    const std::uint64_t words = ceil_div(place.columns, kBytesPerWord);
    place.row_bytes = words * kBytesPerWord;
    info.name += kPackedSuffix;
    info.dtype = DType::kI32;
    info.shape[1] = static_cast<std::int64_t>(words);
  }

  static void place_zero_points(Place& place, TensorInfo& info, const QuantizedSpec& spec, bool is_packed) {
    const ScaleShape scales = scale_shape(spec);
    place.turns_over = turns_over(spec, is_packed);
    place.columns = place.row_bytes = scales.groups;
    place.how = is_packed ? How::kZeroPoints : How::kBytes;
    info.dtype = is_packed ? DType::kI32 : DType::kI8;
    if (!is_packed) return;
    place.left = info.size_bytes;
    info.shape = {static_cast<std::int64_t>(ceil_div(scales.row_count, kBytesPerWord)),
                  static_cast<std::int64_t>(scales.groups)};
  }

  void write_scales(const Place& place, std::uint64_t offset, std::span<const std::byte> bytes) {
    const std::uint64_t width = dtype_bits(place.dtype) / 8, count = bytes.size() / sizeof(float);
    std::vector<float> values(count);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    std::vector<std::byte> converted(count * width);
    kernels::from_float32(kernels::kernel_table(), place.dtype, values.data(), count, converted.data());
    sink_->write(place.index, offset / sizeof(float) * width, converted);
  }

  // Rows are padded to whole words with code 0 of the unsigned kind.
  void write_bytes(const Place& place, std::uint64_t offset, std::span<const std::byte> bytes) {
    std::vector<std::byte> codes(bytes.begin(), bytes.end());
    if (place.turns_over) turn_over(codes);
    const std::uint64_t row_bytes = place.row_bytes;
    if (row_bytes == place.columns) return sink_->write(place.index, offset, codes);
    constexpr std::byte kPadding[kBytesPerWord] = {};
    for (std::uint64_t done = 0; done < codes.size();) {
      const std::uint64_t row = (offset + done) / place.columns, column = (offset + done) % place.columns;
      const std::uint64_t piece = std::min<std::uint64_t>(place.columns - column, codes.size() - done);
      sink_->write(place.index, row * row_bytes + column, std::span(codes).subspan(done, piece));
      done += piece;
      if (column + piece == place.columns) {
        sink_->write(place.index, row * row_bytes + place.columns,
                     std::span(kPadding).first(row_bytes - place.columns));
      }
    }
  }

  void write_zero_points(Place& place, std::uint64_t offset, std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    for (std::uint64_t i = 0; i < bytes.size(); ++i) {
      const std::uint64_t at = offset + i;
      const std::byte flip{static_cast<unsigned char>(place.turns_over ? 0x80 : 0)};
      place.gathered[packed_zero_point_place(at / place.columns, at % place.columns, place.columns)] = bytes[i] ^ flip;
    }
    place.left -= bytes.size();
    if (place.left == 0) sink_->write(place.index, 0, place.gathered);
  }

  std::vector<Place> places_;
  std::vector<std::pair<std::size_t, Shape>> shapes_;
  Metadata metadata_;
  bool needs_plain_weights_ = false;
  bool has_ggml_scales_ = false;
  std::unique_ptr<TensorSink> sink_;
  std::mutex mutex_;
};

}  // namespace

bool is_packed_layout(const QuantizedSpec& spec, bool needs_plain_weights) {
  return spec.activation_bits == 0 && (scheme_of(spec).bits != 8 || !needs_plain_weights);
}

std::unique_ptr<TensorSink> open_compressed_tensors_sink(const SinkRequest& request, const OpenByteSink& open) {
  return std::make_unique<CompressedTensorsSink>(request, open);
}

}  // namespace mnq
