// A TorchScript file as a source: its tensors lie in it as in any checkpoint, and its layers are read from its code.
#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <unordered_map>

#include "base/error.h"
#include "base/own_stack.h"
#include "base/text/format.h"
#include "base/text/utf8.h"
#include "base/threads.h"
#include "containers/strided_read.h"
#include "containers/torchscript/torchscript_archive.h"
#include "containers/zip/zip_archive.h"
#include "containers/zip/zip_records.h"
#include "formats/pytorch/pytorch.h"
#include "formats/torchscript/quantized_module.h"
#include "formats/torchscript/torchscript.h"
#include "module/listing.h"
#include "module/loader.h"
#include "module/torchscript_tree.h"
#include "module/torchscript_uses.h"
#include "schemes/decode_in_torchscript.h"

namespace mnq {
namespace {

constexpr std::uint64_t kMostTextBytes = std::uint64_t{256} << 20;  // of code, pickles and extra files

// A tensor as it lies in the file.
struct FileTensor {
  TensorInfo info;
  LayerHint hint;
  std::vector<std::string> ties;
  const ZipEntry* record = nullptr;         // null where it is empty
  std::shared_ptr<const ByteSource> bytes;  // of the record
  std::uint64_t start = 0;                  // of its first element in the record
  StridedLayout layout;
  bool is_contiguous = true;
  bool is_math_view = false;
};

// What the pickles and the code say, until it is listed.
class Listing {
 public:
  Listing(const ZipArchive& archive, const TorchScriptArchive& checked)
      : archive_(archive),
        program_(checked.program),
        root_(checked.root),
        data_text_(read("data.pkl")),
        constants_text_(read("constants.pkl")),
        data_(data_text_, archive.title(), root_ + "/data.pkl"),
        constants_(constants_text_, archive.title(), root_ + "/constants.pkl") {}

  void run() {
    const ScriptTree tree(data_, constants_, program_);
    const ScriptUses uses = find_script_uses(tree, program_);
    set_room(tree);
    for (std::size_t i = 0; i < tree.listed().size(); ++i) add_listed(tree, tree.listed()[i], uses.uses[i]);
    for (const ScriptConstantWeight& constant : uses.constants) {
      add(tree.tensor(constant.tensor), "constants/", constant.name, {constant.name, "", 0, constant.use.reason}, {});
    }
    add_container_remarks(tree, uses);
  }

  std::vector<FileTensor> tensors;
  std::vector<std::string> remarks;

 private:
  std::string read(const std::string& name) const {
    return archive_.read(*archive_.find(root_ + "/" + name), kMostTextBytes);
  }

  void set_room(const ScriptTree& tree) {
    std::unordered_map<PickleIndex, std::uint64_t> storages;
    for (const ScriptTree::Listed& listed : tree.listed()) {
      const ScriptTensor& tensor = tree.tensor(listed.tensor);
      if (tensor.type->dtype) storages[tensor.storage] = tensor.storage_bytes();
    }
    room_ = kMostExpandedBytes;
    for (const auto& [storage, size] : storages) room_ += size;
  }

  void add_listed(const ScriptTree& tree, const ScriptTree::Listed& listed, const WeightUse& use) {
    const ScriptPlace& place = listed.places.front();
    std::vector<std::string> ties;
    for (std::size_t i = 1; i < listed.places.size(); ++i) ties.push_back(listed.places[i].name);
    const std::string layer = layer_of_weight(tree.object_name(place.object), place.attribute, place.name);
    add(tree.tensor(listed.tensor), "data/", place.name, {layer, use.kind, use.channel_axis, use.reason},
        std::move(ties));
  }

  void add(const ScriptTensor& tensor, const char* folder, const std::string& name, LayerHint hint,
           std::vector<std::string> ties) {
    if (!tensor.type->dtype) return remarks.push_back(not_dense_remark(name));
    FileTensor result;
    const std::uint64_t size = *checked_size_bytes(*tensor.type->dtype, tensor.sizes);
    result.info = {name, *tensor.type->dtype, tensor.sizes, size};
    result.layout = {tensor.sizes, tensor.strides, tensor.type->item_bytes};
    result.is_contiguous = is_contiguous(result.layout);
    if (!result.is_contiguous) {
      if (size > room_) return remarks.push_back(expanded_remark(name, tensor.storage_bytes(), size));
      room_ -= size;
    }
    result.hint = std::move(hint);
    result.ties = std::move(ties);
    if (size != 0) result.record = archive_.find(formatted("{}/{}{}", root_, folder, tensor.key));
    result.start = static_cast<std::uint64_t>(tensor.offset) * tensor.type->item_bytes;
    result.is_math_view = tensor.is_math_view;
    tensors.push_back(std::move(result));
  }

