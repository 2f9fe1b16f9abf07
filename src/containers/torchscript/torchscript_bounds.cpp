#include "containers/torchscript/torchscript_bounds.h"

#include <algorithm>
#include <unordered_map>

#include "base/text/format.h"
#include "base/text/text.h"

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

struct Value {
  std::uint64_t parts = 1;  // of its type
  std::uint32_t depth = 1;
  bool is_constant = false;
  bool has_text = false;  // a constant: may be or hold a text
};

void widen(Value& value, const Value& other) {
  value.parts = std::max(value.parts, other.parts);
  value.depth = std::max(value.depth, other.depth);
}

// A type or a tuple with one more part.
void add_part(Value& whole, const Value& part) {
  whole.parts = std::min(whole.parts + part.parts, std::uint64_t{1} << 40);
  whole.depth = std::max(whole.depth, part.depth + 1);
}

std::string_view last_part(std::string_view name) { return name.substr(name.rfind('.') + 1); }

class BoundsChecker {
 public:
  BoundsChecker(const ScriptProgram& program, const std::vector<std::uint64_t>& constant_parts,
                std::uint64_t file_bytes)
      : program_(program),
        constant_parts_(constant_parts),
        lines_left_(kMostScriptLines + file_bytes / 1024),
        parts_left_(kMostTypeParts + file_bytes / 64) {}

  void check() {
    for (const auto& [name, definition] : program_.definitions()) count_lines(definition);
    measure_named_tuples();
    for (const auto& [name, definition] : program_.definitions()) note_members(definition);
    for (const auto& [name, definition] : program_.definitions()) check_functions(definition);
  }

 private:
  // --- What is declared ---

  void count_lines(const ScriptProgram::Definition& definition) {
    for (const ScriptNode& node : definition.code->under(*definition.node)) {
      const bool is_statement = node.kind >= ScriptKind::kAssign && node.kind <= ScriptKind::kPass;
      const bool is_member = node.kind >= ScriptKind::kNames && node.kind <= ScriptKind::kFunction;
      if (!is_statement && !is_member) continue;
      if (lines_left_-- > 0) continue;
      definition.code->refuse(node.line,
                              "makes it more code than a file of this size may have: LibTorch would take long",
                              "give the module without loops that tracing has unrolled");
    }
  }

  // From those that hold none up: no more rounds than types may be deep.
  void measure_named_tuples() {
    for (std::uint32_t round = 0; round <= kMostTypeDepth; ++round) {
      for (const auto& [name, definition] : program_.definitions()) {
        if (definition.base() != "NamedTuple") continue;
        code_ = definition.code;
        Value whole;
        for (const ScriptNode& member : code_->parts(*definition.node)) {
          if (member.kind == ScriptKind::kField) add_part(whole, type_of(code_->parts(member).front()));
        }
        named_tuples_[&definition] = whole;
        charge(*definition.node, whole, 0);
      }
    }
  }

  Value type_of(const ScriptNode& type) {
    evaluate(type);
    return value(type);
  }

  // Which class an object has is not worked out here: an attribute is taken for the largest of its name.
  void note_members(const ScriptProgram::Definition& definition) {
    code_ = definition.code;
    if (!definition.is_class()) return note_function(*definition.node);
    for (const ScriptNode& member : code_->parts(*definition.node)) {
      if (member.kind == ScriptKind::kFunction) note_function(member);
      if (member.kind != ScriptKind::kField && member.kind != ScriptKind::kConstant) continue;
      const ScriptNode& type = code_->parts(member).front();
      if (type.kind != ScriptKind::kType) continue;  // of an enumeration
      widen(members_[member.text], type_of(type));
      charge(type, value(type), 1);
    }
  }

  void note_function(const ScriptNode& function) {
    for (const ScriptNode& part : code_->parts(function)) {
      if (part.kind != ScriptKind::kType) continue;
      widen(members_[function.text], type_of(part));
      widen(largest_result_, value(part));
      charge(part, value(part), 1);
    }
  }

  // --- Functions ---

  // A block that is gone through.
  struct Open {
    ScriptIndex next = kNoScriptNode;                        // of its statements
    const ScriptNode* owner = nullptr;                       // which ends with it; null: none
    bool is_constant = false;                                // whether it runs, or how often
    std::vector<std::pair<std::string_view, Value>> before;  // of a loop: what it assigns
  };

