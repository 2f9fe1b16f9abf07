#include "module/torchscript_uses.h"

#include <algorithm>
#include <functional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/text/format.h"
#include "base/text/text.h"

namespace mnq {
namespace {

using TensorIndex = ScriptTree::TensorIndex;

// Real modules take some ten thousand steps; LibTorch gives up at a million operators once calls are inlined.
constexpr std::uint64_t kMostSteps = 2'000'000;
// Each is a call of C++ or two: blocks, expressions and calls of real modules nest less than 100 deep.
constexpr int kMostDepth = 600;
constexpr int kMostRounds = 4;  // of a loop
// Of a tuple or a list: what has more is one value that shares memory with all of them, so that tuples of tuples do not
// double at every turn.
constexpr std::uint32_t kMostItems = 2000;

// A tensor that a value may be. is_same: with the same values, axes swapped or not; else what shares memory with it.
struct Alias {
  TensorIndex tensor = 0;
  bool is_same = true;
  bool transposed = false;
  auto operator<=>(const Alias&) const = default;
};

// What is known of a value of the code.
struct Value {
  std::vector<Alias> aliases;           // sorted
  PickleIndex object = kNoPickleValue;  // an object of the file
  std::vector<PickleIndex> containers;  // attributes that hold tensors, or what came out of them
  const ScriptNode* literal = nullptr;  // a number, a text, True, False or None
  const ScriptProgram::Definition* function = nullptr;
  std::shared_ptr<const std::vector<Value>> items;  // of a tuple, a list or a dict
  bool is_tuple = false;
  std::uint32_t size = 1;  // of all items, theirs included

  bool is_plain() const {
    return aliases.empty() && object == kNoPickleValue && containers.empty() && literal == nullptr &&
           function == nullptr && items == nullptr;
  }
  bool operator==(const Value& other) const {
    const bool same_items = items == other.items || (items && other.items && *items == *other.items);
    return aliases == other.aliases && object == other.object && containers == other.containers &&
           literal == other.literal && function == other.function && is_tuple == other.is_tuple && same_items;
  }
};

template <class Element>
void unite(std::vector<Element>& into, const std::vector<Element>& more) {
  if (more.empty() || into == more) return;
  std::vector<Element> both;
  std::ranges::set_union(into, more, std::back_inserter(both));
  into = std::move(both);
}

// From here on a value that only shares memory with what it was.
void blur_aliases(Value& value) {
  for (Alias& alias : value.aliases) alias.is_same = alias.transposed = false;
  std::ranges::sort(value.aliases);
  value.aliases.erase(std::ranges::unique(value.aliases).begin(), value.aliases.end());
}

// Adds to a value that it shares memory with another one.
void share(Value& value, const Value& with) {
  Value shared;
  shared.aliases = with.aliases;
  blur_aliases(shared);
  unite(value.aliases, shared.aliases);
  unite(value.containers, with.containers);
  if (with.items == nullptr) return;
  for (const Value& item : *with.items) share(value, item);
}

void set_items(Value& value, std::shared_ptr<const std::vector<Value>> items) {
  std::uint64_t size = 1;
  for (const Value& item : *items) size += item.size;
  if (size > kMostItems) {
    for (const Value& item : *items) share(value, item);
    value.items = nullptr;
    value.size = 1;
    return;
  }
  value.items = std::move(items);
  value.size = static_cast<std::uint32_t>(size);
}

// What it is where it is one or the other.
void merge(Value& into, const Value& other) {
  unite(into.aliases, other.aliases);
  unite(into.containers, other.containers);
  if (into.object != other.object) into.object = kNoPickleValue;
  if (into.literal != other.literal) into.literal = nullptr;
  if (into.function != other.function) into.function = nullptr;
  if (into.items == other.items || other.items == nullptr) return;
  if (into.items == nullptr) {
    into.items = other.items;
    into.is_tuple = other.is_tuple;
    into.size = other.size;
    return;
  }
  auto items = std::make_shared<std::vector<Value>>(*into.items);
  items->resize(std::max(items->size(), other.items->size()));
  for (std::size_t i = 0; i < other.items->size(); ++i) merge((*items)[i], (*other.items)[i]);
  set_items(into, std::move(items));
}

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

constexpr std::string_view kConstant = "CONSTANTS.c";
constexpr std::string_view kSameArgument[] = {"annotate", "unchecked_cast"};  // (type, value)

template <std::size_t N>
bool is_one_of(std::string_view text, const std::string_view (&names)[N]) {
  return std::ranges::find(names, text) != std::end(names);
}

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> keywords;
};

std::optional<std::int64_t> integer(const Value& value) {
  if (value.literal == nullptr || value.literal->kind != ScriptKind::kNumber) return std::nullopt;
  return parse_int(value.literal->text);
}

class Search {
 public:
  Search(const ScriptTree& tree, const ScriptProgram& program, ScriptUses& result)
      : tree_(tree), program_(program), result_(result), uses_(tree.tensor_count(), unused()) {}

