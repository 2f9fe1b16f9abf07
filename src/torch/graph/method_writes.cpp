#include "torch/graph/method_writes.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace mnq::libtorch {
namespace {

using jit::Node;
using jit::Value;

bool is_tensor(const Value& value) { return value.type()->isSubtypeOf(*c10::TensorType::get()); }

bool is_module(const Value& value) {
  const auto interface = value.type()->cast<c10::InterfaceType>();
  return value.type()->is_module() || (interface != nullptr && interface->is_module());
}

// Whether what a value holds may hold tensors in turn.
bool holds_containers(const Value& value) {
  return std::ranges::any_of(value.type()->containedTypes(),
                             [](const c10::TypePtr& type) { return !type->containedTypes().empty(); });
}

// Whether it is a list of tensors in new memory: those of chunk and split are views.
bool makes_new_list(const Value& list) {
  constexpr std::array<std::string_view, 3> kOperators{"aten::unsafe_chunk", "aten::unsafe_split",
                                                       "aten::unsafe_split_with_sizes"};
  return std::ranges::find(kOperators, list.node()->kind().toQualString()) != kOperators.end();
}

// What an output is a view of, or the same as. Empty: nothing, its memory is new. Null: what cannot be told.
std::optional<const Value*> source_of(const Value& value) {
  const Node& node = *value.node();
  if (node.kind() == c10::prim::ListUnpack && makes_new_list(*node.input())) return std::nullopt;
  const auto* schema = node.kind().is_aten() ? node.maybeSchema() : nullptr;
  if (schema == nullptr || !is_tensor(value) || value.offset() >= schema->returns().size()) return nullptr;
  const auto* alias = schema->returns()[value.offset()].alias_info();
  if (alias == nullptr) return std::nullopt;
  if (alias->isWildcardBefore() || alias->isWildcardAfter()) return nullptr;
  for (std::size_t i = 0; i < schema->arguments().size() && i < node.inputs().size(); ++i) {
    const auto* argument = schema->arguments()[i].alias_info();
    if (argument != nullptr && argument->beforeSets() == alias->beforeSets()) return node.input(i);
  }
  return nullptr;
}

// Whether a value is memory that an operator of this method made. The analysis takes whatever was in a list or a tuple
// for anything else that was: a mask that is filled and handed on, for the weights of the attention beside it.
bool is_new(const Value* value) {
  for (;;) {
    const auto source = source_of(*value);
    if (!source) return true;
    if (*source == nullptr) return false;
    value = *source;
  }
}

struct Write {
  Value* value;
  std::string by;
};

std::vector<Value*> values_of(const std::vector<Write>& writes) {
  std::vector<Value*> values;
  for (const Write& write : writes) values.push_back(write.value);
  return values;
}

class Finder {
 public:
  explicit Finder(const std::shared_ptr<jit::Graph>& graph) : graph_(graph) {}

  MethodWrites run() {
    set_inputs_apart();
    collect(*graph_->block());
    MethodWrites result;
    result.changes_state = !kept_.empty();
    if (to_tensors_.empty() && to_containers_.empty() && kept_.empty()) return result;
    // As of a frozen module: each attribute is memory of its own, not one that may be any other.
    aliases_.emplace(graph_, /*isFrozen=*/true);
    add_attributes(result);
    result.changes_state = result.changes_state || !result.attributes.empty();
    result.writes_inputs = result.writes_inputs || reach_any(to_tensors_, inputs_) || reach_any(kept_, inputs_);
    return result;
  }

 private:
  // Inputs, too, would be taken for one another, and for what lists of the module hold: each tensor becomes a new one.
  void set_inputs_apart() {
    const jit::WithInsertPoint point(graph_->block()->param_node()->next());
    for (Value* input : graph_->inputs()) {
      if (is_module(*input)) continue;
      if (is_tensor(*input)) {
        Value* made = graph_->insertNode(graph_->create(c10::prim::CreateObject))->output();
        input->replaceAllUsesWith(made);
        input = made;
      }
      inputs_.push_back(input);
    }
  }

  void collect(jit::Block& block) {
    for (Node* node : block.nodes()) {
      if (node->kind() == c10::prim::GetAttr) {
        if (!is_module(*node->output())) reads_.push_back(node->output());
      } else if (node->kind() == c10::prim::SetAttr) {
        kept_.push_back({node->input(1), "an assignment"});
      } else {
        collect_written(*node);
      }
      for (jit::Block* inner : node->blocks()) collect(*inner);
    }
  }

  void collect_written(Node& node) {
    const auto* schema = node.maybeSchema();
    if (schema == nullptr || !schema->is_mutable()) return;
    for (std::size_t i = 0; i < schema->arguments().size() && i < node.inputs().size(); ++i) {
      const auto* alias = schema->arguments()[i].alias_info();
      if (alias == nullptr || !alias->isWrite() || is_new(node.input(i))) continue;
      auto& writes = is_tensor(*node.input(i)) ? to_tensors_ : to_containers_;
      writes.push_back({node.input(i), node.kind().toQualString()});
    }
  }

  bool reach_any(const std::vector<Write>& writes, const std::vector<Value*>& values) {
    return !writes.empty() && !values.empty() && aliases_->mayContainAlias(values_of(writes), values);
  }

  void add_attributes(MethodWrites& result) {
    const bool some_are_written = reach_any(to_tensors_, reads_), some_are_kept = reach_any(kept_, reads_);
    for (Value* read : reads_) {
      std::string by;
      if (some_are_written) by = writer_of(read, to_tensors_);
      // What a list holds may be anything, so that here only a tensor by itself is known to be kept elsewhere.
      if (by.empty() && some_are_kept && is_tensor(*read)) by = writer_of(read, kept_);
      if (by.empty() && !is_tensor(*read)) {
        by = container_writer_of(read);
        // What it takes in may be an input.
        result.writes_inputs = result.writes_inputs || !by.empty();
      }
      if (!by.empty()) result.attributes.push_back({read->node(), std::move(by)});
    }
  }

  std::string writer_of(Value* value, const std::vector<Write>& writes) {
    if (!reach_any(writes, {value})) return {};
    const auto found =
        std::ranges::find_if(writes, [&](const Write& write) { return aliases_->mayContainAlias(write.value, value); });
    return found == writes.end() ? "an operator" : found->by;
  }

  // A list that is written to is not each tensor in it.
  std::string container_writer_of(Value* value) {
    const bool is_nested = holds_containers(*value);
    const auto found = std::ranges::find_if(to_containers_, [&](const Write& write) {
      return aliases_->mayAlias(write.value, value) || (is_nested && aliases_->mayContainAlias(write.value, value));
    });
    return found == to_containers_.end() ? "" : found->by;
  }

  const std::shared_ptr<jit::Graph>& graph_;
  std::optional<jit::AliasDb> aliases_;
  std::vector<Value*> inputs_, reads_;
  std::vector<Write> to_tensors_, to_containers_, kept_;
};

}  // namespace

MethodWrites find_writes(const std::shared_ptr<jit::Graph>& graph) { return Finder(graph).run(); }

}  // namespace mnq::libtorch
