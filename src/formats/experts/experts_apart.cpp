#include "formats/experts/experts_apart.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "base/text/format.h"
#include "containers/strided_read.h"
#include "formats/experts/expert_models.h"
#include "layouts/layout.h"
#include "plan/layer_kinds.h"

namespace mnq {
namespace {

// A tensor of the source as far as one of the view holds it.
struct Piece {
  std::size_t stored;       // in the source
  std::uint64_t first = 0;  // element of it
  TensorInfo info;
  StridedLayout layout;  // in the source's tensor, from that element on
  bool is_whole = true;  // it is the source's own, as it is
};

// A quantized weight whose parts are cut like it: each part's pieces are those of the weights in their order.
struct CutWeight {
  std::size_t weight;              // of the source's
  std::vector<LogicalTensor> cut;  // without parts
};

// Some of the outputs of an expert, under a name of their own.
struct Outputs {
  std::string_view name;
  std::int64_t first, step, count;
};

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

// Empty where the tensor is none that is known.
std::vector<Outputs> outputs_of(std::string_view part, std::int64_t count, const ExpertNames& names,
                                bool is_interleaved) {
  if (is_one_of(part, {"down_proj", "output_linear", "fc2"})) return {{names.down, 0, 1, count}};
  if (part == "gate_proj")
    return names.gate.empty() ? std::vector<Outputs>() : std::vector<Outputs>{{names.gate, 0, 1, count}};
  if (is_one_of(part, {"up_proj", "fc1"})) return {{names.up, 0, 1, count}};
  const bool is_both = is_one_of(part, {"gate_up_proj", "input_linear"}) && !names.gate.empty();
  if (!is_both || count % 2 != 0) return {};
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

bool ends_in_module(std::string_view path, std::string_view module) {
  return path.ends_with(module) && (path.size() == module.size() || path[path.size() - module.size() - 1] == '.');
}

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
    std::size_t at = modules_.empty() ? std::string::npos : tensor.find(kOwn);
    while (at != std::string::npos && !modules_.contains(tensor.substr(0, at + kOwn.size())))
      at = tensor.find(kOwn, at + 1);
    if (at == std::string::npos) return tensor;
    const std::string above = tensor.substr(0, at);
    const std::string rest = tensor.substr(at + kOwn.size()), router = formatted("{}.", block_->router);
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
  Cutter(const TensorSource& source, ExpertForm form, ExpertChoice choice)
      : source_(source), form_(form), choice_(choice), model_(find_expert_model(source.companion())) {
    if (source.as_module() != nullptr || form == ExpertForm::kTogether || model_ == nullptr) return;
    if (form == ExpertForm::kApart ? model_->apart == nullptr : model_->stacked.empty()) return;
    if (choice == ExpertChoice::kStacks && !has_floats_apart(*model_)) return;
    blocks = Blocks(model_->block);
    find_weights();
    rename_others();
  }

  // By the tensor of the source: of those that are cut, and of those that get another name.
  std::map<std::size_t, std::vector<Piece>> pieces;
  Blocks blocks{nullptr};

  // Quantized weights that are cut with their codes.
  std::vector<CutWeight> cut_weights;

  // Of the source's weights: those that would have to be floats.
  std::vector<std::size_t> quantized;

 private:
  // Rows of the outputs of an expert, or of each one, as they are called.
  struct Cut {
    std::string module;
    Outputs outputs;
    std::optional<std::int64_t> expert;  // empty: of all of them
  };

  void find_weights() {
    const std::vector<LogicalTensor>& tensors = source_.require_weights();
    const std::vector<Layer> layers = find_layers(tensors, source_.companion());
    std::map<std::string, std::size_t> by_name;
    for (std::size_t i = 0; i < source_.tensors().size(); ++i) by_name.emplace(source_.tensors()[i].name, i);
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const bool is_of_all = layers[i].kind != nullptr && layers[i].kind->stacked_axes == 1;
      if (!is_of_all || tensors[i].shape.size() != 3 || !tensors[i].ties.empty()) continue;
      if (choice_ == ExpertChoice::kStacks && !is_stack(tensors[i].name)) continue;
      const std::int64_t axis = layers[i].channel_axis;
      if (!tensors[i].spec) {
        if (choice_ != ExpertChoice::kAll) continue;
        cut(tensors[i].parts.front(), axis);
      } else if (!is_to_be_cut(tensors[i], axis)) {
        continue;
      } else if (axis != 1 || !cut_codes(i)) {
        quantized.push_back(i);
        continue;
      }
      cut_bias(tensors[i], axis, by_name);
    }
  }

