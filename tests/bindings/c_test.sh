#!/usr/bin/env bash
# The programs of bindings-examples/c: strict C99, and the tour's lines are what its README promises.
set -euo pipefail
source=$1 build=$2
. "$source/tests/bindings/language.sh"
need_tools cc make pkg-config
install_library
copy_examples c
make -s -C "$work/c" CFLAGS="-O1 -Wall -Wextra -Werror"

# A tour that goes well and those that do not, checked for leaks.
make -s -C "$work/c" -B tour CFLAGS="-O1 -g -fsanitize=leak"
mkdir "$work/leaks"
while IFS= read -r arguments; do
  # shellcheck disable=SC2086
  (cd "$work/leaks" && LSAN_OPTIONS=exitcode=23 "$work/c/tour" $arguments >/dev/null 2>"$work/leaks.log") || [ $? -ne 23 ] ||
    fail "tour $arguments leaks: $(cat "$work/leaks.log")"
done < <(tours)

tour() { "$work/c/tour" "$@"; }
cd "$work"
tour "$data/digits.safetensors" int4.safetensors bits=4 call:group_size=32 >lines
diff - <(sed -E 's/^(mono_quant|report|saved|back|alone) .*/\1/' lines) <<'LINES'
mono_quant
input safetensors, 13 tensors
layer conv1 Conv2d [16, 1, 3, 3] as it is: 144 parameters are fewer than 512
layer conv2 Conv2d [32, 16, 3, 3] int4 group 32
layer fc1 Linear [64, 128] int4 group 32
layer fc2 Linear [10, 64] int4 group 32
setting dtype = qint4 (config)
setting bits = 4 (config)
setting group_size = 32 (call)
setting symmetric = true (default)
events 3 quantized, 10 copied
progress 0 to 55088
report
saved
writer the same bytes
reader 19 tensors
back
alone
one F32 [32, 16, 3, 3]
linear UNSUPPORTED
cancelled CANCELLED
missing NOT_FOUND
LINES
grep -qx "saved $(stat -c %s int4.safetensors) bytes, format safetensors" lines
grep -qE '^alone conv2 3 parts, SQNR 2[0-9][.][0-9]{2} dB, restored F32 \[32, 16, 3, 3\]$' lines
"$prefix/bin/monoquant" validate int4.safetensors --against "$data/digits.safetensors" >validation

# Where LibTorch is there, both versions of the module see the label of the first image: 3.
tour "$data/digits.safetensors" int8.safetensors --digits "$data/digits_scripted.pt" "$data/digits_test.safetensors" >lines
grep -qxE 'digits (float 3, int8 3|UNSUPPORTED)' lines
[ ! -f "$(dirname "$MONO_QUANT_LIBRARY")/libmono_quant_torch.so" ] || grep -qx 'digits float 3, int8 3' lines

if tour "$data/digits.safetensors" int8.safetensors >/dev/null 2>errors; then fail "what is there was replaced"; fi
grep -q '^tour: .*int8.safetensors' errors
"$work/c/quantize" "$data/digits.safetensors" example.safetensors >lines 2>/dev/null
grep -qE '^[0-9]+ bytes became [0-9]+$' lines
run_readme
echo "its lines are what the README says"
