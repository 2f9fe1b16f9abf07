#include "containers/torchscript/torchscript_bounds.h"

#include "containers/torchscript/torchscript_sizes.h"

namespace mnq {
namespace {

using Definition = ScriptProgram::Definition;

bool is_positive(const ScriptNode& count) {
  return count.kind == ScriptKind::kNumber && !count.text.starts_with('-') && count.text != "0";
}

// Goes through the blocks of a function, and keeps what is known of its variables.
class FunctionCheck {
 public:
  FunctionCheck(const ScriptCode& code, ScriptSizes& sizes, KnownSizes& known)
      : code_(code), sizes_(sizes), known_(known) {}

  void check(const ScriptNode& function) {
    known_.variables.clear();
    open_function(function);
    while (!open_.empty()) {
      Open& block = open_.back();
      if (block.next == kNoScriptNode) {
        const Open done = std::move(block);
        open_.pop_back();
        if (done.owner != nullptr) leave(done);
        continue;
      }
      const ScriptNode& statement = code_.at(block.next);
      block.next = statement.next;
      enter(statement);
    }
  }

 private:
  // A block that is gone through.
  struct Open {
    ScriptIndex next = kNoScriptNode;                             // of its statements
    const ScriptNode* owner = nullptr;                            // which ends with it; null: none
    bool is_constant = false;                                     // whether it runs, or how often
    std::vector<std::pair<std::string_view, ScriptSize>> before;  // of a loop: what it assigns
  };

  void open_function(const ScriptNode& function) {
    for (const ScriptNode& part : code_.parts(function)) {
      if (part.kind == ScriptKind::kBlock) open_.push_back({part.first, nullptr, false, {}});
      if (part.kind != ScriptKind::kParameter || code_.parts(part).empty()) continue;
      known_.variables[part.text] = sizes_.evaluate(code_.parts(part).front());
      sizes_.charge(part, known_.variables[part.text], 1);
    }
  }

  void enter(const ScriptNode& statement) {
    if (statement.kind == ScriptKind::kFunction) return open_function(statement);
    bool is_constant = false;
    std::size_t first_block = open_.size();
    for (const ScriptNode& part : code_.parts(statement)) {
      if (part.kind == ScriptKind::kBlock) {
        open_.push_back({part.first, nullptr, is_constant, {}});
      } else {
        sizes_.evaluate(part);
        is_constant = sizes_.of(part).is_constant && !is_positive(part);
      }
    }
    if (first_block == open_.size()) return assign(statement);
    // The block at the bottom ends last: of an if the first one, which has names and values of its own.
    open_[first_block].owner = &statement;
    if (statement.kind == ScriptKind::kWith) {
      known_.variables[statement.text] = known_.members["__enter__"];
    } else if (statement.kind != ScriptKind::kIf) {
      open_[first_block].before = assigned_in(statement);
      for (const auto& [name, before] : open_[first_block].before) set_constant(name, ScriptSize());
    }
  }

  // What comes out of a block is constant only where LibTorch can tell that it runs, or that a loop does not.
  void leave(const Open& block) {
    if (block.owner->kind == ScriptKind::kWith) return;
    if (block.owner->kind == ScriptKind::kIf && block.is_constant) return;
    for (const auto& [name, now] : assigned_in(*block.owner)) set_constant(name, ScriptSize());
    if (!block.is_constant) return;
    for (const auto& [name, before] : block.before) set_constant(name, before);
  }

  void set_constant(std::string_view name, const ScriptSize& like) {
    ScriptSize& variable = known_.variables[name];
    variable.is_constant = like.is_constant;
    variable.has_text = like.has_text;
  }

  std::vector<std::pair<std::string_view, ScriptSize>> assigned_in(const ScriptNode& statement) const {
    std::vector<std::pair<std::string_view, ScriptSize>> names;
    const auto add = [&](std::string_view name) {
      const auto found = known_.variables.find(name);
      names.emplace_back(name, found != known_.variables.end() ? found->second : ScriptSize());
    };
    for (const ScriptNode& node : code_.under(statement)) {
      if (node.kind == ScriptKind::kDeclare) add(node.text);
      if (node.kind != ScriptKind::kAssign) continue;
      const ScriptNode& target = code_.parts(node).front();
      if (target.kind == ScriptKind::kName) add(target.text);
      if (target.kind != ScriptKind::kTuple) continue;
      for (const ScriptNode& each : code_.parts(target)) add(each.text);
    }
    return names;
  }

