#!/usr/bin/env bash
# mono_quant.h is clean in every C and C++ from C89 to C++20, with each compiler there is, and so is the function table
# included first; each C++ header is clean in C++20.
set -euo pipefail
source=$1
check() { # COMPILER LANGUAGE STANDARD HEADER
  echo "#include \"$4\"" | "$1" -x "$2" -std="$3" -pedantic -Wall -Wextra -Werror -I"$source/capi" -I"$source/include" \
    -fsyntax-only -
}
compilers=0
for pair in gcc:g++ clang:clang++; do
  command -v "${pair#*:}" >/dev/null || continue
  compilers=$((compilers + 1))
  for header in mono_quant.h mono_quant_api.h; do
    for standard in c89 c99 c11 c17; do check "${pair%:*}" c "$standard" "$header"; done
    for standard in c++11 c++14 c++17 c++20; do check "${pair#*:}" c++ "$standard" "$header"; done
  done
  check "${pair#*:}" c++ c++20 mono_quant/mono_quant.hpp
done
[ "$compilers" -gt 0 ]

# A status that goes unseen is told of, unless the program asks not to be; C++ sees that nothing throws.
unseen='#include "mono_quant.h"
void unseen(mnq_run* run) { mnq_run_set(run, "bits", "4", NULL); }'
compiles() { gcc -std=c99 -Wall -Werror -I"$source/capi" "$@" -S -o /dev/null -x c - <<<"$unseen" 2>/dev/null; }
compiles && { echo "a status that goes unseen is not told of" >&2; exit 1; }
compiles -DMNQ_MUST_CHECK= || { echo "MNQ_MUST_CHECK cannot be switched off" >&2; exit 1; }
g++ -std=c++11 -I"$source/capi" -fsyntax-only -x c++ - <<'END'
#include "mono_quant.h"
static_assert(noexcept(mnq_run_free(nullptr)) && noexcept(mnq_run_create(nullptr, nullptr)), "");
END
