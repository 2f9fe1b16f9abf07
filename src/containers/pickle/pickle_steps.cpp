// What each opcode of a pickle does.
#include "base/text/format.h"
#include "base/text/utf8.h"
#include "containers/archive_error.h"
#include "containers/pickle/pickle_machine.h"

namespace mnq {

bool PickleMachine::step_number(unsigned char opcode) {
  switch (opcode) {
    case 'N':
      push(PickleKind::kNone);
      return true;
    case 0x88:
      push(PickleKind::kBool).integer = 1;
      return true;
    case 0x89:
      push(PickleKind::kBool).integer = 0;
      return true;
    case 'K':
      push_integer(number<std::uint8_t>());
      return true;
    case 'M':
      push_integer(number<std::uint16_t>());
      return true;
    case 'J':
      push_integer(number<std::int32_t>());
      return true;
    case 0x8a:
      push_long(number<std::uint8_t>());
      return true;
    case 0x8b:
      push_long(number<std::uint32_t>());
      return true;
    case 'G': {
      const double value = big_endian_double();
      push(PickleKind::kFloat).real = value;
      return true;
    }
    default:
      return false;
  }
}

// Python 2's strings are texts here where they are UTF-8.
bool PickleMachine::step_text(unsigned char opcode) {
  switch (opcode) {
    case 'X':
      push_text(PickleKind::kText, number<std::uint32_t>());
      return true;
    case 0x8c:
      push_text(PickleKind::kText, number<std::uint8_t>());
      return true;
    case 0x8d:
      push_text(PickleKind::kText, number<std::uint64_t>());
      return true;
    case 'U':
      push_text(PickleKind::kBytes, number<std::uint8_t>());
      break;
    case 'T':
      push_text(PickleKind::kBytes, number<std::uint32_t>());
      break;
    case 'C':
      push_text(PickleKind::kBytes, number<std::uint8_t>());
      return true;
    case 'B':
      push_text(PickleKind::kBytes, number<std::uint32_t>());
      return true;
    case 0x8e:
      push_text(PickleKind::kBytes, number<std::uint64_t>());
      return true;
    case 0x96:
      push_text(PickleKind::kBytes, number<std::uint64_t>());
      return true;
    default:
      return false;
  }
  PickleValue& string = pickle_.values_.back();
  if (is_utf8(string.text)) string.kind = PickleKind::kText;
  return true;
}

bool PickleMachine::step_container(unsigned char opcode) {
  switch (opcode) {
    case ']':
      push(PickleKind::kList);
      return true;
    case '}':
      push(PickleKind::kDict);
      return true;
    case ')':
      push(PickleKind::kTuple);
      return true;
    case 0x8f:
      push(PickleKind::kSet);
      return true;
    case '(':
      marks_.push_back(stack_.size());
      return true;
    case 't':
      push_container(PickleKind::kTuple, pop_mark());
      return true;
    case 0x85:
      push_container(PickleKind::kTuple, pop_many(1));
      return true;
    case 0x86:
      push_container(PickleKind::kTuple, pop_many(2));
      return true;
    case 0x87:
      push_container(PickleKind::kTuple, pop_many(3));
      return true;
    case 'l':
      push_container(PickleKind::kList, pop_mark());
      return true;
    case 'd': {
      auto items = pop_mark();
      require_pairs(items);
      push_container(PickleKind::kDict, std::move(items));
      return true;
    }
    case 0x91:
      push_container(PickleKind::kSet, pop_mark());
      return true;
    default:
      return false;
  }
}

// Adds to a container that is there.
bool PickleMachine::step_items(unsigned char opcode) {
  switch (opcode) {
    case 'a':
      add_items(pop_many(1), false);
      return true;
    case 'e':
      add_items(pop_mark(), false);
      return true;
    case 0x90:
      add_items(pop_mark(), false);
      return true;
    case 's':
      add_items(pop_many(2), true);
      return true;
    case 'u':
      add_items(pop_mark(), true);
      return true;
    default:
      return false;
  }
}

bool PickleMachine::step_memo(unsigned char opcode) {
  switch (opcode) {
    case 'q':
      put(number<std::uint8_t>());
      return true;
    case 'r':
      put(number<std::uint32_t>());
      return true;
    case 0x94:
      put(memo_count_);
      return true;
    case 'h':
      get(number<std::uint8_t>());
      return true;
    case 'j':
      get(number<std::uint32_t>());
      return true;
    case '0':
      pop();
      return true;
    case '1':
      pop_mark();
      return true;
    case '2':
      stack_.push_back(top());
      return true;
    default:
      return false;
  }
}

bool PickleMachine::step_object(unsigned char opcode) {
  switch (opcode) {
    case 0x80:
      if (const auto protocol = number<std::uint8_t>(); protocol > 5) {
        refuse_record(pickle_.title_, pickle_.record_, formatted("is a pickle of protocol {}", protocol),
                      "save it with a protocol of at most 5");
      }
      return true;
    case 0x95:
      number<std::uint64_t>();
      return true;  // FRAME: only how far to read ahead
    case 'c': {
      const std::string_view module = take_line();
      push_global(module, take_line());
      return true;
    }
    case 0x93: {
      const auto names = pop_many(2);
      const PickleValue module = pickle_.at(names[0]), name = pickle_.at(names[1]);
      if (module.kind != PickleKind::kText || name.kind != PickleKind::kText) fail("names no module and class");
      push_global(module.text, name.text);
      return true;
    }
    case 'Q': {
      const PickleIndex id = pop();
      push(PickleKind::kPersistent).function = id;
      return true;
    }
    case 'R':
      call(false);
      return true;
    case 0x81:
      call(true);
      return true;
    case 'b':
      build();
      return true;
    default:
      return false;
  }
}

}  // namespace mnq