  void run() {
    visit_root();
    by_type();
    for (std::size_t i = 0; i < tree_.listed().size(); ++i) result_.uses.push_back(use_of(tree_.listed()[i]));
  }

 private:
  // Variables of a function that is being gone through. log: what the innermost branch has changed.
  struct Frame {
    std::unordered_map<std::string_view, Value> variables;
    std::unordered_map<std::string_view, const ScriptNode*> functions;
    const ScriptCode* code = nullptr;
    std::string_view method;
    std::vector<std::vector<std::pair<std::string_view, std::optional<Value>>>> logs;
  };

  static WeightUse unused() { return {"", 0, std::string(kUnusedWeight)}; }

  void visit_root() {
    const ScriptClass* type = tree_.class_of(tree_.root());
    if (type == nullptr) return;
    Value self;
    self.object = tree_.root();
    for (const bool is_hook : {false, true}) {
      for (const std::string_view name : type->methods) {
        if (type->hooks.contains(name) == is_hook) call(type->code.at(name), name, {{self}, {}}, true);
      }
    }
  }

  // --- What is found ---

  void note_use(TensorIndex tensor, WeightUse use) {
    WeightUse& known = uses_[tensor];
    if (known.kind.empty() || use.kind == "Embedding") known = std::move(use);
  }

  void note_written(const Value& value, std::string_view by) {
    for (const Alias& alias : value.aliases) written_.emplace(storage_of(alias.tensor), by);
    for (const PickleIndex container : value.containers) note_container_written(container, by);
  }

  void note_container_written(PickleIndex container, std::string_view by) {
    if (!written_containers_.insert(container).second) return;
    for (const TensorIndex tensor : tree_.tensors_in(container)) written_.emplace(storage_of(tensor), by);
  }

  PickleIndex storage_of(TensorIndex tensor) const { return tree_.tensor(tensor).storage; }
  std::size_t rank_of(TensorIndex tensor) const { return tree_.tensor(tensor).sizes.size(); }

  // It goes where its uses are not seen.
  void lose(const Value& value) {
    for (const Alias& alias : value.aliases) note_use(alias.tensor, {"", 0, std::string(kUnknownUse)});
    if (value.object != kNoPickleValue) lost_objects_.insert(value.object);
    if (value.items == nullptr) return;
    for (const Value& item : *value.items) lose(item);
  }

  // --- The result ---

  // The type of the module says what its weight is, whether or not a method of the root comes by it, and knows better
  // than the operators: a traced LSTMCell is made of linear ones.
  void by_type() {
    for (const ScriptTree::Listed& listed : tree_.listed()) {
      WeightUse of_type;
      for (const ScriptPlace& place : listed.places) {
        const auto use = use_by_type(tree_.class_of(place.object)->name, place.attribute, rank_of(listed.tensor));
        if (use) merge_use(of_type, *use);
      }
      WeightUse& known = uses_[listed.tensor];
      if (!of_type.kind.empty() && known.kind != "Embedding") known = std::move(of_type);
    }
  }

  WeightUse use_of(const ScriptTree::Listed& listed) const {
    const auto written = written_.find(storage_of(listed.tensor));
    if (written != written_.end()) return {"", 0, written_reason(written->second)};
    const WeightUse& use = uses_[listed.tensor];
    if (use.kind.empty()) {
      const bool is_lost = is_lost_ || std::ranges::any_of(listed.places, [&](const ScriptPlace& place) {
                             return lost_objects_.contains(place.object);
                           });
      return is_lost && use.reason == kUnusedWeight ? WeightUse{"", 0, std::string(kUnknownUse)} : use;
    }
    if (!is_float(listed.tensor)) return use;
    for (const ScriptPlace& place : listed.places) {
      for (const std::string_view suffix : kPartSuffixes) {
        const std::string name = std::string(place.attribute) + std::string(suffix);
        if (tree_.class_of(place.object)->names.contains(name)) return {"", 0, taken_name_reason(name)};
      }
    }
    return use;
  }

