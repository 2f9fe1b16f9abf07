#include "formats/experts/experts_joined.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>

#include "base/text/format.h"
#include "formats/experts/expert_models.h"
#include "layouts/layout.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

// "x.experts.3.w1.weight"
struct OfOneExpert {
  std::string module;  // "x."
  std::size_t expert;
  std::string part;  // "gate_proj.weight", as stacks have it
};

// Empty: it is none.
std::string_view name_in_stack(std::string_view name, const ExpertNames& stacked) {
  for (const ExpertNames& names : names_apart()) {
    if (name == names.gate) return stacked.gate;
    if (name == names.up) return stacked.up;
    if (name == names.down) return stacked.down;
  }
  return "";
}

std::optional<OfOneExpert> parse(std::string_view name, const ExpertNames& stacked) {
  constexpr std::string_view kModule = "experts.";
  const std::size_t at = name.find(kModule);
  if (at == std::string_view::npos || (at > 0 && name[at - 1] != '.')) return std::nullopt;
  OfOneExpert parsed{std::string(name.substr(0, at)), 0, ""};
  const std::string_view rest = name.substr(at + kModule.size());
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), parsed.expert);
  if (error != std::errc() || end == rest.data() + rest.size() || *end != '.') return std::nullopt;
  const std::string_view part = rest.substr(static_cast<std::size_t>(end - rest.data()) + 1);
  const std::size_t dot = part.find('.');
  const std::string_view stack = name_in_stack(part.substr(0, dot), stacked);
  const std::string_view last = dot == std::string_view::npos ? "" : part.substr(dot);
  if (stack.empty() || (last != ".weight" && last != ".bias")) return std::nullopt;
  parsed.part = formatted("{}{}", stack, last);
  return parsed;
}

// The weights of all experts, by their number.
using Stack = std::vector<std::size_t>;  // of the source's weights

// Whether a stack can be read of the codes of each.
bool may_be_stacked(const LogicalTensor& tensor) {
  const QuantizedSpec& spec = *tensor.spec;
  const Scheme& scheme = scheme_of(spec);
  return is_coded(spec) && tensor.layout->has_tables && !tensor.layout->has_own_order && scheme.blocks == nullptr &&
         !scheme.has_global_scale && !spec.has_group_order && spec.granularity != Granularity::kTensor &&
         spec.shape.size() == 2 && spec.channel_axis == 0;
}

class Joiner {
 public:
  explicit Joiner(const TensorSource& source) : source_(source) {
    const Companion* companion = source.companion();
    if (source.as_module() != nullptr || companion == nullptr || companion->model_types.empty()) return;
    module_ = stacked_module(*companion);
    if (module_.empty()) return;
    find_stacks();
    leave_odd_modules();
    leave_unlike_modules();
  }

  std::map<std::string, Stack> stacks;  // by name
  std::vector<std::size_t> unlike;      // quantized, of those that could be joined as floats