  void assign(const ScriptNode& statement) {
    if (statement.kind == ScriptKind::kDeclare) {
      const ScriptNode& type = code_.parts(statement).front();
      ScriptSize declared = sizes_.of(code_.at(type.next));
      declared.parts = sizes_.of(type).parts;
      declared.depth = sizes_.of(type).depth;
      known_.variables[statement.text] = declared;
    }
    if (statement.kind != ScriptKind::kAssign) return;
    const ScriptNode& target = code_.parts(statement).front();
    const ScriptNode& given = code_.at(target.next);
    if (target.kind == ScriptKind::kName) known_.variables[target.text] = sizes_.of(given);
    if (target.kind != ScriptKind::kTuple) return;
    ScriptIndex each = given.kind == ScriptKind::kTuple ? given.first : kNoScriptNode;
    for (const ScriptNode& name : code_.parts(target)) {
      known_.variables[name.text] = sizes_.of(each == kNoScriptNode ? given : code_.at(each));
      if (each != kNoScriptNode) each = code_.at(each).next;
    }
  }

  const ScriptCode& code_;
  ScriptSizes& sizes_;
  KnownSizes& known_;
  std::vector<Open> open_;
};

void count_lines(const Definition& definition, std::uint64_t& lines_left) {
  for (const ScriptNode& node : definition.code->under(*definition.node)) {
    const bool is_statement = node.kind >= ScriptKind::kAssign && node.kind <= ScriptKind::kPass;
    const bool is_member = node.kind >= ScriptKind::kNames && node.kind <= ScriptKind::kFunction;
    if (!is_statement && !is_member) continue;
    if (lines_left-- > 0) continue;
    definition.code->refuse(node.line, "makes it more code than a file of this size may have: LibTorch would take long",
                            "give the module without loops that tracing has unrolled");
  }
}

// Of all definitions: first what they declare, then their functions.
class BoundsChecker {
 public:
  explicit BoundsChecker(KnownSizes& known) : known_(known) {}

  void check() {
    measure_named_tuples();
    for (const auto& [name, definition] : known_.program.definitions()) note_members(definition);
    for (const auto& [name, definition] : known_.program.definitions()) check_functions(definition);
  }

 private:
  ScriptSizes& sizes_of(const ScriptCode& code) { return sizes_.try_emplace(&code, code, known_).first->second; }

  // From those that hold none up: no more rounds than types may be deep.
  void measure_named_tuples() {
    for (std::uint32_t round = 0; round <= kMostTypeDepth; ++round) {
      for (const auto& [name, definition] : known_.program.definitions()) {
        if (definition.base() == "NamedTuple") measure_named_tuple(definition);
      }
    }
  }

  void measure_named_tuple(const Definition& definition) {
    const ScriptCode& code = *definition.code;
    ScriptSizes& sizes = sizes_of(code);
    ScriptSize whole;
    for (const ScriptNode& member : code.parts(*definition.node)) {
      if (member.kind == ScriptKind::kField) add_part(whole, sizes.evaluate(code.parts(member).front()));
    }
    known_.named_tuples[&definition] = whole;
    sizes.charge(*definition.node, whole, 0);
  }

  // Which class an object has is not worked out here: an attribute is taken for the largest of its name.
  void note_members(const Definition& definition) {
    const ScriptCode& code = *definition.code;
    if (!definition.is_class()) return note_function(code, *definition.node);
    for (const ScriptNode& member : code.parts(*definition.node)) {
      if (member.kind == ScriptKind::kFunction) note_function(code, member);
      if (member.kind != ScriptKind::kField && member.kind != ScriptKind::kConstant) continue;
      const ScriptNode& type = code.parts(member).front();
      if (type.kind != ScriptKind::kType) continue;  // of an enumeration
      const ScriptSize size = sizes_of(code).evaluate(type);
      widen(known_.members[member.text], size);
      sizes_of(code).charge(type, size, 1);
    }
  }

  void note_function(const ScriptCode& code, const ScriptNode& function) {
    for (const ScriptNode& part : code.parts(function)) {
      if (part.kind != ScriptKind::kType) continue;
      const ScriptSize size = sizes_of(code).evaluate(part);
      widen(known_.members[function.text], size);
      widen(known_.largest_result, size);
      sizes_of(code).charge(part, size, 1);
    }
  }

  void check_functions(const Definition& definition) {
    const ScriptCode& code = *definition.code;
    FunctionCheck function(code, sizes_of(code), known_);
    if (!definition.is_class()) return function.check(*definition.node);
    for (const ScriptNode& member : code.parts(*definition.node)) {
      if (member.kind == ScriptKind::kFunction) function.check(member);
    }
  }

  KnownSizes& known_;
  std::unordered_map<const ScriptCode*, ScriptSizes> sizes_;
};

}  // namespace

void check_script_bounds(const ScriptProgram& program, const std::vector<std::uint64_t>& constant_parts,
                         std::uint64_t file_bytes) {
  std::uint64_t lines_left = kMostScriptLines + file_bytes / 1024;
  for (const auto& [name, definition] : program.definitions()) count_lines(definition, lines_left);
  KnownSizes known{program, constant_parts, kMostTypeParts + file_bytes / 64, {}, {}, {}, {}};
  BoundsChecker(known).check();
}

}  // namespace mnq