  // Of a weight that was cut.
  void cut_bias(const LogicalTensor& tensor, std::int64_t axis, const std::map<std::string, std::size_t>& by_name) {
    const std::string& name = tensor.name;
    const auto bias =
        by_name.find(name.ends_with(".weight") ? name.substr(0, name.size() - 7) + ".bias" : name + "_bias");
    if (bias == by_name.end() || !pieces.contains(tensor.parts.front())) return;
    const TensorInfo& info = source_.tensors()[bias->second];
    const Shape biases{tensor.shape[0], tensor.shape[static_cast<std::size_t>(axis)]};
    if (info.shape == biases && is_weight_dtype(info.dtype)) cut(bias->second, 1);
  }

  // As mlx-lm calls them.
  bool is_stack(const std::string& tensor) const {
    const Place place = place_of(tensor);
    const ExpertNames& names = names_in_stack(model_);
    return tensor.ends_with(".weight") && ends_in_module(place.parent, model_->stacked) &&
           is_one_of(place.part, {names.gate, names.up, names.down});
  }

  // Not where they are called so already.
  bool is_to_be_cut(const LogicalTensor& tensor, std::int64_t axis) const {
    const Place place = place_of(tensor.name);
    const auto outputs =
        outputs_of(place.part, tensor.shape[static_cast<std::size_t>(axis)], names(), model_->is_interleaved);
    if (outputs.size() != 1 || form_ == ExpertForm::kApart) return !outputs.empty();
    return stacked_module(place) + std::string(outputs.front().name) + ".weight" != tensor.name;
  }

  const ExpertNames& names() const { return form_ == ExpertForm::kApart ? *model_->apart : names_in_stack(model_); }

  // What lies beside experts goes with them.
  void rename_others() {
    for (std::size_t i = 0; i < source_.tensors().size(); ++i) {
      TensorInfo info = source_.tensors()[i];
      info.name = blocks.renamed(info.name);
      if (info.name != source_.tensors()[i].name) pieces.try_emplace(i, 1, Piece{i, 0, std::move(info), {}, true});
    }
  }

  std::vector<Cut> cuts_of(const Place& place, std::int64_t experts, std::int64_t outputs) const {
    std::vector<Cut> cuts;
    for (const Outputs& some : outputs_of(place.part, outputs, names(), model_->is_interleaved)) {
      if (form_ == ExpertForm::kStacked) {
        cuts.push_back({stacked_module(place), some, std::nullopt});
        continue;
      }
      for (std::int64_t expert = 0; expert < experts; ++expert) {
        cuts.push_back({expert_module(place, expert), some, expert});
      }
    }
    return cuts;
  }

  std::string name_of(const Cut& cut, std::string_view end) const {
    return blocks.renamed(formatted("{}{}{}", cut.module, cut.outputs.name, end));
  }

