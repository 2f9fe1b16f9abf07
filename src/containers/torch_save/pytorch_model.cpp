#include "containers/torch_save/pytorch_model.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text/format.h"
#include "containers/archive_error.h"

namespace mnq {
namespace {

// Keys under which a checkpoint keeps its model, the likeliest first. Averages that the loaders of such files ask for
// before the weights themselves (timm: state_dict_ema, model_ema; Real-ESRGAN: params_ema) come before those here, too.
constexpr std::array<std::string_view, 14> kModelKeys{
    "state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model_state",    "model", "module", "net",
    "network",        "weights",   "params_ema", "params",           "ema_state_dict", "ema"};

void step_to(PytorchModel& model, const DictEntry& next) {
  model.steps.push_back({model.branch, &next});
  model.path = dotted(model.path, next.key);
  model.branch = next.value;
}

}  // namespace

bool is_optimizer_key(std::string_view key) {
  return key.find("optim") != key.npos || key.find("scheduler") != key.npos || key.find("scaler") != key.npos ||
         key == "loops" || key == "callbacks" || key == "lr_schedulers";
}

bool holds_optimizer(PytorchDicts& dicts, const DictEntry& entry) {
  return entry.key.find("optim") != entry.key.npos || dicts.is_optimizer(entry.value);
}

std::string dotted(std::string_view prefix, std::string_view key) {
  return prefix.empty() ? std::string(key) : formatted("{}.{}", prefix, key);
}

PytorchModel PytorchModelFinder::find_likeliest() {
  PytorchModel model{root_, {}, ""};
  for (std::size_t depth = 0; depth < kMostDictDepth; ++depth) {
    const DictEntry* next = model_below(model.branch);
    if (next == nullptr) break;
    step_to(model, *next);
  }
  return model;
}

// Null where the dict is the model itself, or several parts below make it up together. Tensors beside a model's key
// are part of it only where they may be weights: best_acc1, a step or the state of a random generator are none.
const DictEntry* PytorchModelFinder::model_below(PickleIndex branch) {
  std::vector<const DictEntry*> below;
  bool has_loose = false;
  for (const DictEntry& entry : dicts_.entries(branch)) {
    if (is_optimizer_key(entry.key)) continue;
    if (const auto call = dicts_.tensor_call(entry.value)) {
      if (tensors_.may_be_weight(*call)) return nullptr;
      has_loose = true;
    } else if (is_model(entry.value)) {
      below.push_back(&entry);
    }
  }
  for (const std::string_view key : kModelKeys) {
    const auto found = std::ranges::find(below, key, &DictEntry::key);
    if (found != below.end() && dicts_.is_dict((*found)->value)) return *found;
  }
  const bool is_alone = below.size() == 1 && !has_loose && dicts_.is_dict(below.front()->value);
  return is_alone ? below.front() : nullptr;
}

// A list is a part of one, never the whole: its elements are layers, and their names start with the list's.
bool PytorchModelFinder::is_model(PickleIndex value) {
  if (!dicts_.is_dict(value)) return has_matrices(value) && !dicts_.tensor_call(value);
  return dicts_.has_tensors(value) && !dicts_.is_optimizer(value);
}

PytorchModel PytorchModelFinder::find_at(const std::string& wanted_key, const std::string& title) {
  PytorchModel model{root_, {}, ""};
  std::string_view rest = wanted_key;
  while (!rest.empty()) {
    const DictEntry* found = nullptr;
    for (const DictEntry& entry : dicts_.entries(model.branch)) {  // a key may hold dots itself
      const bool fits = rest == entry.key || (rest.starts_with(entry.key) && rest.substr(entry.key.size())[0] == '.');
      if (fits && (found == nullptr || entry.key.size() > found->key.size())) found = &entry;
    }
    const bool is_there = found != nullptr && dicts_.is_branch(found->value) && dicts_.has_tensors(found->value);
    if (!is_there) fail_wanted(wanted_key, title, model.branch);
    rest.remove_prefix(std::min(rest.size(), found->key.size() + 1));
    step_to(model, *found);
  }
  return model;
}

void PytorchModelFinder::fail_wanted(const std::string& wanted, const std::string& title, PickleIndex branch) {
  std::vector<std::string> keys;
  for (const DictEntry& entry : dicts_.entries(branch)) {
    if (dicts_.is_branch(entry.value) && dicts_.has_tensors(entry.value)) keys.emplace_back(entry.key);
  }
  throw Error(Status::kNotFound, formatted("{}: there are no tensors under {}", title, shown(wanted)),
              keys.empty() ? "leave tensors_key unset" : "keys with tensors are: " + joined(keys), wanted);
}

bool PytorchModelFinder::has_matrices(PickleIndex index, std::size_t depth) {
  if (const auto call = dicts_.tensor_call(index)) return tensors_.may_be_matrix(*call);
  if (!dicts_.is_branch(index) || depth > kMostDictDepth || !dicts_.has_tensors(index)) return false;
  if (const auto known = has_matrices_.find(index); known != has_matrices_.end()) return known->second;
  has_matrices_[index] = false;
  return has_matrices_[index] = std::ranges::any_of(
             dicts_.entries(index), [&](const DictEntry& entry) { return has_matrices(entry.value, depth + 1); });
}

}  // namespace mnq
