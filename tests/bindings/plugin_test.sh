#!/usr/bin/env bash
# bindings-examples/plugin: its tour is C's, through the function table; two hosts in one process are at work at once. Nothing of it
# is linked with the library.
set -euo pipefail
source=$1 build=$2
. "$source/tests/bindings/language.sh"
need_tools cc make pkg-config
install_library
copy_examples c plugin
make -s -C "$work/plugin" CFLAGS="-O1 -Wall -Wextra -Werror"
for file in tour two_hosts host_a.so host_b.so; do
  if readelf -d "$work/plugin/$file" | grep -q 'NEEDED.*mono_quant'; then fail "$file is linked with the library"; fi
done
compare_with_c "$work/plugin/tour"

if MONO_QUANT_LIBRARY=$work/missing.so "$work/plugin/tour" a b 2>"$work/errors"; then fail "there was no library"; fi
grep -q 'missing.so' "$work/errors"

run_readme

# The same library in both hosts, then a copy for each.
cd "$work"
cp "$MONO_QUANT_LIBRARY" copy.so
"$prefix/bin/monoquant" quantize "$data/digits.safetensors" --bits 4 -o expected.safetensors >/dev/null
for second in "$MONO_QUANT_LIBRARY" "$work/copy.so"; do
  plugin/two_hosts "$MONO_QUANT_LIBRARY" "$second" "$data/digits.safetensors" int8.safetensors int4.safetensors >lines
  diff <(sort lines) - <<'LINES'
host_a.so: 8 bits, progress seen
host_a.so: 8 bits, progress seen
host_b.so: 4 bits, progress seen
LINES
  cmp int4.safetensors expected.safetensors
done
