#include "formats/experts/experts_apart.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "base/text/format.h"
#include "containers/strided_read.h"
#include "formats/experts/expert_models.h"
#include "plan/layer_kinds.h"

namespace mnq {
namespace {

// A tensor of the source as far as one of the view holds it.
struct Piece {
  std::size_t stored;       // in the source
  std::uint64_t first = 0;  // element of it
  TensorInfo info;
  Shape strides;         // in its elements
  bool is_whole = true;  // it is the source's own, as it is

  StridedLayout layout() const { return {info.shape, strides, dtype_bits(info.dtype) / 8}; }
};

// Some of the outputs of an expert, under a name of their own.
struct Outputs {
  std::string_view name;
  std::int64_t first, step, count;
};

constexpr ExpertNames kStackedNames{"gate_proj", "up_proj", "down_proj"};

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

// Empty where the tensor is none that is known.
std::vector<Outputs> outputs_of(std::string_view part, std::int64_t count, const ExpertNames& names,
                                bool is_interleaved) {
  if (is_one_of(part, {"down_proj", "output_linear"})) return {{names.down, 0, 1, count}};
  if (part == "gate_proj") return {{names.gate, 0, 1, count}};
  if (part == "up_proj") return {{names.up, 0, 1, count}};
  if (!is_one_of(part, {"gate_up_proj", "input_linear"}) || count % 2 != 0) return {};
  const std::int64_t half = count / 2;
  if (is_interleaved) return {{names.gate, 0, 2, half}, {names.up, 1, 2, half}};
  return {{names.gate, 0, 1, half}, {names.up, half, 1, half}};
}

// "x.experts.gate_up_proj" -> "x.experts" and "gate_up_proj"; so it does without ".weight" and "_bias".
struct Place {
  std::string parent, part;
};

Place place_of(std::string_view tensor) {
  for (const std::string_view suffix : {".weight", "_bias", ".bias"}) {
    if (tensor.ends_with(suffix)) tensor.remove_suffix(suffix.size());
  }
  const std::size_t dot = tensor.rfind('.');
  if (dot == std::string_view::npos) return {"", std::string(tensor)};
  return {std::string(tensor.substr(0, dot)), std::string(tensor.substr(dot + 1))};
}

bool ends_in_experts(std::string_view module) { return module == "experts" || module.ends_with(".experts"); }

// The modules of experts that a source calls as transformers does, and the loaders otherwise.
class Blocks {
 public:
  explicit Blocks(const ExpertBlock* block) : block_(block) {}

  // "layers.0.mlp."
  void add(const std::string& module) {
    if (block_ != nullptr && ("." + module).ends_with(".mlp.")) modules_.insert(module);
  }

  // "layers.0.mlp.gate.weight" -> "layers.0.block_sparse_moe.gate.weight"
  std::string renamed(const std::string& tensor) const {
    const auto found =
        std::ranges::find_if(modules_, [&](const std::string& module) { return tensor.starts_with(module); });
    if (found == modules_.end()) return tensor;
    const std::string above = found->substr(0, found->size() - kOwn.size());
    const std::string rest = tensor.substr(found->size()), router = formatted("{}.", block_->router);
    if (!rest.starts_with(router)) return formatted("{}{}.{}", above, block_->name, rest);
    return formatted("{}{}.gate.{}", above, block_->name, rest.substr(router.size()));
  }

 private:
  static constexpr std::string_view kOwn = "mlp.";

  const ExpertBlock* block_;
  std::set<std::string> modules_;
};

// What takes all experts apart that a source holds in one tensor.
class Cutter {
 public:
  Cutter(const TensorSource& source, ExpertForm form)
      : source_(source), form_(form), model_(find_expert_model(source.companion())) {
    if (source.as_module() != nullptr || form == ExpertForm::kTogether || model_ == nullptr) return;
    if (form == ExpertForm::kApart ? model_->apart == nullptr : model_->stacked.empty()) return;
    blocks = Blocks(model_->block);
    find_weights();
    rename_others();
  }

