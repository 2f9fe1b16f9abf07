#!/usr/bin/env bash
# The programs of README.md do what it says: each is taken out of it, compiled and run.
set -euo pipefail
source=$1 build=$2
work=$build/readme_test
rm -rf "$work"
mkdir -p "$work"
cmake --install "$build" --prefix "$work/prefix" >/dev/null
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name mono_quant.pc)")
export PKG_CONFIG_PATH
libdir=$(pkg-config --variable=libdir mono_quant)
sanitize=()
if readelf -d "$build/lib/libmono_quant.so.1" | grep -q libasan; then sanitize=(-fsanitize=address,undefined); fi

block() { awk -v start="^\`\`\`$1\$" '$0 ~ start {inside = 1; next} /^```$/ {inside = 0} inside' "$source/README.md"; }
block c >"$work/program.c"
block cpp >"$work/program.cpp"
# shellcheck disable=SC2046
cc "${sanitize[@]}" "$work/program.c" -o "$work/program" $(pkg-config --cflags --libs mono_quant) -Wl,-rpath,"$libdir"
# shellcheck disable=SC2046
c++ -std=c++20 "${sanitize[@]}" "$work/program.cpp" -o "$work/program_cpp" $(pkg-config --cflags --libs mono_quant) \
  -Wl,-rpath,"$libdir"

model=$source/tests/data/digits.safetensors
"$work/program" "$model" "$work/c.safetensors"
"$work/prefix/bin/monoquant" validate "$work/c.safetensors" --against "$model" >/dev/null
"$work/program_cpp" "$model" "$work/cpp.safetensors" | grep -qE '^[0-9.]+ dB$'
