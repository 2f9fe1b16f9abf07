#include "containers/torch_save/packed_parameters.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <unordered_set>

#include "base/text/format.h"
#include "base/text/text.h"

namespace mnq {
namespace {

constexpr std::string_view kPackedWeight = "_packed_weight";
constexpr std::array<std::string_view, 3> kPackedKeys{"_packed_params", kPackedWeight, "param"};

// The last part of a dotted key.
std::string_view last_part(std::string_view key) { return key.substr(key.rfind('.') + 1); }

std::string without_last_part(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  return name.substr(0, dot == name.npos ? 0 : dot);
}

// The weights of a cell of a recurrent layer, and those of whatever else has more than one.
std::string suffix_of(std::size_t index, std::size_t count) {
  if (count == 1) return "";
  if (count == 2) return index == 0 ? "_ih" : "_hh";
  return formatted("_{}", index);
}

// What the names of the tensors in a value are made of.
struct LayerName {
  std::string layer, suffix;

  std::string of(std::string_view part, const std::string& more) const {
    return formatted("{}{}{}{}{}", layer, layer.empty() ? "" : ".", part, suffix, more);
  }
};

LayerName layer_of(std::string name) {
  if (last_part(name).starts_with(kPackedWeight)) {
    const std::string suffix(last_part(name).substr(kPackedWeight.size()));
    if (!suffix.empty()) return {without_last_part(name), suffix};
  }
  while (std::ranges::find(kPackedKeys, last_part(name)) != kPackedKeys.end()) name = without_last_part(name);
  return {std::move(name), ""};
}

// A layer and direction of nn.LSTM or nn.GRU, whose names PyTorch's quantized ones have lost.
struct Cell {
  std::int64_t inputs = 0, hidden = 0;
};

struct CellPart {
  std::string layer;
  std::size_t cell = 0;
  std::string_view part;  // "weight_ih"
};

std::optional<CellPart> cell_part_of(std::string_view name) {
  constexpr std::string_view kCells = "_all_weight_values.";
  const std::size_t at = name.rfind(kCells);
  if (at == name.npos || (at > 0 && name[at - 1] != '.')) return std::nullopt;
  const std::string_view rest = name.substr(at + kCells.size());
  const std::size_t dot = std::min(rest.find('.'), rest.size());
  const auto index = parse_int(rest.substr(0, dot));
  if (!index || *index < 0 || dot == rest.size()) return std::nullopt;
  return CellPart{std::string(name.substr(0, at)), static_cast<std::size_t>(*index), rest.substr(dot + 1)};
}

using Cells = std::map<std::size_t, Cell>;

std::map<std::string, Cells> find_cells(const std::vector<PytorchTensor>& tensors) {
  std::map<std::string, Cells> found;
  for (const PytorchTensor& tensor : tensors) {
    const auto part = cell_part_of(tensor.name);
    const Shape& shape = tensor.quantizer ? tensor.quantizer->shape : tensor.shape;
    if (!part || shape.size() != 2) continue;
    Cell& cell = found[part->layer][part->cell];
    (part->part == "weight_ih" ? cell.inputs : cell.hidden) = shape[1];
  }
  return found;
}

// The second cell is either the first layer's other direction, which has the same inputs, or the next layer, whose
// inputs are the first one's outputs; 0: nothing tells.
std::size_t directions_of(const Cells& cells) {
  if (cells.size() % 2 == 1) return 1;
  const Cell &first = cells.begin()->second, &second = std::next(cells.begin())->second;
  if (first.inputs != first.hidden) return second.inputs == first.inputs ? 2 : 1;
  if (cells.size() == 2) return 0;
  return std::next(cells.begin(), 2)->second.inputs == first.hidden ? 1 : 2;
}

}  // namespace

bool is_packed_dtype(std::string_view key) {
  constexpr std::string_view kKey = "_packed_params.dtype";
  return key == kKey || (key.ends_with(kKey) && key[key.size() - kKey.size() - 1] == '.');
}

bool PackedParameters::is_packed(std::string_view key, PickleIndex value) {
  if (dicts_.is_packed_object(value)) return dicts_.holds_tensors(value);
  const auto call = dicts_.tensor_call(value);
  const auto items = pickle_.items(pickle_.at(value));
  const bool is_one =
      call ? PytorchTensors::is_quantized(*call)
           : pickle_.at(value).kind == PickleKind::kTuple && !items.empty() && dicts_.tensor_call(items[0]);
  return is_one && last_part(key).starts_with("_packed_");
}

// Each value is looked at once, however often it is held.
std::vector<TensorCall> PackedParameters::leaves(PickleIndex value) const {
  constexpr std::size_t kMostValues = 10'000;
  std::vector<TensorCall> leaves;
  std::vector<PickleIndex> work{value};
  std::unordered_set<PickleIndex> seen;
  while (!work.empty()) {
    const PickleIndex index = work.back();
    work.pop_back();
    if (const auto call = dicts_.tensor_call(index)) {
      leaves.push_back(*call);
    } else if (seen.insert(index).second) {
      std::vector<PickleIndex> parts;
      pickle_.for_each_part(pickle_.at(index), [&](PickleIndex part) { parts.push_back(part); });
      work.insert(work.end(), parts.rbegin(), parts.rend());
    }
    if (leaves.size() + seen.size() + work.size() > kMostValues)
      pickle_.fail("has packed parameters of too many values");
  }
  return leaves;
}

bool PackedParameters::holds_quantized(PickleIndex value) const {
  return std::ranges::any_of(leaves(value), PytorchTensors::is_quantized);
}

// A weight is what is quantized, or else, of layers in float16, a matrix; the first vector behind it is its bias.
// Convolutions have a row of numbers before it, and cells their biases a second time.
std::vector<PackedTensor> PackedParameters::tensors(const std::string& name, PickleIndex value) const {
  const LayerName layer = layer_of(name);
  const std::vector<TensorCall> all = leaves(value);
  const bool has_codes = std::ranges::any_of(all, PytorchTensors::is_quantized);
  const auto is_weight = [&](const TensorCall& call) {
    return has_codes ? PytorchTensors::is_quantized(call) : tensors_.may_be_matrix(call);
  };
  const auto count = static_cast<std::size_t>(std::ranges::count_if(all, is_weight));
  std::vector<PackedTensor> named;
  std::size_t weights = 0;
  bool has_bias = true;
  for (const TensorCall& call : all) {
    if (is_weight(call)) {
      named.push_back({layer.of("weight", suffix_of(weights++, count)), call});
      has_bias = false;
    } else if (!has_bias && tensors_.may_be_bias(call)) {
      named.push_back({layer.of("bias", suffix_of(weights - 1, count)), call});
      has_bias = true;
    }
  }
  return named;
}

void name_cells(std::vector<PytorchTensor>& tensors) {
  const std::map<std::string, Cells> cells = find_cells(tensors);
  for (PytorchTensor& tensor : tensors) {
    const auto part = cell_part_of(tensor.name);
    const auto found = part ? cells.find(part->layer) : cells.end();
    const std::size_t directions = found == cells.end() ? 0 : directions_of(found->second);
    if (directions == 0) continue;
    tensor.name = formatted("{}{}_l{}{}", part->layer, part->part, part->cell / directions,
                            part->cell % directions == 1 ? "_reverse" : "");
  }
}

}  // namespace mnq
