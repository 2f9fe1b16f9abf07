#include "formats/torchscript/quantized_module.h"

#include "base/text/format.h"
#include "base/text/utf8.h"
#include "containers/torchscript/torchscript_quantized.h"
#include "formats/pytorch/zip_storages.h"

namespace mnq {
namespace {

// A pickle with the folder that its storages are in.
struct PickleRecord {
  const char *name, *folder;
};
constexpr PickleRecord kPickles[] = {{"data.pkl", "data"}, {"constants.pkl", "constants"}};

constexpr const char* kNoModule =
    "is a module that PyTorch quantized: its weights are read, and it does not run here or become another module";

std::string root_of(const ZipArchive& archive) {
  const std::string& first = archive.entries().front().name;
  return first.substr(0, first.find('/'));
}

// Extra files, as of other modules.
Metadata read_extra_files(const ZipArchive& archive, const std::string& root) {
  const std::string folder = root + "/extra/";
  Metadata metadata;
  for (const ZipEntry& entry : archive.entries()) {
    if (!entry.name.starts_with(folder)) continue;
    std::string text = read_whole_record(archive, entry);
    if (is_utf8(text)) metadata.emplace(entry.name.substr(folder.size()), std::move(text));
  }
  return metadata;
}

// False where nothing in it is quantized: then nothing was added.
bool add_pickle(const ZipArchive& archive, const std::string& root, const PickleRecord& record, bool is_known,
                PytorchObjects& objects) {
  const std::string name = formatted("{}/{}", root, record.name);
  const ZipEntry* entry = archive.find(name);
  if (entry == nullptr) return false;
  const std::string text = read_whole_record(archive, *entry);
  if (!is_known && !may_be_quantized(text)) return false;
  const Pickle pickle(text, archive.title(), name);
  if (!is_known && !is_quantized(pickle)) return false;
  add_module_tensors(pickle, archive.title(), name, record.folder, objects);
  return true;
}

}  // namespace

std::unique_ptr<TensorSource> open_quantized_module(const ZipArchive& archive,
                                                    const std::shared_ptr<const ByteSource>& bytes) {
  const std::string root = root_of(archive);
  PytorchObjects objects;
  const bool has_quantized_constants = add_pickle(archive, root, kPickles[1], false, objects);
  if (!add_pickle(archive, root, kPickles[0], has_quantized_constants, objects)) return nullptr;
  if (!has_quantized_constants) add_pickle(archive, root, kPickles[1], true, objects);
  objects.remarks.emplace_back(kNoModule);
  settle_tensors(objects, archive.title(), root);
  const bool is_big_endian = read_is_big_endian(archive, root);
  const StoragePlaces places = find_places(archive, bytes, root, objects);
  return make_pytorch_source("torchscript", bytes, std::move(objects), places, is_big_endian,
                             read_extra_files(archive, root));
}

}  // namespace mnq
