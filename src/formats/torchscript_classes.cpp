#include "formats/torchscript_classes.h"

#include <algorithm>
#include <iterator>

#include "formats/torchscript_code.h"

namespace mnq {
namespace {

constexpr std::string_view kWord = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

std::string_view word_at(std::string_view code, std::size_t at) {
  return code.substr(at, std::min(code.find_first_not_of(kWord, at), code.size()) - at);
}

// The lexer takes blanks, ends of lines and comments between the parts of a name.
std::size_t skip_blanks(std::string_view code, std::size_t at) {
  while (at < code.size()) {
    at = std::min(code.find_first_not_of(" \t\r\n\\", at), code.size());
    if (at == code.size() || code[at] != '#') return at;
    at = std::min(code.find('\n', at), code.size());
  }
  return at;
}

// "__torch__.a.B" wherever it stands; moves on to its end.
std::string full_name(std::string_view code, std::size_t& at) {
  std::string name;
  for (;;) {
    const std::string_view word = word_at(code, at);
    name += word;
    at += word.size();
    const std::size_t dot = skip_blanks(code, at);
    if (dot == code.size() || code[dot] != '.') return name;
    at = skip_blanks(code, dot + 1);
    if (word_at(code, at).empty()) return name;
    name += '.';
  }
}

std::vector<std::string> names_in(std::string_view code) {
  std::vector<std::string> names;
  for (std::size_t at = code.find("__torch__"); at != code.npos; at = code.find("__torch__", at)) {
    names.push_back(in_lower_case(full_name(code, at)));
  }
  return names;
}

std::vector<std::string> each_once(std::vector<std::string> names) {
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  return names;
}

// A class without its methods, whose lines are indented deeper than those of its attributes.
std::string without_methods(std::string_view definition) {
  std::string rest;
  std::size_t indentation = 0;
  bool in_method = false;
  while (!definition.empty()) {
    const std::string_view line = definition.substr(0, definition.find('\n'));
    definition.remove_prefix(std::min(line.size() + 1, definition.size()));
    const std::size_t start = line.find_first_not_of(" \t\r");
    if (start == line.npos) continue;
    if (indentation == 0) indentation = start;
    if (start <= indentation) in_method = word_at(line, start) == "def";
    if (!in_method) rest.append(line).append("\n");
  }
  return rest;
}

// Those in comments and texts, too: rather one too many.
std::uint32_t count_methods(std::string_view code) {
  std::uint32_t count = 0;
  for (std::size_t at = code.find("def"); at != code.npos; at = code.find("def", at + 3)) {
    const bool starts = at == 0 || kWord.find(code[at - 1]) == kWord.npos;
    count += starts && word_at(code, at) == "def" ? 1 : 0;
  }
  return count;
}

// Where the next class or function starts at or after a place.
std::size_t next_definition(std::string_view code, std::size_t at) {
  for (; at < code.size(); at = std::min(code.find('\n', at), code.size() - 1) + 1) {
    const std::string_view word = word_at(code, at);
    if (word == "class" || word == "def") return at;
  }
  return code.size();
}

std::string_view without_last_part(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return name.substr(0, dot == name.npos ? 0 : dot);
}

}  // namespace

void TorchScriptClasses::add(const std::string& module, std::string_view code) {
  std::size_t start = next_definition(code, 0);
  while (start < code.size()) {
    const std::size_t name = skip_blanks(code, start + word_at(code, start).size());
    const std::size_t end = next_definition(code, name);
    const std::string_view text = code.substr(name, end - name);
    Definition& definition = definitions_[in_lower_case(module + "." + std::string(word_at(code, name)))];
    std::ranges::move(each_once(names_in(text)), std::back_inserter(definition.names));
    definition.methods += count_methods(text);
    if (word_at(code, start) == "class") {
      std::ranges::move(names_in(without_methods(text)), std::back_inserter(definition.attributes));
    }
    start = end;
  }
}

// A name may go on behind a definition's: `__torch__.Color.RED`. Empty for what is defined nowhere.
std::string_view TorchScriptClasses::definition_of(std::string_view name) const {
  while (!name.empty() && !definitions_.contains(name)) name = without_last_part(name);
  return name;
}

// From those that need nothing up.
TorchScriptClasses::Extent TorchScriptClasses::measure() const {
  struct Node {
    std::vector<Node*> needed_by;
    std::vector<const Node*> attributes;  // once for each
    std::uint32_t needs = 0;
    std::uint32_t length = 1;
    std::uint32_t level = 0;  // of what it needs
    std::uint64_t objects = 1;
  };
  std::map<std::string_view, Node> nodes;
  for (const auto& [name, definition] : definitions_) nodes[name].length = std::max(definition.methods, 1u);
  for (const auto& [name, definition] : definitions_) {
    Node& node = nodes[name];
    for (const std::string& full : definition.names) {
      const std::string_view needed = definition_of(full);
      if (needed.empty() || needed == name) continue;
      nodes[needed].needed_by.push_back(&node);
      ++node.needs;
    }
    for (const std::string& full : definition.attributes) {
      const std::string_view held = definition_of(full);
      if (!held.empty() && held != name) node.attributes.push_back(&nodes[held]);
    }
  }
  std::vector<Node*> ready;
  for (auto& [name, node] : nodes) {
    if (node.needs == 0) ready.push_back(&node);
  }
  Extent extent;
  for (std::size_t i = 0; i < ready.size(); ++i) {
    const std::uint32_t level = ready[i]->level + ready[i]->length;
    extent.depth = std::max(extent.depth, level);
    for (const Node* held : ready[i]->attributes) {
      ready[i]->objects = std::min(ready[i]->objects + held->objects, 2 * kMostObjects);
    }
    extent.objects = std::max(extent.objects, ready[i]->objects);
    for (Node* user : ready[i]->needed_by) {
      user->level = std::max(user->level, level);
      if (--user->needs == 0) ready.push_back(user);
    }
  }
  for (const auto& [name, node] : nodes) extent.depth += node.needs == 0 ? 0 : node.length;
  return extent;
}

}  // namespace mnq
