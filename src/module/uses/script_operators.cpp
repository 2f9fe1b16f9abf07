#include "module/uses/script_operators.h"

#include <algorithm>

#include "base/text/format.h"

namespace mnq {
namespace {

// Operators whose first output lies in the memory of their first operand.
constexpr std::string_view kViews[] = {"alias",
                                       "as_strided",
                                       "broadcast_to",
                                       "chunk",
                                       "contiguous",
                                       "detach",
                                       "diagonal",
                                       "dsplit",
                                       "expand",
                                       "expand_as",
                                       "flatten",
                                       "float",
                                       "half",
                                       "hsplit",
                                       "imag",
                                       "mH",
                                       "mT",
                                       "matrix_H",
                                       "movedim",
                                       "moveaxis",
                                       "narrow",
                                       "numpy_T",
                                       "permute",
                                       "pin_memory",
                                       "ravel",
                                       "real",
                                       "reshape",
                                       "reshape_as",
                                       "select",
                                       "slice",
                                       "split",
                                       "squeeze",
                                       "swapaxes",
                                       "swapdims",
                                       "t",
                                       "tensor_split",
                                       "to",
                                       "transpose",
                                       "type_as",
                                       "unbind",
                                       "unflatten",
                                       "unfold",
                                       "unsqueeze",
                                       "view",
                                       "view_as",
                                       "view_as_complex",
                                       "view_as_real",
                                       "vsplit",
                                       "split_with_sizes",
                                       "unsafe_chunk",
                                       "unsafe_split",
                                       "resolve_conj",
                                       "resolve_neg",
                                       "conj",
                                       "double",
                                       "cpu",
                                       "type",
                                       "rename",
                                       "refine_names",
                                       "align_to",
                                       "lift",
                                       "values",
                                       "indices",
                                       "data",
                                       "requires_grad_",
                                       "detach_",
                                       "squeeze_",
                                       "unsqueeze_",
                                       "t_",
                                       "transpose_"};

// Those that change a list or a dict.
constexpr std::string_view kContainerWrites[] = {"append",  "extend", "insert", "_set_item",  "pop",    "clear",
                                                 "reverse", "sort",   "remove", "setdefault", "update", "Delete"};

template <std::size_t N>
bool is_one_of(std::string_view text, const std::string_view (&names)[N]) {
  return std::ranges::find(names, text) != std::end(names);
}

bool swaps_axes(std::string_view full, const ScriptArguments& arguments) {
  const auto& values = arguments.positional;
  if (full == "aten::t" || full == "aten::numpy_T" || full == "aten::mT") return true;
  if (full == "aten::transpose" && values.size() == 3) {
    const auto a = values[1].integer(), b = values[2].integer();
    return a && b && ((*a % 2) + 2) % 2 != ((*b % 2) + 2) % 2;
  }
  if (full != "aten::permute" || values.size() < 2 || values[1].items == nullptr) return false;
  const auto& order = *values[1].items;
  return order.size() == 2 && order[0].integer() == 1 && order[1].integer() == 0;
}

// An operator with what it is given.
struct Application {
  ScriptFindings& findings;
  const ScriptTree& tree;
  ScriptBudget& budget;
  std::string full;  // "aten::linear"
  const ScriptArguments& arguments;

  std::size_t rank_of(ScriptTree::TensorIndex tensor) const { return tree.tensor(tensor).sizes.size(); }
};

// A tensor, or one with its axes swapped, is an operand: its use, or another name for it.
void take_operand(const Application& of, std::size_t operand, const ScriptAlias& alias, ScriptValue& result) {
  const std::size_t rank = of.rank_of(alias.tensor);
  const bool swaps = operand == 0 && rank == 2 && swaps_axes(of.full, of.arguments);
  if (swaps || (operand == 0 && keeps_values(of.full))) {
    unite(result.aliases, {ScriptAlias{alias.tensor, true, alias.transposed != swaps}});
    return;
  }
  if (of.full == "aten::_convolution" && operand == 1) {
    const auto& values = of.arguments.positional;
    const std::optional<bool> transposed = values.size() > 6 ? values[6].flag() : std::nullopt;
    return of.findings.note_use(alias.tensor, use_by_convolution(transposed, rank));
  }
  of.findings.note_use(alias.tensor, use_by_operator(of.full, operand, rank, alias.transposed));
}

// The result so far: other names of operands.
ScriptValue take_operands(const Application& of) {
  ScriptValue result;
  for (std::size_t i = 0; i < of.arguments.positional.size(); ++i) {
    for (const ScriptAlias& alias : of.arguments.positional[i].aliases) {
      if (alias.is_same) take_operand(of, i, alias, result);
    }
  }
  for (const auto& [keyword, value] : of.arguments.keywords) {
    for (const ScriptAlias& alias : value.aliases) {
      of.findings.note_use(alias.tensor, {"", 0, formatted("used by {}", of.full)});
    }
    if (keyword == "out") of.findings.note_written(value, of.full);
  }
  return result;
}

// The weights of an operator that takes a list of them: one that stands there, or an attribute.
void note_lists(const Application& of, std::string_view kind) {
  for (const ScriptValue& argument : of.arguments.positional) {
    if (argument.items != nullptr) {
      for (const ScriptValue& item : *argument.items) {
        for (const ScriptAlias& alias : item.aliases) {
          if (alias.is_same) of.findings.note_use(alias.tensor, {std::string(kind), 0, ""});
        }
      }
    }
    for (const PickleIndex container : argument.containers) {
      for (const ScriptTree::TensorIndex tensor : of.tree.tensors_in(container)) {
        if (of.budget.step() && of.rank_of(tensor) == 2) of.findings.note_use(tensor, {std::string(kind), 0, ""});
      }
    }
  }
}

}  // namespace

bool writes_container(std::string_view operator_name) { return is_one_of(operator_name, kContainerWrites); }

ScriptValue apply_operator(ScriptFindings& findings, const ScriptTree& tree, ScriptBudget& budget,
                           std::string_view space, std::string_view name, const ScriptArguments& arguments) {
  const Application of{findings, tree, budget, std::string(space) + std::string(name), arguments};
  ScriptValue result = take_operands(of);
  const std::string_view kind = kind_by_list(of.full);
  if (!kind.empty()) note_lists(of, kind);
  if (arguments.positional.empty()) return result;
  const ScriptValue& first = arguments.positional.front();
  const bool writes = name.ends_with('_') && !name.ends_with("__");
  if (writes) findings.note_written(first, of.full);
  if (writes_container(name)) {
    for (const PickleIndex container : first.containers) findings.note_container_written(container, of.full);
  }
  if (writes || space != "aten::" || is_one_of(name, kViews)) {
    const std::size_t shared = space == "aten::" ? 1 : arguments.positional.size();
    for (std::size_t i = 0; i < shared; ++i) share(result, arguments.positional[i]);
  } else if (name == "list" || name == "dict" || name == "copy") {
    return first;  // a list or a dict of the same things
  }
  return result;
}

}  // namespace mnq
