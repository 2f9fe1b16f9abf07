// The stack machine behind Pickle: one opcode after the other, each checked against the stack, the memo and the bytes
// left.
#pragma once

#include <array>
#include <cstring>

#include "containers/pickle/pickle.h"

namespace mnq {

/// "BINUNICODE"; "0x07" for what is none.
std::string pickle_opcode_name(unsigned char opcode);

/// The bytes of a pickle, opcode by opcode.
class PickleInput {
 public:
  PickleInput(std::string_view bytes, const std::string& title, const std::string& record)
      : bytes_(bytes), title_(title), record_(record) {}

  std::size_t size() const { return bytes_.size(); }
  std::size_t at() const { return at_; }
  unsigned char take_opcode();
  std::string_view take(std::uint64_t size);
  std::string_view take_line();
  template <class Number>
  Number number() {
    Number value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  /// kFormat and kUnsupported; place: the opcode and where it is.
  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void refuse(const std::string& what, const std::string& suggestion) const;
  std::string place() const;

 private:
  std::string_view bytes_;
  const std::string& title_;
  const std::string& record_;
  std::size_t at_ = 0, opcode_at_ = 0;
};

/// Values on the stack, by their indices, and those in the memo.
class PickleStack {
 public:
  explicit PickleStack(const PickleInput& input) : input_(input) {}

  bool is_empty() const { return stack_.empty() && marks_.empty(); }
  void push(PickleIndex index) { stack_.push_back(index); }
  void push_mark() { marks_.push_back(stack_.size()); }
  PickleIndex top() const;
  PickleIndex pop();
  std::vector<PickleIndex> pop_mark();
  std::vector<PickleIndex> pop_many(std::size_t count);

  void put(std::uint64_t memo_index);  ///< the top one
  void put_next() { put(memo_count_); }
  void get(std::uint64_t memo_index);

 private:
  const PickleInput& input_;
  std::vector<PickleIndex> stack_;
  std::vector<std::size_t> marks_;
  std::vector<PickleIndex> memo_;
  std::size_t memo_count_ = 0;
};

/// Values as they are made; each goes onto the stack.
class PickleBuilder {
 public:
  /// What a pickle's lists are made of: see there.
  struct Lists {
    std::vector<PickleValue>& values;
    std::vector<std::vector<PickleIndex>>& children;
    std::vector<PickleIndex>& tuple_items;
  };

  PickleBuilder(const PickleInput& input, PickleStack& stack, const Lists& lists, PickleNumbers numbers)
      : input_(input),
        stack_(stack),
        values_(lists.values),
        children_(lists.children),
        tuple_items_(lists.tuple_items),
        numbers_(numbers) {}

  const PickleValue& at(PickleIndex index) const { return values_[index]; }
  PickleValue& push(PickleKind kind);
  void push_integer(std::int64_t value) { push_number(PickleKind::kInt, value); }
  void push_boolean(bool value) { push_number(PickleKind::kBool, value ? 1 : 0); }
  void push_text(PickleKind kind, std::string_view text);
  void push_string(std::string_view text);
  void push_long(std::string_view digits);
  void push_global(std::string_view module, std::string_view name);
  void push_container(PickleKind kind, std::vector<PickleIndex> items);
  void add_items(const std::vector<PickleIndex>& items, bool are_pairs);
  void require_pairs(const std::vector<PickleIndex>& items) const;
  void call(bool is_new_object);
  void build();

 private:
  void push_number(PickleKind kind, std::int64_t value);
  void fill_tuple(PickleValue& tuple, const std::vector<PickleIndex>& items);
  std::vector<PickleIndex>& children_of(PickleIndex index);

  const PickleInput& input_;
  PickleStack& stack_;
  std::vector<PickleValue>& values_;
  std::vector<std::vector<PickleIndex>>& children_;
  std::vector<PickleIndex>& tuple_items_;
  const PickleNumbers numbers_;
  std::array<PickleIndex, 256> last_numbers_{};  // where one was, by its last byte; it may be another by now
};

/// What each opcode does.
class PickleMachine {
 public:
  PickleMachine(Pickle& pickle, std::string_view bytes, PickleNumbers numbers)
      : pickle_(pickle),
        input_(bytes, pickle.title_, pickle.record_),
        stack_(input_),
        values_(input_, stack_, {pickle.values_, pickle.children_, pickle.tuple_items_}, numbers) {}

  /// Fills the pickle.
  void run();

 private:
  void step(unsigned char opcode);
  bool step_number(unsigned char opcode);
  bool step_text(unsigned char opcode);
  bool step_container(unsigned char opcode);
  bool step_items(unsigned char opcode);
  bool step_memo(unsigned char opcode);
  bool step_object(unsigned char opcode);

  Pickle& pickle_;
  PickleInput input_;
  PickleStack stack_;
  PickleBuilder values_;
};

}  // namespace mnq