  bool is_float(TensorIndex tensor) const {
    const std::string_view name = tree_.tensor(tensor).type->name;
    return name.starts_with("float") || name.starts_with("bfloat");
  }

  // --- Calls ---

  Value call(const ScriptFunction& function, std::string_view name, Arguments arguments, bool is_root = false) {
    const std::string key = is_root ? std::string() : key_of(function, arguments);
    const auto known = is_root ? results_.end() : results_.find(key);
    if (known != results_.end()) return known->second;
    if (!is_root && !running_.insert(key).second) {  // LibTorch refuses recursion
      is_lost_ = true;
      return {};
    }
    Frame frame;
    frame.code = function.code;
    frame.method = is_root ? name : method_;
    const std::string_view outer = std::exchange(method_, frame.method);
    list_constants(function);
    bind(frame, function, std::move(arguments));
    Value result;
    for (const ScriptNode& part : function.code->parts(*function.node)) {
      if (part.kind == ScriptKind::kBlock) result = run_block(frame, part);
    }
    method_ = outer;
    blur(result);
    if (!is_root) {
      running_.erase(key);
      results_.emplace(key, result);
    }
    return result;
  }

  // What a tuple carries over a call, or a list anywhere, LibTorch does not follow to the operators.
  static void blur(Value& value) {
    if (value.items == nullptr) return;
    auto items = std::make_shared<std::vector<Value>>(*value.items);
    for (Value& item : *items) {
      blur_aliases(item);
      blur(item);
    }
    value.items = std::move(items);
  }

  static void append_key(std::string& key, const Value& value) {
    for (const Alias& alias : value.aliases) {
      key += formatted("{}{}{},", alias.is_same ? 's' : 'v', alias.transposed ? 't' : 'n', alias.tensor);
    }
    for (const PickleIndex container : value.containers) key += formatted("c{},", container);
    if (value.object != kNoPickleValue) key += formatted("o{}", value.object);
    if (value.function != nullptr) key += formatted("f{}", reinterpret_cast<std::uintptr_t>(value.function));
    if (value.literal != nullptr) key += formatted("l{}:{}", value.literal->text.size(), value.literal->text);
    if (value.literal != nullptr) key += static_cast<char>('A' + static_cast<int>(value.literal->kind));
    key += value.is_tuple ? 't' : '(';
    if (value.items != nullptr) {
      for (const Value& item : *value.items) append_key(key, item);
    }
    key += ')';
  }

  static std::string key_of(const ScriptFunction& function, const Arguments& arguments) {
    std::string key = formatted("{} ", reinterpret_cast<std::uintptr_t>(function.node));
    for (const Value& value : arguments.positional) append_key(key, value);
    for (const auto& [name, value] : arguments.keywords) {
      key += name;
      append_key(key, value);
    }
    return key;
  }

  void bind(Frame& frame, const ScriptFunction& function, Arguments arguments) {
    std::size_t index = 0;
    for (const ScriptNode& part : function.code->parts(*function.node)) {
      if (part.kind != ScriptKind::kParameter) continue;
      Value value;
      step(arguments.keywords.size());
      const auto keyword = std::ranges::find(arguments.keywords, part.text, &std::pair<std::string_view, Value>::first);
      if (index < arguments.positional.size()) {
        value = std::move(arguments.positional[index]);
        blur(value);
      } else if (keyword != arguments.keywords.end()) {
        value = std::move(keyword->second);
        blur(value);
      } else {
        for (const ScriptNode& of_parameter : function.code->parts(part)) {
          if (of_parameter.kind != ScriptKind::kType) value = evaluate(frame, of_parameter);
        }
      }
      frame.variables[part.text] = std::move(value);
      ++index;
    }
  }

  // --- Statements ---

  static std::size_t weight_of(const Value& value) {
    return value.aliases.size() + value.containers.size() + value.size;
  }

  // False once there was too much: what is not seen then is unknown.
  bool step(std::size_t count = 1) {
    steps_ += count;
    if (steps_ > kMostSteps || depth_ > kMostDepth) is_lost_ = true;
    return !is_lost_;
  }

  struct Deeper {
    explicit Deeper(int& depth) : depth_(depth) { ++depth_; }
    ~Deeper() { --depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;
    int& depth_;
  };

  // What it returns.
  Value run_block(Frame& frame, const ScriptNode& block) {
    const Deeper deeper(depth_);
    Value result;
    for (const ScriptNode& statement : frame.code->parts(block)) {
      if (!step()) return {};
      run_statement(frame, statement, result);
    }
    return result;
  }