 private:
  // Those of modules of which all can be joined.
  void find_stacks() {
    const std::vector<LogicalTensor>& weights = source_.require_weights();
    std::set<std::string_view> names;
    for (const LogicalTensor& weight : weights) names.insert(weight.name);
    const ExpertNames& stacked = names_in_stack(find_expert_model(source_.companion()));
    std::map<std::string, std::map<std::size_t, std::size_t>> found;  // by name, then by expert
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const auto parsed = parse(weights[i].name, stacked);
      if (!parsed || !weights[i].ties.empty()) continue;
      std::string name = formatted("{}{}.{}", parsed->module, module_, parsed->part);
      if (!names.contains(name)) found[std::move(name)].emplace(parsed->expert, i);
    }
    for (const auto& [name, by_expert] : found) {
      Stack& stack = stacks[name];
      for (const auto& [expert, weight] : by_expert) stack.push_back(weight);
      if (by_expert.rbegin()->first + 1 != stack.size()) stack.clear();
    }
  }

  void leave_odd_modules() {
    std::map<std::string, std::size_t> experts;  // by module; 0: they do not fit
    for (const auto& [name, stack] : stacks) {
      const auto [found, is_new] = experts.emplace(module_of(name), stack.size());
      if (!is_of_one_shape(stack) || found->second != stack.size()) found->second = 0;
    }
    std::erase_if(stacks, [&](const auto& stack) { return experts.at(module_of(stack.first)) == 0; });
  }

  void leave_unlike_modules() {
    std::set<std::string> modules;
    for (const auto& [name, stack] : stacks) {
      if (!is_of_one_kind(stack)) modules.insert(module_of(name));
    }
    std::erase_if(stacks, [&](const auto& stack) {
      if (!modules.contains(module_of(stack.first))) return false;
      std::ranges::copy_if(stack.second, std::back_inserter(unlike),
                           [&](std::size_t weight) { return source_.weights()[weight].spec.has_value(); });
      return true;
    });
    std::ranges::sort(unlike);
  }

  static std::string module_of(const std::string& stack) {
    const std::size_t part = stack.rfind('.', stack.rfind('.') - 1);
    return stack.substr(0, part);
  }

  bool is_of_one_shape(const Stack& stack) const {
    return std::ranges::all_of(stack, [&](std::size_t weight) {
      const LogicalTensor &tensor = source_.weights()[weight], &first = source_.weights()[stack.front()];
      return tensor.shape == first.shape && tensor.dtype == first.dtype;
    });
  }

  bool is_of_one_kind(const Stack& stack) const {
    const LogicalTensor& first = source_.weights()[stack.front()];
    return std::ranges::all_of(stack, [&](std::size_t weight) {
      const LogicalTensor& tensor = source_.weights()[weight];
      if (!tensor.spec || !first.spec) return !tensor.spec && !first.spec;
      return *tensor.spec == *first.spec && tensor.layout == first.layout &&
             tensor.parts.size() == first.parts.size() && may_be_stacked(tensor);
    });
  }

  const TensorSource& source_;
  std::string_view module_;
};

class Joined final : public RearrangedExperts {
 public:
  Joined(const TensorSource& source, std::map<std::string, Stack> stacks)
      : RearrangedExperts(source), stacks_(std::move(stacks)) {
    show_tensors();
    hints_.resize(tensors_.size());
    for (const auto& [name, stack] : stacks_) {
      const LogicalTensor& first = source.weights()[stack.front()];
      if (!name.ends_with(".weight")) continue;
      hints_[shown_[first.parts.front()]] = {name.substr(0, name.rfind('.')), "Experts", 1, "", first.name};
    }
  }

