// Models: opened, made from tensors, copied, saved, looked into.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/text/format.h"
#include "base/text/text.h"
#include "formats/memory.h"
#include "formats/open_source.h"
#include "formats/told_layers.h"
#include "guard.h"
#include "handles.h"
#include "quantize/jobs.h"
#include "quantize/one_tensor.h"

using namespace mnq;
using namespace mnq::capi;

namespace {

void require_size(std::size_t size, bool is_right, std::size_t index) {
  if (is_right) return;
  throw Error(Status::kInvalidArg, formatted("entry {} says that it has {} bytes", index, size),
              "let each start from MNQ_LAYER_TENSOR_INIT, which says how many it has", "tensors");
}

// The entry at index of an array whose entries have the size that the program knew.
mnq_layer_tensor entry_at(const mnq_layer_tensor* tensors, std::size_t index) {
  constexpr std::size_t kOurs = sizeof(mnq_layer_tensor);
  const std::size_t size = tensors->struct_size;
  require_size(size, size >= kOurs && size % alignof(mnq_layer_tensor) == 0, 0);
  const auto* bytes = reinterpret_cast<const std::byte*>(tensors) + index * size;
  mnq_layer_tensor entry = MNQ_LAYER_TENSOR_INIT;
  std::memcpy(&entry, bytes, kOurs);
  require_size(entry.struct_size, entry.struct_size == size, index);
  if (std::any_of(bytes + kOurs, bytes + size, [](std::byte byte) { return byte != std::byte{0}; })) {
    throw Error(Status::kAbi, formatted("entry {} says something that this library does not know", index),
                "load the library that the program was compiled for, or a newer one", "tensors");
  }
  return entry;
}

ToldTensor told_tensor(const mnq_layer_tensor& entry) {
  ToldTensor told;
  told.name = require(entry.name, "the name of an entry");
  if (entry.tensor != nullptr || entry.tied_to == nullptr) {
    told.tensor = require(entry.tensor, "the tensor of an entry")->tensor;
  }
  if (entry.kind != nullptr) told.kind = entry.kind;
  told.channel_axis = entry.channel_axis;
  if (entry.tied_to != nullptr) told.tied_to = entry.tied_to;
  return told;
}

[[noreturn]] void fail_not_found(const TensorSource& source, const char* name) {
  std::vector<std::string> names;
  for (const TensorInfo& info : source.tensors()) names.push_back(info.name);
  throw Error(Status::kNotFound, formatted("{}: there is no tensor {}", source.title(), name),
              suggest_name(name, names, "list the names of its tensors"), name);
}

}  // namespace

mnq_status mnq_detect_format(const char* path, const char** format, mnq_error** error) noexcept {
  return guarded(error, [&] {
    require(format, "format");
    *format = detect_format(require(path, "path")).name.data();
  });
}

mnq_status mnq_model_open(const char* path, mnq_model** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    *out = new mnq_model{{}, open_source(require(path, "path"))};
  });
}

mnq_status mnq_model_open_with(const char* path, const mnq_run* run, mnq_model** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    *out = new mnq_model{{}, open_source(require(path, "path"), open_settings(settings_of(nullptr, run)))};
  });
}

mnq_status mnq_model_open_memory(const void* data, size_t size_bytes, mnq_model** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    const auto* bytes = static_cast<const std::byte*>(require(data, "data"));
    *out = new mnq_model{{}, open_memory({bytes, size_bytes})};
  });
}

mnq_status mnq_model_wrap_memory(const void* data, size_t size_bytes, mnq_release_fn release, void* user,
                                 const mnq_run* run, mnq_model** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    const auto* bytes = static_cast<const std::byte*>(require(data, "data"));
    const auto owner = std::make_shared<Releaser>();
    *out = new mnq_model{
        {}, open_source(memory_bytes({bytes, size_bytes}, owner), open_settings(settings_of(nullptr, run)))};
    owner->arm(release, user);
  });
}

mnq_status mnq_model_from_tensors(const char* const* names, const mnq_tensor* const* tensors, size_t count,
                                  mnq_model** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    require_array(names, count, "names");
    require_array(tensors, count, "tensors");
    std::vector<NamedTensor> named;
    for (std::size_t i = 0; i < count; ++i) {
      named.push_back({require(names[i], "a name"), require(tensors[i], "a tensor")->tensor});
    }
    *out = new mnq_model{{}, make_memory_source(std::move(named), {})};
  });
}

mnq_status mnq_model_from_layers(const mnq_layer_tensor* tensors, size_t count, mnq_model** out,
                                 mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    require_array(tensors, count, "tensors");
    std::vector<ToldTensor> told;
    for (std::size_t i = 0; i < count; ++i) told.push_back(told_tensor(entry_at(tensors, i)));
    *out = new mnq_model{{}, make_told_source(told)};
  });
}

mnq_status mnq_model_clone(const mnq_model* model, mnq_model** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    Call call(nullptr, nullptr);
    std::shared_ptr<const TensorSource> copied;
    convert(*require(model, "model")->source, call.config(), call.control(),
            memory_output(*require(model, "model")->source, copied));
    *out = new mnq_model{{}, std::move(copied)};
  });
}

mnq_status mnq_model_save(const mnq_model* model, const char* path, mnq_run* run, mnq_error** error) noexcept {
  return guarded(error, [&] {
    Call call(nullptr, run);
    const TensorSource& source = *require(model, "model")->source;
    convert(source, call.config(), call.control(),
            file_output(source, require(path, "path"), call.config(), call.control()));
  });
}

mnq_status mnq_model_save_memory(const mnq_model* model, mnq_run* run, mnq_buffer** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    Call call(nullptr, run);
    auto buffer = std::make_unique<mnq_buffer>();
    convert(*require(model, "model")->source, call.config(), call.control(),
            bytes_output(*require(model, "model")->source, call.config(), buffer->bytes));
    *out = buffer.release();
  });
}

mnq_status mnq_model_save_to_writer(const mnq_model* model, mnq_writer* writer, mnq_run* run,
                                    mnq_error** error) noexcept {
  return guarded(error, [&] {
    Call call(nullptr, run);
    const TensorSource& source = *require(model, "model")->source;
    const WriterUse use(writer);
    convert(source, call.config(), call.control(), host_output(source, call.config(), use.bytes()));
  });
}

size_t mnq_model_tensor_count(const mnq_model* model) noexcept {
  return live(model) == nullptr ? 0 : model->source->tensors().size();
}

const char* mnq_model_tensor_name(const mnq_model* model, size_t index) noexcept {
  return index < mnq_model_tensor_count(model) ? model->source->tensors()[index].name.c_str() : nullptr;
}

mnq_status mnq_model_get_tensor(const mnq_model* model, const char* name, mnq_tensor** out,
                                mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    const TensorSource& source = *require(model, "model")->source;
    require(name, "name");
    const std::size_t index = source.find(name);
    if (index == TensorSource::kNone) fail_not_found(source, name);
    *out = new mnq_tensor{{}, load_tensor(source, index)};
  });
}

mnq_status mnq_model_get_float(const mnq_model* model, const char* name, mnq_run* run, mnq_tensor** out,
                               mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    Call call(nullptr, run);
    const TensorSource& source = *require(model, "model")->source;
    *out = new mnq_tensor{{}, load_float(source, require(name, "name"), call.config(), call.control())};
  });
}

mnq_status mnq_model_describe(const mnq_model* model, mnq_buffer** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    *out = new_buffer(describe_source(*require(model, "model")->source));
  });
}

void mnq_model_free(mnq_model* model) noexcept { delete live(model); }
