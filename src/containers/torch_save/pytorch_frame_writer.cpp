#include "containers/torch_save/pytorch_frame_writer.h"

#include <algorithm>

#include "base/text/format.h"
#include "containers/archive_error.h"
#include "containers/torch_save/torch_dtypes.h"

namespace mnq {
namespace {

constexpr std::size_t kMostDepth = 100;

struct GlobalName {
  std::string_view module, name;
};

// What torch.load(weights_only=True) calls or takes as a value, but for the dtypes and OrderedDict.
constexpr GlobalName kKnown[] = {
    {"collections", "Counter"},
    {"_codecs", "encode"},
    {"builtins", "set"},
    {"builtins", "bytearray"},
    {"builtins", "complex"},
    {"__builtin__", "set"},
    {"__builtin__", "bytearray"},
    {"__builtin__", "complex"},
    {"torch", "Size"},
    {"torch", "device"},
    {"torch", "Tensor"},
    {"torch", "per_tensor_affine"},
    {"torch", "per_tensor_symmetric"},
    {"torch", "per_channel_affine"},
    {"torch", "per_channel_symmetric"},
    {"torch", "per_channel_affine_float_qparams"},
    {"torch.nn.parameter", "Parameter"},
    {"torch.serialization", "_get_layout"},
    {"torch._tensor", "_rebuild_from_type_v2"},
    {"torch._utils", "_rebuild_parameter"},
    {"torch._utils", "_rebuild_parameter_with_state"},
    {"torch._utils", "_rebuild_qtensor"},
    {"torch._utils", "_rebuild_tensor"},
    {"torch._utils", "_rebuild_tensor_v2"},
    {"torch._utils", "_rebuild_tensor_v3"},
    {"torch._utils", "_rebuild_sparse_tensor"},
    {"torch._utils", "_rebuild_meta_tensor_no_storage"},
    {"torch._utils", "_rebuild_nested_tensor"},
};

bool is_known(const PickleValue& global) {
  if (find_torch_dtype(global) != nullptr) return true;
  return std::ranges::any_of(
      kKnown, [&](const GlobalName& known) { return known.module == global.module && known.name == global.text; });
}

}  // namespace

PytorchVerdicts::Verdict PytorchVerdicts::of(PickleIndex index, std::size_t depth) {
  if (verdicts_[index] == Verdict::kUnderway || depth > kMostDepth) return Verdict::kNothing;
  if (verdicts_[index] != Verdict::kUnknown) return verdicts_[index];
  verdicts_[index] = Verdict::kUnderway;
  const Verdict found = judge(index, depth);
  return verdicts_[index] = found;
}

PytorchVerdicts::Verdict PytorchVerdicts::judge(PickleIndex index, std::size_t depth) {
  const PickleValue& value = pickle_.at(index);
  const auto whole_if = [](bool is_so) { return is_so ? Verdict::kWhole : Verdict::kNothing; };
  if (dicts_.is_dict(index)) return dicts_.is_optimizer(index) ? Verdict::kNothing : judge_items(index, depth);
  switch (value.kind) {
    case PickleKind::kLong:
      return whole_if(value.text.size() <= PickleWriter::kMostDigits);
    case PickleKind::kList:
    case PickleKind::kTuple:
      return judge_items(index, depth);
    case PickleKind::kSet:
      return whole_if(judge_items(index, depth) == Verdict::kWhole);
    case PickleKind::kGlobal:
      return whole_if(is_known(value));
    case PickleKind::kPersistent:
      return whole_if(may_carry(value));
    case PickleKind::kCall: {
      if (value.is_new_object || value.state != kNoPickleValue || value.children != 0) return Verdict::kNothing;
      if (const auto call = dicts_.tensor_call(index); call && tensors_.is_small_part(*call)) return Verdict::kNothing;
      return whole_if(is_whole(value.function, depth + 1) && is_whole(value.arguments, depth + 1));
    }
    default:
      return Verdict::kWhole;
  }
}

// Of what holds nothing all is there.
PytorchVerdicts::Verdict PytorchVerdicts::judge_items(PickleIndex index, std::size_t depth) {
  bool has_any = false, has_all = true;
  const auto add = [&](Verdict found) {
    has_any = has_any || found > Verdict::kNothing;
    has_all = has_all && found == Verdict::kWhole;
  };
  if (dicts_.is_dict(index)) {
    for (const auto& [key, child] : dicts_.pairs(pickle_.at(index))) {
      add(is_whole(key, depth + 1) ? of(child, depth + 1) : Verdict::kNothing);
    }
  } else {
    for (const PickleIndex child : pickle_.items(pickle_.at(index))) add(of(child, depth + 1));
  }
  return has_all ? Verdict::kWhole : has_any ? Verdict::kPart : Verdict::kNothing;
}

// A view of a storage, of the old form, has a meaning there only.
bool PytorchVerdicts::may_carry(const PickleValue& persistent) const {
  const auto id = pickle_.items(pickle_.at(persistent.function));
  if (!carries_storages_ || id.size() < 5 || pickle_.at(id[2]).kind != PickleKind::kText) return false;
  if (id.size() > 5 && pickle_.at(id[5]).kind != PickleKind::kNone) return false;
  const PickleValue& type = pickle_.at(id[1]);
  const TorchDType* known = find_torch_storage_type(type);
  return type.kind == PickleKind::kGlobal && (known != nullptr ? known->is_python : type.text == "UntypedStorage");
}

std::string PytorchFrame::carried_key(std::size_t index) { return formatted("carried{}", index); }

PytorchFrameWriter::PytorchFrameWriter(const Pickle& pickle, PytorchDicts& dicts, const PytorchTensors& tensors,
                                       bool carries_storages)
    : pickle_(pickle), dicts_(dicts), verdicts_(pickle, dicts, tensors, carries_storages), out_(frame_.pickle) {
  out_.opcodes(PickleWriter::kStart);
}

void PytorchFrameWriter::open(PickleIndex branch) {
  if (dicts_.is_dict(branch)) return start_dict(branch);
  out_.opcodes(pickle_.at(branch).kind == PickleKind::kTuple ? "(" : "](");
}

void PytorchFrameWriter::close(PickleIndex branch, const std::string* prefix) {
  if (!dicts_.is_dict(branch)) return out_.opcode(pickle_.at(branch).kind == PickleKind::kTuple ? 't' : 'e');
  if (prefix != nullptr) frame_.add_gap(frame_.pickle.size(), 0, PytorchFrame::GapKind::kRest, *prefix);
  out_.opcode('u');
  write_state(branch, 0);
}

void PytorchFrameWriter::key(const DictEntry& entry) {
  if (entry.key_value != kNoPickleValue) write(entry.key_value, "", 0);
}

void PytorchFrameWriter::gap(const DictEntry& entry, const std::string& name) {
  const std::uint64_t at = frame_.pickle.size();
  if (entry.key_value == kNoPickleValue) {
    frame_.add_gap(at, 0, PytorchFrame::GapKind::kElement, name);
    return;
  }
  write_value(entry.key_value, "", 0);  // never remembered: it may be left out
  frame_.add_gap(at, frame_.pickle.size() - at, PytorchFrame::GapKind::kEntry, name);
}

bool PytorchFrameWriter::keep(const DictEntry& entry, const std::string& name) {
  const bool has_key = entry.key_value == kNoPickleValue || verdicts_.is_whole(entry.key_value, 0);
  if (!has_key || !verdicts_.has_any(entry.value, 0)) return false;
  key(entry);
  write(entry.value, name, 0);
  return true;
}

void PytorchFrameWriter::skip(const DictEntry& entry) {
  if (entry.key_value == kNoPickleValue) out_.opcode('N');
}

void PytorchFrameWriter::put(PickleIndex index) {
  const auto number = static_cast<std::uint32_t>(memo_.size());
  if (memo_.emplace(index, number).second) out_.put(number);
}

void PytorchFrameWriter::leave_out(const std::string& name, PickleIndex index) {
  left_out_.push_back(formatted("{} ({})", name, dicts_.kind_of(index)));
}

void PytorchFrameWriter::write(PickleIndex index, const std::string& name, std::size_t depth) {
  constexpr std::size_t kSmallText = 16;
  if (const auto known = memo_.find(index); known != memo_.end()) return out_.get(known->second);
  write_value(index, name, depth);
  const PickleValue& value = pickle_.at(index);
  const bool may_be_shared = value.kind == PickleKind::kTuple || value.kind == PickleKind::kCall ||
                             (value.kind == PickleKind::kText && value.text.size() >= kSmallText);
  if (may_be_shared) put(index);
}

// Lists and dicts are remembered before what they hold is written: it may hold them.
void PytorchFrameWriter::write_value(PickleIndex index, const std::string& name, std::size_t depth) {
  const PickleValue& value = pickle_.at(index);
  switch (value.kind) {
    case PickleKind::kNone:
      return out_.opcode('N');
    case PickleKind::kBool:
      return out_.boolean(value.integer != 0);
    case PickleKind::kInt:
      return out_.integer(value.integer);
    case PickleKind::kLong:
      return out_.digits(value.text);
    case PickleKind::kFloat:
      return out_.real(value.real);
    case PickleKind::kBytes:
      return out_.bytes(value.text);
    case PickleKind::kText:
      return out_.text(value.text);
    case PickleKind::kTuple:
      out_.opcode('(');
      write_items(value, name, depth);
      return out_.opcode('t');
    case PickleKind::kList:
      out_.opcode(']');
      put(index);
      out_.opcode('(');
      write_items(value, name, depth);
      return out_.opcode('e');
    case PickleKind::kSet:
      out_.global("builtins", "set");
      out_.opcodes("](");
      write_items(value, name, depth);
      return out_.opcodes("e\x85R");
    case PickleKind::kGlobal:
      return out_.global(value.module, value.text);
    case PickleKind::kPersistent:
      return write_storage(value);
    case PickleKind::kDict:
      return write_dict(index, name, depth);
    case PickleKind::kCall:
      return dicts_.is_dict(index) ? write_dict(index, name, depth) : write_call(value, name, depth);
  }
}

void PytorchFrameWriter::start_dict(PickleIndex index) {
  if (pickle_.is_call(pickle_.at(index), "collections", "OrderedDict")) {
    out_.global("collections", "OrderedDict");
    out_.opcodes(")R");
  } else {
    out_.opcode('}');
  }
  put(index);
  out_.opcode('(');
}

void PytorchFrameWriter::write_dict(PickleIndex index, const std::string& name, std::size_t depth) {
  start_dict(index);
  if (pickle_.is_call(pickle_.at(index), "collections", "defaultdict")) {
    left_out_.push_back(formatted("{} (the default of a defaultdict)", name));
  }
  for (const auto& [key, child] : dicts_.pairs(pickle_.at(index))) {
    const std::string child_name = formatted("{}.{}", name, dicts_.shown_name(key));
    if (depth >= kMostDepth || !verdicts_.is_whole(key, depth + 1) || !verdicts_.has_any(child, depth + 1)) {
      leave_out(child_name, child);
      continue;
    }
    write(key, child_name, depth + 1);
    write(child, child_name, depth + 1);
  }
  out_.opcode('u');
  write_state(index, depth);
}

// What OrderedDicts of modules have: the versions of their layers.
void PytorchFrameWriter::write_state(PickleIndex index, std::size_t depth) {
  const PickleIndex state = pickle_.at(index).state;
  const bool is_ordered = pickle_.is_call(pickle_.at(index), "collections", "OrderedDict");
  if (!is_ordered || state == kNoPickleValue || depth >= kMostDepth || !verdicts_.is_whole(state, depth + 1)) return;
  write(state, "", depth + 1);
  out_.opcode('b');
}

void PytorchFrameWriter::write_items(const PickleValue& value, const std::string& name, std::size_t depth) {
  std::size_t i = 0;
  for (const PickleIndex child : pickle_.items(value)) {
    const std::string child_name = formatted("{}.{}", name, i++);
    if (depth < kMostDepth && verdicts_.has_any(child, depth + 1)) {
      write(child, child_name, depth + 1);
    } else {
      leave_out(child_name, child);
      out_.opcode('N');
    }
  }
}

void PytorchFrameWriter::write_call(const PickleValue& call, const std::string& name, std::size_t depth) {
  write(call.function, name, depth);
  write(call.arguments, name, depth + 1);
  out_.opcode('R');
}

void PytorchFrameWriter::write_storage(const PickleValue& persistent) {
  const auto id = pickle_.items(pickle_.at(persistent.function));
  const std::string key(pickle_.at(id[2]).text);
  const auto [place, is_new] = storage_indices_.emplace(key, storages_.size());
  if (is_new) storages_.push_back(key);
  const PickleValue& type = pickle_.at(id[1]);
  out_.opcode('(');
  out_.text("storage");
  out_.global(type.text == "UntypedStorage" ? "torch.storage" : "torch", type.text);
  out_.text(PytorchFrame::carried_key(place->second));
  out_.text("cpu");
  out_.integer(pickle_.at(id[4]).integer);
  out_.opcodes("tQ");
}

}  // namespace mnq