  void check_functions(const ScriptProgram::Definition& definition) {
    code_ = definition.code;
    if (!definition.is_class()) return check_function(*definition.node);
    for (const ScriptNode& member : code_->parts(*definition.node)) {
      if (member.kind == ScriptKind::kFunction) check_function(member);
    }
  }

  void check_function(const ScriptNode& function) {
    variables_.clear();
    open_function(function);
    while (!open_.empty()) {
      Open& block = open_.back();
      if (block.next == kNoScriptNode) {
        const Open done = std::move(block);
        open_.pop_back();
        if (done.owner != nullptr) leave(done);
        continue;
      }
      const ScriptNode& statement = code_->at(block.next);
      block.next = statement.next;
      enter(statement);
    }
  }

  void open_function(const ScriptNode& function) {
    for (const ScriptNode& part : code_->parts(function)) {
      if (part.kind == ScriptKind::kBlock) open_.push_back({part.first, nullptr, false, {}});
      if (part.kind != ScriptKind::kParameter || code_->parts(part).empty()) continue;
      variables_[part.text] = type_of(code_->parts(part).front());
      charge(part, variables_[part.text], 1);
    }
  }

  void enter(const ScriptNode& statement) {
    if (statement.kind == ScriptKind::kFunction) return open_function(statement);
    bool is_constant = false;
    std::size_t first_block = open_.size();
    for (const ScriptNode& part : code_->parts(statement)) {
      if (part.kind == ScriptKind::kBlock) {
        open_.push_back({part.first, nullptr, is_constant, {}});
      } else {
        evaluate(part);
        is_constant = value(part).is_constant && !is_positive(part);
      }
    }
    if (first_block == open_.size()) return assign(statement);
    // The block at the bottom ends last: of an if the first one, which has names and values of its own.
    open_[first_block].owner = &statement;
    if (statement.kind == ScriptKind::kWith) {
      variables_[statement.text] = members_["__enter__"];
    } else if (statement.kind != ScriptKind::kIf) {
      open_[first_block].before = assigned_in(statement);
      for (const auto& [name, before] : open_[first_block].before) set_constant(name, Value());
    }
  }

  static bool is_positive(const ScriptNode& count) {
    return count.kind == ScriptKind::kNumber && !count.text.starts_with('-') && count.text != "0";
  }

  // What comes out of a block is constant only where LibTorch can tell that it runs, or that a loop does not.
  void leave(const Open& block) {
    if (block.owner->kind == ScriptKind::kWith) return;
    if (block.owner->kind == ScriptKind::kIf && block.is_constant) return;
    for (const auto& [name, now] : assigned_in(*block.owner)) set_constant(name, Value());
    if (!block.is_constant) return;
    for (const auto& [name, before] : block.before) set_constant(name, before);
  }

  void set_constant(std::string_view name, const Value& like) {
    Value& variable = variables_[name];
    variable.is_constant = like.is_constant;
    variable.has_text = like.has_text;
  }

  std::vector<std::pair<std::string_view, Value>> assigned_in(const ScriptNode& statement) const {
    std::vector<std::pair<std::string_view, Value>> names;
    const auto add = [&](std::string_view name) {
      const auto found = variables_.find(name);
      names.emplace_back(name, found != variables_.end() ? found->second : Value());
    };
    for (const ScriptNode& node : code_->under(statement)) {
      if (node.kind == ScriptKind::kDeclare) add(node.text);
      if (node.kind != ScriptKind::kAssign) continue;
      const ScriptNode& target = code_->parts(node).front();
      if (target.kind == ScriptKind::kName) add(target.text);
      if (target.kind != ScriptKind::kTuple) continue;
      for (const ScriptNode& each : code_->parts(target)) add(each.text);
    }
    return names;
  }

