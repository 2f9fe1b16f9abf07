#include "base/text/json_text.h"

#include <algorithm>
#include <array>
#include <vector>

namespace mnq {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

// Behind the closing quote of the text that starts at `quote`.
std::size_t end_of_text(std::string_view json, std::size_t quote) {
  std::size_t at = quote + 1;
  while (at < json.size() && json[at] != '"') at += json[at] == '\\' ? 2 : 1;
  return std::min(at + 1, json.size());
}

// A member of the outermost object: "name": value, without the space around it.
struct Member {
  std::string_view name;
  std::size_t begin = 0;
  std::size_t value = 0;
  std::size_t end = 0;
};

std::size_t skip_space(std::string_view json, std::size_t at) { return json.find_first_not_of(kSpace, at); }

std::size_t end_of_value(std::string_view json, std::size_t at) {
  int depth = 0;
  for (; at < json.size(); ++at) {
    const char c = json[at];
    if (c == '"') {
      at = end_of_text(json, at) - 1;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (depth == 0 && (c == ',' || c == '}')) {
      break;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return json.find_last_not_of(kSpace, at - 1) + 1;
}

std::vector<Member> find_members(std::string_view json) {
  std::vector<Member> members;
  std::size_t at = skip_space(json, json.find('{') + 1);
  while (json[at] == '"') {
    const std::size_t end_of_name = end_of_text(json, at);
    Member member{json.substr(at + 1, end_of_name - at - 2), at};
    member.value = skip_space(json, skip_space(json, end_of_name) + 1);
    member.end = end_of_value(json, member.value);
    members.push_back(member);
    at = skip_space(json, member.end);
    if (json[at] == ',') at = skip_space(json, at + 1);
  }
  return members;
}

// On lines of its own where the other members are.
std::string value_text(const Json& value, std::string_view indent) {
  if (indent.find('\n') == std::string_view::npos) return value.dump();
  std::string text;
  for (const char c : value.dump_lines()) {
    if (c == '\n') {
      text += indent.substr(indent.rfind('\n'));
    } else {
      text += c;
    }
  }
  return text;
}

std::string without(std::string text, const std::vector<Member>& members, std::size_t index) {
  if (index + 1 < members.size()) {
    return text.erase(members[index].begin, members[index + 1].begin - members[index].begin);
  }
  const std::size_t begin = index == 0 ? members[index].begin : members[index - 1].end;
  return text.erase(begin, members[index].end - begin);
}

}  // namespace

Json parse_python_json(std::string_view text) {
  constexpr std::array<std::string_view, 3> kLiterals{"-Infinity", "Infinity", "NaN"};
  std::string plain;
  for (std::size_t at = 0; at < text.size();) {
    const auto literal =
        std::ranges::find_if(kLiterals, [&](std::string_view word) { return text.substr(at).starts_with(word); });
    if (literal != kLiterals.end()) {
      plain += "null";
      at += literal->size();
    } else {
      const std::size_t end = text[at] == '"' ? end_of_text(text, at) : at + 1;
      plain += text.substr(at, end - at);
      at = end;
    }
  }
  return parse_json(plain);
}

std::string with_member(const std::string& text, std::string_view name, const Json& value) {
  const std::vector<Member> members = find_members(text);
  const auto found = std::ranges::find(members, name, &Member::name);
  if (found == members.end() && value.is_null()) return text;
  if (value.is_null()) return without(text, members, static_cast<std::size_t>(found - members.begin()));
  if (members.empty()) return Json{{name, value}}.dump_lines() + "\n";
  // What stands before the last member also stands before the new one.
  const std::size_t gap = text.find_last_not_of(kSpace, members.back().begin - 1) + 1;
  const std::string indent = text.substr(gap, members.back().begin - gap);
  const std::string written = value_text(value, indent);
  std::string result = text;
  if (found != members.end()) return result.replace(found->value, found->end - found->value, written);
  return result.insert(members.back().end, "," + indent + Json(name).dump() + ": " + written);
}

void write_escaped(std::string_view text, const WriteText& write) {
  constexpr std::size_t kPiece = 64u << 10;
  while (!text.empty()) {
    std::size_t size = std::min(kPiece, text.size());
    while (size < text.size() && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) ++size;
    const std::string quoted = Json(text.substr(0, size)).dump();
    write(std::string_view(quoted).substr(1, quoted.size() - 2));
    text.remove_prefix(size);
  }
}

void write_quoted(std::string_view text, const WriteText& write) {
  write("\"");
  write_escaped(text, write);
  write("\"");
}

}  // namespace mnq
