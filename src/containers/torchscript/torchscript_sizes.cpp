#include "containers/torchscript/torchscript_sizes.h"

#include <algorithm>

#include "base/text/format.h"
#include "base/text/text.h"
#include "containers/torchscript/torchscript_bounds.h"

namespace mnq {
namespace {

// Operators that LibTorch 2.13 runs while it loads, where all that they are given is constant: those of its registry
// that take and give numbers, texts and tuples alone, but for those that take any number of arguments …
constexpr std::string_view kFolded =
    " Bool Complex EnumName EnumValue Float IfThenElse Int StringIndex TupleIndex __and__ __derive_index "
    "__getitem__ __lshift__ __not__ __or__ __range_length __round_to_zero_floordiv __rshift__ __xor__ "
    "_get_cpu_capability _print _unwrap_optional abs acos acosh add angle asin asinh atan atan2 atanh bin bool "
    "capitalize ceil center chr copysign cos cosh count degrees dequantize div divmod endswith eq erf erfc exp "
    "expandtabs expm1 fabs factorial find float floor floordiv fmod frexp gamma gcd ge gt hash hex index "
    "int isalnum isalpha isdecimal isdigit isfinite isidentifier isinf islower isnan isnumeric isprintable "
    "isspace istitle isupper ldexp le len lgamma ljust log log10 log1p lower lstrip lt mathremainder max "
    "maximum_value min minimum_value modf mul ne neg oct ord partition polar pow promote_types "
    "radians remainder replace rfind rindex rjust round rpartition rstrip sin sinh slice sqrt startswith str "
    "strip sub swapcase tan tanh title type unchecked_cast unchecked_unwrap_optional upper zfill ";
// … of these some make texts of texts, longer ones or many …
constexpr std::string_view kTextMakers =
    " add center expandtabs ljust mul partition replace rjust rpartition str zfill ";
// … or give back a text or a part of one …
constexpr std::string_view kTextTakers =
    " EnumName EnumValue IfThenElse StringIndex TupleIndex __getitem__ _unwrap_optional capitalize "
    "dequantize lower lstrip rstrip slice strip swapcase title upper unchecked_cast "
    "unchecked_unwrap_optional ";
// … or make texts of numbers …
constexpr std::string_view kNumberTexts = " bin chr hex oct str type ";
// … or take long for a number, or do more than compute.
constexpr std::string_view kNeverConstant = " factorial _print ";

bool is_one_of(std::string_view name, std::string_view names) {
  return names.find(formatted(" {} ", name)) != names.npos;
}

// Beside it in what it is a part of; null behind the last one.
const ScriptNode* next_of(const ScriptCode& code, const ScriptNode& node) {
  return node.next == kNoScriptNode ? nullptr : &code.at(node.next);
}

std::string_view last_part(std::string_view name) { return name.substr(name.rfind('.') + 1); }

}  // namespace

void widen(ScriptSize& value, const ScriptSize& other) {
  value.parts = std::max(value.parts, other.parts);
  value.depth = std::max(value.depth, other.depth);
}

void add_part(ScriptSize& whole, const ScriptSize& part) {
  whole.parts = std::min(whole.parts + part.parts, std::uint64_t{1} << 40);
  whole.depth = std::max(whole.depth, part.depth + 1);
}

const ScriptSize& ScriptSizes::evaluate(const ScriptNode& whole) {
  for (const ScriptNode& node : code_.under(whole)) {
    const ScriptSize result = evaluate_node(node);
    sizes_[index_of(node)] = result;
    const bool is_made_here = node.kind == ScriptKind::kTuple || node.kind == ScriptKind::kCall ||
                              node.kind == ScriptKind::kList || node.kind == ScriptKind::kDict;
    charge(node, result, !is_made_here ? 0 : result.is_constant ? 10 : 1);
  }
  return of(whole);
}

void ScriptSizes::charge(const ScriptNode& node, const ScriptSize& size, std::uint64_t times) {
  const std::uint64_t parts = (size.parts - 1) * times;
  const std::uint64_t left = known_.parts_left;
  if (size.depth <= kMostTypeDepth && size.parts <= kMostTypeParts + left && parts <= left) {
    known_.parts_left -= parts;
    return;
  }
  code_.refuse(node.line, "has a value whose type is too large or too deep: LibTorch would take long for it",
               "give a module without tuples and lists that hold each other that often");
}

ScriptSize ScriptSizes::evaluate_node(const ScriptNode& node) {
  switch (node.kind) {
    case ScriptKind::kNumber:
    case ScriptKind::kNone:
    case ScriptKind::kTrue:
    case ScriptKind::kFalse:
      return {1, 1, true, false};
    case ScriptKind::kText:
      return {1, 1, true, true};
    case ScriptKind::kName:
      return value_of_name(node.text);
    case ScriptKind::kAttribute: {
      ScriptSize result = of(code_.parts(node).front());
      widen(result, known_.members[node.text]);
      result.has_text = result.is_constant;
      return result;
    }
    case ScriptKind::kType:
      return value_of_type(node);
    case ScriptKind::kCall:
      return value_of_call(node);
    case ScriptKind::kKeyword:
      return of(code_.parts(node).front());
    default:
      return value_of_parts(node);
  }
}

ScriptSize ScriptSizes::value_of_type(const ScriptNode& type) {
  const auto named = known_.named_tuples.find(known_.program.find(type.text));
  ScriptSize result = named != known_.named_tuples.end() ? named->second : ScriptSize();
  for (const ScriptNode& part : code_.parts(type)) add_part(result, of(part));
  return result;
}

// Tuples have a type for each part, lists and dicts one for all; only a tuple of constants is a constant.
ScriptSize ScriptSizes::value_of_parts(const ScriptNode& node) {
  const bool is_tuple = node.kind == ScriptKind::kTuple;
  const bool is_container = is_tuple || node.kind == ScriptKind::kList || node.kind == ScriptKind::kDict;
  ScriptSize result, part_type{0, 0, false, false};
  result.is_constant = is_tuple || !is_container;
  for (const ScriptNode& part : code_.parts(node)) {
    const ScriptSize& each = of(part);
    if (is_tuple) {
      add_part(result, each);
    } else {
      widen(part_type, each);
    }
    result.is_constant = result.is_constant && each.is_constant;
    result.has_text = result.has_text || each.has_text;
  }
  if (is_tuple) return result;
  if (!is_container) {  // an index gives a part
    widen(result, part_type);
    return result;
  }
  add_part(result, part_type);
  if (node.kind == ScriptKind::kDict) ++result.parts;
  return result;
}

ScriptSize ScriptSizes::value_of_name(std::string_view name) {
  if (name.starts_with("CONSTANTS.c")) {
    const auto index = parse_int(name.substr(11));
    const bool is_there = index && *index >= 0 && static_cast<std::size_t>(*index) < known_.constant_parts.size();
    const std::uint64_t parts = is_there ? known_.constant_parts[static_cast<std::size_t>(*index)] : 0;
    return {std::max(parts, std::uint64_t{1}), 1, parts > 0, parts > 0};
  }
  if (name.starts_with("__torch__.")) return {1, 1, true, false};
  const std::size_t dot = name.find('.');
  const auto found = known_.variables.find(name.substr(0, dot));
  ScriptSize result = found != known_.variables.end() ? found->second : ScriptSize();
  if (dot == name.npos) return result;
  widen(result, known_.members[last_part(name)]);
  result.has_text = result.is_constant;
  return result;
}

ScriptSize ScriptSizes::value_of_call(const ScriptNode& call) {
  const ScriptNode& callee = code_.parts(call).front();
  const std::string_view name = callee.text;
  const ScriptNode* first = next_of(code_, callee);
  const bool is_name = callee.kind == ScriptKind::kName;
  ScriptSize arguments;
  arguments.is_constant = true;
  bool holds_all = false;
  ScriptSize tuple;
  for (const ScriptNode* each = first; each != nullptr; each = next_of(code_, *each)) {
    if (each->kind == ScriptKind::kType) {  // what it is made to be
      arguments = of(*each);
      arguments.is_constant = holds_all = true;
      continue;
    }
    const ScriptSize& argument = of(*each);
    if (!holds_all) widen(arguments, argument);
    add_part(tuple, argument);
    arguments.is_constant = arguments.is_constant && argument.is_constant;
    arguments.has_text = arguments.has_text || argument.has_text;
  }
  if (is_name && name == "isinstance") return {1, 1, true, false};
  if (is_name && name == "uninitialized") return {arguments.parts, arguments.depth, false, false};
  if (holds_all) return arguments;  // annotate, unchecked_cast
  if (is_name && name == "getattr") {
    const ScriptNode* attribute = first == nullptr ? nullptr : next_of(code_, *first);
    return attribute == nullptr ? ScriptSize() : known_.members[attribute->text];
  }
  if (is_name && name.starts_with("__torch__.")) return value_of_definition(name, arguments, tuple);
  const bool is_operator = is_name && (name.starts_with("torch.") || name.starts_with("ops."));
  if (!is_operator && (!is_name || name.find('.') != name.npos)) {  // a method
    const ScriptSize& object = of(callee);
    arguments.is_constant = arguments.is_constant && object.is_constant;
    arguments.has_text = arguments.has_text || object.has_text;
    widen(arguments, object);
  }
  if (is_name && !is_operator && known_.variables.contains(name)) widen(arguments, known_.largest_result);
  return folded(call, last_part(name), arguments);
}

ScriptSize ScriptSizes::value_of_definition(std::string_view name, const ScriptSize& arguments, ScriptSize tuple) {
  const ScriptProgram::Definition* definition = known_.program.find(name);
  if (definition == nullptr) return {};  // C.__new__
  if (definition->base() == "NamedTuple") {
    tuple.is_constant = arguments.is_constant;
    tuple.has_text = arguments.has_text;
    return tuple;
  }
  return definition->is_class() ? ScriptSize() : known_.members[definition->node->text];
}

// What an operator gives; the type of what it takes is no smaller, but for the pairs of a dict.
ScriptSize ScriptSizes::folded(const ScriptNode& call, std::string_view name, const ScriptSize& arguments) {
  const bool is_large = (arguments.has_text && is_one_of(name, kTextMakers)) || is_one_of(name, kNeverConstant);
  if (arguments.is_constant && is_large) {
    code_.refuse(call.line, formatted("gives {} nothing but constants: LibTorch would run it to load the file", name),
                 "save the module anew by torch.jit.save");
  }
  ScriptSize result = arguments;
  result.is_constant = result.is_constant && is_one_of(name, kFolded);
  if (name == "items") add_part(result, ScriptSize());
  const bool is_text = is_one_of(name, kNumberTexts) || (arguments.has_text && is_one_of(name, kTextTakers));
  result.has_text = result.is_constant && is_text;
  return result;
}

}  // namespace mnq