  void run_statement(Frame& frame, const ScriptNode& statement, Value& result) {
    const ScriptCode& code = *frame.code;
    switch (statement.kind) {
      case ScriptKind::kAssign: {
        auto part = code.parts(statement).begin();
        const ScriptNode& target = *part;
        assign(frame, target, *++part);
        return;
      }
      case ScriptKind::kDeclare:
        for (const ScriptNode& part : code.parts(statement)) {
          if (part.kind != ScriptKind::kType) set(frame, statement.text, evaluate(frame, part));
        }
        return;
      case ScriptKind::kReturn:
        result = evaluate(frame, code.parts(statement).front());
        return;
      case ScriptKind::kIf:
        return run_if(frame, statement);
      case ScriptKind::kFunction:
        frame.functions[statement.text] = &statement;
        return;
      case ScriptKind::kWhile:
      case ScriptKind::kFor:
        return run_loop(frame, statement);
      default:  // an expression, or `with` and its block
        for (const ScriptNode& part : code.parts(statement)) run_part(frame, part);
    }
  }

  void run_part(Frame& frame, const ScriptNode& part) {
    if (part.kind == ScriptKind::kBlock) {
      run_block(frame, part);
    } else {
      evaluate(frame, part);
    }
  }

  void set(Frame& frame, std::string_view name, Value value) {
    step(weight_of(value));
    if (!frame.logs.empty()) {
      const auto old = frame.variables.find(name);
      if (old != frame.variables.end()) step(weight_of(old->second));
      frame.logs.back().emplace_back(name, old == frame.variables.end() ? std::nullopt : std::optional(old->second));
    }
    frame.variables[name] = std::move(value);
  }

  using Changes = std::map<std::string_view, std::pair<std::optional<Value>, Value>>;  // before and after

  // Runs what changes variables, and takes the changes back.
  template <class Run>
  Changes changes_of(Frame& frame, Run&& run) {
    frame.logs.emplace_back();
    run();
    Changes changes;
    auto log = std::move(frame.logs.back());
    frame.logs.pop_back();
    for (auto& [name, old] : log) changes.try_emplace(name, std::move(old), frame.variables[name]);
    for (const auto& [name, change] : changes) {
      if (change.first) {
        frame.variables[name] = *change.first;
      } else {
        frame.variables.erase(name);
      }
    }
    return changes;
  }

  void run_if(Frame& frame, const ScriptNode& statement) {
    std::vector<Changes> branches;
    for (const ScriptNode& part : frame.code->parts(statement)) {
      if (part.kind != ScriptKind::kBlock) {
        evaluate(frame, part);
      } else {
        branches.push_back(changes_of(frame, [&] { run_block(frame, part); }));
      }
    }
    Changes both;
    for (const Changes& branch : branches) {
      for (const auto& [name, change] : branch) {
        const auto [known, is_new] = both.try_emplace(name, change);
        if (!is_new) merge(known->second.second, change.second);
      }
    }
    for (auto& [name, change] : both) {
      const bool is_in_all = std::ranges::all_of(branches, [&](const Changes& each) { return each.contains(name); });
      if (!is_in_all && change.first) merge(change.second, *change.first);
      set(frame, name, std::move(change.second));
    }
  }

  void run_loop(Frame& frame, const ScriptNode& statement) {
    for (int round = 0; round < kMostRounds; ++round) {
      const Changes changes = changes_of(frame, [&] {
        if (statement.kind == ScriptKind::kFor) set(frame, statement.text, {});
        for (const ScriptNode& part : frame.code->parts(statement)) run_part(frame, part);
      });
      bool is_new = false;
      for (const auto& [name, change] : changes) {
        Value merged = change.second;
        if (change.first) merge(merged, *change.first);
        is_new = is_new || !change.first || !(merged == *change.first);
        set(frame, name, std::move(merged));
      }
      if (!is_new || !step()) return;
    }
  }