  void assign(const ScriptNode& statement) {
    if (statement.kind == ScriptKind::kDeclare) {
      const ScriptNode& type = code_->parts(statement).front();
      Value declared = value(code_->at(type.next));
      declared.parts = value(type).parts;
      declared.depth = value(type).depth;
      variables_[statement.text] = declared;
    }
    if (statement.kind != ScriptKind::kAssign) return;
    const ScriptNode& target = code_->parts(statement).front();
    const ScriptNode& given = code_->at(target.next);
    if (target.kind == ScriptKind::kName) variables_[target.text] = value(given);
    if (target.kind != ScriptKind::kTuple) return;
    ScriptIndex each = given.kind == ScriptKind::kTuple ? given.first : kNoScriptNode;
    for (const ScriptNode& name : code_->parts(target)) {
      variables_[name.text] = value(each == kNoScriptNode ? given : code_->at(each));
      if (each != kNoScriptNode) each = code_->at(each).next;
    }
  }

  // --- Expressions ---

  Value& value(const ScriptNode& node) {
    std::vector<Value>& values = values_[code_];
    values.resize(code_->nodes().size());
    return values[static_cast<std::size_t>(&node - code_->nodes().data())];
  }

  void evaluate(const ScriptNode& whole) {
    for (const ScriptNode& node : code_->under(whole)) {
      const Value result = evaluate_node(node);
      value(node) = result;
      const bool is_made_here = node.kind == ScriptKind::kTuple || node.kind == ScriptKind::kCall ||
                                node.kind == ScriptKind::kList || node.kind == ScriptKind::kDict;
      charge(node, result, !is_made_here ? 0 : result.is_constant ? 10 : 1);
    }
  }

  // LibTorch works a type out for each value that is made.
  void charge(const ScriptNode& node, const Value& result, std::uint64_t times) {
    const std::uint64_t parts = (result.parts - 1) * times;
    if (result.depth <= kMostTypeDepth && result.parts <= kMostTypeParts + parts_left_ && parts <= parts_left_) {
      parts_left_ -= parts;
      return;
    }
    code_->refuse(node.line, "has a value whose type is too large or too deep: LibTorch would take long for it",
                  "give a module without tuples and lists that hold each other that often");
  }