  // A weight [experts, out, in] or [experts, in, out], or its bias [experts, out].
  void cut(std::size_t stored, std::int64_t axis) {
    const TensorInfo& info = source_.tensors()[stored];
    const Shape& shape = info.shape;
    const bool is_bias = shape.size() == 2;
    if (!is_bias && shape.size() != 3) return;
    const Place place = place_of(info.name);
    blocks.add(above(place));
    const std::int64_t of_expert = is_bias ? shape[1] : shape[1] * shape[2];
    const std::int64_t step = is_bias || axis == 2 ? 1 : shape[2], in_step = axis == 2 ? shape[2] : 1;
    std::vector<Piece> cuts;
    for (const Cut& cut : cuts_of(place, shape[0], shape[static_cast<std::size_t>(axis)])) {
      Shape size{cut.outputs.count}, strides{cut.outputs.step * step};
      if (!is_bias) {
        size.push_back(shape[axis == 2 ? 1 : 2]);
        strides.push_back(in_step);
      }
      if (!cut.expert) {
        size.insert(size.begin(), shape[0]);
        strides.insert(strides.begin(), of_expert);
      }
      const std::int64_t first = cut.outputs.first * step + cut.expert.value_or(0) * of_expert;
      TensorInfo shown{name_of(cut, is_bias ? ".bias" : ".weight"), info.dtype, size, 0};
      cuts.push_back(piece_of(stored, first, std::move(shown), std::move(size), std::move(strides)));
    }
    if (!cuts.empty()) pieces.emplace(stored, std::move(cuts));
  }

  static Piece piece_of(std::size_t stored, std::int64_t first, TensorInfo info, Shape shape, Shape strides) {
    info.size_bytes = *checked_size_bytes(info.dtype, info.shape);
    const std::uint64_t width = dtype_bits(info.dtype) / 8;
    StridedLayout layout{std::move(shape), std::move(strides), width};
    return {stored, static_cast<std::uint64_t>(first), std::move(info), std::move(layout), false};
  }

  // Quantized ones whose parts all have something for each row, and nothing else.
  bool cut_codes(std::size_t weight) {
    const LogicalTensor& tensor = source_.weights()[weight];
    const QuantizedSpec& spec = *tensor.spec;
    const bool tells_shape = tensor.layout->told_part != nullptr && tensor.layout->told_part(spec);
    const bool is_of_rows = spec.channel_axis == 1 && spec.stacked_axes == 1 && spec.group_rows == 1;
    if (!is_of_rows || tells_shape || tensor.stack_size > 0 || element_count(tensor.shape) == 0) return false;
    const Place place = place_of(tensor.name);
    blocks.add(above(place));
    CutWeight made{weight, {}};
    std::vector<std::vector<Piece>> of_parts(tensor.parts.size());
    for (const Cut& cut : cuts_of(place, spec.shape[0], spec.shape[1])) {
      QuantizedSpec of_cut = cut.expert ? matrix_of_stack(spec) : spec;
      of_cut.shape[cut.expert ? 0 : 1] = cut.outputs.count;
      made.cut.push_back({.name = name_of(cut, ".weight"),
                          .dtype = tensor.dtype,
                          .shape = of_cut.shape,
                          .spec = std::move(of_cut),
                          .layout = tensor.layout});
      if (!cut_parts(tensor, cut, made.cut.back(), of_parts)) return false;
    }
    for (std::size_t i = 0; i < of_parts.size(); ++i) pieces.emplace(tensor.parts[i], std::move(of_parts[i]));
    cut_weights.push_back(std::move(made));
    return true;
  }

  // Adds what a cut has of each part [experts, rows, ..]. False where that is not what its layout would have of it.
  bool cut_parts(const LogicalTensor& tensor, const Cut& cut, const LogicalTensor& made,
                 std::vector<std::vector<Piece>>& of_parts) const {
    if (!made.layout->can_hold(*made.spec)) return false;
    const std::vector<StoredPart> parts = made.layout->parts(*made.spec);
    const std::int64_t experts = tensor.shape[0], rows = tensor.shape[1], count = cut.outputs.count;
    if (parts.size() != of_parts.size()) return false;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const TensorInfo& info = source_.tensors()[tensor.parts[i]];
      if (info.shape.size() < 2 || info.shape[0] != experts || info.shape[1] != rows) return false;
      const auto width = static_cast<std::int64_t>(element_count(info.shape)) / (experts * rows);
      Shape shape{cut.expert ? 1 : experts, count, width};
      if (parts[i].dtype != info.dtype || element_count(parts[i].shape) != element_count(shape)) return false;
      const std::int64_t first = (cut.outputs.first + cut.expert.value_or(0) * rows) * width;
      of_parts[i].push_back(piece_of(tensor.parts[i], first,
                                     {part_name(made.name, parts[i]), info.dtype, parts[i].shape, 0}, std::move(shape),
                                     {rows * width, cut.outputs.step * width, 1}));
    }
    return true;
  }

