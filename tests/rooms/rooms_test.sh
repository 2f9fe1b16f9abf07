#!/usr/bin/env bash
# The rooms of src/README.md: a room includes only itself and those before it in this list. capi sits on top; the command
# line and the examples include nothing of ours but mono_quant.h; kernels of one instruction set include only plain
# headers, so that no code for it leaks into functions that others share.
set -euo pipefail
source=$1
cd "$source"
rooms=(base kernels schemes config plan formats quantize)
failed=0

complain() {
  echo "$1" >&2
  failed=1
}

# includes_of FILE...: "FILE: ROOM" for each include of a room
includes_of() { grep -HoE '^#include "[a-z_]+/' "$@" | sed -E 's/#include "//; s,/$,,' || true; }

allowed=""
for room in "${rooms[@]}"; do
  allowed="$allowed $room"
  while IFS=: read -r file include; do
    [ -z "$file" ] && continue
    [[ " $allowed " == *" $include "* ]] || complain "$file includes $include/, which lies above $room"
  done < <(includes_of src/"$room"/*)
done

while IFS= read -r line; do
  complain "$line: the command line and the examples include only mono_quant.h"
done < <(grep -HE '^#include "' src/cli/* | grep -vE '"(mono_quant.h|cli/[a-z0-9_]+\.h)"$' || true)
while IFS= read -r line; do
  complain "$line: an example includes only what is installed"
done < <(grep -rHE '^#include "' bindings-examples || true)

while IFS= read -r line; do
  complain "$line: a kernel file of one instruction set includes only plain headers"
done < <(grep -HE '^#include' src/kernels/*_avx2.cpp src/kernels/*_avx512.cpp src/kernels/*.inc.h src/kernels/code_scale.h \
           src/kernels/scalar_conversions.h |
         grep -vE '<(immintrin.h|cstdint|cstddef|cstring|cfloat)>|"kernels/' || true)

exit $failed