  // By the tensor of the source: of those that are cut, and of those that get another name.
  std::map<std::size_t, std::vector<Piece>> pieces;
  Blocks blocks{nullptr};

  // Of the source's weights: those that would have to be floats.
  std::vector<std::size_t> quantized;

 private:
  void find_weights() {
    const std::vector<LogicalTensor>& tensors = source_.require_weights();
    const std::vector<Layer> layers = find_layers(tensors, source_.companion());
    std::map<std::string, std::size_t> by_name;
    for (std::size_t i = 0; i < source_.tensors().size(); ++i) by_name.emplace(source_.tensors()[i].name, i);
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const bool is_of_all = layers[i].kind != nullptr && layers[i].kind->stacked_axes == 1;
      if (!is_of_all || tensors[i].shape.size() != 3 || !tensors[i].ties.empty()) continue;
      if (tensors[i].spec) {
        if (is_to_be_cut(tensors[i], layers[i].channel_axis)) quantized.push_back(i);
        continue;
      }
      const std::size_t stored = tensors[i].parts.front();
      cut(stored, layers[i].channel_axis);
      const std::string& name = tensors[i].name;
      const auto bias =
          by_name.find(name.ends_with(".weight") ? name.substr(0, name.size() - 7) + ".bias" : name + "_bias");
      const Shape biases{tensors[i].shape[0], tensors[i].shape[static_cast<std::size_t>(layers[i].channel_axis)]};
      const bool has_bias = bias != by_name.end() && source_.tensors()[bias->second].shape == biases;
      if (has_bias && pieces.contains(stored)) cut(bias->second, 1);
    }
  }

  // Not where they are called so already.
  bool is_to_be_cut(const LogicalTensor& tensor, std::int64_t axis) const {
    const Place place = place_of(tensor.name);
    const auto outputs =
        outputs_of(place.part, tensor.shape[static_cast<std::size_t>(axis)], names(), model_->is_interleaved);
    if (outputs.size() != 1 || form_ == ExpertForm::kApart) return !outputs.empty();
    return stacked_module(place) + std::string(outputs.front().name) + ".weight" != tensor.name;
  }

  const ExpertNames& names() const { return form_ == ExpertForm::kApart ? *model_->apart : kStackedNames; }

  // What lies beside experts goes with them.
  void rename_others() {
    for (std::size_t i = 0; i < source_.tensors().size(); ++i) {
      TensorInfo info = source_.tensors()[i];
      info.name = blocks.renamed(info.name);
      if (info.name != source_.tensors()[i].name) pieces.try_emplace(i, 1, Piece{i, 0, std::move(info), {}, true});
    }
  }

  // A weight [experts, out, in] or [experts, in, out], or its bias [experts, out].
  void cut(std::size_t stored, std::int64_t axis) {
    const TensorInfo& info = source_.tensors()[stored];
    const Shape& shape = info.shape;
    const bool is_bias = shape.size() == 2;
    if (!is_bias && shape.size() != 3) return;
    const Place place = place_of(info.name);
    blocks.add(above(place));
    const std::int64_t count = shape[static_cast<std::size_t>(axis)];
    const std::int64_t of_expert = is_bias ? shape[1] : shape[1] * shape[2];
    const std::int64_t step = is_bias || axis == 2 ? 1 : shape[2], in_step = axis == 2 ? shape[2] : 1;
    std::vector<Piece> cuts;
    for (const Outputs& outputs : outputs_of(place.part, count, names(), model_->is_interleaved)) {
      Shape size{shape[0], outputs.count}, strides{of_expert, outputs.step * step};
      if (!is_bias) {
        size.push_back(shape[axis == 2 ? 1 : 2]);
        strides.push_back(in_step);
      }
      const std::string_view end = is_bias ? ".bias" : ".weight";
      const auto first = static_cast<std::uint64_t>(outputs.first * step);
      if (form_ == ExpertForm::kStacked) {
        add(cuts, stored, stacked_module(place) + std::string(outputs.name) + std::string(end), first, size, strides);
        continue;
      }
      for (std::int64_t expert = 0; expert < shape[0]; ++expert) {
        add(cuts, stored, expert_module(place, expert) + std::string(outputs.name) + std::string(end),
            first + static_cast<std::uint64_t>(expert * of_expert), Shape(size.begin() + 1, size.end()),
            Shape(strides.begin() + 1, strides.end()));
      }
    }
    if (!cuts.empty()) pieces.emplace(stored, std::move(cuts));
  }