  // "x.experts", MLX's "x.switch_mlp" and "x" alike.
  std::string above(const Place& place) const {
    constexpr std::string_view kExperts = "experts";
    std::string module = place.parent;
    for (const std::string_view name : {kExperts, model_->stacked}) {
      if (name.empty() || !ends_in_module(module, name)) continue;
      module.resize(module.size() - name.size());
      break;
    }
    return module.empty() || module.ends_with('.') ? module : module + ".";
  }
  std::string expert_module(const Place& place, std::int64_t expert) const {
    return formatted("{}experts.{}.", above(place), expert);
  }
  std::string stacked_module(const Place& place) const { return formatted("{}{}.", above(place), model_->stacked); }

  const TensorSource& source_;
  ExpertForm form_;
  ExpertChoice choice_;
  const ExpertModel* model_;
};

class View final : public RearrangedExperts {
 public:
  View(const TensorSource& source, Cutter cutter)
      : RearrangedExperts(source), blocks_(std::move(cutter.blocks)), cut_weights_(std::move(cutter.cut_weights)) {
    for (std::size_t i = 0; i < source.tensors().size(); ++i) {
      shown_.push_back(pieces_.size());
      if (const auto found = cutter.pieces.find(i); found == cutter.pieces.end()) {
        pieces_.push_back({i, 0, source.tensors()[i], {}, true});
      } else {
        std::ranges::move(found->second, std::back_inserter(pieces_));
      }
    }
    for (const Piece& piece : pieces_) tensors_.push_back(piece.info);
    for (const Piece& piece : pieces_) hints_.push_back(hint_of(piece, source.tensors()[piece.stored].name));
    for (const CutWeight& weight : cut_weights_) {
      const LogicalTensor& whole = source.weights()[weight.weight];
      for (std::size_t i = 0; i < weight.cut.size(); ++i) {
        const LogicalTensor& cut = weight.cut[i];
        hints_[shown_[whole.parts.front()] + i] = hint_of_weight(cut.name, cut.shape, whole.name);
      }
    }
  }

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
    const std::uint64_t start = piece.first * piece.layout.item_bytes;
    if (piece.is_whole || is_contiguous(piece.layout)) return source_.read(piece.stored, start + offset, into);
    strips_.read(
        tensor, piece.layout, offset / piece.layout.item_bytes, into,
        [&](std::uint64_t from, std::span<std::byte> bytes) { source_.read(piece.stored, start + from, bytes); });
  }

  std::shared_ptr<const std::byte> view(std::size_t tensor) const override {
    const Piece& piece = pieces_[tensor];
    if (piece.is_whole) return source_.view(piece.stored);
    const auto all = is_contiguous(piece.layout) ? source_.view(piece.stored) : nullptr;
    if (all == nullptr) return nullptr;
    return {all, all.get() + piece.first * piece.layout.item_bytes};
  }

  std::string remark() const override {
    std::set<std::size_t> cut;
    for (const Piece& piece : pieces_) {
      if (!piece.is_whole) cut.insert(piece.stored);
    }
    for (const CutWeight& weight : cut_weights_) {
      const std::vector<std::size_t>& parts = source_.weights()[weight.weight].parts;
      for (std::size_t i = 1; i < parts.size(); ++i) cut.erase(parts[i]);
    }
    return formatted("{} {} of all experts became several, as the output's loaders have them: {} became {} and so on",
                     cut.size(), cut.size() == 1 ? "tensor" : "tensors", source_.tensors()[*cut.begin()].name,
                     tensors_[shown_[*cut.begin()]].name);
  }

 private:
  // Biases are told by their names, and so is what has another one only.
  static LayerHint hint_of(const Piece& piece, const std::string& origin) {
    const std::string& name = piece.info.name;
    if (piece.is_whole) return {"", "", 0, "", name == origin ? "" : origin};
    return name.ends_with(".weight") ? hint_of_weight(name, piece.info.shape, origin) : LayerHint();
  }

  static LayerHint hint_of_weight(const std::string& name, const Shape& shape, const std::string& origin) {
    const bool is_stack = shape.size() == 3;
    return {name.substr(0, name.rfind('.')), is_stack ? "Experts" : "Linear", is_stack ? 1 : 0, "", origin};
  }

  LogicalTensors find_weights() const override {
    std::vector<LogicalTensor> quantized;
    for (std::size_t i = 0, next = 0; i < source_.weights().size(); ++i) {
      LogicalTensor tensor = source_.weights()[i];
      if (!tensor.spec) continue;
      if (next < cut_weights_.size() && cut_weights_[next].weight == i) {
        add_cut(cut_weights_[next++], tensor.parts, quantized);
        continue;
      }
      const Piece& first = pieces_[shown_[tensor.parts.front()]];
      if (first.info.name != source_.tensors()[first.stored].name) tensor.name = blocks_.renamed(tensor.name);
      for (std::size_t& part : tensor.parts) part = shown_[part];
      quantized.push_back(std::move(tensor));
    }
    return complete({std::move(quantized), source_.problems()});
  }

  void add_cut(const CutWeight& weight, const std::vector<std::size_t>& parts, std::vector<LogicalTensor>& to) const {
    for (std::size_t i = 0; i < weight.cut.size(); ++i) {
      LogicalTensor& tensor = to.emplace_back(weight.cut[i]);
      for (const std::size_t part : parts) tensor.parts.push_back(shown_[part] + i);
    }
  }

  Blocks blocks_;
  std::vector<CutWeight> cut_weights_;  // in the source's order
  std::vector<Piece> pieces_;           // of each tensor
  std::vector<std::size_t> shown_;      // of each tensor of the source: the first of what it is here
  std::vector<LayerHint> hints_;
  mutable StridedStrips strips_;
};