  const LayerHint* hint(std::size_t tensor) const override {
    return hints_[tensor].kind.empty() ? source_.hint(stored_[tensor].front()) : &hints_[tensor];
  }
  std::string_view quantized_as(std::size_t tensor) const override {
    return source_.quantized_as(stored_[tensor].front());
  }
  std::vector<std::string> ties(std::size_t tensor) const override {
    return stored_[tensor].size() == 1 ? source_.ties(stored_[tensor].front()) : std::vector<std::string>();
  }
  std::shared_ptr<const std::byte> view(std::size_t tensor) const override {
    return stored_[tensor].size() == 1 ? source_.view(stored_[tensor].front()) : nullptr;
  }

  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    const std::vector<std::size_t>& stored = stored_[tensor];
    const std::uint64_t size = tensors_[tensor].size_bytes / stored.size();
    while (!into.empty()) {
      const std::uint64_t within = offset % size, count = std::min<std::uint64_t>(size - within, into.size());
      source_.read(stored[offset / size], within, into.first(count));
      into = into.subspan(count);
      offset += count;
    }
  }

  std::string remark() const override {
    const auto& [name, stack] = *stacks_.begin();
    return formatted(
        "experts that lie one by one became {} of all of them, as the output's loaders have them: {} became {} and so "
        "on",
        stacks_.size() == 1 ? "one tensor" : formatted("{} tensors", stacks_.size()),
        source_.weights()[stack.front()].name, name);
  }

 private:
  // Stacks of floats where the first of them lies, and what is quantized as it is.
  void show_tensors() {
    std::map<std::size_t, std::string_view> firsts;  // the stack that begins with a tensor
    std::set<std::size_t> others;                    // tensors further up in one
    for (const auto& [name, stack] : stacks_) {
      if (source_.weights()[stack.front()].spec) continue;
      firsts.emplace(source_.weights()[stack.front()].parts.front(), name);
      for (const std::size_t weight : stack) others.insert(source_.weights()[weight].parts.front());
    }
    for (std::size_t i = 0; i < source_.tensors().size(); ++i) {
      shown_.push_back(tensors_.size());
      const auto found = firsts.find(i);
      if (found == firsts.end() && others.contains(i)) continue;
      found == firsts.end() ? show({i}, source_.tensors()[i]) : show_stack(std::string(found->second));
    }
  }

  void show_stack(const std::string& name) {
    std::vector<std::size_t> stored;
    for (const std::size_t weight : stacks_.at(name)) stored.push_back(source_.weights()[weight].parts.front());
    TensorInfo info = source_.tensors()[stored.front()];
    info.name = name;
    info.shape.insert(info.shape.begin(), static_cast<std::int64_t>(stored.size()));
    info.size_bytes *= stored.size();
    show(std::move(stored), std::move(info));
  }

  void show(std::vector<std::size_t> stored, TensorInfo info) {
    stored_.push_back(std::move(stored));
    tensors_.push_back(std::move(info));
  }

  LogicalTensors find_weights() const override {
    std::vector<LogicalTensor> quantized;
    std::set<std::size_t> in_stacks;
    for (const auto& [name, stack] : stacks_) {
      if (!source_.weights()[stack.front()].spec) continue;
      in_stacks.insert(stack.begin(), stack.end());
      quantized.push_back(joined(name, stack));
    }
    for (std::size_t i = 0; i < source_.weights().size(); ++i) {
      if (!source_.weights()[i].spec || in_stacks.contains(i)) continue;
      LogicalTensor& tensor = quantized.emplace_back(source_.weights()[i]);
      for (std::size_t& part : tensor.parts) part = shown_[part];
    }
    return complete({std::move(quantized), source_.problems()});
  }

  LogicalTensor joined(const std::string& name, const Stack& stack) const {
    LogicalTensor tensor = source_.weights()[stack.front()];
    tensor.name = name;
    tensor.shape.insert(tensor.shape.begin(), static_cast<std::int64_t>(stack.size()));
    QuantizedSpec spec = *tensor.spec;
    spec.shape = tensor.shape;
    spec.channel_axis = spec.stacked_axes = 1;
    tensor.spec = spec;
    tensor.sqnr_db.reset();
    tensor.stack_size = stack.size();
    tensor.parts.clear();
    for (const std::size_t weight : stack) {
      for (const std::size_t part : source_.weights()[weight].parts) tensor.parts.push_back(shown_[part]);
    }
    return tensor;
  }

  std::map<std::string, Stack> stacks_;
  std::vector<std::vector<std::size_t>> stored_;  // of each tensor: those of the source, one after the other
  std::vector<std::size_t> shown_;                // of each tensor of the source: what it is a part of here
  std::vector<LayerHint> hints_;
};

// Of the stacks that are wanted.
template <class IsWanted>
Rearranged join(const TensorSource& source, const IsWanted& is_wanted) {
  Joiner joiner(source);
  std::erase_if(joiner.stacks, [&](const auto& stack) { return !is_wanted(stack.first, stack.second); });
  Rearranged found{nullptr, std::move(joiner.unlike)};
  if (!joiner.stacks.empty()) found.experts = std::make_unique<Joined>(source, std::move(joiner.stacks));
  return found;
}

}  // namespace

Rearranged join_experts(const TensorSource& source, ExpertChoice choice) {
  return join(source, [&](const std::string&, const Stack& stack) {
    return choice == ExpertChoice::kAll || source.weights()[stack.front()].spec.has_value();
  });
}

Rearranged join_experts_as_in(const TensorSource& source, const TensorSource& other) {
  std::set<std::string_view> names;
  for (const LogicalTensor& tensor : other.weights()) names.insert(tensor.name);
  return join(source, [&](const std::string& name, const Stack&) { return names.contains(name); });
}

}  // namespace mnq
