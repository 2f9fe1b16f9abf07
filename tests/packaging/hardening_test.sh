#!/usr/bin/env bash
# What is built, and what is installed of it, looks for libraries in no folder that others may choose; and the presets'
# hardening is in the files.
set -euo pipefail
source=$1 build=$2
prefix=$build/hardening_test
rm -rf "$prefix"
cmake --install "$build" --prefix "$prefix" >/dev/null

fail() { echo "$*" >&2; exit 1; }

# Ours alone: LibTorch and what it needs are not.
mapfile -t ours < <(find "$build/lib" "$build/bin" "$prefix" -type f \( -name '*.so*' -o -executable \) -exec sh -c \
  'head -c 4 "$1" | grep -q ELF && echo "$1"' sh {} \;)
[ "${#ours[@]}" -ge 4 ] || fail "only ${#ours[@]} libraries and programs were found"

# An empty element is the working folder, and so is one that is not absolute.
for file in "${ours[@]}"; do
  path=$(readelf -d "$file" | sed -nE 's/.*\((RUNPATH|RPATH)\).*\[(.*)\]/\2/p')
  [ -n "$path" ] || continue
  while IFS= read -r -d : folder; do
    case $folder in
      /* | '$ORIGIN' | '$ORIGIN'/*) ;;
      *) fail "$file looks for libraries in '$folder', of $path" ;;
    esac
  done <<<"$path:"
done

has() { grep -qE "^$1$" "$build/CMakeCache.txt"; }
has MONO_QUANT_HARDENING:BOOL=ON && has 'MONO_QUANT_SANITIZE:[A-Z]+=OFF' || exit 0

# Reads to the end: what is left with nobody to write to would fail.
holds() { grep -E "$1" >/dev/null; }

for file in "${ours[@]}"; do
  readelf -lW "$file" | holds GNU_RELRO || fail "$file: relocations stay writable"
  readelf -dW "$file" | holds 'BIND_NOW|FLAGS_1.*NOW' || fail "$file: relocations are made late"
  if readelf -lW "$file" | holds 'GNU_STACK.* RWE '; then fail "$file: its stack can be executed"; fi
done
core=$build/lib/libmono_quant.so.1
nm -D "$core" | holds ' U __stack_chk_fail' || fail "$core: no stack is guarded"
has CMAKE_BUILD_TYPE:STRING=Debug || nm -D "$core" | holds ' U __[a-z]+_chk(@|$)' ||
  fail "$core: no function is checked"
