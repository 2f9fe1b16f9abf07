#include "formats/torchscript_classes.h"

#include <algorithm>

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
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  return names;
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
    auto names = names_in(code.substr(name, end - name));
    Definition& definition = definitions_[in_lower_case(module + "." + std::string(word_at(code, name)))];
    definition.names.insert(definition.names.end(), names.begin(), names.end());
    definition.methods += count_methods(code.substr(name, end - name));
    start = end;
  }
}

// From those that need nothing up. A name may go on behind a definition's: `__torch__.Color.RED`.
std::uint32_t TorchScriptClasses::depth() const {
  struct Node {
    std::vector<Node*> needed_by;
    std::uint32_t needs = 0;
    std::uint32_t length = 1;
    std::uint32_t level = 0;  // of what it needs
  };
  std::map<std::string_view, Node> nodes;
  for (const auto& [name, definition] : definitions_) nodes[name].length = std::max(definition.methods, 1u);
  for (const auto& [name, definition] : definitions_) {
    Node& node = nodes[name];
    for (std::string_view needed : definition.names) {
      while (!needed.empty() && !nodes.contains(needed)) needed = without_last_part(needed);
      if (needed.empty() || needed == name) continue;
      nodes[needed].needed_by.push_back(&node);
      ++node.needs;
    }
  }
  std::vector<Node*> ready;
  for (auto& [name, node] : nodes) {
    if (node.needs == 0) ready.push_back(&node);
  }
  std::uint32_t deepest = 0;
  for (std::size_t i = 0; i < ready.size(); ++i) {
    const std::uint32_t level = ready[i]->level + ready[i]->length;
    deepest = std::max(deepest, level);
    for (Node* user : ready[i]->needed_by) {
      user->level = std::max(user->level, level);
      if (--user->needs == 0) ready.push_back(user);
    }
  }
  for (const auto& [name, node] : nodes) deepest += node.needs == 0 ? 0 : node.length;
  return deepest;
}

}  // namespace mnq
