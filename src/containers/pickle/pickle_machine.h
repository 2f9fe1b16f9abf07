// The stack machine behind Pickle: one opcode after the other, each checked against the stack, the memo and the bytes
// left.
#pragma once

#include <cstring>

#include "containers/pickle/pickle.h"

namespace mnq {

/// "BINUNICODE"; "0x07" for what is none.
std::string pickle_opcode_name(unsigned char opcode);

class PickleMachine {
 public:
  PickleMachine(Pickle& pickle, std::string_view bytes) : pickle_(pickle), bytes_(bytes) {}

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

  [[noreturn]] void fail(const std::string& what) const;
  std::string place() const;

  std::string_view take(std::uint64_t size);
  std::string_view take_line();
  template <class Number>
  Number number() {
    Number value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  double big_endian_double();

  PickleValue& push(PickleKind kind);
  void push_integer(std::int64_t value);
  void push_text(PickleKind kind, std::uint64_t size);
  void push_long(std::uint64_t size);
  void push_global(std::string_view module, std::string_view name);
  PickleIndex pop();
  PickleIndex top() const;
  std::vector<PickleIndex> pop_mark();
  std::vector<PickleIndex> pop_many(std::size_t count);
  void push_container(PickleKind kind, std::vector<PickleIndex> items);
  void add_items(const std::vector<PickleIndex>& items, bool are_pairs);
  std::vector<PickleIndex>& children_of(PickleIndex index);
  void require_pairs(const std::vector<PickleIndex>& items) const;
  void put(std::uint64_t memo_index);
  void get(std::uint64_t memo_index);
  void call(bool is_new_object);
  void build();

  Pickle& pickle_;
  std::string_view bytes_;
  std::size_t at_ = 0;
  std::size_t opcode_at_ = 0;
  std::vector<PickleIndex> stack_;
  std::vector<std::size_t> marks_;
  std::vector<PickleIndex> memo_;
  std::size_t memo_count_ = 0;
};

}  // namespace mnq