  void add_container_remarks(const ScriptTree& tree, const ScriptUses& uses) {
    std::unordered_map<ScriptTree::TensorIndex, std::size_t> listed_at;
    for (std::size_t i = 0; i < tree.listed().size(); ++i) listed_at.emplace(tree.listed()[i].tensor, i);
    for (const ScriptTree::Container& container : tree.containers()) {
      std::vector<std::size_t> weights;
      for (const ScriptTree::TensorIndex tensor : container.tensors) {
        const auto listed = listed_at.find(tensor);
        if (listed != listed_at.end() && !uses.uses[listed->second].kind.empty()) weights.push_back(listed->second);
      }
      std::ranges::sort(weights);
      weights.erase(std::ranges::unique(weights).begin(), weights.end());
      for (const std::size_t weight : weights) {
        remarks.push_back(container_remark(tree.listed()[weight].places.front().name, container.place.name));
      }
    }
  }

  const ZipArchive& archive_;
  const ScriptProgram& program_;
  std::string root_;
  std::string data_text_, constants_text_;
  Pickle data_, constants_;
  std::uint64_t room_ = 0;
};

bool is_constant(const LayerHint& hint) { return hint.reason.starts_with(kFrozenReason); }

std::string words_of(const LayerHint& hint) {
  if (hint.kind.empty()) return formatted("no layer's weight ({})", hint.reason);
  return formatted("a weight of {} with its channels on axis {}", hint.kind, hint.channel_axis);
}

// What LibTorch sees otherwise than the reading of the file does. Constants are listed by what code uses them for, and
// stay as they are. Errors: kFormat for other tensors.
std::vector<std::string> compare_readings(const TensorSource& read, const TensorSource& loaded) {
  std::unordered_map<std::string_view, std::size_t> others;
  for (std::size_t i = 0; i < loaded.tensors().size(); ++i) {
    if (!is_constant(*loaded.hint(i))) others.emplace(loaded.tensors()[i].name, i);
  }
  const auto fail = [&](const std::string& name) -> Error {
    return {Status::kFormat, formatted("{}: {} is not what LibTorch reads there", read.title(), name),
            "save the module anew by torch.jit.save", name};
  };
  std::vector<std::string> remarks;
  for (std::size_t i = 0; i < read.tensors().size(); ++i) {
    const TensorInfo& info = read.tensors()[i];
    const LayerHint& hint = *read.hint(i);
    if (is_constant(hint)) continue;
    const auto found = others.find(info.name);
    if (found == others.end()) throw fail(info.name);
    const TensorInfo& other = loaded.tensors()[found->second];
    if (info.dtype != other.dtype || info.shape != other.shape) throw fail(info.name);
    const LayerHint& other_hint = *loaded.hint(found->second);
    others.erase(found);
    if (hint.kind == other_hint.kind && hint.channel_axis == other_hint.channel_axis) continue;
    remarks.push_back(formatted("{}: {} by LibTorch's reading, and {} by that of the file alone", info.name,
                                words_of(other_hint), words_of(hint)));
  }
  if (!others.empty()) throw fail(std::string(others.begin()->first));
  return remarks;
}

class FileSource final : public ModuleSource {
 public:
  explicit FileSource(std::shared_ptr<const ByteSource> bytes) : bytes_(std::move(bytes)), archive_(bytes_) {
    inputs_ = {bytes_};
    TorchScriptArchive checked = check_torchscript(archive_);
    extra_files_ = std::move(checked.extra_files);
    Listing listing(archive_, checked);
    listing.run();
    files_ = std::move(listing.tensors);
    open_records();
    archive_remarks_ = std::move(checked.remarks);
    remarks_ = std::move(listing.remarks);
    remarks_.insert(remarks_.end(), archive_remarks_.begin(), archive_remarks_.end());
    Metadata metadata;
    for (const std::string& name : extra_files_) {
      std::string text = archive_.read(*archive_.find(checked.root + "/extra/" + name), kMostTextBytes);
      if (is_utf8(text)) metadata.emplace(name, std::move(text));
    }
    set_metadata(std::move(metadata));
    for (const FileTensor& tensor : files_) tensors_.push_back(tensor.info);
    show_words();
  }