  void assign(Frame& frame, const ScriptNode& target, const ScriptNode& source) {
    if (target.kind != ScriptKind::kTuple) return give(frame, target, evaluate(frame, source));
    const ScriptCode& code = *frame.code;
    std::vector<Value> values;
    if (source.kind == ScriptKind::kTuple) {
      for (const ScriptNode& part : code.parts(source)) values.push_back(evaluate(frame, part));
    } else {
      const Value whole = evaluate(frame, source);
      std::size_t count = 0;
      for ([[maybe_unused]] const ScriptNode& part : code.parts(target)) ++count;
      for (std::size_t i = 0; i < count; ++i) values.push_back(item_of(whole, static_cast<std::int64_t>(i), count));
    }
    std::size_t index = 0;
    for (const ScriptNode& part : code.parts(target)) {
      if (index < values.size()) give(frame, part, std::move(values[index]));
      ++index;
    }
  }

  // To a variable, or to an attribute of an object: what the value shares memory with is kept there, too.
  void give(Frame& frame, const ScriptNode& target, Value value) {
    if (target.kind == ScriptKind::kName && target.text.find('.') == std::string_view::npos) {
      return set(frame, target.text, std::move(value));
    }
    note_kept(value);
  }

  void note_kept(const Value& value) {
    for (const Alias& alias : value.aliases) written_.emplace(storage_of(alias.tensor), "an assignment");
    if (value.items == nullptr) return;
    for (const Value& item : *value.items) note_kept(item);
  }

  // --- Expressions ---

  Value evaluate(Frame& frame, const ScriptNode& node) {
    const Deeper deeper(depth_);
    if (!step()) return {};
    Value value = evaluate_node(frame, node);
    step(weight_of(value));
    return value;
  }

  Value evaluate_node(Frame& frame, const ScriptNode& node) {
    const ScriptCode& code = *frame.code;
    switch (node.kind) {
      case ScriptKind::kName:
        return name(frame, node.text);
      case ScriptKind::kAttribute:
        return attribute_of(evaluate(frame, code.parts(node).front()), node.text);
      case ScriptKind::kCall:
        return evaluate_call(frame, node);
      case ScriptKind::kIndex:
      case ScriptKind::kSlice:
        return evaluate_index(frame, node);
      case ScriptKind::kTuple:
        return display(frame, node, "prim::TupleConstruct");
      case ScriptKind::kList:
        return display(frame, node, "prim::ListConstruct");
      case ScriptKind::kDict:
        return display(frame, node, "prim::DictConstruct");
      case ScriptKind::kNumber:
      case ScriptKind::kText:
      case ScriptKind::kNone:
      case ScriptKind::kTrue:
      case ScriptKind::kFalse: {
        Value value;
        value.literal = &node;
        return value;
      }
      default:
        return {};
    }
  }

  // "layer", "self.layer.weight", "CONSTANTS.c0"
  Value name(const Frame& frame, std::string_view text) {
    if (text.starts_with(kConstant)) return constant(text.substr(kConstant.size()));
    const std::string_view head = text.substr(0, text.find('.'));
    const auto found = frame.variables.find(head);
    if (found == frame.variables.end()) return function_value(text);
    Value value = found->second;
    for (std::string_view rest = text.substr(head.size()); !rest.empty();) {
      rest.remove_prefix(1);
      const std::string_view part = rest.substr(0, rest.find('.'));
      value = attribute_of(value, part);
      rest.remove_prefix(part.size());
    }
    return value;
  }

  Value function_value(std::string_view text) const {
    Value value;
    value.function = program_.find(text);
    return value;
  }

  Value constant(std::string_view digits) {
    const auto index = parse_int(digits);
    const auto tensor = index && *index >= 0 ? tree_.constant(static_cast<std::size_t>(*index)) : std::nullopt;
    Value value;
    if (!tensor) return value;
    value.aliases.push_back({*tensor});
    return value;
  }

  // LibTorch gathers the constants of a function before its code, the last one first.
  void list_constants(const ScriptFunction& function) {
    if (!listed_functions_.insert(function.node).second) return;
    std::vector<TensorIndex> tensors;
    std::unordered_set<TensorIndex> seen;
    for (const ScriptNode& node : function.code->under(*function.node)) {
      if (node.kind != ScriptKind::kName || !node.text.starts_with(kConstant)) continue;
      for (const Alias& alias : constant(node.text.substr(kConstant.size())).aliases) {
        if (seen.insert(alias.tensor).second) tensors.push_back(alias.tensor);
      }
    }
    for (auto tensor = tensors.rbegin(); tensor != tensors.rend(); ++tensor) {
      if (constants_.try_emplace(*tensor, method_).second) constant_order_.push_back(*tensor);
    }
  }

