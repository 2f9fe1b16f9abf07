#include "base/text/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/utf8.h"

namespace mnq {
namespace {

void write_escaped(std::string& text, char character) {
  constexpr std::string_view kEscaped = "\"\\\b\f\n\r\t", kLetters = "\"\\bfnrt";
  const std::size_t found = kEscaped.find(character);
  if (found != std::string_view::npos) {
    text += {'\\', kLetters[found]};
  } else if (static_cast<unsigned char>(character) < 0x20) {
    text += formatted("\\u{:04x}", static_cast<unsigned>(character));
  } else {
    text += character;
  }
}

void write_text(std::string& text, std::string_view value) {
  text += '"';
  for (const char character : valid_utf8(value)) write_escaped(text, character);
  text += '"';
}

void write_number(std::string& text, double value) {
  if (!std::isfinite(value)) {
    text += "null";
    return;
  }
  char digits[32];
  const std::string_view shortest(
      digits, static_cast<std::size_t>(std::to_chars(digits, std::end(digits), value).ptr - digits));
  text += shortest;
  if (shortest.find_first_of(".e") == std::string_view::npos) text += ".0";  // it stays a float for who reads it
}

constexpr int kOneLine = -1;

int next_indent(int indent) { return indent == kOneLine ? kOneLine : indent + 2; }

void start_line(std::string& text, int indent) {
  text += '\n';
  text.append(static_cast<std::size_t>(indent), ' ');
}

void start_item(std::string& text, bool is_first, int indent) {
  if (!is_first) text += ',';
  if (indent != kOneLine) start_line(text, indent + 2);
}

void end_items(std::string& text, bool is_empty, int indent) {
  if (indent != kOneLine && !is_empty) start_line(text, indent);
}

}  // namespace

Json::Json(std::initializer_list<std::pair<std::string_view, Json>> members) : value_(Object()) {
  for (const auto& [name, value] : members) add(std::string(name), value);
}

// Not = default: where that runs out of memory, the variant of GCC 12 frees what it never made.
Json::Json(const Json& other) {
  std::visit([this](const auto& value) { value_ = value; }, other.value_);
}
Json::Json(Json&& other) noexcept = default;
Json& Json::operator=(const Json& other) { return *this = Json(other); }
Json& Json::operator=(Json&& other) noexcept = default;
Json::~Json() = default;

const Json* Json::find(std::string_view name) const {
  if (!is_object()) return nullptr;
  const auto found =
      std::ranges::find(members(), name, [](const auto& member) { return std::string_view(member.first); });
  return found == members().end() ? nullptr : &found->second;
}

const Json& Json::operator[](std::string_view name) const {
  const Json* found = find(name);
  if (found == nullptr) throw Error(Status::kFormat, formatted("{} is missing", name));
  return *found;
}

Json& Json::operator[](std::string_view name) {
  const Json* found = find(name);
  return found == nullptr ? add(std::string(name), nullptr) : const_cast<Json&>(*found);
}

Json& Json::add(std::string name, Json value) {
  if (is_null()) value_ = Object();
  return std::get<Object>(value_).emplace_back(std::move(name), std::move(value)).second;
}

Json& Json::push_back(Json value) {
  if (is_null()) value_ = Array();
  return std::get<Array>(value_).emplace_back(std::move(value));
}

std::string Json::dump() const {
  std::string text;
  write(text, kOneLine);
  return text;
}

std::string Json::dump_lines() const {
  std::string text;
  write(text, 0);
  return text;
}

bool operator==(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number() && !(a.is_integer() && b.is_integer())) return a.number() == b.number();
  return a.value_ == b.value_;
}

void Json::fail_type(const char* wanted) const {
  throw Error(Status::kFormat, formatted("{} is not {}", dump(), wanted));
}

double Json::number() const {
  if (is_integer()) return static_cast<double>(std::get<std::int64_t>(value_));
  return as<double>("a number");
}

std::int64_t Json::integer_between(std::int64_t least, std::uint64_t most) const {
  const std::int64_t value = as<std::int64_t>("a whole number");
  if (value < least || (value > 0 && static_cast<std::uint64_t>(value) > most)) fail_type("in range");
  return value;
}

void Json::write(std::string& text, int indent) const {
  if (is_null()) {
    text += "null";
  } else if (is_boolean()) {
    text += std::get<bool>(value_) ? "true" : "false";
  } else if (is_integer()) {
    text += std::to_string(std::get<std::int64_t>(value_));
  } else if (is_number()) {
    write_number(text, number());
  } else if (is_string()) {
    write_text(text, this->text());
  } else if (is_array()) {
    text += '[';
    for (const Json& element : elements()) {
      start_item(text, &element == &elements().front(), indent);
      element.write(text, next_indent(indent));
    }
    end_items(text, elements().empty(), indent);
    text += ']';
  } else {
    text += '{';
    for (const auto& member : members()) {
      start_item(text, &member == &members().front(), indent);
      write_text(text, member.first);
      text += indent == kOneLine ? ":" : ": ";
      member.second.write(text, next_indent(indent));
    }
    end_items(text, members().empty(), indent);
    text += '}';
  }
}

}  // namespace mnq
