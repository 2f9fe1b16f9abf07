#include "containers/pickle/pickle_machine.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/text/format.h"
#include "base/text/utf8.h"
#include "containers/archive_error.h"

namespace mnq {
namespace {

constexpr std::size_t kMostValues = std::size_t{1} << 24;

}  // namespace

void PickleMachine::run() {
  pickle_.children_.emplace_back();
  for (;;) {
    opcode_at_ = at_;
    if (at_ == bytes_.size())
      fail_record(pickle_.title_, pickle_.record_, formatted("the pickle is cut off at byte {}", at_));
    const auto opcode = static_cast<unsigned char>(bytes_[at_++]);
    if (opcode == '.') break;
    step(opcode);
  }
  pickle_.root_ = pop();
  if (!stack_.empty() || !marks_.empty()) fail("leaves values on the stack");
  pickle_.size_ = at_;
}

void PickleMachine::step(unsigned char opcode) {
  if (step_number(opcode) || step_text(opcode) || step_container(opcode) || step_items(opcode)) return;
  if (step_memo(opcode) || step_object(opcode)) return;
  refuse_record(pickle_.title_, pickle_.record_, place() + " is unknown",
                "fetch or write the file again: torch.save writes no such pickle");
}

std::string PickleMachine::place() const {
  return formatted("{} at byte {}", pickle_opcode_name(static_cast<unsigned char>(bytes_[opcode_at_])), opcode_at_);
}

void PickleMachine::fail(const std::string& what) const {
  fail_record(pickle_.title_, pickle_.record_, place() + " " + what);
}

std::string_view PickleMachine::take(std::uint64_t size) {
  if (size > bytes_.size() - at_) fail(formatted("needs {} bytes, but {} are left", size, bytes_.size() - at_));
  const std::string_view taken = bytes_.substr(at_, size);
  at_ += size;
  return taken;
}

std::string_view PickleMachine::take_line() {
  const std::size_t end = bytes_.find('\n', at_);
  if (end == bytes_.npos) fail("is cut off");
  const std::string_view line = take(end - at_);
  ++at_;
  return line;
}

double PickleMachine::big_endian_double() { return std::bit_cast<double>(__builtin_bswap64(number<std::uint64_t>())); }

PickleValue& PickleMachine::push(PickleKind kind) {
  if (pickle_.values_.size() == kMostValues) {
    refuse_record(pickle_.title_, pickle_.record_, formatted("holds more than {} values", kMostValues),
                  "save the tensors alone");
  }
  stack_.push_back(static_cast<PickleIndex>(pickle_.values_.size()));
  PickleValue& value = pickle_.values_.emplace_back();
  value.kind = kind;
  return value;
}

void PickleMachine::push_integer(std::int64_t value) { push(PickleKind::kInt).integer = value; }

void PickleMachine::push_text(PickleKind kind, std::uint64_t size) {
  const std::string_view text = take(size);
  if (kind == PickleKind::kText && !is_utf8(text)) fail("is no UTF-8");
  push(kind).text = text;
}

void PickleMachine::push_long(std::uint64_t size) {
  const std::string_view digits = take(size);
  if (size > sizeof(std::int64_t)) {
    push(PickleKind::kLong).text = digits;
    return;
  }
  const bool is_negative = size > 0 && (static_cast<unsigned char>(digits.back()) & 0x80) != 0;
  std::int64_t value = is_negative ? -1 : 0;
  std::memcpy(&value, digits.data(), digits.size());
  push_integer(value);
}

void PickleMachine::push_global(std::string_view module, std::string_view name) {
  if (!is_utf8(module) || !is_utf8(name)) fail("names what is no UTF-8");
  PickleValue& value = push(PickleKind::kGlobal);
  value.module = module;
  value.text = name;
}

PickleIndex PickleMachine::top() const {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("finds nothing on the stack");
  return stack_.back();
}

PickleIndex PickleMachine::pop() {
  const PickleIndex index = top();
  stack_.pop_back();
  return index;
}

std::vector<PickleIndex> PickleMachine::pop_many(std::size_t count) {
  std::vector<PickleIndex> values(count);
  while (count > 0) values[--count] = pop();
  return values;
}

std::vector<PickleIndex> PickleMachine::pop_mark() {
  if (marks_.empty()) fail("finds no mark on the stack");
  std::vector<PickleIndex> values(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
  stack_.resize(marks_.back());
  marks_.pop_back();
  return values;
}

void PickleMachine::push_container(PickleKind kind, std::vector<PickleIndex> items) {
  PickleValue& value = push(kind);
  if (items.empty()) return;
  value.children = static_cast<std::uint32_t>(pickle_.children_.size());
  pickle_.children_.push_back(std::move(items));
}

std::vector<PickleIndex>& PickleMachine::children_of(PickleIndex index) {
  PickleValue& value = pickle_.values_[index];
  if (value.children == 0) {
    value.children = static_cast<std::uint32_t>(pickle_.children_.size());
    pickle_.children_.emplace_back();
  }
  return pickle_.children_[value.children];
}

void PickleMachine::require_pairs(const std::vector<PickleIndex>& items) const {
  if (items.size() % 2 != 0) fail("has a key without a value");
}

// What a call returns may be a list or a dict: then it is one of the two for good.
void PickleMachine::add_items(const std::vector<PickleIndex>& items, bool are_pairs) {
  if (are_pairs) require_pairs(items);
  const PickleIndex target = top();
  const PickleKind kind = pickle_.at(target).kind;
  const bool fits = are_pairs ? kind == PickleKind::kDict : kind == PickleKind::kList || kind == PickleKind::kSet;
  if (!fits && kind != PickleKind::kCall) fail(are_pairs ? "finds no dict" : "finds no list");
  if (items.empty()) return;
  auto& children = children_of(target);
  children.insert(children.end(), items.begin(), items.end());
}

void PickleMachine::put(std::uint64_t memo_index) {
  const PickleIndex value = top();
  // Every entry takes two bytes or more, MEMOIZE one.
  if (memo_index > bytes_.size()) fail(formatted("has memo index {} in {} bytes", memo_index, bytes_.size()));
  if (memo_index >= memo_.size()) memo_.resize(memo_index + 1, kNoPickleValue);
  if (memo_[memo_index] == kNoPickleValue) ++memo_count_;
  memo_[memo_index] = value;
}

void PickleMachine::get(std::uint64_t memo_index) {
  if (memo_index >= memo_.size() || memo_[memo_index] == kNoPickleValue) {
    fail(formatted("finds nothing at memo index {}", memo_index));
  }
  stack_.push_back(memo_[memo_index]);
}

void PickleMachine::call(bool is_new_object) {
  const auto parts = pop_many(2);
  const PickleKind function = pickle_.at(parts[0]).kind;
  if (function != PickleKind::kGlobal && function != PickleKind::kPersistent) fail("calls what is no function");
  if (is_new_object && pickle_.at(parts[1]).kind != PickleKind::kTuple) fail("finds no tuple");
  PickleValue& value = push(PickleKind::kCall);
  value.is_new_object = is_new_object;
  value.function = parts[0];
  value.arguments = parts[1];
}

void PickleMachine::build() {
  const PickleIndex state = pop();
  PickleValue& value = pickle_.values_[top()];
  if (value.kind != PickleKind::kCall) fail("finds no object");
  if (value.state != kNoPickleValue) fail("finds an object that has its state");
  value.state = state;
}

}  // namespace mnq