  Value attribute_of(const Value& owner, std::string_view name) const {
    Value value;
    if (owner.object == kNoPickleValue) {
      value.containers = owner.containers;  // of a named tuple that an attribute holds
      return value;
    }
    const auto held = tree_.attribute(owner.object, name);
    if (!held) return value;
    if (held->tensor) {
      value.aliases.push_back({*held->tensor});
    } else if (held->is_object) {
      value.object = held->value;
    } else if (tree_.holds_tensors(held->value)) {
      value.containers.push_back(held->value);
    }
    return value;
  }

  Value display(Frame& frame, const ScriptNode& node, std::string_view what) {
    auto items = std::make_shared<std::vector<Value>>();
    for (const ScriptNode& part : frame.code->parts(node)) {
      items->push_back(evaluate(frame, part));
      for (const Alias& alias : items->back().aliases) {
        if (alias.is_same) note_use(alias.tensor, {"", 0, formatted("used by {}", what)});
      }
    }
    Value value;
    value.is_tuple = node.kind == ScriptKind::kTuple;
    set_items(value, std::move(items));
    return value;
  }

  // count: of the items, where that is known; else 0.
  Value item_of(const Value& whole, std::optional<std::int64_t> index, std::size_t count) const {
    Value value;
    if (whole.items != nullptr) {
      const auto size = static_cast<std::int64_t>(whole.items->size());
      const bool fits = count == 0 || count == whole.items->size();
      if (index && *index < 0) *index += size;
      if (index && fits && *index >= 0 && *index < size) {
        value = (*whole.items)[static_cast<std::size_t>(*index)];
      } else {
        for (const Value& item : *whole.items) merge(value, item);
        value.object = kNoPickleValue;
      }
      if (!whole.is_tuple) blur_aliases(value);
    }
    unite(value.containers, whole.containers);
    Value shared = whole;  // what an operator's several outputs share memory with
    blur_aliases(shared);
    unite(value.aliases, shared.aliases);
    return value;
  }

  Value evaluate_index(Frame& frame, const ScriptNode& node) {
    std::vector<Value> parts;
    for (const ScriptNode& part : frame.code->parts(node)) parts.push_back(evaluate(frame, part));
    if (node.kind == ScriptKind::kSlice) return parts.front();
    if (parts.size() < 2) return {};
    const Value& key = parts[1];
    if (key.literal != nullptr && key.literal->kind == ScriptKind::kText) return item_of(parts.front(), {}, 0);
    return item_of(parts.front(), integer(key), 0);
  }

  Arguments evaluate_arguments(Frame& frame, const ScriptNode& call_node, std::size_t skipped) {
    Arguments arguments;
    std::size_t index = 0;
    for (const ScriptNode& part : frame.code->parts(call_node)) {
      if (index++ < skipped) continue;
      if (part.kind == ScriptKind::kKeyword) {
        arguments.keywords.emplace_back(part.text, evaluate(frame, frame.code->parts(part).front()));
      } else {
        arguments.positional.push_back(evaluate(frame, part));
      }
    }
    return arguments;
  }

  Value evaluate_call(Frame& frame, const ScriptNode& node) {
    const ScriptNode& callee = frame.code->parts(node).front();
    if (callee.kind == ScriptKind::kAttribute) {
      const Value receiver = evaluate(frame, frame.code->parts(callee).front());
      return call_method(receiver, callee.text, evaluate_arguments(frame, node, 1));
    }
    const std::string_view text = callee.text;
    if (callee.kind != ScriptKind::kName) return lost_call(evaluate_arguments(frame, node, 1));
    if (is_one_of(text, kSameArgument)) {
      const Arguments arguments = evaluate_arguments(frame, node, 2);
      return arguments.positional.empty() ? Value() : arguments.positional.front();
    }
    if (text == "fork" || text == "awaitable" || frame.functions.contains(text)) return call_closure(frame, node);
    const std::size_t dot = text.rfind('.');
    const std::string_view head = text.substr(0, text.find('.'));
    if (dot == std::string_view::npos && frame.variables.contains(head)) {
      return call_definition(frame.variables[head].function, text, evaluate_arguments(frame, node, 1));
    }
    if (dot != std::string_view::npos && frame.variables.contains(head)) {
      return call_method(name(frame, text.substr(0, dot)), text.substr(dot + 1), evaluate_arguments(frame, node, 1));
    }
    Arguments arguments = evaluate_arguments(frame, node, 1);
    if (text == "getattr" && arguments.positional.size() == 2 && arguments.positional[1].literal != nullptr) {
      return attribute_of(arguments.positional[0], arguments.positional[1].literal->text);
    }
    if (text.starts_with("__torch__.")) return call_definition(program_.find(text), text, std::move(arguments));
    if (text.starts_with("torch.")) return apply_to(frame, node, "aten::", text.substr(6), std::move(arguments));
    if (text.starts_with("ops.")) return call_operator(frame, node, text.substr(4), std::move(arguments));
    if (dot != std::string_view::npos) return lost_call(arguments);
    return {};  // int, float, bool, isinstance, range...
  }

