#include "containers/pickle/pickle_machine.h"

#include <algorithm>
#include <cstring>

#include "base/text/format.h"
#include "base/text/utf8.h"
#include "containers/archive_error.h"

namespace mnq {
namespace {

constexpr std::size_t kMostValues = std::size_t{1} << 24;

}  // namespace

unsigned char PickleInput::take_opcode() {
  opcode_at_ = at_;
  if (at_ == bytes_.size()) fail_record(title_, record_, formatted("the pickle is cut off at byte {}", at_));
  return static_cast<unsigned char>(bytes_[at_++]);
}

std::string PickleInput::place() const {
  return formatted("{} at byte {}", pickle_opcode_name(static_cast<unsigned char>(bytes_[opcode_at_])), opcode_at_);
}

void PickleInput::fail(const std::string& what) const { fail_record(title_, record_, place() + " " + what); }

void PickleInput::refuse(const std::string& what, const std::string& suggestion) const {
  refuse_record(title_, record_, what, suggestion);
}

std::string_view PickleInput::take(std::uint64_t size) {
  if (size > bytes_.size() - at_) fail(formatted("needs {} bytes, but {} are left", size, bytes_.size() - at_));
  const std::string_view taken = bytes_.substr(at_, size);
  at_ += size;
  return taken;
}

std::string_view PickleInput::take_line() {
  const std::size_t end = bytes_.find('\n', at_);
  if (end == bytes_.npos) fail("is cut off");
  const std::string_view line = take(end - at_);
  ++at_;
  return line;
}

PickleIndex PickleStack::top() const {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) input_.fail("finds nothing on the stack");
  return stack_.back();
}

PickleIndex PickleStack::pop() {
  const PickleIndex index = top();
  stack_.pop_back();
  return index;
}

std::vector<PickleIndex> PickleStack::pop_many(std::size_t count) {
  std::vector<PickleIndex> values(count);
  while (count > 0) values[--count] = pop();
  return values;
}

std::vector<PickleIndex> PickleStack::pop_mark() {
  if (marks_.empty()) input_.fail("finds no mark on the stack");
  std::vector<PickleIndex> values(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
  stack_.resize(marks_.back());
  marks_.pop_back();
  return values;
}

void PickleStack::put(std::uint64_t memo_index) {
  const PickleIndex value = top();
  // Every entry takes two bytes or more, MEMOIZE one.
  if (memo_index > input_.size()) input_.fail(formatted("has memo index {} in {} bytes", memo_index, input_.size()));
  if (memo_index >= memo_.size()) memo_.resize(memo_index + 1, kNoPickleValue);
  if (memo_[memo_index] == kNoPickleValue) ++memo_count_;
  memo_[memo_index] = value;
}

void PickleStack::get(std::uint64_t memo_index) {
  if (memo_index >= memo_.size() || memo_[memo_index] == kNoPickleValue) {
    input_.fail(formatted("finds nothing at memo index {}", memo_index));
  }
  stack_.push_back(memo_[memo_index]);
}

PickleValue& PickleBuilder::push(PickleKind kind) {
  if (values_.size() == kMostValues) {
    input_.refuse(formatted("holds more than {} values", kMostValues), "save the tensors alone");
  }
  stack_.push(static_cast<PickleIndex>(values_.size()));
  PickleValue& value = values_.emplace_back();
  value.kind = kind;
  return value;
}

void PickleBuilder::push_number(PickleKind kind, std::int64_t value) {
  PickleIndex& last = last_numbers_[static_cast<std::uint8_t>(value)];
  const bool is_there = numbers_ == PickleNumbers::kShared && last < values_.size() && values_[last].kind == kind &&
                        values_[last].integer == value;
  if (is_there) return stack_.push(last);
  last = static_cast<PickleIndex>(values_.size());
  push(kind).integer = value;
}

void PickleBuilder::push_text(PickleKind kind, std::string_view text) {
  if (kind == PickleKind::kText && !is_utf8(text)) input_.fail("is no UTF-8");
  push(kind).text = text;
}

// Python 2's strings are texts here where they are UTF-8.
void PickleBuilder::push_string(std::string_view text) {
  push(is_utf8(text) ? PickleKind::kText : PickleKind::kBytes).text = text;
}

void PickleBuilder::push_long(std::string_view digits) {
  if (digits.size() > sizeof(std::int64_t)) {
    push(PickleKind::kLong).text = digits;
    return;
  }
  const bool is_negative = !digits.empty() && (static_cast<unsigned char>(digits.back()) & 0x80) != 0;
  std::int64_t value = is_negative ? -1 : 0;
  std::memcpy(&value, digits.data(), digits.size());
  push_integer(value);
}

void PickleBuilder::push_global(std::string_view module, std::string_view name) {
  if (!is_utf8(module) || !is_utf8(name)) input_.fail("names what is no UTF-8");
  PickleValue& value = push(PickleKind::kGlobal);
  value.module = module;
  value.text = name;
}

void PickleBuilder::push_container(PickleKind kind, std::vector<PickleIndex> items) {
  PickleValue& value = push(kind);
  if (items.empty()) return;
  if (kind == PickleKind::kTuple) return fill_tuple(value, items);
  value.children = static_cast<std::uint32_t>(children_.size());
  children_.push_back(std::move(items));
}

// There are five for each tensor, of a few items.
void PickleBuilder::fill_tuple(PickleValue& tuple, const std::vector<PickleIndex>& items) {
  tuple.children = static_cast<std::uint32_t>(tuple_items_.size());
  tuple.tuple_size = static_cast<std::uint32_t>(items.size());
  tuple_items_.insert(tuple_items_.end(), items.begin(), items.end());
}

std::vector<PickleIndex>& PickleBuilder::children_of(PickleIndex index) {
  PickleValue& value = values_[index];
  if (value.children == 0) {
    value.children = static_cast<std::uint32_t>(children_.size());
    children_.emplace_back();
  }
  return children_[value.children];
}

void PickleBuilder::require_pairs(const std::vector<PickleIndex>& items) const {
  if (items.size() % 2 != 0) input_.fail("has a key without a value");
}

// What a call returns may be a list or a dict: then it is one of the two for good.
void PickleBuilder::add_items(const std::vector<PickleIndex>& items, bool are_pairs) {
  if (are_pairs) require_pairs(items);
  const PickleIndex target = stack_.top();
  const PickleKind kind = at(target).kind;
  const bool fits = are_pairs ? kind == PickleKind::kDict : kind == PickleKind::kList || kind == PickleKind::kSet;
  if (!fits && kind != PickleKind::kCall) input_.fail(are_pairs ? "finds no dict" : "finds no list");
  if (items.empty()) return;
  auto& children = children_of(target);
  children.insert(children.end(), items.begin(), items.end());
}

void PickleBuilder::call(bool is_new_object) {
  const auto parts = stack_.pop_many(2);
  const PickleKind function = at(parts[0]).kind;
  if (function != PickleKind::kGlobal && function != PickleKind::kPersistent) input_.fail("calls what is no function");
  if (is_new_object && at(parts[1]).kind != PickleKind::kTuple) input_.fail("finds no tuple");
  PickleValue& value = push(PickleKind::kCall);
  value.is_new_object = is_new_object;
  value.function = parts[0];
  value.arguments = parts[1];
}

void PickleBuilder::build() {
  const PickleIndex state = stack_.pop();
  PickleValue& value = values_[stack_.top()];
  if (value.kind != PickleKind::kCall) input_.fail("finds no object");
  if (value.state != kNoPickleValue) input_.fail("finds an object that has its state");
  value.state = state;
}

}  // namespace mnq