  static void add(std::vector<Piece>& cuts, std::size_t stored, std::string name, std::uint64_t first, Shape shape,
                  Shape strides, DType dtype) {
    const std::uint64_t size = *checked_size_bytes(dtype, shape);
    cuts.push_back({stored, first, {std::move(name), dtype, std::move(shape), size}, std::move(strides), false});
  }
  void add(std::vector<Piece>& cuts, std::size_t stored, const std::string& name, std::uint64_t first, Shape shape,
           Shape strides) const {
    add(cuts, stored, blocks.renamed(name), first, std::move(shape), std::move(strides),
        source_.tensors()[stored].dtype);
  }

  // "x.experts" and "x" alike.
  static std::string above(const Place& place) {
    constexpr std::string_view kExperts = "experts";
    std::string module = place.parent;
    if (ends_in_experts(module)) module.resize(module.size() - kExperts.size());
    return module.empty() || module.ends_with('.') ? module : module + ".";
  }
  static std::string expert_module(const Place& place, std::int64_t expert) {
    return formatted("{}experts.{}.", above(place), expert);
  }
  std::string stacked_module(const Place& place) const { return formatted("{}{}.", above(place), model_->stacked); }

  const TensorSource& source_;
  ExpertForm form_;
  const ExpertModel* model_;
};

class View final : public ExpertsApart {
 public:
  View(const TensorSource& source, Cutter cutter) : source_(source), blocks_(std::move(cutter.blocks)) {
    metadata_ = source.metadata();
    remarks_ = source.remarks();
    inputs_ = source.inputs();
    for (std::size_t i = 0; i < source.tensors().size(); ++i) {
      shown_.push_back(pieces_.size());
      if (const auto found = cutter.pieces.find(i); found == cutter.pieces.end()) {
        pieces_.push_back({i, 0, source.tensors()[i], {}, true});
      } else {
        if (!found->second.front().is_whole) cut_.push_back(i);
        std::ranges::move(found->second, std::back_inserter(pieces_));
      }
    }
    for (const Piece& piece : pieces_) tensors_.push_back(piece.info);
    for (const Piece& piece : pieces_) hints_.push_back(hint_of(piece, source.tensors()[piece.stored].name));
  }

  std::string_view format() const override { return source_.format(); }
  std::string path() const override { return source_.path(); }
  std::uint64_t size_bytes() const override { return source_.size_bytes(); }
  const Companion* companion() const override { return source_.companion(); }
  const OwnMetadata* own_metadata() const override { return source_.own_metadata(); }
  const LayerHint* hint(std::size_t tensor) const override {
    const LayerHint* own = pieces_[tensor].is_whole ? source_.hint(pieces_[tensor].stored) : nullptr;
    return own != nullptr || hints_[tensor].origin.empty() ? own : &hints_[tensor];
  }
  std::string_view quantized_as(std::size_t tensor) const override {
    return source_.quantized_as(pieces_[tensor].stored);
  }
  std::vector<std::string> ties(std::size_t tensor) const override {
    return pieces_[tensor].is_whole ? source_.ties(pieces_[tensor].stored) : std::vector<std::string>();
  }

  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    const Piece& piece = pieces_[tensor];
    const std::uint64_t start = piece.first * piece.layout().item_bytes;
    if (piece.is_whole || is_contiguous(piece.layout())) return source_.read(piece.stored, start + offset, into);
    strips_.read(
        tensor, piece.layout(), offset / piece.layout().item_bytes, into,
        [&](std::uint64_t from, std::span<std::byte> bytes) { source_.read(piece.stored, start + from, bytes); });
  }

