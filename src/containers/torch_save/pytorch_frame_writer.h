// Makes the frame of a checkpoint while its objects are gone through.
#pragma once

#include <unordered_map>

#include "containers/pickle/pickle_writer.h"
#include "containers/torch_save/pytorch_frame.h"
#include "containers/torch_save/pytorch_tensors.h"

namespace mnq {

/// How much of each value a frame may keep: what torch.load(weights_only=True) takes.
class PytorchVerdicts {
 public:
  PytorchVerdicts(const Pickle& pickle, PytorchDicts& dicts, const PytorchTensors& tensors, bool carries_storages)
      : pickle_(pickle),
        dicts_(dicts),
        tensors_(tensors),
        carries_storages_(carries_storages),
        verdicts_(pickle.values().size()) {}

  bool is_whole(PickleIndex index, std::size_t depth) { return of(index, depth) == Verdict::kWhole; }
  bool has_any(PickleIndex index, std::size_t depth) { return of(index, depth) > Verdict::kNothing; }

 private:
  enum class Verdict : std::uint8_t { kUnknown, kUnderway, kNothing, kPart, kWhole };

  Verdict of(PickleIndex index, std::size_t depth);
  Verdict judge(PickleIndex index, std::size_t depth);
  Verdict judge_items(PickleIndex index, std::size_t depth);
  bool may_carry(const PickleValue& persistent) const;

  const Pickle& pickle_;
  PytorchDicts& dicts_;
  const PytorchTensors& tensors_;
  const bool carries_storages_;
  std::vector<Verdict> verdicts_;
};

class PytorchFrameWriter {
 public:
  /// What it is given must outlive it. carries_storages: whether tensors may be kept as they are, bytes and all.
  PytorchFrameWriter(const Pickle& pickle, PytorchDicts& dicts, const PytorchTensors& tensors, bool carries_storages);

  /// A dict, list or tuple whose entries are written one by one, in their order, until it is closed. prefix: of the
  /// model's dicts, with what the names of their tensors start.
  void open(PickleIndex branch);
  void close(PickleIndex branch, const std::string* prefix = nullptr);

  /// Of an entry whose value is opened next.
  void key(const DictEntry& entry);

  /// The place of a tensor.
  void gap(const DictEntry& entry, const std::string& name);

  /// The whole entry, as far as it is plain; what of it is not is noted as left out. False where nothing of it is: then
  /// skip follows.
  bool keep(const DictEntry& entry, const std::string& name);
  void skip(const DictEntry& entry);

  const std::vector<std::string>& left_out() const { return left_out_; }  ///< with what each was
  const std::vector<std::string>& storages() const { return storages_; }  ///< keys of those carried on, in their order
  PytorchFrame take() { return std::move(frame_); }

 private:
  void write(PickleIndex index, const std::string& name, std::size_t depth);
  void write_value(PickleIndex index, const std::string& name, std::size_t depth);
  void write_dict(PickleIndex index, const std::string& name, std::size_t depth);
  void write_items(const PickleValue& value, const std::string& name, std::size_t depth);
  void write_call(const PickleValue& call, const std::string& name, std::size_t depth);
  void write_storage(const PickleValue& persistent);
  void write_state(PickleIndex index, std::size_t depth);
  void start_dict(PickleIndex index);
  void leave_out(const std::string& name, PickleIndex index);
  void put(PickleIndex index);

  const Pickle& pickle_;
  PytorchDicts& dicts_;
  PytorchVerdicts verdicts_;
  PytorchFrame frame_;
  PickleWriter out_;
  std::unordered_map<PickleIndex, std::uint32_t> memo_;
  std::unordered_map<std::string, std::size_t> storage_indices_;
  std::vector<std::string> storages_, left_out_;
};

}  // namespace mnq
