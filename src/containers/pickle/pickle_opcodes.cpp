#include <algorithm>

#include "base/text/format.h"
#include "containers/pickle/pickle_machine.h"

namespace mnq {
namespace {

struct OpcodeName {
  unsigned char opcode;
  const char* name;
};

// Those after NEXT_BUFFER are known by name only.
constexpr OpcodeName kOpcodes[] = {
    {'K', "BININT1"},
    {'M', "BININT2"},
    {'J', "BININT"},
    {0x8a, "LONG1"},
    {0x8b, "LONG4"},
    {'G', "BINFLOAT"},
    {'N', "NONE"},
    {0x88, "NEWTRUE"},
    {0x89, "NEWFALSE"},
    {'X', "BINUNICODE"},
    {0x8c, "SHORT_BINUNICODE"},
    {0x8d, "BINUNICODE8"},
    {'U', "SHORT_BINSTRING"},
    {'T', "BINSTRING"},
    {'C', "SHORT_BINBYTES"},
    {'B', "BINBYTES"},
    {0x8e, "BINBYTES8"},
    {0x96, "BYTEARRAY8"},
    {']', "EMPTY_LIST"},
    {'}', "EMPTY_DICT"},
    {')', "EMPTY_TUPLE"},
    {0x8f, "EMPTY_SET"},
    {'(', "MARK"},
    {'t', "TUPLE"},
    {0x85, "TUPLE1"},
    {0x86, "TUPLE2"},
    {0x87, "TUPLE3"},
    {'l', "LIST"},
    {'d', "DICT"},
    {0x91, "FROZENSET"},
    {'a', "APPEND"},
    {'e', "APPENDS"},
    {'s', "SETITEM"},
    {'u', "SETITEMS"},
    {0x90, "ADDITEMS"},
    {'q', "BINPUT"},
    {'r', "LONG_BINPUT"},
    {0x94, "MEMOIZE"},
    {'h', "BINGET"},
    {'j', "LONG_BINGET"},
    {'c', "GLOBAL"},
    {0x93, "STACK_GLOBAL"},
    {'R', "REDUCE"},
    {0x81, "NEWOBJ"},
    {'b', "BUILD"},
    {'Q', "BINPERSID"},
    {'0', "POP"},
    {'1', "POP_MARK"},
    {'2', "DUP"},
    {0x80, "PROTO"},
    {0x95, "FRAME"},
    {'.', "STOP"},
    {0x97, "NEXT_BUFFER"},
    {0x98, "READONLY_BUFFER"},
    {0x92, "NEWOBJ_EX"},
    {0x82, "EXT1"},
    {0x83, "EXT2"},
    {0x84, "EXT4"},
    {'I', "INT"},
    {'L', "LONG"},
    {'F', "FLOAT"},
    {'S', "STRING"},
    {'V', "UNICODE"},
    {'p', "PUT"},
    {'g', "GET"},
    {'i', "INST"},
    {'o', "OBJ"},
    {'P', "PERSID"},
};

}  // namespace

std::string pickle_opcode_name(unsigned char opcode) {
  const auto* found = std::ranges::find(kOpcodes, opcode, &OpcodeName::opcode);
  return found != std::end(kOpcodes) ? found->name : formatted("0x{:02x}", static_cast<unsigned>(opcode));
}

}  // namespace mnq