  std::shared_ptr<const std::byte> view(std::size_t tensor) const override {
    const Piece& piece = pieces_[tensor];
    if (piece.is_whole) return source_.view(piece.stored);
    const auto all = is_contiguous(piece.layout()) ? source_.view(piece.stored) : nullptr;
    if (all == nullptr) return nullptr;
    return {all, all.get() + piece.first * piece.layout().item_bytes};
  }

  std::string remark() const override {
    const std::string& first = source_.tensors()[cut_.front()].name;
    const bool is_one = cut_.size() == 1;
    return formatted("{} {} of all experts became several, as the output's loaders have them: {} became {} and so on",
                     cut_.size(), is_one ? "tensor" : "tensors", first, tensors_[shown_[cut_.front()]].name);
  }

 private:
  // Biases are told by their names, and so is what has another one only.
  static LayerHint hint_of(const Piece& piece, const std::string& origin) {
    const std::string& name = piece.info.name;
    if (piece.is_whole) return {"", "", 0, "", name == origin ? "" : origin};
    if (!name.ends_with(".weight")) return {};
    const bool is_stack = piece.info.shape.size() == 3;
    return {name.substr(0, name.rfind('.')), is_stack ? "Experts" : "Linear", is_stack ? 1 : 0, "", origin};
  }

  LogicalTensors find_weights() const override {
    std::vector<LogicalTensor> quantized;
    for (LogicalTensor tensor : source_.weights()) {
      if (!tensor.spec) continue;
      const Piece& first = pieces_[shown_[tensor.parts.front()]];
      if (first.info.name != source_.tensors()[first.stored].name) tensor.name = blocks_.renamed(tensor.name);
      for (std::size_t& part : tensor.parts) part = shown_[part];
      quantized.push_back(std::move(tensor));
    }
    return complete({std::move(quantized), source_.problems()});
  }

  const TensorSource& source_;
  Blocks blocks_;
  std::vector<Piece> pieces_;       // of each tensor
  std::vector<std::size_t> shown_;  // of each tensor of the source: the first of what it is here
  std::vector<std::size_t> cut_;    // those of the source that were taken apart
  std::vector<LayerHint> hints_;
  mutable StridedStrips strips_;
};

std::unique_ptr<ExpertsApart> view_of(const TensorSource& source, Cutter cutter) {
  const bool has_cuts =
      std::ranges::any_of(cutter.pieces, [](const auto& cut) { return !cut.second.front().is_whole; });
  if (!has_cuts) return nullptr;
  return std::make_unique<View>(source, std::move(cutter));
}

}  // namespace

std::unique_ptr<ExpertsApart> take_experts_apart(const TensorSource& source, ExpertForm form) {
  return view_of(source, Cutter(source, form));
}

std::vector<std::size_t> find_quantized_experts(const TensorSource& source, ExpertForm form) {
  return Cutter(source, form).quantized;
}

std::unique_ptr<ExpertsApart> take_experts_apart_as_in(const TensorSource& source, const TensorSource& other) {
  std::set<std::string_view> names;
  for (const LogicalTensor& tensor : other.weights()) names.insert(tensor.name);
  for (const ExpertForm form : {ExpertForm::kApart, ExpertForm::kStacked}) {
    Cutter cutter(source, form);
    std::erase_if(cutter.pieces, [&](const auto& cut) {
      return names.contains(source.tensors()[cut.first].name) ||
             std::ranges::none_of(cut.second, [&](const Piece& piece) { return names.contains(piece.info.name); });
    });
    if (auto apart = view_of(source, std::move(cutter))) return apart;
  }
  return nullptr;
}

}  // namespace mnq