  Value evaluate_node(const ScriptNode& node) {
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
        Value result = value(code_->parts(node).front());
        widen(result, members_[node.text]);
        result.has_text = result.is_constant;
        return result;
      }
      case ScriptKind::kType:
        return value_of_type(node);
      case ScriptKind::kCall:
        return value_of_call(node);
      case ScriptKind::kKeyword:
        return value(code_->parts(node).front());
      default:
        return value_of_parts(node);
    }
  }

  Value value_of_type(const ScriptNode& type) {
    const auto named = named_tuples_.find(program_.find(type.text));
    Value result = named != named_tuples_.end() ? named->second : Value();
    for (const ScriptNode& part : code_->parts(type)) add_part(result, value(part));
    return result;
  }

  // Tuples have a type for each part, lists and dicts one for all; only a tuple of constants is a constant.
  Value value_of_parts(const ScriptNode& node) {
    const bool is_tuple = node.kind == ScriptKind::kTuple;
    const bool is_container = is_tuple || node.kind == ScriptKind::kList || node.kind == ScriptKind::kDict;
    Value result, part_type{0, 0, false, false};
    result.is_constant = is_tuple || !is_container;
    for (const ScriptNode& part : code_->parts(node)) {
      const Value& each = value(part);
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

  Value value_of_name(std::string_view name) {
    if (name.starts_with("CONSTANTS.c")) {
      const auto index = parse_int(name.substr(11));
      const bool is_there = index && *index >= 0 && static_cast<std::size_t>(*index) < constant_parts_.size();
      const std::uint64_t parts = is_there ? constant_parts_[static_cast<std::size_t>(*index)] : 0;
      return {std::max(parts, std::uint64_t{1}), 1, parts > 0, parts > 0};
    }
    if (name.starts_with("__torch__.")) return {1, 1, true, false};
    const std::size_t dot = name.find('.');
    const auto found = variables_.find(name.substr(0, dot));
    Value result = found != variables_.end() ? found->second : Value();
    if (dot == name.npos) return result;
    widen(result, members_[last_part(name)]);
    result.has_text = result.is_constant;
    return result;
  }

  Value value_of_call(const ScriptNode& call) {
    const ScriptNode& callee = code_->parts(call).front();
    const std::string_view name = callee.text;
    const ScriptNode* first = callee.next == kNoScriptNode ? nullptr : &code_->at(callee.next);
    const bool is_name = callee.kind == ScriptKind::kName;
    Value arguments;
    arguments.is_constant = true;
    bool holds_all = false;
    Value tuple;
    for (const ScriptNode* each = first; each != nullptr;
         each = each->next == kNoScriptNode ? nullptr : &code_->at(each->next)) {
      if (each->kind == ScriptKind::kType) {  // what it is made to be
        arguments = value(*each);
        arguments.is_constant = holds_all = true;
        continue;
      }
      const Value& argument = value(*each);
      if (!holds_all) widen(arguments, argument);
      add_part(tuple, argument);
      arguments.is_constant = arguments.is_constant && argument.is_constant;
      arguments.has_text = arguments.has_text || argument.has_text;
    }
    if (is_name && name == "isinstance") return {1, 1, true, false};
    if (is_name && name == "uninitialized") return {arguments.parts, arguments.depth, false, false};
    if (holds_all) return arguments;  // annotate, unchecked_cast
    if (is_name && name == "getattr") return members_of(first);
    if (is_name && name.starts_with("__torch__.")) return value_of_definition(name, arguments, tuple);
    const bool is_operator = is_name && (name.starts_with("torch.") || name.starts_with("ops."));
    if (!is_operator && (!is_name || name.find('.') != name.npos)) {  // a method
      const Value& object = value(callee);
      arguments.is_constant = arguments.is_constant && object.is_constant;
      arguments.has_text = arguments.has_text || object.has_text;
      widen(arguments, object);
    }
    if (is_name && !is_operator && variables_.contains(name)) widen(arguments, largest_result_);
    return folded(call, last_part(name), arguments);
  }

  Value members_of(const ScriptNode* object) {
    const ScriptNode* name = object == nullptr || object->next == kNoScriptNode ? nullptr : &code_->at(object->next);
    return name == nullptr ? Value() : members_[name->text];
  }

  Value value_of_definition(std::string_view name, const Value& arguments, Value tuple) {
    const ScriptProgram::Definition* definition = program_.find(name);
    if (definition == nullptr) return {};  // C.__new__
    if (definition->base() == "NamedTuple") {
      tuple.is_constant = arguments.is_constant;
      tuple.has_text = arguments.has_text;
      return tuple;
    }
    return definition->is_class() ? Value() : members_[definition->node->text];
  }

  // What an operator gives; the type of what it takes is no smaller, but for the pairs of a dict.
  Value folded(const ScriptNode& call, std::string_view name, const Value& arguments) {
    const bool is_large = (arguments.has_text && is_one_of(name, kTextMakers)) || is_one_of(name, kNeverConstant);
    if (arguments.is_constant && is_large) {
      code_->refuse(call.line,
                    formatted("gives {} nothing but constants: LibTorch would run it to load the file", name),
                    "save the module anew by torch.jit.save");
    }
    Value result = arguments;
    result.is_constant = result.is_constant && is_one_of(name, kFolded);
    if (name == "items") add_part(result, Value());
    const bool is_text = is_one_of(name, kNumberTexts) || (arguments.has_text && is_one_of(name, kTextTakers));
    result.has_text = result.is_constant && is_text;
    return result;
  }

  const ScriptProgram& program_;
  const std::vector<std::uint64_t>& constant_parts_;
  std::uint64_t lines_left_, parts_left_;
  std::unordered_map<const ScriptProgram::Definition*, Value> named_tuples_;
  std::unordered_map<std::string_view, Value> members_;  // attributes and methods' results, by their names
  Value largest_result_;
  std::unordered_map<const ScriptCode*, std::vector<Value>> values_;

  // Of the function that is gone through.
  const ScriptCode* code_ = nullptr;
  std::unordered_map<std::string_view, Value> variables_;
  std::vector<Open> open_;
};

}  // namespace

void check_script_bounds(const ScriptProgram& program, const std::vector<std::uint64_t>& constant_parts,
                         std::uint64_t file_bytes) {
  BoundsChecker(program, constant_parts, file_bytes).check();
}

}  // namespace mnq
