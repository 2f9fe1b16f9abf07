#include "formats/torchscript_classes.h"

#include <algorithm>

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
    names.push_back(full_name(code, at));
  }
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  return names;
}

// Where the next class or function starts at or after a place.
std::size_t next_definition(std::string_view code, std::size_t at) {
  for (; at < code.size(); at = std::min(code.find('\n', at), code.size() - 1) + 1) {
    if (code.substr(at).starts_with("class ") || code.substr(at).starts_with("def ")) return at;
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
    const std::size_t name = code.find(' ', start) + 1;
    const std::size_t end = next_definition(code, name);
    const std::string full = module + "." + std::string(word_at(code, skip_blanks(code, name)));
    auto names = names_in(code.substr(name, end - name));
    auto& needs = needs_[full];
    needs.insert(needs.end(), names.begin(), names.end());
    start = end;
  }
}

// From those that need nothing up. A name may go on behind a definition's: `__torch__.Color.RED`.
std::uint32_t TorchScriptClasses::depth() const {
  struct Node {
    std::vector<Node*> needed_by;
    std::uint32_t needs = 0;
    std::uint32_t level = 1;
  };
  std::map<std::string_view, Node> nodes;
  for (const auto& [name, names] : needs_) nodes[name];
  for (const auto& [name, names] : needs_) {
    Node& node = nodes[name];
    for (std::string_view needed : names) {
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
    deepest = std::max(deepest, ready[i]->level);
    for (Node* user : ready[i]->needed_by) {
      user->level = std::max(user->level, ready[i]->level + 1);
      if (--user->needs == 0) ready.push_back(user);
    }
  }
  return deepest + static_cast<std::uint32_t>(nodes.size() - ready.size());
}

}  // namespace mnq