  Value call_method(const Value& receiver, std::string_view method, Arguments arguments) {
    const ScriptClass* type = receiver.object == kNoPickleValue ? nullptr : tree_.class_of(receiver.object);
    arguments.positional.insert(arguments.positional.begin(), receiver);
    if (type == nullptr || !type->code.contains(method)) return lost_call(arguments);
    return call(type->code.at(method), method, std::move(arguments));
  }

  // "fork(closure)": code within a function that runs beside it, and sees its variables.
  Value call_closure(Frame& frame, const ScriptNode& node) {
    for (const ScriptNode& part : frame.code->parts(node)) {
      const auto closure = part.kind == ScriptKind::kName ? frame.functions.find(part.text) : frame.functions.end();
      if (closure == frame.functions.end()) continue;
      for (const ScriptNode& block : frame.code->parts(*closure->second)) {
        if (block.kind == ScriptKind::kBlock) run_block(frame, block);
      }
    }
    return {};
  }

  // A function, or a class whose object is made.
  Value call_definition(const ScriptProgram::Definition* found, std::string_view name, Arguments arguments) {
    if (found == nullptr || found->is_class()) return lost_call(arguments);
    return call({found->code, found->node}, name, std::move(arguments));
  }

  Value lost_call(const Arguments& arguments) {
    Value value;
    const auto take = [&](const Value& argument) {
      lose(argument);
      share(value, argument);
    };
    for (const Value& argument : arguments.positional) take(argument);
    for (const auto& [name, argument] : arguments.keywords) take(argument);
    return value;
  }

  // "prim.NumToTensor", "aten.linear", "quantized.linear"
  Value call_operator(Frame& frame, const ScriptNode& node, std::string_view text, Arguments arguments) {
    const std::size_t dot = std::min(text.find('.'), text.size());
    const std::string space = std::string(text.substr(0, dot)) + "::";
    return apply_to(frame, node, space, text.substr(std::min(dot + 1, text.size())), std::move(arguments));
  }

  // --- Operators ---

  Value apply_to(Frame& frame, const ScriptNode& node, std::string_view space, std::string_view operator_name,
                 Arguments arguments) {
    const std::string full = std::string(space) + std::string(operator_name);
    Value result;
    for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
      for (const Alias& alias : arguments.positional[i].aliases) {
        if (alias.is_same) take_operand(full, i, alias, arguments, result);
      }
    }
    for (const auto& [keyword, value] : arguments.keywords) {
      for (const Alias& alias : value.aliases) note_use(alias.tensor, {"", 0, formatted("used by {}", full)});
      if (keyword == "out") note_written(value, full);
    }
    if (!kind_by_list(full).empty()) note_lists(arguments, kind_by_list(full));
    const bool writes = operator_name.ends_with('_') && !operator_name.ends_with("__");
    if (arguments.positional.empty()) return result;
    const Value& first = arguments.positional.front();
    if (writes) note_written(first, full);
    if (is_one_of(operator_name, kContainerWrites)) write_container(frame, node, full, arguments);
    if (writes || space != "aten::" || is_one_of(operator_name, kViews)) {
      const std::size_t shared = space == "aten::" ? 1 : arguments.positional.size();
      for (std::size_t i = 0; i < shared; ++i) share(result, arguments.positional[i]);
    } else if (operator_name == "list" || operator_name == "dict" || operator_name == "copy") {
      return first;  // a list or a dict of the same things
    }
    return result;
  }

  // A tensor, or one with its axes swapped, is an operand: its use, or another name for it.
  void take_operand(std::string_view full, std::size_t operand, const Alias& alias, const Arguments& arguments,
                    Value& result) {
    const bool swaps = operand == 0 && rank_of(alias.tensor) == 2 && swaps_axes(full, arguments);
    if (swaps || (operand == 0 && keeps_values(full))) {
      unite(result.aliases, {Alias{alias.tensor, true, alias.transposed != swaps}});
      return;
    }
    if (full == "aten::_convolution" && operand == 1) {
      return note_use(alias.tensor, use_by_convolution(flag(arguments, 6), rank_of(alias.tensor)));
    }
    note_use(alias.tensor, use_by_operator(full, operand, rank_of(alias.tensor), alias.transposed));
  }

