// What each opcode of a pickle does.
#include <bit>

#include "base/text/format.h"
#include "containers/pickle/pickle_machine.h"

namespace mnq {

void PickleMachine::run() {
  pickle_.children_.emplace_back();
  for (unsigned char opcode = input_.take_opcode(); opcode != '.'; opcode = input_.take_opcode()) step(opcode);
  pickle_.root_ = stack_.pop();
  if (!stack_.is_empty()) input_.fail("leaves values on the stack");
  pickle_.size_ = input_.at();
}

void PickleMachine::step(unsigned char opcode) {
  if (step_number(opcode) || step_text(opcode) || step_container(opcode) || step_items(opcode)) return;
  if (step_memo(opcode) || step_object(opcode)) return;
  input_.refuse(input_.place() + " is unknown", "fetch or write the file again: torch.save writes no such pickle");
}

bool PickleMachine::step_number(unsigned char opcode) {
  switch (opcode) {
    case 'N':
      values_.push(PickleKind::kNone);
      return true;
    case 0x88:
      values_.push_boolean(true);
      return true;
    case 0x89:
      values_.push_boolean(false);
      return true;
    case 'K':
      values_.push_integer(input_.number<std::uint8_t>());
      return true;
    case 'M':
      values_.push_integer(input_.number<std::uint16_t>());
      return true;
    case 'J':
      values_.push_integer(input_.number<std::int32_t>());
      return true;
    case 0x8a:
      values_.push_long(input_.take(input_.number<std::uint8_t>()));
      return true;
    case 0x8b:
      values_.push_long(input_.take(input_.number<std::uint32_t>()));
      return true;
    case 'G': {
      const auto value = std::bit_cast<double>(__builtin_bswap64(input_.number<std::uint64_t>()));
      values_.push(PickleKind::kFloat).real = value;
      return true;
    }
    default:
      return false;
  }
}

bool PickleMachine::step_text(unsigned char opcode) {
  switch (opcode) {
    case 'X':
      values_.push_text(PickleKind::kText, input_.take(input_.number<std::uint32_t>()));
      return true;
    case 0x8c:
      values_.push_text(PickleKind::kText, input_.take(input_.number<std::uint8_t>()));
      return true;
    case 0x8d:
      values_.push_text(PickleKind::kText, input_.take(input_.number<std::uint64_t>()));
      return true;
    case 'U':
      values_.push_string(input_.take(input_.number<std::uint8_t>()));
      return true;
    case 'T':
      values_.push_string(input_.take(input_.number<std::uint32_t>()));
      return true;
    case 'C':
      values_.push_text(PickleKind::kBytes, input_.take(input_.number<std::uint8_t>()));
      return true;
    case 'B':
      values_.push_text(PickleKind::kBytes, input_.take(input_.number<std::uint32_t>()));
      return true;
    case 0x8e:
      values_.push_text(PickleKind::kBytes, input_.take(input_.number<std::uint64_t>()));
      return true;
    case 0x96:
      values_.push_text(PickleKind::kBytes, input_.take(input_.number<std::uint64_t>()));
      return true;
    default:
      return false;
  }
}

bool PickleMachine::step_container(unsigned char opcode) {
  switch (opcode) {
    case ']':
      values_.push(PickleKind::kList);
      return true;
    case '}':
      values_.push(PickleKind::kDict);
      return true;
    case ')':
      values_.push(PickleKind::kTuple);
      return true;
    case 0x8f:
      values_.push(PickleKind::kSet);
      return true;
    case '(':
      stack_.push_mark();
      return true;
    case 't':
      values_.push_container(PickleKind::kTuple, stack_.pop_mark());
      return true;
    case 0x85:
      values_.push_container(PickleKind::kTuple, stack_.pop_many(1));
      return true;
    case 0x86:
      values_.push_container(PickleKind::kTuple, stack_.pop_many(2));
      return true;
    case 0x87:
      values_.push_container(PickleKind::kTuple, stack_.pop_many(3));
      return true;
    case 'l':
      values_.push_container(PickleKind::kList, stack_.pop_mark());
      return true;
    case 'd': {
      auto items = stack_.pop_mark();
      values_.require_pairs(items);
      values_.push_container(PickleKind::kDict, std::move(items));
      return true;
    }
    case 0x91:
      values_.push_container(PickleKind::kSet, stack_.pop_mark());
      return true;
    default:
      return false;
  }
}

// Adds to a container that is there.
bool PickleMachine::step_items(unsigned char opcode) {
  switch (opcode) {
    case 'a':
      values_.add_items(stack_.pop_many(1), false);
      return true;
    case 'e':
      values_.add_items(stack_.pop_mark(), false);
      return true;
    case 0x90:
      values_.add_items(stack_.pop_mark(), false);
      return true;
    case 's':
      values_.add_items(stack_.pop_many(2), true);
      return true;
    case 'u':
      values_.add_items(stack_.pop_mark(), true);
      return true;
    default:
      return false;
  }
}

bool PickleMachine::step_memo(unsigned char opcode) {
  switch (opcode) {
    case 'q':
      stack_.put(input_.number<std::uint8_t>());
      return true;
    case 'r':
      stack_.put(input_.number<std::uint32_t>());
      return true;
    case 0x94:
      stack_.put_next();
      return true;
    case 'h':
      stack_.get(input_.number<std::uint8_t>());
      return true;
    case 'j':
      stack_.get(input_.number<std::uint32_t>());
      return true;
    case '0':
      stack_.pop();
      return true;
    case '1':
      stack_.pop_mark();
      return true;
    case '2':
      stack_.push(stack_.top());
      return true;
    default:
      return false;
  }
}

bool PickleMachine::step_object(unsigned char opcode) {
  switch (opcode) {
    case 0x80:
      if (const auto protocol = input_.number<std::uint8_t>(); protocol > 5) {
        input_.refuse(formatted("is a pickle of protocol {}", protocol), "save it with a protocol of at most 5");
      }
      return true;
    case 0x95:
      input_.number<std::uint64_t>();
      return true;  // FRAME: only how far to read ahead
    case 'c': {
      const std::string_view module = input_.take_line();
      values_.push_global(module, input_.take_line());
      return true;
    }
    case 0x93: {
      const auto names = stack_.pop_many(2);
      const PickleValue module = values_.at(names[0]), name = values_.at(names[1]);
      if (module.kind != PickleKind::kText || name.kind != PickleKind::kText) input_.fail("names no module and class");
      values_.push_global(module.text, name.text);
      return true;
    }
    case 'Q': {
      const PickleIndex id = stack_.pop();
      values_.push(PickleKind::kPersistent).function = id;
      return true;
    }
    case 'R':
      values_.call(false);
      return true;
    case 0x81:
      values_.call(true);
      return true;
    case 'b':
      values_.build();
      return true;
    default:
      return false;
  }
}

}  // namespace mnq