  std::string_view format() const override { return "torchscript"; }
  std::string path() const override { return bytes_->path(); }
  std::uint64_t size_bytes() const override { return bytes_->size(); }
  const LayerHint* hint(std::size_t tensor) const override { return &files_[tensor].hint; }
  std::vector<std::string> ties(std::size_t tensor) const override { return files_[tensor].ties; }

  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    const FileTensor& file = files_[tensor];
    if (file.bytes == nullptr || into.empty()) return;
    if (file.is_math_view) return loaded().read(loaded().find(file.info.name), offset, into);
    check_all();
    const auto read_record = [&](std::uint64_t at, std::span<std::byte> piece) {
      file.bytes->read(file.start + at, piece);
    };
    if (file.is_contiguous) return read_record(offset, into);
    const std::uint64_t item = file.layout.item_bytes;
    const std::uint64_t first = offset / item, end = (offset + into.size() + item - 1) / item;
    if (offset % item == 0 && into.size() % item == 0)
      return strips_.read(tensor, file.layout, first, into, read_record);
    std::vector<std::byte> items((end - first) * item);
    strips_.read(tensor, file.layout, first, items, read_record);
    std::memcpy(into.data(), items.data() + offset % item, into.size());
  }

  std::shared_ptr<const std::byte> view(std::size_t tensor) const override {
    const FileTensor& file = files_[tensor];
    if (file.bytes == nullptr || !file.is_contiguous || file.is_math_view) return nullptr;
    check_all();
    return file.bytes->view(file.start);
  }

  const std::shared_ptr<const Module>& module() const override { return loaded().module(); }

  const ModuleSource& loaded() const override {
    const std::lock_guard lock(loading_);
    if (loaded_ == nullptr) {
      check_all();
      std::shared_ptr<const Module> module = require_backend().load(bytes_, extra_files_);
      const auto plain = make_module_source(module, bytes_);
      std::vector<std::string> remarks = compare_readings(*this, *plain);
      remarks.insert(remarks.end(), archive_remarks_.begin(), archive_remarks_.end());
      loaded_ = make_module_source(std::move(module), bytes_, std::move(remarks));
    }
    return *loaded_;
  }

 private:
  // Once, before the first byte of a tensor is believed.
  void check_all() const {
    const std::lock_guard lock(checking_);
    if (is_checked_) return;
    check_all_entries(archive_, default_thread_count());
    is_checked_ = true;
  }

  // Tensors may share one.
  void open_records() {
    const ZipRecords records(bytes_, archive_.title());
    std::map<const ZipEntry*, std::shared_ptr<const ByteSource>> opened;
    for (FileTensor& file : files_) {
      if (file.record == nullptr) continue;
      std::shared_ptr<const ByteSource>& record = opened[file.record];
      if (record == nullptr) record = records.open(*file.record);
      file.bytes = record;
    }
  }

  std::shared_ptr<const ByteSource> bytes_;
  ZipArchive archive_;
  std::vector<std::string> extra_files_, archive_remarks_;
  std::vector<FileTensor> files_;
  mutable StridedStrips strips_;
  mutable std::mutex checking_, loading_;
  mutable bool is_checked_ = false;
  mutable std::shared_ptr<const ModuleSource> loaded_;
};

// Throws as recognises_pytorch_zip.
bool recognises_torchscript(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes) {
  return is_zip(start) && is_torchscript(ZipArchive(bytes));
}

}  // namespace

std::unique_ptr<TensorSource> open_torchscript_source(std::shared_ptr<const ByteSource> bytes, const OpenSettings&) {
  std::unique_ptr<TensorSource> source;
  on_own_stack([&] {  // code is followed call by call
    source = open_quantized_module(ZipArchive(bytes), bytes);
    if (source == nullptr) source = std::make_unique<FileSource>(std::move(bytes));
  });
  return source;
}

namespace {

// Weights become floats where no code of a module decodes them.
WeightRule rule_of_modules(const WeightRequest& request) {
  if (request.is_stored) return {};
  return {.leaves_for = find_script_obstacle(request.wanted)};
}

}  // namespace

const Format kTorchscriptFormat{
    .name = "torchscript",
    .extensions = ".pt,.pth,.ts,.jit,.torchscript",
    .recognises = recognises_torchscript,
    .open_source = open_torchscript_source,
    .open_sink = open_torchscript_sink,
    .storage = {.rule = rule_of_modules},
    .is_module = true,
    .advice = "a TorchScript file can be written from a TorchScript module only",
};

}  // namespace mnq