  static std::optional<bool> flag(const Arguments& arguments, std::size_t index) {
    if (index >= arguments.positional.size() || arguments.positional[index].literal == nullptr) return std::nullopt;
    const ScriptKind kind = arguments.positional[index].literal->kind;
    if (kind != ScriptKind::kTrue && kind != ScriptKind::kFalse) return std::nullopt;
    return kind == ScriptKind::kTrue;
  }

  static bool swaps_axes(std::string_view full, const Arguments& arguments) {
    const auto& values = arguments.positional;
    if (full == "aten::t" || full == "aten::numpy_T" || full == "aten::mT") return true;
    if (full == "aten::transpose" && values.size() == 3) {
      const auto a = integer(values[1]), b = integer(values[2]);
      return a && b && ((*a % 2) + 2) % 2 != ((*b % 2) + 2) % 2;
    }
    if (full != "aten::permute" || values.size() < 2 || values[1].items == nullptr) return false;
    const auto& order = *values[1].items;
    return order.size() == 2 && integer(order[0]) == 1 && integer(order[1]) == 0;
  }

  // The weights of an operator that takes a list of them: one that stands there, or an attribute.
  void note_lists(const Arguments& arguments, std::string_view kind) {
    for (const Value& argument : arguments.positional) {
      if (argument.items != nullptr) {
        for (const Value& item : *argument.items) {
          for (const Alias& alias : item.aliases) {
            if (alias.is_same) note_use(alias.tensor, {std::string(kind), 0, ""});
          }
        }
      }
      for (const PickleIndex container : argument.containers) {
        for (const TensorIndex tensor : tree_.tensors_in(container)) {
          if (step() && rank_of(tensor) == 2) note_use(tensor, {std::string(kind), 0, ""});
        }
      }
    }
  }

  // A list or a dict of the code's own gets what is put into it.
  void write_container(Frame& frame, const ScriptNode& node, std::string_view full, const Arguments& arguments) {
    for (const PickleIndex container : arguments.positional.front().containers) note_container_written(container, full);
    const ScriptNode& target = *++frame.code->parts(node).begin();
    if (target.kind != ScriptKind::kName || !frame.variables.contains(target.text)) return;
    Value added;
    for (std::size_t i = 1; i < arguments.positional.size(); ++i) share(added, arguments.positional[i]);
    if (added.is_plain()) return;
    Value list = frame.variables[target.text];
    auto items = list.items == nullptr ? std::make_shared<std::vector<Value>>()
                                       : std::make_shared<std::vector<Value>>(*list.items);
    if (std::ranges::find(*items, added) == items->end()) items->push_back(std::move(added));
    set_items(list, std::move(items));
    set(frame, target.text, std::move(list));
  }

 public:
  // Of frozen code, in LibTorch's order.
  void give_constants() {
    for (const TensorIndex tensor : constant_order_) {
      WeightUse& use = uses_[tensor];
      if (use.kind.empty() || rank_of(tensor) < 2) continue;
      use.reason = frozen_reason(constants_.at(tensor), use.kind);
      use.kind.clear();
      result_.constants.push_back({formatted("constants.{}", result_.constants.size()), tensor, use});
    }
  }

 private:
  const ScriptTree& tree_;
  const ScriptProgram& program_;
  ScriptUses& result_;
  std::vector<WeightUse> uses_;                           // one for each tensor of the file
  std::unordered_map<PickleIndex, std::string> written_;  // storages, and the operator
  std::unordered_set<PickleIndex> written_containers_, lost_objects_;
  std::unordered_map<std::string, Value> results_;  // of calls
  std::unordered_set<std::string> running_;
  std::unordered_map<TensorIndex, std::string_view> constants_;  // and the method that names it first
  std::vector<TensorIndex> constant_order_;
  std::unordered_set<const ScriptNode*> listed_functions_;
  std::string_view method_;  // of the root
  std::uint64_t steps_ = 0;
  int depth_ = 0;
  bool is_lost_ = false;  // from here on nothing is seen
};

}  // namespace

ScriptUses find_script_uses(const ScriptTree& tree, const ScriptProgram& program) {
  ScriptUses result;
  Search search(tree, program, result);
  search.run();
  search.give_constants();
  return result;
}

}  // namespace mnq