Rearranged view_of(const TensorSource& source, Cutter cutter) {
  Rearranged found{nullptr, std::move(cutter.quantized)};
  const bool has_cuts =
      std::ranges::any_of(cutter.pieces, [](const auto& cut) { return !cut.second.front().is_whole; });
  if (has_cuts) found.experts = std::make_unique<View>(source, std::move(cutter));
  return found;
}

}  // namespace

Rearranged take_experts_apart(const TensorSource& source, ExpertForm form, ExpertChoice choice) {
  return view_of(source, Cutter(source, form, choice));
}

Rearranged take_experts_apart_as_in(const TensorSource& source, ExpertForm form, const TensorSource& other) {
  std::set<std::string_view> names;
  for (const LogicalTensor& tensor : other.weights()) names.insert(tensor.name);
  Cutter cutter(source, form, ExpertChoice::kAll);
  const auto is_there = [&](const LogicalTensor& cut) { return names.contains(cut.name); };
  std::set<std::size_t> parts_of_codes;
  std::erase_if(cutter.cut_weights, [&](const CutWeight& weight) {
    const LogicalTensor& whole = source.weights()[weight.weight];
    const bool is_used = !is_there(whole) && std::ranges::any_of(weight.cut, is_there);
    for (const std::size_t part : whole.parts) {
      is_used ? void(parts_of_codes.insert(part)) : void(cutter.pieces.erase(part));
    }
    return !is_used;
  });
  std::erase_if(cutter.pieces, [&](const auto& cut) {
    if (parts_of_codes.contains(cut.first)) return false;
    return names.contains(source.tensors()[cut.first].name) ||
           std::ranges::none_of(cut.second, [&](const Piece& piece) { return names.contains(piece.info.name); });
  });
  return view_of(source, std::move(cutter));
}

}  // namespace mnq
