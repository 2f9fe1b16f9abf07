#include "containers/torchscript/torchscript_program.h"

#include <algorithm>

#include "base/text/format.h"
#include "containers/archive_error.h"

namespace mnq {
namespace {

// Of a node that names what a file of code defines.
bool is_full_name(const ScriptNode& node) {
  return (node.kind == ScriptKind::kName || node.kind == ScriptKind::kType) && node.text.starts_with("__torch__.");
}

class DefinitionChecker {
 public:
  DefinitionChecker(const ScriptProgram& program, const ScriptProgram::Definition& definition)
      : program_(program), definition_(definition), code_(*definition.code) {}

  void check() const {
    for (const ScriptNode& node : code_.under(*definition_.node)) check_node(node);
  }

 private:
  void check_node(const ScriptNode& node) const {
    if (node.kind == ScriptKind::kFunction && (node.text == "__setstate__" || node.text == "__getstate__")) {
      refuse_quantized(node);
    }
    if (node.kind == ScriptKind::kConstant || node.kind == ScriptKind::kParameter || node.kind == ScriptKind::kField) {
      check_literal(node);
    }
    if (!is_full_name(node)) return;
    if (node.text.starts_with("__torch__.torch.classes.")) refuse_quantized(node);
    if (program_.find_start(node.text) == nullptr) {
      code_.fail(node.line, formatted("names {}, which the file's code does not define", shown(node.text)));
    }
  }

  // Only a named tuple may be called in one.
  void check_literal(const ScriptNode& holder) const {
    for (const ScriptNode& node : code_.under(holder)) {
      if (node.kind != ScriptKind::kCall) continue;
      const ScriptNode& callee = code_.parts(node).front();
      const ScriptProgram::Definition* called = program_.find(callee.text);
      if (!is_full_name(callee) || (called != nullptr && called->base() == "NamedTuple")) continue;
      code_.fail(node.line, formatted("calls {} in a default: LibTorch would run it to load the file", callee.text));
    }
  }

  [[noreturn]] void refuse_quantized(const ScriptNode& node) const {
    code_.refuse(node.line,
                 formatted("has {}: quantized by PyTorch already, or holds a custom class", shown(node.text)),
                 "give the float module, before PyTorch quantized it");
  }

  const ScriptProgram& program_;
  const ScriptProgram::Definition& definition_;
  const ScriptCode& code_;
};

// Goes from the definitions that need nothing up to those that need them.
class ExtentMeasure {
 public:
  using Definition = ScriptProgram::Definition;

  explicit ExtentMeasure(const ScriptProgram& program) : program_(program) {
    for (const auto& [name, definition] : program.definitions()) find_needs(definition);
    for (auto& [definition, node] : nodes_) link(*definition, node);
  }

  ScriptProgram::Extent measure() {
    for (auto& [definition, node] : nodes_) {
      if (node.waits_for == 0) ready_.push_back(&node);
    }
    ScriptProgram::Extent extent;
    for (std::size_t i = 0; i < ready_.size(); ++i) go_up_from(*ready_[i], extent);
    for (const auto& [definition, node] : nodes_) extent.depth += node.waits_for == 0 ? 0 : node.length;
    return extent;
  }

 private:
  struct Node {
    std::vector<const Definition*> needs;  // each once
    std::vector<Node*> needed_by;
    std::vector<const Node*> attributes;  // once for each
    std::uint32_t waits_for = 0;
    std::uint32_t length = 1;
    std::uint32_t level = 0;  // of what it needs
    std::uint64_t objects = 1;
  };

  // Another definition that a node names; null where it names none.
  const Definition* find_named(const ScriptNode& node, const Definition& by) const {
    const Definition* named = is_full_name(node) ? program_.find_start(node.text) : nullptr;
    return named == &by ? nullptr : named;
  }

  void find_needs(const Definition& definition) {
    Node& node = nodes_[&definition];
    std::uint32_t methods = 0;
    for (const ScriptNode& each : definition.code->under(*definition.node)) {
      methods += each.kind == ScriptKind::kFunction ? 1 : 0;
      if (const Definition* needed = find_named(each, definition)) node.needs.push_back(needed);
    }
    node.length = std::max(methods, 1u);
    std::ranges::sort(node.needs);
    node.needs.erase(std::ranges::unique(node.needs).begin(), node.needs.end());
  }

  void link(const Definition& definition, Node& node) {
    for (const Definition* needed : node.needs) nodes_[needed].needed_by.push_back(&node);
    node.waits_for = static_cast<std::uint32_t>(node.needs.size());
    if (!definition.is_class()) return;
    for (const ScriptNode& member : definition.code->parts(*definition.node)) {
      if (member.kind != ScriptKind::kField) continue;
      for (const ScriptNode& each : definition.code->under(member)) {
        if (const Definition* held = find_named(each, definition)) node.attributes.push_back(&nodes_[held]);
      }
    }
  }

  void go_up_from(Node& node, ScriptProgram::Extent& extent) {
    const std::uint32_t level = node.level + node.length;
    extent.depth = std::max(extent.depth, level);
    for (const Node* held : node.attributes) node.objects = std::min(node.objects + held->objects, 2 * kMostObjects);
    extent.objects = std::max(extent.objects, node.objects);
    for (Node* user : node.needed_by) {
      user->level = std::max(user->level, level);
      if (--user->waits_for == 0) ready_.push_back(user);
    }
  }

  const ScriptProgram& program_;
  std::map<const Definition*, Node> nodes_;
  std::vector<Node*> ready_;
};

}  // namespace

void ScriptProgram::add(const std::string& module, ScriptCode code) {
  const ScriptCode& file = *files_.emplace_back(std::make_unique<const ScriptCode>(std::move(code)));
  for (const ScriptNode& node : file.parts(file.root())) {
    const bool is_new = definitions_.emplace(formatted("{}.{}", module, node.text), Definition{&file, &node}).second;
    if (!is_new) file.fail(node.line, formatted("defines {} again", shown(node.text)));
  }
}

std::string_view ScriptProgram::Definition::base() const {
  return is_class() ? code->parts(*node).front().text : std::string_view();
}

const ScriptProgram::Definition* ScriptProgram::find(std::string_view name) const {
  const auto found = definitions_.find(name);
  return found != definitions_.end() ? &found->second : nullptr;
}

// LibTorch takes the shortest name that there is.
const ScriptProgram::Definition* ScriptProgram::find_start(std::string_view name) const {
  for (std::size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1)) {
    if (const Definition* found = find(name.substr(0, dot))) return found;
  }
  return find(name);
}

void ScriptProgram::check() const {
  for (const auto& [name, definition] : definitions_) DefinitionChecker(*this, definition).check();
}

ScriptProgram::Extent ScriptProgram::measure() const { return ExtentMeasure(*this).measure(); }

}  // namespace mnq
